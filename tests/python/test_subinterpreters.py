"""Loops of one process, each with an interpreter: what they share, what they do not, how they end.

Every test that takes `pattern` runs over this one too; here stands what is different about it.
"""

from __future__ import annotations

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import millrace as mr
import pytest

from tests.python.wire import PATIENCE_S, Wire, eventually, get

needs_interpreters = pytest.mark.skipif(
    sys.version_info < (3, 13), reason="interpreters with a GIL of their own need CPython 3.13"
)

APP = """
import asyncio, os, threading, time
from contextlib import asynccontextmanager
import millrace as mr

counted = 0

@asynccontextmanager
async def lifespan(app):
    app.state.said = "entered"
    yield
    os.write({fd}, b"left\\n")

app = mr.App(lifespan=lifespan)

@app.get("/count")
def count(request):
    global counted
    counted += 1
    return {{"count": counted, "said": app.state.said, "pid": os.getpid(),
             "thread": threading.get_native_id()}}

@app.get("/coroutine")
async def coroutine(request):
    await asyncio.sleep(0)
    return str(threading.get_native_id())

@app.get("/raise")
def fail(request):
    raise LookupError("on purpose")

@app.get("/meet/{{mine}}/{{other}}")
def meet(request):
    # Computes until the other one has computed as well: one after the other, neither would end.
    mine, other = (f"{folder}/{{request.path_params[name]}}" for name in ("mine", "other"))
    deadline = time.monotonic() + {patience}
    rounds = 0
    while time.monotonic() < deadline:
        rounds += sum(range(2000)) > 0
        with open(mine, "w") as file:
            file.write(str(rounds))
        if os.path.exists(other) and os.path.getsize(other) and rounds >= 50:
            return {{"met": True, "thread": threading.get_native_id()}}
    return {{"met": False, "thread": threading.get_native_id()}}
"""


@pytest.fixture
def interpreters():
    return mr.patterns.subinterpreters(2)


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Import the app from a module of its own; what lifespans say at their end can be read."""
    monkeypatch.syspath_prepend(str(tmp_path))
    read_end, write_end = os.pipe()
    names = iter(f"app_of_interpreters_{number}" for number in range(100))

    def imported(source=APP):
        name = next(names)
        text = source.format(fd=write_end, folder=tmp_path, patience=PATIENCE_S)
        (tmp_path / f"{name}.py").write_text(text)
        imported.module = lambda: sys.modules[name]
        return __import__(name).app

    imported.said = lambda: os.read(read_end, 1000)
    yield imported
    os.close(read_end)
    os.close(write_end)


def from_each(server, path="/count"):
    """Ask on new connections until both interpreters have answered; the answers by thread."""
    answers = {}

    def both():
        one = get(server, path).json()
        answers[one["thread"]] = one
        return len(answers) == 2

    # The one that is free accepts; several at once come to both.
    with ThreadPoolExecutor(8) as pool:
        eventually(lambda: any(pool.map(lambda _: both(), range(16))))
    return answers


def a_connection_to_each(stack, server):
    """Connect until both interpreters own a connection; one of each."""
    owned = {}

    def connect():
        wire = stack.enter_context(Wire(server))
        owned.setdefault(wire.get("/coroutine").text, wire)
        return len(owned) == 2

    eventually(connect)
    return owned.values()


@needs_interpreters
def test_interpreters_share_a_process_but_no_module(load, serve, interpreters):
    server = serve(load(), pattern=interpreters)
    answers = from_each(server)
    assert {answer["pid"] for answer in answers.values()} == {os.getpid()}
    asked = server.stats().total("requests")
    # Each counts its own requests: were the module shared, the next number would be `asked` + 1.
    assert get(server, "/count").json()["count"] <= asked
    loops = eventually(lambda: (s := server.stats()).total("requests") == asked + 1 and s.loops)
    with Wire(server) as wire:
        mine = wire.get("/count").json()
        again = wire.get("/count").json()
    assert again["count"] == mine["count"] + 1
    assert {loop["requests"] > 0 for loop in loops} == {True}
    assert load.module().counted == 0


@needs_interpreters
def test_handlers_compute_at_the_same_time(load, serve, interpreters):
    """Two handlers that never wait, each of which ends only when it has seen the other's steps."""
    server = serve(load(), pattern=interpreters)
    with ExitStack() as stack, ThreadPoolExecutor(2) as pool:
        first, second = a_connection_to_each(stack, server)
        ways = [(first, "/meet/a/b"), (second, "/meet/b/a")]
        answers = list(pool.map(lambda way: way[0].get(way[1]).json(), ways))
    assert [answer["met"] for answer in answers] == [True, True]
    assert len({answer["thread"] for answer in answers}) == 2


@needs_interpreters
def test_each_interpreter_has_its_lifespan(load, interpreters):
    with mr.Server(load(), pattern=interpreters) as server:
        assert get(server, "/count").json()["said"] == "entered"
    assert load.said() == b"left\nleft\n"


@needs_interpreters
def test_a_handler_that_raises_is_logged_here(load, serve, interpreters, caplog):
    server = serve(load(), pattern=interpreters)
    assert get(server, "/raise").status == 500
    record = eventually(lambda: next((r for r in caplog.records if "LookupError" in r.message), 0))
    assert record.name == "millrace.error"
    assert "on purpose" in record.exc_text
    assert get(server, "/count").status == 200
    assert server.stats().total("requests_failed") == 1


@needs_interpreters
def test_journey_and_counters_are_those_of_all(load, serve, interpreters):
    server = serve(load(), pattern=interpreters)
    from_each(server)
    stats = eventually(
        lambda: (s := server.stats()).total("requests") == server.journey().requests and s
    )
    assert len(stats.loops) == 2
    server.reset_journey()
    assert server.journey().requests == 0
    get(server, "/count")
    journey = eventually(lambda: (j := server.journey()).requests == 1 and j)
    assert journey["process"].times.count == 1


@needs_interpreters
def test_an_app_of_a_test_travels_by_value(serve, interpreters):
    greeting = "hello from a closure"
    app = mr.App()
    app.get("/")(lambda request: greeting)
    assert get(serve(app, pattern=interpreters), "/").text == greeting


@needs_interpreters
def test_what_cannot_travel_is_named(interpreters):
    lock = threading.Lock()
    app = mr.App()
    app.get("/here")(lambda request: str(lock))
    with pytest.raises(mr.errors.NotPicklable, match="lock"):
        mr.Server(app, pattern=interpreters).start()


@needs_interpreters
@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("import millrace as mr\napp = mr.App()\nimport _interpreters\n"
         "if _interpreters.get_current()[0] != 0: raise OSError('no room')\n", "no room"),
        ("import millrace as mr\nfrom contextlib import asynccontextmanager\n"
         "@asynccontextmanager\nasync def lifespan(app):\n    raise OSError('no database')\n"
         "    yield\n"
         "app = mr.App(lifespan=lifespan)\n", "no database"),
        ("import millrace as mr\napp = mr.App()\nimport _interpreters\n"
         "if _interpreters.get_current()[0] != 0: import _testsinglephase\n",
         "module '_testsinglephase' cannot be loaded in a sub-interpreter: "
         "use millrace.patterns.multi_process"),
    ],
    ids=["import", "lifespan", "module"],
)  # fmt: skip
def test_one_that_cannot_start_says_why_and_leaves_nothing(load, interpreters, source, why):
    if "_testsinglephase" in source:
        pytest.importorskip("_testsinglephase")
    threads = set(threading.enumerate())
    server = mr.Server(load(source), pattern=interpreters)
    with pytest.raises(RuntimeError, match=f"interpreter 1 cannot start: .*{why}"):
        server.start()
    assert not server.is_running
    assert set(threading.enumerate()) <= threads


@needs_interpreters
def test_workers_are_no_processes(load, serve, interpreters):
    server = serve(load(), pattern=interpreters)
    with pytest.raises(RuntimeError, match="multi_process"):
        server.workers()


@needs_interpreters
def test_a_program_that_ends_with_a_running_server_ends_well(script, tmp_path):
    program = script(
        "import millrace as mr, hello, urllib.request\n"
        "server = mr.Server(hello.app, pattern=mr.patterns.subinterpreters(2)).start()\n"
        "print(urllib.request.urlopen(server.url).read().decode())\n",
        files={
            "hello.py": "import millrace as mr\napp = mr.App()\n"
            "app.get('/')(lambda request: 'hello')\n"
        },
    )
    code, out, err = program.finish()
    assert (code, out, err) == (0, "hello\n", "")


@needs_interpreters
def test_interpreters_that_import_datetime_end_without_a_crash(script):
    # In a program of its own: the main interpreter has to have imported it before they do.
    program = script(
        "import millrace as mr, hello\n"
        "for _ in range(6):\n"
        "    with mr.Server(hello.app, pattern=mr.patterns.subinterpreters(2)):\n"
        "        pass\n"
        "print('ended')\n",
        files={
            "hello.py": "import millrace as mr\napp = mr.App()\n"
            "@app.lifespan\nasync def life(app):\n    import datetime\n    yield\n"
            "app.get('/')(lambda request: 'hello')\n"
        },
    )
    code, out, err = program.finish()
    assert (code, out, err) == (0, "ended\n", "")


@needs_interpreters
def test_clients_outlive_the_interpreters_of_others(load, interpreters):
    with (
        mr.TcpServer(mr.tcp.echo) as streams,
        mr.UdpServer(mr.udp.echo) as datagrams,
        mr.tcp_connect(streams.address, timeout=PATIENCE_S) as connection,
        mr.udp_connect(datagrams.address, timeout=PATIENCE_S) as client,
    ):
        with mr.Server(load(), pattern=interpreters) as server:
            get(server, "/count")
        connection.write(b"hello")
        assert connection.readexactly(5) == b"hello"
        client.send(b"hello")
        assert client.recv() == b"hello"


@needs_interpreters
def test_the_command_line_serves_by_it(script):
    program = script(
        arguments=["-m", "millrace", "serve", "hello:app", "--port", "0",
                   "--pattern", "subinterpreters:interpreters=2"],
        files={"hello.py": "import millrace as mr\napp = mr.App()\napp.respond('/', 'hi')\n"},
    )  # fmt: skip
    line = program.line_with("serving on")
    assert "subinterpreters(2)" in line
    program.process.terminate()
    code, _, err = program.finish()
    assert code == 0
    assert "stopped" in err


@needs_interpreters
def test_the_command_line_says_in_one_line_why_it_cannot_start(script):
    program = script(
        arguments=["-m", "millrace", "serve", "hello:app", "--port", "0",
                   "--pattern", "subinterpreters:interpreters=2"],
        files={
            "hello.py": "import millrace as mr, _interpreters\napp = mr.App()\n"
            "if _interpreters.get_current()[0] != 0: raise OSError('no room')\n"
        },
    )  # fmt: skip
    code, _, err = program.finish()
    assert code == 3
    assert len(err.splitlines()) == 1
    assert "no room" in err


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="this Python has them")
def test_an_older_python_is_refused_with_the_remedy():
    with pytest.raises(ValueError, match=r"needs CPython 3\.13 .*multi_process"):
        mr.patterns.subinterpreters(2)


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="this Python has them")
def test_an_older_python_is_refused_on_the_command_line(script):
    program = script(
        arguments=["-m", "millrace", "serve", "hello:app", "--pattern", "subinterpreters"],
        files={"hello.py": ""},
    )
    code, _, err = program.finish()
    assert code == 2
    assert "needs CPython 3.13" in err


@needs_interpreters
def test_there_is_at_least_one():
    with pytest.raises(ValueError, match="interpreters is 0"):
        mr.patterns.subinterpreters(0)
    assert repr(mr.patterns.parse("subinterpreters:interpreters=3")) == "subinterpreters(3)"
