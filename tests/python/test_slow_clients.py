"""Many slow clients at a time: each ends as its limit says, and others are served."""

from __future__ import annotations

import resource
import select
import socket
from contextlib import ExitStack

import millrace as mr
import pytest

from tests.python.wire import PATIENCE_S, Gone, Wire, eventually, request

MANY = 50


@pytest.fixture
def app() -> mr.App:
    app = mr.App()
    app.respond("/native", "native")
    app.respond("/large", b"x" * 8_000_000)
    app.post("/echo")(lambda request: request.body)
    return app


def is_served(server):
    with Wire(server) as wire:
        return wire.get("/native").text == "native"


def total(server, counter):
    return server.stats().total(counter)


def test_slow_heads_are_let_go_and_others_served(serve, app, pattern):
    server = serve(app, pattern=pattern, limits=mr.Limits(header_timeout="1s"))
    with ExitStack() as stack:
        slow = [stack.enter_context(Wire(server)) for _ in range(MANY)]
        for wire in slow:
            wire.send("GET /native HTTP/1.1\r\nHost: a\r\nX:")
        assert is_served(server)
        for wire in slow:
            assert wire.read().status == 408
            assert wire.is_closed_cleanly()
    assert total(server, "header_timeouts") == total(server, "timeouts") == MANY


def test_slow_bodies_are_let_go_and_others_served(serve, app, pattern):
    server = serve(app, pattern=pattern, limits=mr.Limits(body_timeout="1s"))
    with ExitStack() as stack:
        slow = [stack.enter_context(Wire(server)) for _ in range(MANY)]
        for wire in slow:
            wire.send(request("POST", "/echo", {"Content-Length": "1000"}), b"half")
        assert is_served(server)
        for wire in slow:
            assert wire.read().status == 408
            assert wire.is_closed_cleanly()
    assert total(server, "body_timeouts") == total(server, "timeouts") == MANY
    eventually(lambda: server.stats()["body_bytes_held"] == 0)
    assert server.stats()["in_flight"] == 0


def test_slow_readers_are_let_go_and_others_served(serve, app, pattern):
    server = serve(app, pattern=pattern, limits=mr.Limits(write_timeout="1s"))
    with ExitStack() as stack:
        slow = [stack.enter_context(Wire(server, receive_buffer=4096)) for _ in range(10)]
        for wire in slow:
            wire.send(request("GET", "/large"))
        assert is_served(server)
        eventually(lambda: total(server, "write_timeouts") == 10)
        for wire in slow:
            with pytest.raises((Gone, ConnectionError)):
                wire.read()
    assert total(server, "timeouts") == 10
    assert total(server, "requests_abandoned") == 10


def test_ten_thousand_that_say_nothing_are_closed_and_others_served(serve, app):
    """Or as many as there are descriptors for; the server's are another process's."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    count = min(10_000, soft - 300)
    limits = mr.Limits(idle_timeout="3s", max_connections=count + 100)
    server = serve(app, pattern=mr.patterns.multi_process(1), limits=limits)
    with ExitStack() as stack:
        silent = []
        for _ in range(count):
            one = stack.enter_context(socket.socket())
            one.settimeout(PATIENCE_S)
            one.connect(("127.0.0.1", server.port))
            silent.append(one)
        assert is_served(server)
        poll = select.poll()
        for one in silent:
            poll.register(one, select.POLLIN)
        left = {one.fileno(): one for one in silent}
        while left:
            ended = poll.poll(PATIENCE_S * 1000)
            assert ended, f"{len(left)} of {count} were never closed"
            for descriptor, _ in ended:
                poll.unregister(descriptor)
                assert left.pop(descriptor).recv(1) == b""
    # The one that asked has closed by itself.
    eventually(lambda: total(server, "idle_timeouts") == count)
    assert total(server, "timeouts") == 0
