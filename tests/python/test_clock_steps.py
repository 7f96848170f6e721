"""The wall clock jumps, as when it is set or a virtual machine wakes: no deadline moves with it."""

from __future__ import annotations

import email.utils
import shutil
import socket
import subprocess
import time

import pytest

from tests.python.wire import PATIENCE_S, eventually

# Stands before the C library's clocks: the wall clock is off by as many seconds as a file says.
SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

static long step(void) {
  long seconds = 0;
  FILE* file = fopen(getenv("CLOCK_STEP"), "r");
  if (!file) return 0;
  if (fscanf(file, "%ld", &seconds) != 1) seconds = 0;
  fclose(file);
  return seconds;
}

int clock_gettime(clockid_t clock, struct timespec* at) {
  static int (*real)(clockid_t, struct timespec*);
  if (!real) real = (int (*)(clockid_t, struct timespec*))dlsym(RTLD_NEXT, "clock_gettime");
  int const result = real(clock, at);
  if (clock == CLOCK_REALTIME) at->tv_sec += step();
  return result;
}

time_t time(time_t* out) {
  struct timespec at;
  clock_gettime(CLOCK_REALTIME, &at);
  if (out) *out = at.tv_sec;
  return at.tv_sec;
}

int gettimeofday(struct timeval* at, void* zone) {
  struct timespec precise;
  (void)zone;
  clock_gettime(CLOCK_REALTIME, &precise);
  at->tv_sec = precise.tv_sec;
  at->tv_usec = precise.tv_nsec / 1000;
  return 0;
}
"""

SERVER = """
import signal, time
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
import millrace as mr
app = mr.App()
app.respond("/", "hello")
limits = mr.Limits(idle_timeout=60, header_timeout=0.3)
with mr.Server(app, limits=limits, drain="20s") as server:
    print(server.port, time.time(), flush=True)
    signal.sigwait({signal.SIGTERM})
print(server.stats().total("timeouts"), flush=True)
"""

DAY = 24 * 3600


@pytest.fixture
def stepped(script, tmp_path):
    """A server under a wall clock that the test sets, and its port."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("there is no C compiler")
    (tmp_path / "shim.c").write_text(SHIM)
    shim = tmp_path / "shim.so"
    source = tmp_path / "shim.c"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", shim, source, "-ldl"], check=True)

    def step(seconds):
        (tmp_path / "new").write_text(str(seconds))
        (tmp_path / "new").rename(tmp_path / "step")

    step(0)
    env = {"LD_PRELOAD": str(shim), "CLOCK_STEP": str(tmp_path / "step")}
    program = script(SERVER, env=env)
    port, _ = program.line_with(".", of="stdout").split()
    return program, int(port), step


def ask(client):
    """The answer's Date as seconds since 1970."""
    client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    heard = b""
    while not heard.endswith(b"hello"):
        piece = client.recv(4096)
        assert piece, "the connection was closed"
        heard += piece
    (date,) = [line for line in heard.decode().splitlines() if line.startswith("Date: ")]
    return email.utils.parsedate_to_datetime(date.removeprefix("Date: ")).timestamp()


def is_near(seconds, expected):
    return abs(seconds - expected) < 3600


def test_a_step_moves_the_date_and_nothing_else(stepped):
    program, port, step = stepped
    with (
        socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as kept,
        socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as idle,
    ):
        assert is_near(ask(kept), time.time())
        ask(idle)
        for days in (3, -3, 0):  # idle connections get a minute: no step may use it up
            step(days * DAY)
            eventually(lambda: is_near(ask(kept), time.time() + days * DAY))  # noqa: B023
        ask(idle)
        step(-3 * DAY)
        # A head that does not end is given 0.3 s, whatever the wall clock says.
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as slow:
            slow.sendall(b"GET / HTTP/1.1\r\nHo")
            heard = b"".join(iter(lambda: slow.recv(4096), b""))
        assert heard == b"" or heard.startswith(b"HTTP/1.1 408 ")
    program.process.terminate()
    code, out, _ = program.finish()
    assert (code, out) == (0, "1\n")
