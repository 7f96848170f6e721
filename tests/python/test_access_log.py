"""The access log, records through logging, and the slow-request log."""

from __future__ import annotations

import json
import logging
import os
import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import millrace as mr
import pytest
from millrace import logs

from tests.python.wire import Signal, Wire, eventually, fetch, get, request


@pytest.fixture
def app() -> mr.App:
    app = mr.App()
    app.respond("/native", "native")

    @app.get("/plain/{name}")
    def plain(request):
        return request.path_params["name"]

    @app.get("/coroutine")
    async def coroutine(request):
        return "x"

    return app


class Kept(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []
        self.threads: set[int] = set()

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)
        self.threads.add(threading.get_ident())


@pytest.fixture
def listen() -> Iterator[object]:
    """Put handlers on loggers for the length of a test."""
    added = []

    def start(name: str, handler: logging.Handler | None = None) -> Kept:
        handler = handler or Kept()
        logger = logging.getLogger(name)
        logger.addHandler(handler)
        level = logger.level
        logger.setLevel(logging.INFO)
        added.append((logger, handler, level))
        return handler

    yield start
    for logger, handler, level in added:
        logger.removeHandler(handler)
        logger.setLevel(level)


def lines_of(path: Path, count: int) -> list[str]:
    eventually(lambda: path.exists() and path.read_text().count("\n") >= count)
    return path.read_text().splitlines()


COMMON = re.compile(
    r'127\.0\.0\.1 - - \[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] "(.*)" (\d{3}) (\d+|-)'
)


def test_every_request_has_its_line(app, serve, pattern, tmp_path):
    path = tmp_path / "access.log"
    server = serve(app, pattern=pattern, access_log=mr.AccessLog(path, format="common"))
    get(server, "/native")
    get(server, "/plain/ab?x=1")
    get(server, "/coroutine")
    get(server, "/nowhere")
    fetch(server, "HEAD", "/native")
    fetch(server, "POST", "/native", body=b"12")
    found = sorted(COMMON.fullmatch(line).groups() for line in lines_of(path, 6))
    assert found == [
        ("GET /coroutine HTTP/1.1", "200", "1"),
        ("GET /native HTTP/1.1", "200", "6"),
        ("GET /nowhere HTTP/1.1", "404", "9"),
        ("GET /plain/ab?x=1 HTTP/1.1", "200", "2"),
        ("HEAD /native HTTP/1.1", "200", "-"),
        ("POST /native HTTP/1.1", "405", "18"),
    ]
    assert server.stats()["access_log"] == {"lines": 6, "dropped": 0}


def test_no_line_is_lost_when_the_server_stops(app, tmp_path, pattern):
    path = tmp_path / "access.log"
    with mr.Server(app, pattern=pattern, access_log=path) as server:
        for _ in range(4):
            with Wire(server) as wire:
                wire.send(request("GET", "/native", {}) * 25)
                for _ in range(25):
                    wire.read()
    assert len(path.read_text().splitlines()) == 100


def test_a_client_cannot_forge_a_line(app, serve, tmp_path):
    path = tmp_path / "access.log"
    server = serve(app, access_log=path)
    get(server, '/native?"%0a\\', {"User-Agent": 'x" 200 1\t\\ 127.0.0.1 - - \xe9'})
    line = lines_of(path, 1)[0]
    assert line.endswith('"GET /native?\\"%0a\\\\ HTTP/1.1" 200 6 "-" '
                         '"x\\" 200 1\\x09\\\\ 127.0.0.1 - - \\xe9"')  # fmt: skip


def test_json_lines_are_json(app, serve, tmp_path):
    path = tmp_path / "access.log"
    server = serve(app, access_log=mr.AccessLog(path, format="json"))
    get(server, '/plain/a?"q"', {"User-Agent": 'tab\t"quote" \xe9', "Referer": "http://a/"})
    found = json.loads(lines_of(path, 1)[0])
    assert 0 < found.pop("duration_s") < 20
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", found.pop("time"))
    assert found == {
        "client": "127.0.0.1",
        "method": "GET",
        "target": '/plain/a?"q"',
        "protocol": "HTTP/1.1",
        "route": "/plain/{name}",
        "status": 200,
        "bytes": 1,
        "referer": "http://a/",
        "user_agent": 'tab\t"quote" \xe9',
        "complete": True,
    }


def test_a_client_that_left_is_in_the_log(serve, tmp_path):
    app, path = mr.App(), tmp_path / "access.log"
    entered = Signal()

    @app.get("/slow")
    async def slow(request):
        import asyncio

        entered.set()
        await asyncio.sleep(60)

    server = serve(app, access_log=mr.AccessLog(path, format="%r %s"))
    with Wire(server) as wire:
        wire.send(request("GET", "/slow"))
        entered.expect()
        wire.reset()
    assert lines_of(path, 1) == ["GET /slow HTTP/1.1 499"]


@pytest.mark.in_process
def test_a_full_disk_costs_lines_and_one_warning(app, serve, listen, pattern):
    heard = listen("millrace.error")
    server = serve(app, pattern=pattern, access_log="/dev/full")
    for count in (1, 2, 3):
        assert get(server, "/native").status == 200
        eventually(lambda count=count: server.stats()["access_log"]["dropped"] == count)
    assert server.stats()["access_log"] == {"lines": 0, "dropped": 3}
    warnings = [r.getMessage() for r in heard.records if "access log" in r.getMessage()]
    assert len(warnings) == 1
    assert "/dev/full: No space left on device" in warnings[0]


@pytest.mark.parametrize(
    "reopen", [mr.Server.reopen_logs, lambda _: logs.reopen_logs()], ids=["its own", "all"]
)
def test_a_log_that_is_moved_away_goes_on_in_a_new_file(app, serve, tmp_path, reopen):
    def read():
        return {name: (tmp_path / name).read_text().splitlines() for name in written}

    path = tmp_path / "access.log"
    server = serve(app, access_log=mr.AccessLog(path, format="%U"))
    get(server, "/native")
    lines_of(path, 1)
    path.rename(tmp_path / "old.log")
    reopen(server)
    written = {"old.log": ["/native"], "access.log": []}
    # What the writer finds together with the news may still go to the old file.
    while not written["access.log"]:
        get(server, "/coroutine")
        wanted = sum(map(len, written.values())) + 1
        eventually(lambda n=wanted: sum(map(len, read().values())) == n)
        written = read()
    assert written["access.log"] == ["/coroutine"]
    assert written["old.log"][0] == "/native"


def test_a_log_that_cannot_be_opened_anew_goes_on_in_the_old_file(app, serve, tmp_path, listen):
    heard = listen("millrace.error")
    folder = tmp_path / "logs"
    folder.mkdir()
    server = serve(app, access_log=mr.AccessLog(folder / "access.log", format="%U"))
    folder.rename(tmp_path / "old")
    with pytest.raises(FileNotFoundError):
        server.reopen_logs()
    logs.reopen_logs()
    assert "it goes on in the old file" in heard.records[-1].getMessage()
    get(server, "/native")
    assert lines_of(tmp_path / "old" / "access.log", 1) == ["/native"]


def test_a_stopped_servers_log_is_not_opened_again(app, tmp_path):
    path = tmp_path / "access.log"
    with mr.Server(app, access_log=path):
        path.unlink()
    logs.reopen_logs()
    assert not path.exists()


def test_a_log_that_cannot_be_opened_ends_the_start(app, tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        mr.Server(app, access_log=tmp_path / "nowhere" / "access.log").start()


def test_the_standard_output_is_a_file_too(script):
    program = script(
        "import millrace as mr, urllib.request\n"
        "app = mr.App(); app.respond('/', 'x')\n"
        "with mr.Server(app, access_log='-') as server:\n"
        "    urllib.request.urlopen(server.url).read()\n"
    )
    code, out, err = program.finish()
    assert code == 0, err
    assert COMMON.match(out)[1] == "GET / HTTP/1.1"


@pytest.mark.parametrize("format", ["%h %Z", "nginx", "%{Referer}o"])
def test_an_unknown_field_is_refused_by_name(format):
    with pytest.raises(ValueError, match=re.escape(format.split()[-1])):
        mr.AccessLog(format=format)


def test_a_buffer_for_less_than_a_line_is_refused():
    mr.AccessLog(buffer="65536B")
    with pytest.raises(ValueError, match="buffer='1kB'"):
        mr.AccessLog(buffer="1kB")


def test_a_forked_child_leaves_the_log_to_its_parent(app, serve, tmp_path):
    path = tmp_path / "access.log"
    server = serve(app, access_log=mr.AccessLog(path, format="%U"))
    path.rename(tmp_path / "old.log")
    child = os.fork()
    if not child:
        logs.reopen_logs()
        os._exit(int(path.exists() or server.stats().get("access_log") is not None))
    assert os.waitpid(child, 0)[1] == 0
    get(server, "/native")
    assert lines_of(tmp_path / "old.log", 1) == ["/native"]


# --- records --------------------------------------------------------------------------------------


@pytest.mark.in_process
def test_records_go_to_the_handlers_of_the_logger(app, serve, listen, pattern):
    heard = listen("millrace.access")
    server = serve(app, pattern=pattern)
    get(server, "/plain/a", {"User-Agent": "me"})
    get(server, "/nowhere")
    eventually(lambda: len(heard.records) == 2)
    heard.records.sort(key=lambda record: record.status)  # two loops' lines come in either order
    assert [r.getMessage() for r in heard.records] == [
        '127.0.0.1 - "GET /plain/a HTTP/1.1" 200',
        '127.0.0.1 - "GET /nowhere HTTP/1.1" 404',
    ]
    first = heard.records[0]
    assert (first.route, first.status, first.user_agent) == ("/plain/{name}", 200, "me")
    assert len(heard.threads) == 1, "one thread tells them, and none of the loops"
    assert threading.get_ident() not in heard.threads
    assert server.stats()["access_records"] == {"lines": 2, "dropped": 0}


def test_there_are_no_records_without_a_handler(app, serve):
    server = serve(app)
    get(server, "/native")
    assert "access_records" not in server.stats()


def test_records_that_a_slow_handler_leaves_no_room_for_are_counted(app, serve, listen):
    entered, go_on = Signal(), Signal()

    class Stuck(Kept):
        def emit(self, record: logging.LogRecord) -> None:
            entered.set()
            go_on.expect()
            super().emit(record)

    heard = listen("millrace.access", Stuck())
    server = serve(app)
    long = {"User-Agent": "x" * 4000}
    with Wire(server) as wire:
        wire.get("/native", long)
        entered.expect()
        sent = 1
        while server.stats()["access_records"]["dropped"] < 3:
            wire.get("/native", long)
            sent += 1
            assert sent < 1000
    seen = server.stats()["access_records"]
    assert seen["lines"] + seen["dropped"] == sent
    go_on.set()
    eventually(lambda: len(heard.records) == seen["lines"])


FORGED = '/a"%0a\\x'
FORGED_ESCAPED = r"/a\"%0a\\x"


def test_a_records_line_cannot_be_forged(serve, listen):
    heard = listen("millrace.access")
    app = mr.App()
    app.respond("/{any}", "x")
    server = serve(app)
    get(server, FORGED)
    eventually(lambda: heard.records)
    (record,) = heard.records
    assert record.getMessage() == f'127.0.0.1 - "GET {FORGED_ESCAPED} HTTP/1.1" 200'
    assert record.target == FORGED


def test_a_unix_client_with_a_name_has_no_address(app, serve, tmp_path):
    path = tmp_path / "access.log"
    server = serve(
        app, bind=f"unix:{tmp_path}/socket", access_log=mr.AccessLog(path, format="%h %U")
    )
    with socket.socket(socket.AF_UNIX) as client:
        client.bind(f"{tmp_path}/client")
        client.connect(f"{tmp_path}/socket")
        client.sendall(request("GET", "/native"))
        assert lines_of(path, 1) == ["- /native"]
    assert server.stats()["access_log"]["lines"] == 1


def test_a_handler_that_raises_does_not_end_the_others(app, serve, listen):
    class Broken(Kept):
        def emit(self, record: logging.LogRecord) -> None:
            super().emit(record)
            raise LookupError("no")

    heard = listen("millrace.access", Broken())
    server = serve(app)
    for _ in range(2):
        get(server, "/native")
    eventually(lambda: len(heard.records) == 2)


# --- slow requests --------------------------------------------------------------------------------


@pytest.mark.in_process
def test_a_slow_request_is_told_with_its_journey(serve, listen, pattern):
    heard = listen("millrace.slow")
    app = mr.App()

    @app.get("/slow")
    def slow(request):
        threading.Event().wait(0.06)
        return "x"

    app.respond("/fast", "x")
    server = serve(app, pattern=pattern, slow_request="50ms", journey=False)
    get(server, "/fast")
    get(server, "/slow?a=1")
    eventually(lambda: heard.records)
    (record,) = heard.records
    assert re.match(
        r"slow request: GET /slow\?a=1 200 took [\d.]+ m?s: process [\d.]+ m?s", record.getMessage()
    )
    assert record.request["stages"]["process"] >= 50_000_000
    assert record.levelno == logging.WARNING


def test_a_slow_requests_line_cannot_be_forged(serve, listen):
    heard = listen("millrace.slow")
    app = mr.App()
    app.respond("/{any}", "x")
    server = serve(app, slow_request=0)
    get(server, FORGED)
    eventually(lambda: heard.records)
    (record,) = heard.records
    assert record.getMessage().startswith(f"slow request: GET {FORGED_ESCAPED} 200 took ")
    assert record.request["target"] == FORGED


# --- the command line -----------------------------------------------------------------------------


def test_the_command_line_writes_it(script, tmp_path):
    files = {"hello.py": "import millrace as mr\napp = mr.App()\napp.respond('/', 'x')\n"}
    program = script(
        arguments=["-m", "millrace", "serve", "hello:app", "--port", "0",
                   "--access-log-file", "a.log", "--access-log-format", "%m %U %s",
                   "--slow-request", "10s"],
        files=files,
    )  # fmt: skip
    url = re.search(r"http://\S+:\d+", program.line_with("http://"))[0]
    import urllib.request

    urllib.request.urlopen(url).read()
    assert lines_of(tmp_path / "a.log", 1) == ["GET / 200"]
    os.kill(program.process.pid, 15)
    assert program.finish()[0] == 0
