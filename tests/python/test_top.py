"""The monitor's socket, and `millrace top`, which reads it."""

from __future__ import annotations

import errno
import json
import os
import socket
import stat
import subprocess
import threading
from pathlib import Path

import millrace as mr
import pytest
from millrace import cli, cli_top, monitor

from tests.python.wire import eventually, get


@pytest.fixture
def app() -> mr.App:
    app = mr.App()
    app.respond("/", "x")
    return app


def ask(path: Path) -> dict[str, object]:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(20)
        connection.connect(str(path))
        connection.sendall(b"\n")
        return json.loads(connection.makefile("rb").readline())


def test_a_snapshot_has_loops_queue_and_stages(app, serve, pattern, tmp_path):
    path = tmp_path / "top"
    server = serve(app, pattern=pattern, monitor=path)
    get(server, "/")
    eventually(lambda: server.stats().total("requests") == 1)
    seen = ask(path)
    assert seen["pid"] == os.getpid()
    assert seen["urls"] == server.urls
    assert sum(loop["requests"] for loop in seen["loops"]) == 1
    assert (seen["queue"] is not None) == isinstance(pattern.dispatch, mr.patterns.Queue)
    assert "total" in [stage["name"] for stage in seen["stages"]]


def test_only_its_user_may_open_it_and_it_is_gone_afterwards(app, tmp_path):
    path = tmp_path / "top"
    with mr.Server(app, monitor=f"unix:{path}"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not path.exists()


def test_there_is_none_unless_it_is_asked_for(app, serve):
    serve(app)
    assert not monitor.default_path(os.getpid()).exists()


def test_a_path_left_behind_is_replaced_and_one_in_use_is_refused(app, serve, tmp_path):
    path = tmp_path / "top"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    serve(app, monitor=path)
    assert ask(path)["pid"] == os.getpid()
    with pytest.raises(OSError, match="in use"):
        mr.Server(app, monitor=path).start()
    assert ask(path)["pid"] == os.getpid()


def test_a_file_of_that_name_is_left_alone(app, tmp_path):
    path = tmp_path / "top"
    path.write_text("mine")
    with pytest.raises(OSError, match="in use"):
        mr.Server(app, monitor=path).start()
    assert path.read_text() == "mine"


def test_eight_may_look_and_one_more_is_closed(app, serve, tmp_path):
    path = tmp_path / "top"
    serve(app, monitor=path)
    clients = []
    for _ in range(8):
        clients.append(client := socket.socket(socket.AF_UNIX))
        client.settimeout(20)
        client.connect(str(path))
        client.sendall(b"\n")
        assert client.recv(1) == b"{"
    with socket.socket(socket.AF_UNIX) as ninth:
        ninth.settimeout(20)
        ninth.connect(str(path))
        assert ninth.recv(1) == b""
    for client in clients:
        client.close()
    eventually(lambda: _answers(path))


def _answers(path: Path) -> bool:
    try:
        return bool(ask(path))
    except (OSError, ValueError):
        return False


def test_a_client_that_does_not_read_is_closed(app, serve, tmp_path):
    path = tmp_path / "top"
    serve(app, monitor=path)
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(20)
        client.connect(str(path))

        def ask_for_ever():
            for _ in range(100_000):
                client.sendall(b"\n" * 64)

        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            ask_for_ever()
    assert _answers(path)


@pytest.mark.parametrize("target", ["path", "pid"])
def test_top_prints_one_snapshot(app, serve, tmp_path, monkeypatch, capsys, target):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    server = serve(app, monitor=True, pattern=mr.patterns.acceptor_queue_workers(workers=2))
    get(server, "/")
    eventually(lambda: server.stats().total("requests") == 1)
    name = {"path": f"unix:{monitor.default_path(os.getpid())}", "pid": str(os.getpid())}[target]
    assert cli.main(["top", name, "--once"]) == 0
    shown = capsys.readouterr().out
    assert f"pid {os.getpid()}" in shown
    assert "wait for 2 workers" in shown
    assert "Stages, since the start" in shown
    assert cli.main(["top", name, "--once", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["urls"] == server.urls


def test_rates_come_from_two_snapshots():
    loop = dict.fromkeys(
        ("connections_open", "requests", "requests_native", "requests_failed", "bytes_in",
         "bytes_out", "wakeups", "gil_wait_ns"), 0
    )  # fmt: skip
    plain = {"pid": 1, "urls": ["u"], "pattern": "p", "connections": 0, "in_flight": 0,
             "queue": None, "logs": {}, "stages": []}  # fmt: skip
    before = {**plain, "time": 10.0, "loops": [{**loop, "requests": 100}]}
    after = {**plain, "time": 12.0, "loops": [{**loop, "requests": 500}]}
    (table,) = cli_top.tables(after, before)
    assert table.headings[2] == "requests/s"
    assert table.rows[0][2] == "200"
    (first,) = cli_top.tables(after, None)
    assert (first.headings[2], first.rows[0][2]) == ("requests", "500")


def test_top_says_what_to_do_where_nobody_is(tmp_path, capsys):
    assert cli.main(["top", str(tmp_path / "nobody"), "--once"]) == 1
    assert "--monitor" in capsys.readouterr().err


def test_a_server_that_ends_inside_its_answer_is_told_in_one_line(tmp_path, capsys):
    path = tmp_path / "top"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def end_early():
            with listener.accept()[0] as asking:
                asking.recv(1)
                asking.sendall(b'{"pid": 47')

        server = threading.Thread(target=end_early)
        server.start()
        assert cli.main(["top", str(path), "--once"]) == 1
        server.join()
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "has stopped" in told


class Full(socket.socket):
    """A listening socket of a process that has run out of descriptors, for so many calls."""

    failures = 0
    calls = 0

    def accept(self):
        self.calls += 1
        if self.calls <= self.failures:
            raise OSError(errno.EMFILE, "Too many open files")
        return super().accept()


@pytest.fixture
def full(monkeypatch):
    """The monitor's listening socket, once there is a server."""
    listen, made = monitor._listen, []

    def make(path):
        made.append(Full(fileno=listen(path).detach()))
        return made[0]

    monkeypatch.setattr(monitor, "_listen", make)
    return made


def test_a_monitor_without_descriptors_serves_those_it_has_and_does_not_spin(
    app, serve, tmp_path, monkeypatch, full
):
    monkeypatch.setattr(monitor, "_ACCEPT_PAUSE_S", 3600)
    path = tmp_path / "top"
    serve(app, monitor=path)
    with socket.socket(socket.AF_UNIX) as first, socket.socket(socket.AF_UNIX) as second:
        first.settimeout(20)
        first.connect(str(path))
        answers = first.makefile("rb")
        first.sendall(b"\n")
        assert json.loads(answers.readline())["pid"] == os.getpid()
        full[0].failures = 1_000_000
        second.connect(str(path))
        eventually(lambda: full[0].calls == 2)
        for _ in range(5):
            first.sendall(b"\n")
            assert json.loads(answers.readline())["pid"] == os.getpid()
        assert full[0].calls == 2


def test_a_monitor_accepts_again_once_there_are_descriptors(
    app, serve, tmp_path, monkeypatch, full
):
    monkeypatch.setattr(monitor, "_ACCEPT_PAUSE_S", 0.01)
    monkeypatch.setattr(Full, "failures", 3)
    path = tmp_path / "top"
    serve(app, monitor=path)
    assert ask(path)["pid"] == os.getpid()
    assert full[0].calls == 4


def test_the_live_view_ends_with_its_server(app, serve, tmp_path, script):
    path = tmp_path / "top"
    server = serve(app, monitor=path)
    view = script(arguments=["-m", "millrace", "top", str(path), "--interval", "10ms"])
    view.line_with("requests/s", of="stdout")
    server.stop()
    code, _, err = view.finish()
    assert code == 1
    assert "has stopped" in err


def test_a_process_without_a_monitor_is_told_what_helps(app, serve, capsys):
    serve(app)
    assert cli.main(["top", "--once", str(os.getpid())]) == 1
    said = capsys.readouterr().err
    assert str(monitor.default_path(os.getpid())) in said
    assert "start the server with --monitor" in said
    with subprocess.Popen(["true"]) as gone:
        pass
    assert cli.main(["top", "--once", str(gone.pid)]) == 1
    assert f"{gone.pid}: there is no such process" in capsys.readouterr().err
