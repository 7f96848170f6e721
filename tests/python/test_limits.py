"""What a connection may bring and how slowly: each limit at its value and one past it."""

from __future__ import annotations

import socket
import threading

import millrace as mr
import pytest

from tests.python.wire import Gone, Signal, Wire, eventually, request

pytestmark = pytest.mark.sanitize


@pytest.fixture
def app() -> mr.App:
    app = mr.App()
    app.respond("/native", "native")
    app.post("/echo")(lambda request: request.body)

    @app.post("/stream")
    async def stream(request):
        return str(sum([len(piece) async for piece in request.stream()]))

    return app


def total(server, counter):
    return server.stats().total(counter)


# --- a connection's requests and its age ----------------------------------------------------------


def test_a_connection_brings_so_many_requests_and_is_told_with_the_last(serve, app, pattern):
    server = serve(app, pattern=pattern, limits=mr.Limits(max_requests_per_connection=3))
    for _ in range(2):
        with Wire(server) as wire:
            said = [wire.get("/native").header("connection") for _ in range(3)]
            assert said == [None, None, "close"]
            assert wire.is_closed_cleanly()
    assert total(server, "connections_used_up") == 2
    assert total(server, "requests") == 6


def test_a_connection_that_is_old_is_told_with_its_next_answer(serve, app, pattern):
    server = serve(app, pattern=pattern, limits=mr.Limits(max_connection_age="1us"))
    with Wire(server) as wire:
        assert wire.get("/native").header("connection") == "close"
        assert wire.is_closed_cleanly()
    assert total(server, "connections_aged") == 1
    assert total(server, "connections_used_up") == 0


def test_a_load_loses_nothing_to_connections_that_are_used_up(serve, app):
    server = serve(app, limits=mr.Limits(max_requests_per_connection=10))
    answered = 0
    for _ in range(20):
        with Wire(server) as wire:
            while True:
                answer = wire.get("/native")
                assert answer.text == "native"
                answered += 1
                if answer.header("connection") == "close":
                    break
    assert answered == 200
    assert total(server, "requests") == 200


# --- connections per client address ---------------------------------------------------------------


@pytest.mark.in_process
def test_a_clients_address_has_so_many_connections(serve, app, pattern):
    server = serve(app, pattern=pattern, limits=mr.Limits(max_connections_per_address=2))
    wires = [Wire(server) for _ in range(2)]
    for wire in wires:
        assert wire.get("/native").status == 200
    with Wire(server) as third:
        answer = third.read()
        assert (answer.status, answer.header("retry-after")) == (503, "1")
        assert third.is_closed_cleanly()
    with socket.create_connection(
        ("127.0.0.1", server.port), source_address=("127.0.0.2", 0)
    ) as other:
        other.sendall(request("GET", "/native"))
        assert other.recv(4096).startswith(b"HTTP/1.1 200")
    assert total(server, "connections_refused_address") == 1
    assert total(server, "connections_refused") == 0
    for wire in wires:
        wire.socket.close()
    eventually(lambda: _is_served(server))  # there is room again


def test_clients_of_a_unix_socket_have_no_address(serve, app, tmp_path):
    path = tmp_path / "s"
    limits = mr.Limits(max_connections_per_address=1)
    serve(app, bind=f"unix:{path}", limits=limits)
    clients = [socket.socket(socket.AF_UNIX) for _ in range(3)]
    for client in clients:
        client.connect(str(path))
        client.sendall(request("GET", "/native"))
        assert client.recv(4096).startswith(b"HTTP/1.1 200")
    for client in clients:
        client.close()


def _is_served(server):
    try:
        with Wire(server) as wire:
            return wire.get("/native").status == 200
    except (Gone, ConnectionError):
        return False


# --- rates ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/echo", "/stream"])
def test_a_body_that_drips_is_408_though_it_never_pauses_for_long(serve, app, pattern, path):
    limits = mr.Limits(body_timeout="300ms", min_body_rate=1_000_000)
    server = serve(app, pattern=pattern, limits=limits)
    with Wire(server) as wire, Dripping(wire, request("POST", path, {"Content-Length": "90000"})):
        answer = wire.read()
        assert (answer.status, answer.header("connection")) == (408, "close")
    assert total(server, "body_timeouts") == total(server, "timeouts") == 1


def test_a_body_that_drips_is_read_where_no_rate_is_asked_for(serve, app):
    server = serve(app, limits=mr.Limits(body_timeout="300ms", min_body_rate=0))
    head = request("POST", "/stream", {"Content-Length": "40"})
    with Wire(server) as wire, Dripping(wire, head, most=40):
        assert wire.read().text == "40"


def test_a_body_that_nobody_reads_is_not_late(serve):
    app, go_on = mr.App(), Signal()

    @app.post("/")
    async def read(request):
        import asyncio

        await asyncio.to_thread(go_on.expect)
        return str(len(await request.read()))

    limits = mr.Limits(body_timeout="100ms", min_body_rate=10_000_000)
    server = serve(app, limits=limits)
    size = 300_000
    with Wire(server) as wire, Wire(server) as other:
        wire.send(request("POST", "/", {"Content-Length": str(size)}), b"x" * size)
        # Another body is late meanwhile, so that time has passed.
        other.send(request("POST", "/", {"Content-Length": "2"}))
        go_on.set()
        assert other.read().status == 408
        assert wire.read().text == str(size)


def test_a_client_that_takes_its_answer_drop_by_drop_is_let_go(serve):
    app, closed = mr.App(), Signal()

    @app.get("/")
    async def endless(request):
        try:
            while True:
                yield b"x" * 65536
        finally:
            closed.set()

    limits = mr.Limits(write_timeout="300ms", min_response_rate=1_000_000_000)
    server = serve(app, limits=limits)
    with Wire(server, receive_buffer=4096) as wire:
        wire.send(request("GET", "/"))
        while not closed.is_set():  # it never pauses for as long as write_timeout
            try:
                if not wire.socket.recv(1024):
                    break
            except ConnectionResetError:
                break
            threading.Event().wait(0.01)
        closed.expect("the end of the handler")
    eventually(lambda: total(server, "write_timeouts") == 1)


class Dripping:
    """Sends a head, then a byte at a time, until told to stop; some bytes, or without end."""

    def __init__(self, wire, head, most=None):
        self._wire, self._head, self._most = wire, head, most
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self):
        try:
            self._wire.socket.sendall(self._head)
            sent = 0
            while sent != self._most and not self._stop.wait(0.01):
                self._wire.socket.sendall(b"x")
                sent += 1
        except OSError:
            pass  # it was let go

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *error):
        self._stop.set()
        self._thread.join()


# --- how far a body may be ahead of its reader ----------------------------------------------------


@pytest.mark.parametrize("most", [1000, "512KiB"])
def test_a_body_waits_for_its_reader_and_arrives_whole(serve, app, pattern, most):
    server = serve(app, pattern=pattern, limits=mr.Limits(body_ahead_bytes=most))
    with Wire(server) as wire:
        assert wire.ask("POST", "/stream", body=bytes(100_000)).text == "100000"
    eventually(lambda: total(server, "requests") == 1)
    if most == 1000:  # it may come in pieces of its own, too
        eventually(lambda: 10 <= total(server, "bodies_held_back") <= 100)
    else:
        assert total(server, "bodies_held_back") == 0
