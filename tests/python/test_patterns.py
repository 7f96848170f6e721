"""Every execution pattern: right answers under concurrency, placement, queues, counters."""

from __future__ import annotations

import asyncio
import ctypes
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import millrace as mr
import pytest
from millrace import patterns
from millrace.lab.work import Price, Work, native_work

from tests.python.wire import PATIENCE_S, Signal, Wire, eventually, get, request

pytestmark = pytest.mark.sanitize

CLIENTS, REQUESTS = 12, 60


@pytest.fixture
def app() -> mr.App:
    app = mr.App()
    app.respond("/native", "native")
    app.get("/plain/{word}")(lambda request: request.path_params["word"] + request.headers["x-id"])

    @app.get("/coroutine/{word}")
    async def coroutine(request):
        await asyncio.sleep(0)
        return request.path_params["word"] + request.headers["x-id"]

    app.post("/echo")(lambda request: request.body)
    app.get("/thread")(lambda request: str(threading.get_ident()))
    return app


def test_answers_belong_to_their_requests(serve, app, pattern):
    """By content: nothing lost, nothing wrong, nothing mixed up."""
    server = serve(app, pattern=pattern)

    def client(number):
        with Wire(server) as wire:
            for count in range(REQUESTS):
                mark = f"{number}-{count}"
                kind = ("plain", "coroutine", "echo", "native")[count % 4]
                if kind == "native":
                    assert wire.get("/native").text == "native"
                elif kind == "echo":
                    body = mark.encode() * (1 + count * 50)
                    assert wire.ask("POST", "/echo", body=body).body == body
                else:
                    assert wire.get(f"/{kind}/{mark}", {"X-Id": mark}).text == mark * 2
        return True

    with ThreadPoolExecutor(CLIENTS) as pool:
        assert all(pool.map(client, range(CLIENTS)))
    total = CLIENTS * REQUESTS
    stats = eventually(lambda: (s := server.stats()).total("requests") == total and s)
    assert stats.total("requests_native") == total / 4
    assert stats.total("connections_opened") == CLIENTS
    assert stats.total("accepts") == CLIENTS
    for counter in ("requests_failed", "requests_refused", "protocol_errors", "timeouts"):
        assert stats.total(counter) == 0, counter
    assert stats.total("bytes_in") > 0
    assert stats.total("bytes_out") > 0
    eventually(lambda: server.stats().total("connections_open") == 0)


def test_the_journey_of_every_request_is_recorded(serve, app, pattern):
    server = serve(app, pattern=pattern)
    with Wire(server) as wire:
        for _ in range(20):
            wire.get("/plain/a", {"X-Id": "b"})
    journey = eventually(lambda: (j := server.journey()).requests == 20 and j)
    happens = {"read", "parse", "process", "encode", "write", "total"}
    queued = isinstance(pattern.dispatch, patterns.Queue)
    assert {name for name in happens if journey[name].times.count != 20} == set()
    assert journey["queue"].occurred == queued
    assert not journey["decrypt"].occurred
    assert journey["accept"].times.count == 1
    server.reset_journey()
    assert server.journey().requests == 0


def test_no_journey_is_recorded_where_none_is_wanted(serve, app):
    server = serve(app, journey=False)
    get(server, "/native")
    assert not server.journey().is_enabled


def test_every_loop_serves(serve, app):
    """What a pattern spreads connections over is more than one loop."""
    server = serve(app, pattern=patterns.acceptor_readers(readers=3))
    wires = [Wire(server) for _ in range(6)]
    threads = [wire.get("/thread").text for wire in wires]
    assert sorted(threads.count(thread) for thread in set(threads)) == [2, 2, 2]
    for wire in wires:
        wire.socket.close()


def test_least_connections_fills_the_emptiest_loop(serve, app):
    pattern = patterns.acceptor_readers(readers=2, assign="least_connections")
    server = serve(app, pattern=pattern)
    by_loop: dict[str, list[Wire]] = {}
    for _ in range(6):
        wire = Wire(server)
        by_loop.setdefault(wire.get("/thread").text, []).append(wire)
    assert sorted(map(len, by_loop.values())) == [3, 3]
    emptied, wires = by_loop.popitem()
    for wire in wires:
        wire.socket.close()
    eventually(lambda: server.stats().total("connections_open") == 3)
    again = [Wire(server) for _ in range(3)]
    assert {wire.get("/thread").text for wire in again} == {emptied}
    for wire in [*again, *(wire for wires in by_loop.values() for wire in wires)]:
        wire.socket.close()


def test_plain_functions_run_on_workers_behind_a_queue(serve):
    """All workers at once: a barrier opens only when each holds a request."""
    app, workers = mr.App(), 3
    barrier = threading.Barrier(workers)

    @app.get("/")
    def handler(request):
        barrier.wait(PATIENCE_S)
        return str(threading.get_ident())

    server = serve(app, pattern=patterns.acceptor_queue_workers(workers=workers))
    wires = [Wire(server) for _ in range(workers)]
    for wire in wires:
        wire.send(request("GET", "/"))
    assert len({wire.read().text for wire in wires}) == workers
    for wire in wires:
        wire.socket.close()


def test_a_full_queue_is_503_with_retry_after(serve):
    app, entered, go_on = mr.App(), Signal(), Signal()

    @app.get("/")
    def handler(request):
        entered.set()
        go_on.expect()
        return "done"

    app.respond("/native", "native")
    server = serve(app, pattern=patterns.acceptor_queue_workers(workers=1, capacity=1))
    try:
        working, waiting, refused = (Wire(server) for _ in range(3))
        working.send(request("GET", "/"))
        entered.expect()
        waiting.send(request("GET", "/"))
        eventually(lambda: server.stats()["queue"]["depth"] == 1)
        answer = refused.get("/")
        assert answer.status == 503
        assert int(answer.header("retry-after") or "0") > 0
        assert refused.get("/native").text == "native"  # needs no worker
    finally:
        go_on.set()
    assert [working.read().text, waiting.read().text] == ["done", "done"]
    assert refused.get("/").text == "done"  # the refused connection is fine
    assert server.stats().total("requests_refused") == 1
    for wire in (working, waiting, refused):
        wire.socket.close()


def test_the_queue_counts(serve, app):
    server = serve(app, pattern=patterns.acceptor_queue_workers(workers=2))
    with Wire(server) as wire:
        for _ in range(10):
            wire.get("/thread")
        wire.get("/native")
    queue = server.stats()["queue"]
    assert queue["dispatched"] == 10
    assert sum(queue["workers"]) == 10
    assert queue["refused"] == 0


def test_native_routes_need_no_gil(serve, pattern):
    """Another process is served while this one holds the interpreter's lock in C."""
    app = mr.App()
    app.respond("/native", "done")
    native_work(app, "/work", Work("none", "does nothing", Price()))  # runs where functions do
    server = serve(app, pattern=pattern)
    read_end, write_end = os.pipe()
    program = (
        "import os, sys, urllib.request\n"
        "url, done = sys.argv[1], int(sys.argv[2])\n"
        "for path in ['/native', '/work'] * 25:\n"
        "    assert urllib.request.urlopen(url + path).read() == b'done'\n"
        "os.write(done, b'x')\n"
    )
    client = subprocess.Popen(
        [sys.executable, "-c", program, server.url, str(write_end)],
        pass_fds=[write_end],
        env={**os.environ, "PYTHONMALLOC": "pymalloc", "LD_PRELOAD": ""},
    )
    holding = ctypes.PyDLL(None)  # calls through it do not release the lock
    poll = (ctypes.c_int * 2)(read_end, 1)  # struct pollfd: descriptor, POLLIN
    ready = holding.poll(poll, 1, PATIENCE_S * 1000)
    assert client.wait(PATIENCE_S) == 0
    os.close(read_end)
    os.close(write_end)
    assert ready == 1, "no answer while the lock was held"
    stats = server.stats()
    assert stats.total("requests") == stats.total("requests_native") == 50


# --- the values -----------------------------------------------------------------------------------


@pytest.mark.parametrize("given", ["reuseport_shards", patterns.reuseport_shards])
def test_a_server_wants_a_pattern_and_not_its_name_or_function(app, given):
    for make in (
        lambda: mr.Server(app, pattern=given),
        lambda: mr.TcpServer(mr.tcp.echo, pattern=given),
        lambda: mr.UdpServer(mr.udp.echo, pattern=given),
    ):
        with pytest.raises(TypeError, match=r"pattern=.*: use a value of millrace\.patterns"):
            make()


def test_all_yields_every_recipe_and_every_way_to_wake_up():
    found = list(patterns.all())
    assert {pattern.name for pattern in found} == set(patterns._NAMED) - {
        "multi_process",
        "subinterpreters",
    }
    shared = [pattern.wakeup for pattern in found if pattern.accept == "shared_socket"]
    assert sorted(shared) == ["blocking", "epoll", "epoll_exclusive"]
    assert len(set(found)) == len(found)


def test_a_pattern_of_ones_own_works(serve, app):
    pattern = mr.Pattern(
        accept="socket_per_loop", dispatch=patterns.queue(workers=2, capacity=8), loops=2
    )
    server = serve(app, pattern=pattern)
    assert get(server, "/thread").status == 200
    assert server.stats()["queue"]["dispatched"] == 1


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"accept": "nobody"}, "accept='nobody': use one of 'one_loop'"),
        ({"place": "anywhere"}, "place='anywhere'"),
        ({"wakeup": "kiss"}, "wakeup='kiss'"),
        ({"dispatch": "workers"}, "patterns.queue"),
        ({"loops": 0}, "loops is 0"),
        ({"loops": 2}, "round_robin or least_connections"),
        ({"wakeup": "blocking"}, "shared_socket"),
        ({"dispatch": patterns.queue(workers=0)}, "workers is 0"),
        ({"dispatch": patterns.queue(workers=1, capacity=0)}, "every request would be refused"),
        ({"separate_acceptor": True}, "separate_acceptor"),
    ],
)
def test_a_pattern_that_contradicts_itself_is_refused(options, says):
    with pytest.raises(ValueError, match=says):
        mr.Pattern(**options)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"processes": 0}, "processes is 0"),
        ({"listener": "mine"}, "listener='mine': use one of 'shared', 'reuseport'"),
        ({"inner": patterns.multi_process(1)}, "use a pattern of one process"),
        ({"max_requests": 0}, "max_requests is 0"),
        ({"max_requests_jitter": -1}, "max_requests_jitter is -1"),
        ({"start_timeout": 0}, "start_timeout is 0"),
        ({"max_lifetime": "soon"}, "is no duration"),
    ],
)
def test_processes_that_contradict_themselves_are_refused(options, says):
    with pytest.raises(ValueError, match=says):
        patterns.multi_process(**options)


@pytest.mark.parametrize(
    "text",
    [
        "single_thread()",
        "acceptor_readers(readers=3, assign='least_connections')",
        "acceptor_queue_workers(workers=2, capacity=5)",
        "shared_acceptors(threads=2, wakeup='epoll_exclusive')",
        "reuseport_shards(loops=3)",
        "multi_process(3, inner=single_thread())",
        "multi_process(2, inner=reuseport_shards(loops=2), listener='reuseport', max_requests=9, "
        "max_lifetime=60.0, stop_timeout=1.0)",
        "Pattern(accept='one_loop', place='round_robin', dispatch=queue(workers=2, capacity=3), "
        "loops=2, separate_acceptor=True, name='mine')",
    ],
)
def test_a_pattern_shows_as_what_makes_it(text):
    assert repr(eval(text, vars(patterns))) == text


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        ("single_thread", patterns.single_thread()),
        ("acceptor_queue_workers:workers=2,capacity=64",
         patterns.acceptor_queue_workers(workers=2, capacity=64)),
        ("multi_process:processes=3,listener=reuseport,max_memory=1MB,"
         "inner=acceptor_queue_workers:workers=2,capacity=8",
         patterns.multi_process(
             3, listener="reuseport", max_memory=1_000_000,
             inner=patterns.acceptor_queue_workers(workers=2, capacity=8))),
        ("acceptor_readers:assign=least_connections",
         patterns.acceptor_readers(assign="least_connections")),
    ],
)  # fmt: skip
def test_a_pattern_can_be_named_in_a_text(text, pattern):
    assert patterns.parse(text) == pattern


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("many_threads", "is not one of single_thread"),
        ("multi_process:processes=two", "processes='two' is not a whole number"),
        ("multi_process:processes=2,inner=many_threads", "'many_threads' is not one of"),
        ("multi_process:max_memory=huge", "'huge' is no size"),
        ("multi_process:inner=multi_process", "use a pattern of one process"),
        ("single_thread:workers=2", "has no option 'workers'; its options: none"),
        ("reuseport_shards:loops=two", "loops='two' is not a whole number"),
        ("shared_acceptors:wakeup=alarm", "wakeup='alarm'"),
    ],
)
def test_a_text_that_names_no_pattern_is_refused(text, says):
    with pytest.raises(ValueError, match=says):
        patterns.parse(text)
