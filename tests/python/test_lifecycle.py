"""Start, stop, restart: in threads, beside loops, in subprocesses; no hang, no leak."""

from __future__ import annotations

import asyncio
import gc
import socket
import threading
from pathlib import Path

import millrace as mr
import pytest

from tests.python.wire import Gone, Signal, Wire, eventually, get, request


@pytest.fixture
def app() -> mr.App:
    app = mr.App()
    app.respond("/native", "native")
    app.get("/plain")(lambda request: "plain")

    @app.get("/coroutine")
    async def coroutine(request):
        await asyncio.sleep(0)
        return "coroutine"

    return app


PATHS = ("/native", "/plain", "/coroutine")


def answers(server):
    return [get(server, path).text for path in PATHS]


EXPECTED = [path[1:] for path in PATHS]


def test_a_server_can_be_started_again(app, pattern):
    server = mr.Server(app, pattern=pattern)
    for _ in range(5):
        with server:
            assert answers(server) == EXPECTED
        assert not server.is_running


def test_stopping_twice_or_before_starting_does_nothing(app):
    server = mr.Server(app)
    server.stop()
    server.start()
    server.stop()
    server.stop()


def test_starting_twice_is_refused(app):
    with mr.Server(app) as server, pytest.raises(RuntimeError, match="is running"):
        server.start()


def test_a_stopped_server_refuses_connections_and_questions(app):
    with mr.Server(app) as server:
        port = server.port
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
    with pytest.raises(RuntimeError, match="not running"):
        _ = server.url
    assert server.stats().total("requests") == 0  # of its last run


def test_many_servers_live_in_one_process(app):
    servers = [mr.Server(app, pattern=pattern).start() for pattern in mr.patterns.all()]
    assert len({server.port for server in servers}) == len(servers)
    assert all(answers(server) == EXPECTED for server in servers)
    for server in servers:
        server.stop()


def test_servers_start_and_stop_in_threads(app):
    failures = []

    def live():
        try:
            for _ in range(5):
                with mr.Server(app) as server:
                    assert answers(server) == EXPECTED
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=live) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_stop_from_several_threads_at_once(app):
    for _ in range(5):
        server = mr.Server(app).start()
        threads = [threading.Thread(target=server.stop) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not server.is_running


def test_a_server_runs_beside_an_asyncio_loop(app):
    """As in a notebook: the program's loop is one, the server's another."""

    async def program():
        async with mr.Server(app) as server:
            assert await asyncio.to_thread(answers, server) == EXPECTED
        with mr.Server(app) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(request("GET", "/coroutine", {"Connection": "close"}))
            assert (await reader.read()).endswith(b"coroutine")
            writer.close()
        return asyncio.get_running_loop()

    loop = asyncio.run(program())
    assert loop.is_closed()


def test_threads_and_descriptors_are_given_back(app, pattern):
    def held():
        return (
            len(list(Path("/proc/self/fd").iterdir())),
            len(list(Path("/proc/self/task").iterdir())),
        )

    server = mr.Server(app, pattern=pattern)

    def live():
        with server:
            assert answers(server) == EXPECTED

    live()
    gc.collect()
    before = held()
    for _ in range(10):
        live()
    gc.collect()
    # Threads leave /proc a moment after they were joined.
    eventually(lambda: all(now <= then for now, then in zip(held(), before, strict=True)))


def test_a_stopped_server_goes_with_its_last_reference(app):
    """Its loops have descriptors that are not to wait for the collector."""

    @app.get("/waits")
    async def waits(request):
        await asyncio.sleep(0)
        return "waited"

    def serve_once():
        with mr.Server(app, pattern=mr.patterns.reuseport_shards(loops=2)) as server:
            assert get(server, "/waits").body == b"waited"

    serve_once()
    gc.collect()
    gc.disable()
    try:
        before = set(Path("/proc/self/fd").iterdir())
        serve_once()
        assert set(Path("/proc/self/fd").iterdir()) <= before
    finally:
        gc.enable()


def test_a_server_that_cannot_start_leaves_nothing(app):
    with mr.Server(app) as first:
        second = mr.Server(app, bind=f"127.0.0.1:{first.port}")
        for _ in range(3):
            with pytest.raises(OSError, match="in use"):
                second.start()
        assert not second.is_running
        assert answers(first) == EXPECTED
    second.start()  # now the port is free
    second.stop()


@pytest.mark.parametrize("bind", ["nowhere", "127.0.0.1:65536", "256.0.0.1:0", "127.0.0.1", []])
def test_a_malformed_address_is_refused(app, bind):
    with pytest.raises((ValueError, OSError)):
        mr.Server(app, bind=bind).start()


@pytest.mark.parametrize(
    ("options", "kind", "says"),
    [
        ({"http": "h2"}, ValueError, "http='h2' is not available in this version"),
        ({"tls": object()}, ValueError, "tls is not available in this version"),
        ({"drain": "soon"}, ValueError, "is no duration"),
        ({"nonsense": 1}, TypeError, "nonsense"),
    ],
)
def test_an_option_that_cannot_be_used_is_refused(app, options, kind, says):
    with pytest.raises(kind, match=says):
        mr.Server(app, **options)


async def asgi(scope, receive, send):
    pass


@pytest.mark.parametrize(
    ("app", "says"),
    [
        (asgi, "ASGI and WSGI applications"),
        ("hello:app", "millrace.run"),
        (None, r"millrace.App\(\)"),
    ],
)
def test_what_is_no_app_is_refused(app, says):
    with pytest.raises(TypeError, match=says):
        mr.Server(app)


def test_several_addresses_at_once(app, tmp_path):
    path = tmp_path / "socket"
    with mr.Server(app, bind=["127.0.0.1:0", "127.0.0.1:0", f"unix:{path}"]) as server:
        assert len(server.urls) == 3
        ports = {int(url.rpartition(":")[2]) for url in server.urls[:2]}
        for port in ports:
            with socket.create_connection(("127.0.0.1", port)) as client:
                client.sendall(request("GET", "/plain", {"Connection": "close"}))
                assert _read_all(client).endswith(b"plain")
        assert server.urls[2] == f"unix:{path}"
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
            client.sendall(request("GET", "/plain", {"Connection": "close"}))
            assert _read_all(client).endswith(b"plain")


def _read_all(client):
    return b"".join(iter(lambda: client.recv(65536), b""))


# --- draining -------------------------------------------------------------------------------------


class Slow:
    """An app with one handler that waits until it is let go."""

    def __init__(self, kind):
        self.entered, self.go_on, self.cancelled = Signal(), Signal(), Signal()
        self.async_go_on = asyncio.Event()
        self.app = mr.App()
        self.is_coroutine = kind == "coroutine"
        self.app.get("/")(self.coroutine if self.is_coroutine else self.plain)

    def let_go(self):
        if self.is_coroutine:
            self.app.spawn(self.set_event())
        else:
            self.go_on.set()

    async def set_event(self):
        self.async_go_on.set()

    def plain(self, request):
        self.entered.set()
        self.go_on.expect()
        return "done"

    async def coroutine(self, request):
        self.entered.set()
        try:
            await self.async_go_on.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return "done"


@pytest.mark.in_process
@pytest.mark.parametrize("kind", ["plain", "coroutine"])
def test_stop_lets_requests_finish_and_closes_idle_connections(pattern, kind):
    slow = Slow(kind)
    server = mr.Server(slow.app, pattern=pattern, drain="20s").start()
    with Wire(server) as idle, Wire(server) as busy:
        idle.ask("GET", "/none")
        busy.send(request("GET", "/"))
        slow.entered.expect()
        stopping = threading.Thread(target=server.stop)
        stopping.start()
        if kind == "coroutine":  # a plain function may sit on the loop of the idle one
            assert idle.is_closed_cleanly()
        slow.let_go()
        answer = busy.read()
        assert answer.text == "done"
        assert busy.is_closed_cleanly()
        stopping.join()


def test_what_does_not_finish_in_time_is_cut_off(app, caplog):
    slow = Slow("coroutine")
    server = mr.Server(slow.app).start()
    with Wire(server) as wire:
        wire.send(request("GET", "/"))
        slow.entered.expect()
        server.stop(drain=0)
        slow.cancelled.expect("the cancellation")
        with pytest.raises((Gone, ConnectionResetError)):
            wire.read()
    assert "1 request: GET / (" in caplog.text


def test_a_hasty_stop_overtakes_a_patient_one():
    slow = Slow("coroutine")
    server = mr.Server(slow.app, drain="1h").start()
    with Wire(server) as wire:
        wire.send(request("GET", "/"))
        slow.entered.expect()
        patient = threading.Thread(target=server.stop)
        patient.start()
        server.stop(drain=0)
        patient.join(20)
        assert not patient.is_alive()


def test_a_handler_cannot_stop_its_own_server():
    app, said = mr.App(), []

    @app.get("/")
    async def handler(request):
        try:
            server.stop()
        except RuntimeError as error:
            said.append(str(error))
        return "still here"

    async def life(app):
        yield

    app.lifespan(life)
    with mr.Server(app) as server:
        assert get(server, "/").text == "still here"
    assert "another thread" in said[0]


# --- whole processes ------------------------------------------------------------------------------

HEAD = """
import asyncio, os, sys, threading, urllib.request
import millrace as mr

app = mr.App()

@app.lifespan
async def life(app):
    print("entered", flush=True)
    yield
    print("left", flush=True)

@app.get("/plain")
def plain(request):
    return "plain"

@app.get("/coroutine")
async def coroutine(request):
    await asyncio.sleep(0)
    return "coroutine"

@app.get("/forever")
async def forever(request):
    await asyncio.Event().wait()

def fetch(path):
    return urllib.request.urlopen(server.url + path).read().decode()

server = mr.Server(app, pattern={pattern})
"""


def source(body: str, pattern: str = "None") -> str:
    return HEAD.replace("{pattern}", pattern) + body


ALL = ["single_thread()", "acceptor_queue_workers(workers=2)", "reuseport_shards(loops=2)"]


@pytest.mark.parametrize("pattern", [f"mr.patterns.{text}" for text in ALL])
def test_a_running_server_stops_when_the_interpreter_exits(script, pattern):
    program = script(source("server.start(); print(fetch('/plain'), fetch('/coroutine'))", pattern))
    code, out, err = program.finish()
    assert (code, out, err) == (0, "entered\nplain coroutine\nleft\n", "")


@pytest.mark.parametrize("way", ["sys.exit(7)", "raise SystemExit(7)", "os._exit(7)"])
def test_a_running_server_does_not_change_the_exit_code(script, way):
    assert script(source(f"server.start(); fetch('/plain'); {way}")).finish()[0] == 7


def test_requests_under_way_do_not_keep_the_interpreter(script):
    body = """
server.start()
threading.Thread(target=lambda: fetch("/forever"), daemon=True).start()
while not server.stats()["in_flight"]:
    pass
"""
    assert script(source(body)).finish()[0] == 0


def test_a_server_nobody_holds_keeps_serving(script):
    body = """
server.start()
url = server.url
del server
import gc
gc.collect()
print(urllib.request.urlopen(url + "/plain").read().decode())
"""
    assert "plain\n" in script(source(body)).finish()[1]


def test_a_forked_child_exits_and_the_parent_serves_on(script):
    body = """
server.start()
print(fetch("/coroutine"), flush=True)
child = os.fork()
if child == 0:
    sys.exit(5)
_, status = os.waitpid(child, 0)
print(os.waitstatus_to_exitcode(status), fetch("/plain"), fetch("/coroutine"), flush=True)
server.stop()
"""
    code, out, _ = script(source(body)).finish()
    assert (code, out) == (0, "entered\ncoroutine\n5 plain coroutine\nleft\n")


def test_a_forked_child_may_run_a_server_of_its_own(script):
    body = """
server.start()
child = os.fork()
if child == 0:
    server = mr.Server(app)
    with server:
        assert fetch("/plain") == "plain"
        assert fetch("/coroutine") == "coroutine"
    os._exit(6)
_, status = os.waitpid(child, 0)
print(os.waitstatus_to_exitcode(status), fetch("/plain"))
"""
    code, out, _ = script(source(body)).finish()
    assert code == 0
    assert "6 plain\n" in out


INTERRUPT = """
import signal, traceback

def interrupt_in(*functions):
    \"\"\"Send SIGINT once the main thread stands in these functions.\"\"\"
    main = threading.main_thread().ident
    def watch():
        while True:
            names = [frame.name for frame in traceback.extract_stack(sys._current_frames()[main])]
            if set(functions) <= set(names):
                break
        os.kill(os.getpid(), signal.SIGINT)
    threading.Thread(target=watch, daemon=True).start()

"""


def test_ctrl_c_ends_serve_forever(script):
    body = """
server.start()
interrupt_in("serve_forever", "wait")
try:
    server.serve_forever()
except KeyboardInterrupt:
    print("interrupted", server.is_running)
"""
    code, out, err = script(source(INTERRUPT + body)).finish()
    assert (code, out, err) == (0, "entered\nleft\ninterrupted False\n", "")


def test_ctrl_c_interrupts_a_stop_that_waits(script):
    body = """
server.start()
threading.Thread(target=lambda: fetch("/forever"), daemon=True).start()
while not server.stats()["in_flight"]:
    pass
interrupt_in("stop", "let_finish")
try:
    server.stop(drain="1h")
except KeyboardInterrupt:
    print("interrupted", server.is_running)
"""
    code, out, _ = script(source(INTERRUPT + body)).finish()
    assert (code, out) == (0, "entered\nleft\ninterrupted False\n")


def test_ctrl_c_interrupts_a_lifespan_that_does_not_come_up(script):
    body = """
app = mr.App()

@app.lifespan
async def life(app):
    print("waiting", flush=True)
    interrupt_in("start", "enter", "wait")
    await asyncio.Event().wait()
    yield

try:
    mr.Server(app).start()
except KeyboardInterrupt:
    print("interrupted")
"""
    code, out, _ = script(source(INTERRUPT + body)).finish()
    assert (code, out) == (0, "waiting\ninterrupted\n")
