"""Faults, each with its behaviour and its counters: departures, broken handlers, lack of memory."""

from __future__ import annotations

import asyncio
import os
import re
import sys
import time
import uuid
from pathlib import Path

import millrace as mr
import pytest

from tests.python.wire import PATIENCE_S, Gone, Wire, eventually, get, request

HALF_A_HEAD = b"GET /native HTTP/1.1\r\nHost: te"
PART = b"x" * 65536
COUNTED = (
    "requests", "requests_abandoned", "requests_failed", "protocol_errors", "timeouts",
    "connections_opened", "connections_open",
)  # fmt: skip


class Marks:
    """What handlers have done, as files: they may be processes of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)

    def make(self, name: str) -> None:
        Path(self.folder, f"{name}.{uuid.uuid4()}").touch()

    def count(self, name: str) -> int:
        return len(list(Path(self.folder).glob(f"{name}.*")))

    def wait(self, name: str) -> None:
        """Block until there is one."""
        deadline = time.monotonic() + PATIENCE_S
        while not self.count(name) and time.monotonic() < deadline:
            time.sleep(0.002)


@pytest.fixture
def marks(tmp_path: Path) -> Marks:
    folder = tmp_path / "marks"
    folder.mkdir()
    return Marks(folder)


@pytest.fixture
def app(marks: Marks, tmp_path: Path) -> mr.App:
    app, large = mr.App(), tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(64 << 20)
    app.respond("/native", "native")
    app.get("/file")(lambda request: mr.FileResponse(large))
    app.post("/whole")(lambda request: str(len(request.body)))

    @app.get("/blocks")
    def blocks(request):
        marks.make("entered")
        marks.wait("gate")
        return "passed"

    @app.get("/waits")
    async def waits(request):
        marks.make("entered")
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)  # clean-up may wait
            marks.make("cleaned")

    @app.post("/reads")
    async def reads(request):
        try:
            async for _ in request.stream():
                marks.make("entered")
        finally:
            marks.make("cleaned")

    @app.post("/form")
    async def form(request):
        try:
            async for part in request.parts():
                async for _ in part:
                    marks.make("entered")
        finally:
            marks.make("cleaned")

    @app.get("/pieces")
    def pieces(request):
        try:
            while True:
                yield PART
        finally:
            marks.make("cleaned")

    @app.get("/async-pieces")
    async def async_pieces(request):
        try:
            while True:
                await asyncio.sleep(0)
                yield PART
        finally:
            marks.make("cleaned")

    return app


def counts(server: mr.Server) -> dict[str, int]:
    stats = server.stats()
    return {name: int(stats.total(name)) for name in COUNTED}


def expect(
    server: mr.Server, before: dict[str, int], change: dict[str, int], what: str = ""
) -> dict[str, int]:
    """Wait until the counters have changed so, and in nothing else; return them."""
    wanted = {name: before[name] + change.get(name, 0) for name in COUNTED}
    try:
        eventually(lambda: counts(server) == wanted)
    except AssertionError:
        now = counts(server)
        got = {name: now[name] - before[name] for name in COUNTED if now[name] != before[name]}
        raise AssertionError(f"{what}: {got}, not {change}") from None
    return wanted


# --- clients that leave ---------------------------------------------------------------------------

# What the client sends, what it waits for, and what is counted, also where it closes: an end in the
# middle of a message is an error of the protocol (RFC 9112 8), a reset is none.
POST = {"Content-Length": "100"}
FORM = {"Content-Type": "multipart/form-data; boundary=b", "Content-Length": "1000000"}
PART_OF_A_FORM = (
    b'--b\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\n' + PART[:1000]
)
LEFT, CUT = {"requests_abandoned": 1}, {"protocol_errors": 1}
PHASES = {
    "before the head": (b"", None, {}, {}),
    "inside the head": (HALF_A_HEAD, None, {}, CUT),
    "behind the head": (request("POST", "/whole", POST), None, LEFT, CUT),
    "inside the body": (request("POST", "/whole", POST) + b"some", None, LEFT, CUT),
    "inside a body read as it comes": (
        request("POST", "/reads", POST) + b"some", "entered", LEFT, CUT,
    ),
    "where it was told to go on": (
        request("POST", "/reads", POST | {"Expect": "100-continue"}), b"100 Continue\r\n\r\n",
        LEFT, CUT,
    ),
    "inside a form": (request("POST", "/form", FORM) + PART_OF_A_FORM, "entered", LEFT, CUT),
    "while a coroutine runs": (request("GET", "/waits"), "entered", LEFT, {}),
    "with a second request behind it": (
        request("GET", "/waits") + request("GET", "/native"), "entered", LEFT, {},
    ),
    "inside a streamed answer": (request("GET", "/pieces"), b"\r\n\r\n", LEFT, {}),
    "inside one streamed by a coroutine": (request("GET", "/async-pieces"), b"\r\n\r\n", LEFT, {}),
    "while a file is sent": (request("GET", "/file"), b"\r\n\r\n", LEFT, {}),
    "between two requests": (request("GET", "/native"), b"native", {"requests": 1}, {}),
    "inside a second request": (
        request("GET", "/native") + HALF_A_HEAD, b"native", {"requests": 1}, CUT,
    ),
}  # fmt: skip
CLEANS_UP = (b"/waits", b"/reads", b"/form", b"/pieces", b"/async-pieces")


def leave(wire: Wire, way: str) -> None:
    if way == "reset":
        wire.reset()
    else:
        wire.socket.close()


@pytest.mark.parametrize("way", ["reset", "close"])
def test_a_client_may_leave_in_every_phase(serve, app, marks, pattern, way, caplog):
    server = serve(app, pattern=pattern)
    before = counts(server)
    for phase, (sent, until, change, change_at_end) in PHASES.items():
        entered, cleaned = marks.count("entered"), marks.count("cleaned")
        opened = before["connections_opened"]
        wire = Wire(server, receive_buffer=4096).send(sent)
        if until == "entered":
            eventually(lambda n=entered: marks.count("entered") > n)
        elif until is not None:
            wire.read_until(until)
        else:
            eventually(lambda n=opened: counts(server)["connections_opened"] > n)
        leave(wire, way)
        if sent.split(b" ", 2)[1:2] and sent.split(b" ", 2)[1] in CLEANS_UP:
            eventually(lambda n=cleaned: marks.count("cleaned") == n + 1)
        # One that comes next is served.
        assert get(server, "/native").text == "native", phase
        total = {"connections_opened": 2, **change, "requests": change.get("requests", 0) + 1}
        before = expect(server, before, total | (change_at_end if way == "close" else {}), phase)
    assert noticed(caplog) == []


@pytest.mark.parametrize("way", ["reset", "close"])
def test_a_client_may_leave_while_a_plain_function_runs(serve, app, marks, pattern, way, caplog):
    """Which nothing can interrupt: it runs to its end, and nobody hears it."""
    server = serve(app, pattern=pattern)
    before = counts(server)
    wire = Wire(server).send(request("GET", "/blocks"))
    eventually(lambda: marks.count("entered"))
    leave(wire, way)
    marks.make("gate")
    assert get(server, "/native").text == "native"
    # A client that closed may still be there for all that the server can tell when it answers.
    ends = [{"requests": 1, "requests_abandoned": 1}, {"requests": 2}][: 1 if way == "reset" else 2]
    wanted = [before | end | {"connections_opened": 2} for end in ends]
    eventually(lambda: counts(server) in wanted)
    assert noticed(caplog) == []


def noticed(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.message for r in caplog.records if r.levelname in ("WARNING", "ERROR")]


# --- handlers that break --------------------------------------------------------------------------


def test_a_generator_that_raises_halfway_breaks_its_answer_off(serve, pattern, caplog):
    app = mr.App()
    app.respond("/native", "native")

    def plain():
        yield b"some"
        raise RuntimeError("halfway")

    async def coroutine():
        yield b"some"
        await asyncio.sleep(0)
        raise RuntimeError("halfway")

    length = {"content-length": "10"}
    app.get("/plain/chunks")(lambda request: mr.Response(plain()))
    app.get("/plain/length")(lambda request: mr.Response(plain(), headers=length))
    app.get("/async/chunks")(lambda request: mr.Response(coroutine()))
    app.get("/async/length")(lambda request: mr.Response(coroutine(), headers=length))
    server = serve(app, pattern=pattern)
    before = counts(server)
    for number, path in enumerate(
        ["/plain/chunks", "/plain/length", "/async/chunks", "/async/length"], 1
    ):
        with Wire(server) as wire:
            wire.send(request("GET", path))
            with pytest.raises((Gone, ConnectionResetError)):
                wire.read()
        assert get(server, "/native").text == "native"
        before = expect(server, before, {
            "connections_opened": 2, "requests": 1, "requests_failed": 1, "requests_abandoned": 1,
        }, path)  # fmt: skip
        eventually(lambda n=number: len(noticed(caplog)) == n)


# --- memory that ends -----------------------------------------------------------------------------

HUNGRY = """
import resource, signal, sys
import millrace as mr

signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
app = mr.App()
app.respond("/native", "native")

@app.get("/hungry")
def hungry(request):
    held = []
    while True:
        held.append(bytearray(1 << 20))

@app.get("/hungry-coroutine")
async def hungry_coroutine(request):
    return hungry(request)

@app.get("/failed")
def failed(request):
    return {name: server.stats().total(name) for name in ("requests_failed", "requests")}

with mr.Server(app, pattern=eval("mr.patterns." + sys.argv[1])) as server:
    used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (128 << 20), resource.RLIM_INFINITY))
    print(server.port, flush=True)
    signal.sigwait({signal.SIGTERM})
"""


class At:
    """What a `Wire` asks of a server."""

    def __init__(self, port: int) -> None:
        self.port = port


# The limit is the process's own; handlers run on a loop, or on threads behind a queue.
@pytest.mark.parametrize("pattern", ["single_thread()", "acceptor_queue_workers(workers=2)"])
def test_a_handler_that_takes_all_memory_is_500_and_gives_it_back(script, pattern):
    program = script(HUNGRY, arguments=[pattern])
    server = At(int(program.line_with("", of="stdout")))
    for path in ["/hungry", "/hungry-coroutine"] * 2:
        assert get(server, path).status == 500
        assert get(server, "/native").text == "native"
    assert get(server, "/failed").json() == {"requests_failed": 4, "requests": 8}
    program.process.terminate()
    code, _, err = program.finish()
    assert (code, err.count("): MemoryError\n")) == (0, 4)


def test_a_worker_that_its_handlers_have_filled_is_replaced(serve, tmp_path):
    app = mr.App()
    app.get("/pid")(lambda request: str(os.getpid()))

    @app.get("/leak")
    def leak(request):
        request.app.state.leaked = b"x" * (400 << 20)
        return str(os.getpid())

    server = serve(app, pattern=mr.patterns.multi_process(2, max_memory="400MB"))
    before = {row.pid for row in server.workers()}
    leaked = int(get(server, "/leak").text)
    assert leaked in before
    rows = eventually(
        lambda: (
            (rows := list(server.workers()))
            and leaked not in {row.pid for row in rows}
            and [row.state for row in rows] == ["serving"] * 2
            and rows
        )
    )
    # The other one had room, and stays.
    assert before - {row.pid for row in rows} == {leaked}
    assert int(get(server, "/pid").text) != leaked


# --- handlers that block --------------------------------------------------------------------------


def test_a_handler_that_blocks_holds_up_its_own_loop_and_no_other(serve, app, marks, pattern):
    server = serve(app, pattern=pattern)
    blocked = Wire(server).send(request("GET", "/blocks"))
    eventually(lambda: marks.count("entered"))
    dispatch = getattr(getattr(pattern, "inner", pattern), "dispatch", "inline")
    on_loop = dispatch == "inline"
    assert server.blocked_loops("100ms") == on_loop
    # So many that the kernel, or whoever else places them, gives each loop some.
    others = [Wire(server).send(request("GET", "/native")) for _ in range(32)]
    loops = 2 if "2" in repr(pattern) and on_loop else 1
    count = 32 if not on_loop else 1 if loops > 1 else 0
    eventually(lambda: server.stats().total("requests_native") >= count)
    marks.make("gate")
    assert blocked.read().text == "passed"
    assert [wire.read().text for wire in others] == ["native"] * 32
    for wire in [blocked, *others]:
        wire.socket.close()


# --- connections that say nothing -----------------------------------------------------------------

SILENT = """
import os, resource, sys
from pathlib import Path
import millrace as mr
from tests.python.wire import Wire, eventually, get, request

hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
# Both ends are this process's.
count = min(10_000, (hard - 200) // 2)
app = mr.App()
app.get("/")(lambda request: "hello")

def memory():
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith("Private_Dirty:")).split()[1])

with mr.Server(app, limits=mr.Limits(max_connections=count + 10)) as server, Wire(server) as wire:
    for _ in range(100):
        assert wire.get("/").text == "hello"
    before = memory()
    silent = [Wire(server).socket.detach() for _ in range(count)]
    eventually(lambda: server.stats().total("connections_open") == count + 1)
    held = (memory() - before) / count
    writes = server.stats().total("writes")
    for _ in range(100):
        assert wire.get("/").text == "hello"
    # Nothing was done for the others.
    assert server.stats().total("writes") - writes == 100
    for each in silent:
        os.close(each)
    eventually(lambda: server.stats().total("connections_open") == 1)
    total = server.stats().total
    print(count, held, total("requests"), total("connections_opened"), total("timeouts"),
          total("protocol_errors"), total("requests_abandoned"))
"""


def test_thousands_that_say_nothing_cost_little_and_disturb_nobody(script):
    code, out, err = script(SILENT, env={"PYTHONPATH": os.pathsep.join(sys.path)}).finish()
    assert code == 0, err
    count, held, *counted = map(float, out.split())
    assert count >= 400
    assert held < 4096
    assert counted == [200, count + 1, 0, 0, 0]


def test_those_that_say_nothing_are_closed_and_those_that_stop_halfway_are_408(serve, app, pattern):
    limits = mr.Limits(idle_timeout="300ms", header_timeout="300ms")
    server = serve(app, pattern=pattern, limits=limits)
    before = counts(server)
    silent = [Wire(server) for _ in range(100)]
    halfway = [Wire(server).send(HALF_A_HEAD) for _ in range(100)]
    assert all(wire.is_closed_cleanly() for wire in silent)
    assert {wire.read().status for wire in halfway} == {408}
    for wire in silent + halfway:
        wire.socket.close()
    expect(server, before, {"connections_opened": 200, "timeouts": 100})
    assert server.stats().total("idle_timeouts") == 100
    assert server.stats().total("header_timeouts") == 100


# --- the page -------------------------------------------------------------------------------------


def test_the_page_of_faults_names_tests_and_counters_that_there_are(serve, app):
    tests = Path(__file__).parent
    page = (tests.parent.parent / "docs" / "faults.md").read_text()
    named = re.findall(r"`(test_\w+)` \((test_\w+)\)", page)
    assert len(named) >= 15
    for test, file in named:
        assert f"def {test}(" in (tests / f"{file}.py").read_text()
    stats = serve(app).stats()
    rows = [line.split("|") for line in page.splitlines() if line.count("|") == 5]
    for counter in {name for row in rows for name in re.findall(r"`(\w+)`", row[3])}:
        assert stats.total(counter) == 0
