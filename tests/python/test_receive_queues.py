"""What waits at the sockets of UDP servers, and what the kernel had no room for."""

from __future__ import annotations

import socket
import sys
import threading
from typing import Any

import millrace as mr
import pytest

from tests.python.wire import PATIENCE_S, eventually

multi_process = mr.patterns.multi_process
SHARDS = mr.patterns.reuseport_shards(loops=2)
LAYOUTS = [
    (mr.patterns.single_thread(), 1),
    (SHARDS, 2),
    (multi_process(2), 1),
    (multi_process(2, inner=SHARDS, listener="reuseport"), 4),
]
if sys.version_info >= (3, 13):
    LAYOUTS.append((mr.patterns.subinterpreters(2), 1))


@pytest.mark.parametrize(("pattern", "count"), LAYOUTS, ids=repr)
def test_every_socket_has_a_row(pattern: Any, count: int) -> None:
    options = mr.SocketOptions(receive_buffer=8192)
    server = mr.UdpServer(
        mr.udp.echo, bind=["127.0.0.1:0", "[::1]:0"], pattern=pattern, socket_options=options
    )
    with server:
        queues = server.receive_queues()
        assert [one.address for one in queues] == [
            address for address in server.addresses for _ in range(count)
        ]
        assert {(one.waiting_bytes, one.limit_bytes, one.drops) for one in queues} == {
            (0, 16384, 0)
        }
        assert server.addresses[1] in repr(queues)
    assert len(server.receive_queues()) == 0


def test_what_waits_and_what_had_no_room_is_seen() -> None:
    entered, leave = threading.Event(), threading.Event()

    def block(data: bytes, peer: tuple[str, int]) -> None:
        entered.set()
        leave.wait(PATIENCE_S)

    options = mr.SocketOptions(receive_buffer=8192)
    with (
        mr.UdpServer(block, socket_options=options) as server,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client,
    ):
        client.connect(("127.0.0.1", server.port))
        client.send(b"first")
        assert entered.wait(PATIENCE_S)  # the only loop is busy, nobody reads
        for _ in range(100):
            client.send(b"x" * 1000)
        (full,) = server.receive_queues()
        assert full.waiting_bytes > 1000
        assert full.limit_bytes == server.socket_report()["receive_buffer"].effective
        assert 0 < full.drops < 100
        leave.set()
        eventually(lambda: server.receive_queues()[0].waiting_bytes == 0)
        # What the kernel dropped it tells with the next datagram, and all else was handled.
        client.send(b"last")
        eventually(lambda: server.stats().total("messages_in") == 102 - full.drops)
        assert server.stats().total("datagrams_lost") == full.drops
        assert server.receive_queues()[0].drops == full.drops
