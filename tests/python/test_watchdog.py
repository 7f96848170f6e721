"""A handler that keeps its thread is named, once, with the line it stands at."""

from __future__ import annotations

import ast
import asyncio
import inspect
import logging
import socket
import sys
import time

import millrace as mr
import pytest

from tests.python.wire import Wire, eventually, request

pytestmark = pytest.mark.in_process

STUCK = mr.Limits(handler_stuck="100ms")
ELSEWHERE = [mr.patterns.multi_process(1)]
if sys.version_info >= (3, 13):
    ELSEWHERE.append(mr.patterns.subinterpreters(2))
DATAGRAM_PATTERNS = [
    mr.patterns.single_thread(),
    mr.patterns.reuseport_shards(loops=2),
    mr.patterns.acceptor_queue_workers(workers=2),
]


@pytest.fixture
def lines(caplog):
    caplog.set_level(logging.WARNING, logger="millrace.error")

    def matching(text):
        return [r.getMessage() for r in caplog.records if text in r.getMessage()]

    return matching


def stuck(server):
    return server.stats().total("handlers_stuck")


def test_a_handler_that_sleeps_is_named_with_its_stack_once(serve, lines, pattern):
    app = mr.App()

    @app.get("/sleeps/{number}")
    def sleeps(request):
        while not lines("has kept thread"):
            time.sleep(0.01)
        time.sleep(0.3)  # no second line comes for the same call
        return "at last"

    server = serve(app, pattern=pattern, limits=STUCK)
    with Wire(server) as wire:
        assert wire.get("/sleeps/1?secret=2").text == "at last"
    (line,) = lines("has kept thread")
    assert "the handler of /sleeps/{number}" in line
    assert "GET /sleeps/1;" in line
    assert "secret" not in line
    assert "in sleeps\n    time.sleep(0.01)" in line
    assert stuck(server) == 1


def test_a_handler_that_computes_is_named_too(serve, lines, pattern):
    app = mr.App()

    @app.get("/computes")
    def computes(request):
        while not lines("has kept thread"):
            sum(range(1000))
        return "done"

    server = serve(app, pattern=pattern, limits=STUCK)
    with Wire(server) as wire:
        assert wire.get("/computes").text == "done"
    (line,) = lines("has kept thread")
    assert "in computes" in line


@pytest.mark.parametrize("step", ["first", "later"])
def test_a_coroutine_that_blocks_its_loop_is_named(serve, lines, pattern, step):
    app = mr.App()

    @app.get("/blocks")
    async def blocks(request):
        if step == "later":
            await asyncio.sleep(0.001)
        while not lines("has kept thread"):
            time.sleep(0.01)
        return "done"

    server = serve(app, pattern=pattern, limits=STUCK)
    with Wire(server) as wire:
        assert wire.get("/blocks").text == "done"
    (line,) = lines("has kept thread")
    assert "the handler of /blocks" in line
    assert "in blocks" in line


def test_a_coroutine_that_awaits_keeps_no_thread(serve, lines, pattern):
    app = mr.App()

    @app.get("/waits")
    async def waits(request):
        await asyncio.sleep(0.5)
        return "done"

    server = serve(app, pattern=pattern, limits=STUCK)
    with Wire(server) as wire:
        assert wire.get("/waits").text == "done"
    assert stuck(server) == 0
    assert not lines("has kept thread")


def test_a_generator_is_named_for_the_piece_that_it_keeps_its_client_waiting_for(serve, lines):
    app = mr.App()

    @app.get("/streams")
    def streams(request):
        yield "one"
        while not lines("has kept thread"):
            time.sleep(0.01)
        yield "two"

    server = serve(app, limits=STUCK)
    with Wire(server) as wire:
        assert wire.get("/streams").text == "onetwo"
    (line,) = lines("has kept thread")
    assert "in streams" in line


def test_two_calls_are_two_lines(serve, lines):
    app = mr.App()

    @app.get("/{number:int}")
    def sleeps(request):
        while len(lines("has kept thread")) < request.path_params["number"]:
            time.sleep(0.01)
        return "done"

    server = serve(app, limits=STUCK)
    with Wire(server) as wire:
        wire.get("/1")
        wire.get("/2")
    assert stuck(server) == len(lines("has kept thread")) == 2


def test_nobody_watches_where_it_is_off(serve, lines):
    app = mr.App()

    @app.get("/")
    def sleeps(request):
        time.sleep(0.3)
        return "done"

    server = serve(app, limits=mr.Limits(handler_stuck=0))
    with Wire(server) as wire:
        assert wire.get("/").text == "done"
    assert stuck(server) == 0


@pytest.mark.parametrize("pattern", ELSEWHERE, ids=repr)
def test_what_workers_notice_is_counted_here(serve, lines, pattern):
    app = mr.App()

    @app.get("/")
    def sleeps(request):
        time.sleep(0.5)
        return "done"

    server = serve(app, pattern=pattern, limits=STUCK)
    with Wire(server) as wire:
        for number in (1, 2):
            wire.send(request("GET", "/"))
            assert wire.read().text == "done"
            eventually(lambda n=number: stuck(server) == len(lines("has kept thread")) == n)
    assert all("in sleeps\n" in line for line in lines("has kept thread"))


# --- plain TCP and UDP ----------------------------------------------------------------------------


def keep_thread(lines, enough=1):
    while len(lines("has kept thread")) < enough:
        time.sleep(0.01)


@pytest.mark.parametrize("form", ["function", "coroutine"])
def test_a_tcp_handler_that_keeps_its_thread_is_named_with_its_peer_once(lines, pattern, form):
    def blocks(connection, data):
        keep_thread(lines)
        time.sleep(0.3)  # no second line comes for the same call
        return data

    async def blocks_later(connection):
        data = await connection.read()
        keep_thread(lines)
        time.sleep(0.3)
        await connection.write(data)

    handler = blocks if form == "function" else blocks_later
    with mr.TcpServer(handler, pattern=pattern, handler_stuck="100ms") as server:
        with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
            client.sendall(b"hello")
            assert client.recv(100) == b"hello"
            peer = f"127.0.0.1:{client.getsockname()[1]}"
        (line,) = lines("has kept thread")
        assert f"the handler of the TCP server at 127.0.0.1:{server.port} has kept" in line
        assert f"with peer {peer};" in line
        assert f"in {handler.__name__}\n" in line
        assert "in keep_thread\n    time.sleep(0.01)" in line
        assert stuck(server) == 1


@pytest.mark.parametrize("form", ["function", "coroutine"])
@pytest.mark.parametrize("pattern", DATAGRAM_PATTERNS, ids=repr)
def test_a_udp_handler_that_keeps_its_thread_is_named_with_its_peer_once(lines, pattern, form):
    def blocks(data, peer):
        keep_thread(lines)
        time.sleep(0.3)
        return data

    async def blocks_later(data, peer):
        await asyncio.sleep(0)
        keep_thread(lines)
        time.sleep(0.3)
        return data

    handler = blocks if form == "function" else blocks_later
    with mr.UdpServer(handler, pattern=pattern, handler_stuck="100ms") as server:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(20)
            client.sendto(b"hello", ("127.0.0.1", server.port))
            assert client.recv(100) == b"hello"
            peer = f"127.0.0.1:{client.getsockname()[1]}"
        (line,) = lines("has kept thread")
        assert f"the handler of the UDP server at 127.0.0.1:{server.port} has kept" in line
        assert f"with peer {peer};" in line
        assert f"in {handler.__name__}\n" in line
        assert stuck(server) == 1


def test_handlers_of_tcp_and_udp_that_wait_or_are_quick_are_not_named(lines):
    async def waits(connection):
        async for data in connection:
            await asyncio.sleep(0.5)
            await connection.write(data)

    async def waits_too(data, peer):
        await asyncio.sleep(0.5)
        return data

    with (
        mr.TcpServer(waits, handler_stuck="100ms") as tcp,
        mr.UdpServer(waits_too, handler_stuck="100ms") as udp,
        mr.tcp_connect(tcp.address) as connection,
        mr.udp_connect(udp.address) as client,
    ):
        connection.write(b"hello")
        client.send(b"hello")
        assert connection.read() == client.recv() == b"hello"
        assert stuck(tcp) == stuck(udp) == 0
    assert not lines("has kept thread")


def test_nobody_watches_handlers_of_tcp_and_udp_where_it_is_off(lines):
    def sleeps(connection, data):
        time.sleep(0.3)
        return data

    def sleeps_too(data, peer):
        time.sleep(0.3)
        return data

    with (
        mr.TcpServer(sleeps, handler_stuck=0) as tcp,
        mr.UdpServer(sleeps_too, handler_stuck=0) as udp,
        mr.tcp_connect(tcp.address) as connection,
        mr.udp_connect(udp.address) as client,
    ):
        connection.write(b"hello")
        client.send(b"hello")
        assert connection.read() == client.recv() == b"hello"
        assert stuck(tcp) == stuck(udp) == 0
    assert not lines("has kept thread")


@pytest.mark.parametrize("pattern", ELSEWHERE, ids=repr)
def test_what_workers_of_tcp_and_udp_notice_is_counted_here(pattern):
    def sleeps(connection, data):
        time.sleep(0.5)
        return data

    def sleeps_too(data, peer):
        time.sleep(0.5)
        return data

    with (
        mr.TcpServer(sleeps, pattern=pattern, handler_stuck="100ms") as tcp,
        mr.UdpServer(sleeps_too, pattern=pattern, handler_stuck="100ms") as udp,
        mr.tcp_connect(tcp.address) as connection,
        mr.udp_connect(udp.address) as client,
    ):
        connection.write(b"hello")
        client.send(b"hello")
        assert connection.read() == client.recv() == b"hello"
        eventually(lambda: stuck(tcp) == stuck(udp) == 1)


def test_a_coroutine_that_is_watched_shows_its_frames_as_others_do():
    async def chat(connection):
        (task,) = (t for t in asyncio.all_tasks() if t.get_name() == repr(connection))
        frames = [frame.f_code.co_name for frame in task.get_stack()]
        await connection.write(repr((frames, asyncio.iscoroutine(task.get_coro()))).encode())

    with mr.TcpServer(chat) as server, mr.tcp_connect(server.address) as connection:
        frames, is_coroutine = ast.literal_eval(connection.read().decode())
        assert frames[-1] == "serve_connection"
        assert is_coroutine


def test_the_limit_has_one_default():
    limit = mr.Limits().handler_stuck
    for server in (mr.TcpServer, mr.UdpServer):
        assert inspect.signature(server).parameters["handler_stuck"].default == limit
