"""Log files: opened anew by name, and never in the way of serving."""

from __future__ import annotations

import logging
import signal
import socket
from pathlib import Path

import pytest
from millrace import logs

from tests.python.wire import PATIENCE_S, eventually

HELLO = "import millrace as mr\napp = mr.App()\napp.respond('/', 'hello')\n"


@pytest.fixture
def log(tmp_path):
    """A logger that writes to one file, ``log`` in the test's folder."""
    file = logs.LogFile(tmp_path / "log")
    file.setFormatter(logging.Formatter("%(message)s"))
    logger = logging.Logger("test")
    logger.addHandler(file)
    logger.file = file
    yield logger
    file.close()


def test_a_file_moved_away_is_followed_by_a_new_one_at_reopen(log, tmp_path):
    log.warning("one")
    (tmp_path / "log").rename(tmp_path / "log.1")
    log.warning("two")
    logs.reopen_logs()
    log.warning("three")
    assert (tmp_path / "log.1").read_text() == "one\ntwo\n"
    assert (tmp_path / "log").read_text() == "three\n"


def test_a_file_that_cannot_be_reopened_is_written_on(log, tmp_path, caplog):
    (tmp_path / "log").rename(tmp_path / "log.1")
    (tmp_path / "log").mkdir()
    logs.reopen_logs()
    log.warning("two")
    assert (tmp_path / "log.1").read_text() == "two\n"
    assert "cannot re-open" in caplog.text


def test_reopen_calls_whoever_registered_until_they_leave():
    calls = []
    leave = logs.on_reopen(lambda: calls.append("called"))
    logs.reopen_logs()
    leave()
    logs.reopen_logs()
    assert calls == ["called"]


def test_records_that_do_not_fit_are_counted_and_told_once(tmp_path, capsys):
    (tmp_path / "log").symlink_to("/dev/full")
    file = logs.LogFile(tmp_path / "log")
    file.setFormatter(logging.Formatter("%(message)s"))
    logger = logging.Logger("test")
    logger.addHandler(file)
    for _ in range(3):
        logger.error("lost")
    assert file.dropped == 3
    (line,) = capsys.readouterr().err.splitlines()
    assert "No space left on device" in line
    assert str(tmp_path / "log") in line
    (tmp_path / "log").unlink()
    logs.reopen_logs()
    logger.error("found")
    file.close()
    lines = (tmp_path / "log").read_text().splitlines()
    assert lines == ["(3 records could not be written here)", "found"]


TORN = """
import logging, resource, signal
from millrace import logs
file = logs.LogFile("log")
file.setFormatter(logging.Formatter("%(message)s"))
logger = logging.Logger("test")
logger.addHandler(file)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (6, resource.RLIM_INFINITY))
logger.error("0123456789")
logger.error("lost")
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
logger.error("after")
print(file.dropped)
"""


def test_a_line_torn_by_a_full_disk_does_not_swallow_the_next(script, tmp_path):
    code, out, err = script(TORN).finish()
    assert (code, out, err.count("\n")) == (0, "2\n", 1)
    lines = (tmp_path / "log").read_text().splitlines()
    assert lines == ["012345", "(2 records could not be written here)", "after"]


def serve(script, tmp_path, *arguments):
    program = script(
        arguments=["-m", "millrace", "serve", "hello:app", "--uds", "socket", *arguments],
        files={"hello.py": HELLO},
    )
    eventually(lambda: (tmp_path / "socket").is_socket() and ask(tmp_path) == "hello")
    return program


def ask(folder: Path) -> str:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(PATIENCE_S)
        try:
            client.connect(str(folder / "socket"))
        except ConnectionRefusedError:  # bound, not listening yet
            return ""
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        return b"".join(iter(lambda: client.recv(4096), b"")).partition(b"\r\n\r\n")[2].decode()


def test_sigusr1_reopens_the_error_log_of_a_server(script, tmp_path):
    log = tmp_path / "error.log"
    program = serve(script, tmp_path, "--error-log", "error.log")
    eventually(lambda: "serving on" in log.read_text())
    log.rename(tmp_path / "error.log.1")
    program.process.send_signal(signal.SIGUSR1)
    eventually(log.exists)
    program.process.send_signal(signal.SIGTERM)
    code, out, err = program.finish()
    assert (code, out, err) == (0, "", "")
    assert "serving on" in (tmp_path / "error.log.1").read_text()
    assert "stopped" in log.read_text()
    assert "serving on" not in log.read_text()


def test_a_full_disk_under_the_log_stops_nothing(script, tmp_path):
    program = serve(script, tmp_path, "--error-log", "/dev/full")
    assert [ask(tmp_path) for _ in range(5)] == ["hello"] * 5
    program.process.send_signal(signal.SIGTERM)
    code, _, err = program.finish()
    assert code == 0
    (line,) = err.splitlines()
    assert "cannot write to /dev/full: No space left on device" in line
