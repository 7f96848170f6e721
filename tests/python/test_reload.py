"""``millrace serve --reload``: changes start the server anew, and no connection is refused."""

from __future__ import annotations

import os
import pty
import re
import signal
import socket
import sys
import threading
from pathlib import Path

import pytest
from millrace import cli
from millrace.reload import Watched

from tests.python.wire import PATIENCE_S, eventually

pytest.importorskip("watchfiles")

APP = "import os\nimport millrace as mr\napp = mr.App()\napp.respond('/', '{word}')\n"


def write(folder: Path, text: str) -> None:
    """As an editor does: in one step, so that no half of it is read."""
    (folder / "new").write_text(text)
    (folder / "new").rename(folder / "hello.py")


@pytest.fixture
def watched(script, tmp_path):
    write(tmp_path, APP.format(word="one"))
    started = []

    def start(*arguments):
        serve = ["-m", "millrace", "serve", "hello:app", "--reload", *arguments]
        started.append(script(arguments=serve))
        return started[-1]

    yield start
    for program in started:
        program.process.send_signal(signal.SIGTERM)
        assert program.finish()[0] == 0


def port_of(program):
    return int(re.search(r"127\.0\.0\.1:(\d+)", program.line_with("serving on"))[1])


def ask(port):
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        return b"".join(iter(lambda: client.recv(4096), b"")).partition(b"\r\n\r\n")[2].decode()


def test_a_change_starts_the_server_anew_and_no_connection_is_refused(watched, tmp_path):
    program = watched("--port", "0")
    port = port_of(program)
    assert ask(port) == "one"
    over, answers = threading.Event(), []

    def keep_asking():
        while not over.is_set():
            answers.append(ask(port))  # raises where it is refused, reset or cut short

    clients = [threading.Thread(target=keep_asking) for _ in range(4)]
    for client in clients:
        client.start()
    for word in ("two", "three"):
        write(tmp_path, APP.format(word=word))
        assert "hello.py" in program.line_with("changed: ")
        assert port_of(program) == port
        eventually(lambda: answers and answers[-1] == word)  # noqa: B023
    over.set()
    for client in clients:
        client.join()
    assert set(answers) == {"one", "two", "three"}


def test_a_connection_that_has_not_asked_yet_is_answered_before_the_server_ends(watched, tmp_path):
    program = watched("--port", "0")
    port = port_of(program)
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as client:
        assert ask(port) == "one"  # and so the one that came before is accepted too
        write(tmp_path, APP.format(word="two"))
        program.line_with("changed: ")
        program.line_with("stopping: ")
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        answer = b"".join(iter(lambda: client.recv(4096), b""))
    assert answer.endswith(b"one")
    assert port_of(program) == port


def test_a_broken_edit_is_said_and_the_next_one_serves_who_waited(watched, tmp_path):
    program = watched("--port", "0")
    port = port_of(program)
    write(tmp_path, "app = (")
    assert "SyntaxError" in program.line_with("cannot start")
    assert "waiting for a change" in program.line_with("ended with code 3")
    heard = []
    client = threading.Thread(target=lambda: heard.append(ask(port)))  # nobody accepts now
    client.start()
    write(tmp_path, APP.format(word="mended"))
    program.line_with("serving on")
    client.join(PATIENCE_S)
    assert heard == ["mended"]


def test_a_broken_start_waits_for_a_change_as_well(watched, tmp_path):
    write(tmp_path, "app = (")
    program = watched("--port", "0")
    program.line_with("waiting for a change")
    write(tmp_path, APP.format(word="mended"))
    assert ask(port_of(program)) == "mended"


def test_the_server_is_a_process_of_its_own_with_the_same_socket(watched, tmp_path):
    write(tmp_path, APP.format(word="one") + "print(os.getppid(), flush=True)\n")
    program = watched("--uds", "socket")
    program.line_with("serving on")
    assert int(program.line_with("", of="stdout")) == program.process.pid
    inode = (tmp_path / "socket").stat().st_ino
    write(tmp_path, APP.format(word="two"))
    program.line_with("serving on")
    assert (tmp_path / "socket").stat().st_ino == inode
    program.process.send_signal(signal.SIGINT)
    assert program.finish()[0] == 0
    assert not (tmp_path / "socket").exists()


def test_a_server_whose_reloader_is_killed_does_not_stay_behind(script, tmp_path):
    write(tmp_path, APP.format(word="one") + "print(os.getpid(), flush=True)\n")
    program = script(arguments=["-m", "millrace", "serve", "hello:app", "--reload", "--port", "0"])
    port = port_of(program)
    server = int(program.line_with("", of="stdout"))
    program.process.kill()
    program.line_with("stopped")
    eventually(lambda: not Path(f"/proc/{server}/fd").exists() or is_over(server))
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def is_over(pid):
    """Whether a process that nobody waited for has ended."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


SLOW = """
import asyncio, pathlib
import millrace as mr
app = mr.App()

@app.get("/")
async def slow(request):
    while not pathlib.Path("go").exists():
        await asyncio.sleep(0.01)
    return "finished"
"""


def test_ctrl_c_in_a_terminal_lets_requests_finish(tmp_path):
    """The terminal sends it to both processes; a server that took it twice would be hasty."""
    write(tmp_path, SLOW)
    log = tmp_path / "log"
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(tmp_path)
        serve = [
            "-m",
            "millrace",
            "serve",
            "hello:app",
            "--reload",
            "--uds",
            "socket",
            "--error-log",
            "log",
        ]
        os.execv(sys.executable, [sys.executable, *serve])
    try:
        eventually(lambda: log.exists() and "serving on" in log.read_text())
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(PATIENCE_S)
            client.connect(str(tmp_path / "socket"))
            client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            # Its answer says that the request before it is under way.
            with socket.socket(socket.AF_UNIX) as other:
                other.connect(str(tmp_path / "socket"))
                other.sendall(b"GET /none HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                assert b" 404 " in other.recv(4096)
            os.write(terminal, b"\x03")
            eventually(lambda: "1 request under way" in log.read_text())
            (tmp_path / "go").touch()
            assert b"".join(iter(lambda: client.recv(4096), b"")).endswith(b"finished")
        _, status = os.waitpid(child, 0)
        child = 0
    finally:
        if child:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == 0


def test_only_what_is_included_and_not_excluded_counts(watched, tmp_path):
    (tmp_path / "templates").mkdir()
    (tmp_path / "data").mkdir()
    program = watched(
        "--port", "0", "--reload-include", "*.html", "--reload-exclude", "data",
        "--reload-dir", str(tmp_path),
    )  # fmt: skip
    program.line_with("serving on")
    (tmp_path / "data" / "ignored.html").write_text("x")
    (tmp_path / "ignored.txt").write_text("x")
    (tmp_path / "templates" / "page.html").write_text("x")
    line = program.line_with("changed: ")
    assert "templates/page.html" in line
    assert "ignored" not in line


@pytest.mark.parametrize(
    ("path", "counts"),
    [
        ("a.py", True),
        ("deep/er/a.py", True),
        ("a.pyc", False),
        ("page.html", True),
        ("out/page.html", False),
        ("out/deep/a.py", False),
        (".hidden.py", False),
    ],
)
def test_patterns_are_names_or_folders(tmp_path, monkeypatch, path, counts):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "out").mkdir()
    watched = Watched((tmp_path,), include=("*.py", "*.html"), exclude=("out", ".*"))
    assert watched.counts(str(tmp_path / path)) is counts


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--reload-dir", "."], "--reload-dir does nothing without --reload: add it"),
        (["--reload", "--reload-dir", "nowhere"], "--reload-dir: nowhere is no folder"),
        (["--reload", "--user", "nobody"], "--reload and --user exclude each other"),
    ],
)
def test_a_wrong_use_is_refused(capsys, flags, says):
    with pytest.raises(SystemExit) as left:
        cli.main(["serve", "hello:app", *flags])
    assert left.value.code == 2
    assert says in capsys.readouterr().err


def test_without_watchfiles_the_remedy_is_said(capsys, monkeypatch):
    monkeypatch.setattr("millrace.reload.is_available", lambda: False)
    with pytest.raises(SystemExit) as left:
        cli.main(["serve", "hello:app", "--reload"])
    assert left.value.code == 2
    assert "--reload needs watchfiles: pip install 'millrace[reload]'" in capsys.readouterr().err
