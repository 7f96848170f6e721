"""sd_notify(3), the watchdog, and sockets that a service manager hands over."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import millrace as mr
import pytest
from millrace.notify import Notifier, Watchdog, take_sockets

from tests.python.wire import PATIENCE_S, Signal, Wire, eventually, request

HELLO = "import millrace as mr\napp = mr.App()\napp.respond('/', 'hello')\n"


@pytest.fixture(params=["path", "abstract"])
def manager(request, tmp_path):
    """A socket that hears what a service manager would, and its name for NOTIFY_SOCKET."""
    name = str(tmp_path / "notify") if request.param == "path" else f"@millrace-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(name.replace("@", "\0"))
        heard.settimeout(PATIENCE_S)
        yield heard, name


def next_message(heard, key):
    """The next message with this variable, as a dict."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        assert time.monotonic() < deadline, f"no {key}, only signs of life"
        lines = heard.recv(4096).decode().split("\n")
        message = dict(line.split("=", 1) for line in lines)
        if key in message:
            return message


def all_that_waits(heard):
    """What has been sent already, as one text."""
    texts = []
    heard.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            texts.append(heard.recv(4096).decode())
    heard.settimeout(PATIENCE_S)
    return "\n".join(texts)


def test_a_service_manager_hears_of_the_whole_life(script, manager):
    heard, name = manager
    program = script(
        arguments=["-m", "millrace", "serve", "hello:app", "--port", "0"],
        files={"hello.py": HELLO},
        env={"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "200000"},
    )
    ready = next_message(heard, "READY")
    assert ready["READY"] == "1"
    assert ready["STATUS"].startswith("serving on http://127.0.0.1:")
    for _ in range(3):
        assert next_message(heard, "WATCHDOG") == {"WATCHDOG": "1"}
    program.process.send_signal(signal.SIGHUP)
    reloading = next_message(heard, "RELOADING")
    assert reloading["RELOADING"] == "1"
    assert int(reloading["MONOTONIC_USEC"]) > 0
    assert next_message(heard, "READY")["STATUS"] == ready["STATUS"]
    program.process.send_signal(signal.SIGTERM)
    assert next_message(heard, "STOPPING")["STOPPING"] == "1"
    assert program.finish()[0] == 0


def test_a_service_manager_is_told_which_process_takes_over(script, manager):
    heard, name = manager
    arguments = ["-m", "millrace", "serve", "hello:app", "--port", "0", "--workers", "2"]
    program = script(
        arguments=arguments,
        files={"hello.py": HELLO},
        env={"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "1000000"},
    )
    serving = next_message(heard, "READY")["STATUS"]
    program.process.send_signal(signal.SIGHUP)
    assert next_message(heard, "RELOADING")["RELOADING"] == "1"
    assert next_message(heard, "READY")["STATUS"] == serving
    program.line_with("all workers are new")
    program.process.send_signal(signal.SIGUSR2)
    successor = int(next_message(heard, "MAINPID")["MAINPID"])
    try:
        assert successor != program.process.pid
        assert program.process.wait(PATIENCE_S) == 0
        said = all_that_waits(heard)  # the old one is gone, and has not spoken of an end
        assert "STOPPING" not in said
        assert next_message(heard, "WATCHDOG") == {"WATCHDOG": "1"}  # so this is the successor's
    finally:
        os.kill(successor, signal.SIGTERM)
    assert next_message(heard, "STOPPING")["STOPPING"] == "1"


def test_the_variables_are_not_for_children():
    environment = {
        "NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "1000", "WATCHDOG_PID": str(os.getpid()),
        "LISTEN_FDS": "0", "LISTEN_PID": str(os.getpid()), "OTHER": "stays",
    }  # fmt: skip
    assert Notifier(environment).watchdog_s == 0.001
    assert take_sockets(environment) == []
    assert environment == {"OTHER": "stays"}


def test_variables_of_another_process_mean_nothing():
    environment = {"WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"}
    assert Notifier(environment).watchdog_s is None
    assert take_sockets({"LISTEN_FDS": "2", "LISTEN_PID": "1"}) == []
    assert take_sockets({}) == []


@pytest.mark.parametrize("usec", ["0", "soon", "-5"])
def test_a_watchdog_time_that_is_none_is_said_and_left(usec, caplog):
    assert Notifier({"WATCHDOG_USEC": usec}).watchdog_s is None
    assert "is no time in microseconds" in caplog.text


@pytest.mark.parametrize(
    ("count", "names", "says"),
    [("two", None, "not a number of sockets"), ("2", "a:b:c", "not as many sockets")],
)
def test_a_contradiction_about_sockets_is_refused(count, names, says):
    environment = {"LISTEN_FDS": count, "LISTEN_PID": str(os.getpid())}
    if names:
        environment["LISTEN_FDNAMES"] = names
    with pytest.raises(ValueError, match=says):
        take_sockets(environment)


def test_a_manager_that_is_gone_is_said_once_and_harms_nothing(tmp_path, caplog):
    with Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")}) as notifier:
        for _ in range(3):
            notifier.alive()
    assert caplog.text.count("cannot notify the service manager") == 1
    Notifier({"NOTIFY_SOCKET": "vsock:2:1234"}).ready("x")
    assert "is no Unix socket" in caplog.text


def test_a_manager_that_comes_back_hears_the_next_message(tmp_path, caplog):
    path = tmp_path / "notify"
    with Notifier({"NOTIFY_SOCKET": str(path)}) as notifier:
        for complaints in (1, 2):
            notifier.alive()
            notifier.alive()
            assert caplog.text.count("cannot notify the service manager") == complaints
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
                heard.bind(str(path))
                heard.settimeout(PATIENCE_S)
                notifier.alive()
                assert next_message(heard, "WATCHDOG") == {"WATCHDOG": "1"}
            path.unlink()


def test_a_process_without_a_free_descriptor_gives_signs_of_life(manager, monkeypatch):
    heard, name = manager
    with Notifier({"NOTIFY_SOCKET": name}) as notifier:

        def no_more(*arguments):
            raise OSError(errno.EMFILE, "Too many open files")

        monkeypatch.setattr(socket, "socket", no_more)
        notifier.alive()
        assert next_message(heard, "WATCHDOG") == {"WATCHDOG": "1"}


class Heard:
    """A notifier that writes down when it was alive, among the lines of the log."""

    watchdog_s = 0.04

    def __init__(self, caplog):
        self.caplog = caplog
        self.alive_at: list[int] = []

    def alive(self):
        self.alive_at.append(len(self.caplog.records))


def test_there_is_no_sign_of_life_while_a_handler_blocks_its_loop(caplog):
    app, entered, leave = mr.App(), Signal(), threading.Event()

    @app.get("/")
    def block(request):
        entered.set()
        assert leave.wait(PATIENCE_S)
        return "done"

    heard = Heard(caplog)
    with mr.Server(app) as server, Watchdog(heard, server.blocked_loops), Wire(server) as wire:
        eventually(lambda: len(heard.alive_at) >= 2)
        wire.send(request("GET", "/"))
        entered.expect()
        first = len(caplog.records)
        eventually(lambda: len(caplog.records) >= first + 3)
        assert "something blocks 1 loops" in caplog.records[-1].message
        leave.set()
        assert wire.read().text == "done"
        before = len(heard.alive_at)
        eventually(lambda: len(heard.alive_at) >= before + 2)
    # One may have been on its way when the handler began; none came between the complaints.
    assert [at for at in heard.alive_at if first + 1 <= at < len(caplog.records)] == []


def test_sockets_that_systemd_activates_are_served(script, tmp_path):
    """systemd's own tool opens the socket, and starts the server at the first connection."""
    tool = shutil.which("systemd-socket-activate")
    if tool is None:
        pytest.skip("systemd-socket-activate is not installed")
    (tmp_path / "hello.py").write_text(HELLO)
    serve = [sys.executable, "-m", "millrace", "serve", "hello:app"]
    passed = [f"--setenv={name}" for name in ("PYTHONPATH", "PATH") if name in os.environ]
    process = subprocess.Popen(
        [tool, "--listen", str(tmp_path / "socket"), "--fdname=web", *passed, *serve],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        eventually(lambda: (tmp_path / "socket").is_socket())
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(PATIENCE_S)
            eventually(lambda: client.connect_ex(str(tmp_path / "socket")) == 0)
            client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            assert b"".join(iter(lambda: client.recv(4096), b"")).endswith(b"hello")
        said = []
        while "serving on" not in "".join(said):
            said.append(process.stderr.readline())
            assert said[-1], "".join(said)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=PATIENCE_S)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 0
    assert "the service manager hands over: web (fd://3)" in "".join(said)
    assert f"serving on unix:{tmp_path}/socket" in said[-1]


def test_systemd_understands_the_units_of_the_page(tmp_path):
    tool = shutil.which("systemd-analyze")
    if tool is None:
        pytest.skip("systemd-analyze is not installed")
    page = Path(__file__).resolve().parents[2] / "docs" / "operating.md"
    for name in ("hello.service", "hello.socket"):
        unit = re.search(rf"`{name}`.*?```ini\n(.*?)```", page.read_text(), re.S)[1]
        # What is not on every machine: the program, and a release of 2023.
        unit = unit.replace("/opt/hello/bin/millrace", "/bin/true").replace(
            "notify-reload", "notify"
        )
        (tmp_path / name).write_text(unit)
    done = subprocess.run(
        [tool, "verify", tmp_path / "hello.service", tmp_path / "hello.socket"],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def test_an_address_beside_activated_sockets_is_refused(script):
    source = (
        "import os, sys\nos.environ |= {'LISTEN_FDS': '1', 'LISTEN_PID': str(os.getpid())}\n"
        "import socket\none = socket.socket()\nos.dup2(one.fileno(), 3)\n"
        "from millrace.cli import main\nmain(['serve', 'hello:app', '--port', '0'])\n"
    )
    code, _, err = script(source, files={"hello.py": HELLO}).finish()
    assert code == 2
    assert "--port and the sockets of LISTEN_FDS exclude each other" in err
