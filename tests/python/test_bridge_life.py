"""The engine's server as Python owns it: dropped, collected, forked, outlived."""

import asyncio
import contextlib
import gc
import os
import signal
import socket
import sys
import threading
import weakref
from pathlib import Path

import millrace as mr
import pytest
from millrace import _core

from tests.python.wire import Signal, Wire, eventually


class Small:
    """Just enough of a server to say where it listens."""

    def __init__(self, core):
        self.port = core.ports[0]


def make_core(routes, pattern=None, app=None, **hooks):
    options = _core.ServerOptions()
    options.recipe = (pattern or mr.patterns.single_thread()).recipe()
    rows = [_core.Route(["GET"], path, kind, target) for path, kind, target in routes]
    everything = {"app": app, "on_exception": None, "on_background": None, **hooks}
    core = _core.Server(options, rows, _core.AppHooks(**everything))
    core.listen()
    return core


def started(*arguments, **hooks):
    core = make_core(*arguments, **hooks)
    core.run_loops()
    core.accept()
    return core


def total(core, counter):
    return sum(row[counter] for row in core.stats()["loops"])


def plain(request):
    return "plain"


async def coroutine(request):
    await asyncio.sleep(0)
    return "coroutine"


async def forever(request):
    await asyncio.Event().wait()


def endless(request):
    while True:
        yield b"x" * 10000


ROUTES = [
    ("/plain", "function", plain),
    ("/coroutine", "coroutine", coroutine),
    ("/forever", "coroutine", forever),
    ("/endless", "function", endless),
    ("/constant", "constant", mr.Response(b"constant")),
]


def thread_ids():
    return {path.name for path in Path("/proc/self/task").iterdir()}


def ended(before):
    """Tell whether every thread that is not in `before` is gone.

    A thread leaves /proc a moment after it was joined, so `before` may name some of the last
    test's: their number says nothing.
    """
    return not thread_ids() - before


@pytest.mark.sanitize
def test_a_running_server_that_is_dropped_stops_itself(pattern):
    before = thread_ids()
    core = started(ROUTES, pattern)
    wires = [Wire(Small(core)) for _ in range(3)]
    for wire, path in zip(wires, ("/plain", "/coroutine", "/constant"), strict=True):
        assert wire.get(path).status == 200
    for wire, path in zip(wires, ("/forever", "/endless", "/plain"), strict=True):
        wire.send(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")
    wires[1].read_until(b"\r\n\r\n")
    del core
    gc.collect()
    eventually(lambda: ended(before))
    for wire in wires:
        wire.socket.close()


def test_a_server_that_never_ran_can_be_dropped(pattern):
    before = thread_ids()
    core = make_core(ROUTES, pattern)
    loop = core.asyncio_loop()
    assert core.asyncio_loop() is loop
    assert not loop.is_running()
    del core
    eventually(lambda: ended(before))
    assert loop.is_closed()


@pytest.mark.sanitize
def test_a_server_dropped_by_its_own_handler_stops_on_another_thread(pattern):
    before, held = thread_ids(), []

    def drop(request):
        held.clear()
        return "dropped"

    held.append(started([("/", "function", drop)], pattern))
    with Wire(Small(held[0])) as wire:
        wire.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        eventually(lambda: ended(before))
    assert not held


def test_a_handler_cannot_stop_its_own_server(pattern):
    errors = []

    def stop(request):
        for call in (core.stop_loops, core.stop_accepting, lambda: core.drain(1)):
            try:
                call()
            except Exception as error:
                errors.append(str(error))
        return "still here"

    core = started([("/", "function", stop)], pattern)
    with Wire(Small(core)) as wire:
        assert wire.get("/").text == "still here"
    assert len(errors) == 3
    assert all("another thread" in error for error in errors)
    core.stop_loops()


def test_a_server_that_its_app_holds_is_collected():
    class App:
        pass

    def make_cycle():
        app = App()
        app.core = make_core([("/", "function", lambda request: app)], app=app)
        return weakref.ref(app)

    gone = make_cycle()
    gc.collect()
    assert gone() is None


def test_the_asyncio_loop_of_a_native_app_has_a_thread_of_its_own(pattern):
    core = started([("/", "constant", mr.Response(b"ok"))], pattern)
    loop = core.asyncio_loop()
    future = asyncio.run_coroutine_threadsafe(asyncio.sleep(0.01, "slept"), loop)
    assert future.result(10) == "slept"
    with Wire(Small(core)) as wire:
        assert wire.get("/").text == "ok"
    assert eventually(lambda: total(core, "requests_native")) == 1
    assert total(core, "gil_waits") == 0
    core.stop_loops()
    assert loop.is_closed()


def test_the_loop_asked_for_early_is_the_one_that_runs_the_handlers(pattern):
    seen = []

    async def handler(request):
        seen.append(asyncio.get_running_loop())
        return "ok"

    core = make_core([("/", "coroutine", handler)], pattern)
    loop = core.asyncio_loop()
    early = asyncio.run_coroutine_threadsafe(asyncio.sleep(0, "early"), loop)
    core.run_loops()
    core.accept()
    assert early.result(10) == "early"
    with Wire(Small(core)) as wire:
        assert wire.get("/").text == "ok"
    assert seen == [loop]
    core.stop_loops()


@pytest.mark.sanitize
def test_stopping_cancels_what_waits_and_runs_its_clean_up(pattern):
    cleaned, entered = [], Signal()

    async def handler(request):
        entered.set()
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0)
            cleaned.append("handler")

    async def alone():
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.01)
            cleaned.append("alone")

    core = started([("/", "coroutine", handler)], pattern)
    asyncio.run_coroutine_threadsafe(alone(), core.asyncio_loop())
    with Wire(Small(core)) as wire:
        wire.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        entered.expect("the request")
        core.stop_loops()
    assert sorted(cleaned) == ["alone", "handler"]


@pytest.mark.sanitize
def test_a_handler_that_refuses_to_end_is_left_behind(pattern):
    entered = Signal()

    async def stubborn(request):
        entered.set()
        while True:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(60)

    core = started([("/", "coroutine", stubborn)], pattern)
    with Wire(Small(core)) as wire:
        wire.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        entered.expect("the request")
        core.stop_loops()
    core.stop_loops()  # twice is harmless


def test_an_exception_gets_the_hooks_answer(pattern):
    def hook(request, error):
        if isinstance(error, KeyError):
            return mr.Response(f"{request.path} {error.args[0]}", status=404)
        if isinstance(error, LookupError):
            return answer_later(error)
        raise error

    async def answer_later(error):
        await asyncio.sleep(0)
        return f"later: {error}"

    def raising(error):
        def plain(request):
            raise error

        return plain

    def raising_later(error):
        async def coroutine(request):
            await asyncio.sleep(0)
            raise error

        return coroutine

    core = started(
        [
            ("/plain", "function", raising(KeyError("k"))),
            ("/coroutine", "coroutine", raising_later(KeyError("k"))),
            ("/awaited", "coroutine", raising_later(LookupError("x"))),
            ("/again", "coroutine", raising_later(ValueError("v"))),
        ],
        pattern,
        on_exception=hook,
    )
    with Wire(Small(core)) as wire:
        for path in ("/plain", "/coroutine"):
            answer = wire.get(path)
            assert (answer.status, answer.text) == (404, f"{path} k")
        assert wire.get("/awaited").text == "later: x"
        assert wire.get("/again").status == 500
    core.stop_loops()
    assert total(core, "requests_failed") == 1


def test_stats_count_threads_and_queue(pattern):
    core = started(ROUTES, pattern)
    with Wire(Small(core)) as wire:
        for _ in range(10):
            wire.get("/plain")
        eventually(lambda: total(core, "requests") == 10)
        workers = len((core.stats()["queue"] or {"workers": ()})["workers"])
        eventually(lambda: len(core.stats()["threads"]["workers"]) == workers)
        stats = core.stats()
    listed = [t for kind in ("loops", "workers", "asyncio") for t in stats["threads"].get(kind, [])]
    assert {str(thread["id"]) for thread in listed} <= thread_ids()
    assert sum(thread["voluntary"] for thread in listed) > 0
    if stats["queue"] is not None:
        assert sum(stats["queue"]["workers"]) == stats["queue"]["dispatched"] == 10
        assert total(core, "gil_waits") == 0
    core.stop_loops()


@pytest.mark.parametrize("kind", ["function", "coroutine"])
def test_an_idle_connection_holds_no_python_object(pattern, kind):
    """The interpreter counts its own memory blocks, so nothing can hide from it."""
    core = started([("/", kind, plain if kind == "function" else coroutine)], pattern)
    address, count, answer = ("127.0.0.1", core.ports[0]), 400, bytearray(4096)
    request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"

    def use(client):
        client.connect(address)
        client.sendall(request)
        client.recv_into(answer)

    def blocks():
        gc.collect()
        return sys.getallocatedblocks()

    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(socket.socket()) for _ in range(2 * count)]
        for client in clients[:count]:  # what is kept for reuse is made now
            use(client)
        before = blocks()
        for client in clients[count:]:
            use(client)
        grown = blocks() - before
        assert sum(row["connections_open"] for row in core.stats()["loops"]) == 2 * count
    core.stop_accepting()
    core.stop_loops()
    assert grown < count / 2


def test_ctrl_c_interrupts_drain():
    core = started(ROUTES)
    with Wire(Small(core)) as wire:
        wire.send("GET /forever HTTP/1.1\r\nHost: a\r\n\r\n")
        eventually(lambda: core.stats()["in_flight"])
        core.stop_accepting()
        timer = threading.Timer(0.2, lambda: os.kill(os.getpid(), signal.SIGINT))
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            core.drain(60)
        core.stop_loops()


def test_a_forked_child_leaves_the_parents_server_alone(pattern):
    core = started(ROUTES, pattern)
    with Wire(Small(core)) as wire:
        assert wire.get("/coroutine").text == "coroutine"
        child = os.fork()
        if child == 0:
            try:
                with pytest.raises(Exception, match="parent"):
                    core.listen()
                assert core.stats() == {}
                core.stop_loops()
                del core
                gc.collect()
                os._exit(0)
            finally:
                os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert wire.get("/coroutine").text == "coroutine"
        assert wire.get("/plain").text == "plain"
    core.stop_loops()


PROGRAM = """
import asyncio, threading, warnings
warnings.simplefilter("ignore")  # of fork beside threads
import millrace as mr
from millrace import _core
def plain(request): return "plain"
entered = threading.Event()
async def forever(request):
    entered.set()
    try: await asyncio.sleep(60)
    finally: print("cleaned", flush=True)
def endless(request):
    while True: yield b"x" * 10000
rows = [_core.Route(["GET"], path, kind, target) for path, kind, target in
        (("/plain", "function", plain), ("/forever", "coroutine", forever),
         ("/endless", "function", endless))]
options = _core.ServerOptions()
options.recipe = mr.patterns.{pattern}.recipe()
core = _core.Server(options, rows, _core.AppHooks(app=None, on_exception=None, on_background=None))
core.listen(); core.run_loops(); core.accept()
import socket
socks = []
for path in ("/forever", "/endless"):
    s = socket.create_connection(("127.0.0.1", core.ports[0]))
    s.sendall(f"GET {{path}} HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n".encode())
    socks.append(s)
socks[1].recv(10)
entered.wait(20)
print("ready", flush=True)
{end}
"""


@pytest.mark.parametrize(
    "end", ["", "raise SystemExit(0)", "del core", "import os; os.fork() or os._exit(0)"]
)
@pytest.mark.parametrize(
    "pattern", ["single_thread()", "acceptor_queue_workers(workers=2)", "reuseport_shards(loops=2)"]
)
def test_the_interpreter_exits_beside_a_busy_server(script, pattern, end):
    program = script(PROGRAM.format(pattern=pattern, end=end))
    code, out, err = program.finish()
    assert (code, err) == (0, "")
    assert "ready" in out
    assert "cleaned" in out
