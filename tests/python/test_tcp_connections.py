"""Who is connected to servers of plain TCP and who waits, under every pattern."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import threading
from contextlib import ExitStack
from typing import Any

import millrace as mr
import pytest
from millrace import errors

from tests.python.wire import PATIENCE_S, eventually

LINES = mr.framing.lines(max_bytes=64)

needs_interpreters = pytest.mark.skipif(
    sys.version_info < (3, 13), reason="interpreters with a GIL of their own need CPython 3.13"
)


def shout(connection: mr.tcp.Connection, line: bytes) -> bytes:
    return line.upper()


async def chat(connection: Any) -> None:
    async for line in connection:
        await connection.write(line.upper())


def name_of(client: socket.socket) -> str:
    return "{}:{}".format(*client.getsockname())


def ask(client: socket.socket, line: bytes = b"hello\n") -> bytes:
    client.sendall(line)
    return client.recv(1000)


def connect(stack: ExitStack, server: mr.TcpServer) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE_S)
    return stack.enter_context(client)


@pytest.mark.parametrize("handler", [shout, chat, mr.tcp.echo])
def test_every_pattern_lists_its_connections_with_their_messages(
    pattern: Any, handler: Any
) -> None:
    with mr.TcpServer(handler, framing=LINES, pattern=pattern) as server:
        with ExitStack() as stack:
            clients = [connect(stack, server) for _ in range(4)]
            for count, client in enumerate(clients):
                for _ in range(count):
                    assert ask(client).lower() == b"hello\n"
            eventually(lambda: len(server.connections()) == len(clients))
            listed = {one.peer: one for one in server.connections(timeout=PATIENCE_S)}
            of_clients = [listed[name_of(client)] for client in clients]
            assert [one.requests for one in of_clients] == [0, 1, 2, 3]
            assert [one.tcp_info.bytes_received for one in of_clients] == [0, 6, 12, 18]
            assert {one.tcp_info.state for one in of_clients} == {"ESTABLISHED"}
            assert len({one.id for one in of_clients}) == len(clients)
            assert all(0 <= one.age < 60 for one in of_clients)
            eventually(lambda: {one.state for one in server.connections()} == {"idle"})
            assert name_of(clients[0]) in repr(server.connections())
        eventually(lambda: len(server.connections()) == 0)
    assert len(server.connections()) == 0


@pytest.mark.parametrize("listener", ["shared", "reuseport"])
def test_connections_of_worker_processes_have_their_process(listener: Any) -> None:
    pattern = mr.patterns.multi_process(2, listener=listener)
    with mr.TcpServer(shout, framing=LINES, pattern=pattern) as server, ExitStack() as stack:

        def both_are_connected() -> bool:
            assert ask(connect(stack, server)) == b"HELLO\n"
            return len({one.pid for one in server.connections()}) == 2

        eventually(both_are_connected)
        found = server.connections(timeout=PATIENCE_S)
        assert {one.pid for one in found} == {row.pid for row in server.workers()}
        assert os.getpid() not in {one.pid for one in found}
        assert (found.silent, found.silent_loops) == ((), 0)


@needs_interpreters
def test_connections_of_interpreters_have_their_interpreter() -> None:
    pattern = mr.patterns.subinterpreters(2)
    with mr.TcpServer(mr.tcp.echo, pattern=pattern) as server, ExitStack() as stack:

        def both_are_connected() -> bool:
            assert ask(connect(stack, server)) == b"hello\n"
            return {one.interpreter for one in server.connections()} == {1, 2}

        eventually(both_are_connected)
        assert {one.pid for one in server.connections(timeout=PATIENCE_S)} == {os.getpid()}


def test_of_each_loop_only_so_many_are_listed() -> None:
    with mr.TcpServer(shout, framing=LINES) as server, ExitStack() as stack:
        for _ in range(3):
            assert ask(connect(stack, server)) == b"HELLO\n"
        assert len(server.connections(most=2, timeout=PATIENCE_S)) == 2
        assert len(server.connections(most=3, timeout=PATIENCE_S)) == 3


def test_messages_that_a_worker_has_or_that_wait_for_it_are_being_answered() -> None:
    entered, leave = threading.Event(), threading.Event()

    def wait(connection: mr.tcp.Connection, line: bytes) -> bytes:
        entered.set()
        leave.wait(PATIENCE_S)
        return line

    pattern = mr.patterns.acceptor_queue_workers(workers=1)
    with mr.TcpServer(wait, framing=LINES, pattern=pattern) as server, ExitStack() as stack:
        first, second, resting = (connect(stack, server) for _ in range(3))
        first.sendall(b"one\n")
        assert entered.wait(PATIENCE_S)
        second.sendall(b"two\n")

        def states() -> dict[str, str]:
            return {one.peer: one.state for one in server.connections()}

        wanted = {name_of(first): "answering", name_of(second): "answering"}
        eventually(lambda: states() == {**wanted, name_of(resting): "idle"})
        leave.set()
        assert (first.recv(100), second.recv(100)) == (b"one\n", b"two\n")
        eventually(lambda: set(states().values()) == {"idle"})


def test_messages_that_a_coroutine_has_not_taken_are_being_answered() -> None:
    may_read = threading.Event()

    async def chat_later(connection: Any) -> None:
        await asyncio.to_thread(may_read.wait, PATIENCE_S)
        await chat(connection)

    with mr.TcpServer(chat_later, framing=LINES) as server, ExitStack() as stack:
        client = connect(stack, server)
        client.sendall(b"one\ntwo\n")
        (one,) = eventually(
            lambda: [one for one in server.connections() if one.state == "answering"]
        )
        assert one.requests == 2
        may_read.set()
        assert client.recv(4) + client.recv(4) == b"ONE\nTWO\n"
        eventually(lambda: server.connections()[0].state == "idle")


def test_bytes_that_a_slow_peer_leaves_are_seen() -> None:
    def flood(connection: mr.tcp.Connection, line: bytes) -> bytes:
        return b"x" * 20_000_000

    with mr.TcpServer(flood) as server, socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", server.port))
        client.sendall(b"go\n")

        def stuck() -> Any:
            found = [one for one in server.connections() if one.state == "sending"]
            return found if found and found[0].tcp_info.not_sent_bytes > 0 else None

        (one,) = eventually(stuck)
        assert 0 < one.unsent_bytes < 20_000_000


def test_a_handler_cannot_ask_its_own_loop() -> None:
    def asks(connection: mr.tcp.Connection, line: bytes) -> bytes:
        with pytest.raises(errors.WrongState, match="on another thread"):
            server.connections()
        return b"refused"

    with mr.TcpServer(asks, framing=LINES) as server, ExitStack() as stack:
        assert ask(connect(stack, server)) == b"refused\n"


def test_what_waits_to_be_accepted_is_seen() -> None:
    entered, leave = threading.Event(), threading.Event()

    def block(connection: mr.tcp.Connection, line: bytes) -> bytes:
        entered.set()
        leave.wait(PATIENCE_S)
        return line

    with mr.TcpServer(block, framing=LINES, backlog=77) as server, ExitStack() as stack:
        (queue,) = server.accept_queues()
        assert (queue.address, queue.depth, queue.limit) == (server.address, 0, 77)
        busy = connect(stack, server)
        busy.sendall(b"go\n")
        assert entered.wait(PATIENCE_S)  # the only loop is busy, nobody accepts
        waiting = [connect(stack, server) for _ in range(3)]
        assert server.accept_queues()[0].depth == 3
        leave.set()
        assert [ask(one) for one in waiting] == [b"hello\n"] * 3
        assert server.accept_queues()[0].depth == 0
    assert len(server.accept_queues()) == 0


@pytest.mark.parametrize(("listener", "count"), [("shared", 1), ("reuseport", 2)])
def test_accept_queues_of_worker_processes(listener: Any, count: int) -> None:
    pattern = mr.patterns.multi_process(2, listener=listener)
    with mr.TcpServer(shout, framing=LINES, pattern=pattern, backlog=77) as server:
        queues = [(one.address, one.depth, one.limit) for one in server.accept_queues()]
        assert queues == [(server.address, 0, 77)] * count
