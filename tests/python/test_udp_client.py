"""UDP clients: batches, what waits and what is dropped, refusals, and the end."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import millrace as mr
import pytest
from millrace import errors


def wait_until(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.001)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with mr.UdpServer(mr.udp.echo) as server:
        yield server.address


@pytest.fixture
def nobody() -> str:
    with socket.socket(type=socket.SOCK_DGRAM) as unused:
        unused.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{unused.getsockname()[1]}"


SIZES = [64] * 100 + [10, 2000, 0, 300]
SENT = [bytes([number % 256]) * size for number, size in enumerate(SIZES)]


def test_batches_keep_their_order_and_cost_few_system_calls(address: str) -> None:
    with mr.udp_connect(address, timeout="20s") as client:
        client.send_many(iter(SENT))
        got: list[bytes] = []
        while len(got) < len(SENT):
            more = client.recv_many(at_most=30)
            assert 1 <= len(more) <= 30
            got += more
        assert got == SENT
        stats = client.stats()
    assert (stats.messages_out, stats.messages_in) == (len(SENT), len(SENT))
    assert (stats.bytes_out, stats.bytes_in) == (sum(SIZES), sum(SIZES))
    # One call has room for 32 messages, and a group counts as one.
    assert stats.writes <= 4
    assert stats.datagrams_joined_out in (0, 101)  # 0: a kernel without UDP_SEGMENT


def test_one_question_costs_one_call_each_way(address: str) -> None:
    with mr.udp_connect(address, timeout="20s") as client:
        client.send(bytearray(b"hello"))
        assert client.recv() == b"hello"
        stats = client.stats()
    assert (stats.reads, stats.writes, stats.bytes_in, stats.bytes_out) == (1, 1, 5, 5)
    assert client.peer == (address.rpartition(":")[0], int(address.rpartition(":")[2]))


def test_more_than_one_call_hands_over_at_a_time() -> None:
    """A sender that outruns its reader is no failure: the kernel counts what it dropped."""
    with socket.socket(type=socket.SOCK_DGRAM) as sink:
        sink.bind(("127.0.0.1", 0))
        with mr.udp_connect(f"127.0.0.1:{sink.getsockname()[1]}") as client:
            client.send_many(b"%d" % number for number in range(3000))
            assert client.stats().messages_out == 3000


def test_what_waits_is_bounded_and_the_rest_dropped_and_counted(address: str) -> None:
    with mr.udp_connect(address, timeout="20s", unread_datagrams=3) as client:
        for number in range(3):
            client.send(b"%d" % number)
        wait_until(lambda: client.stats().messages_in == 3)
        assert client.stats().datagrams_dropped == 0
        client.send(b"one too many")
        wait_until(lambda: client.stats().messages_in == 4)
        assert client.stats().datagrams_dropped == 1
        assert client.recv_many() == [b"0", b"1", b"2"]
        client.send(b"room again")
        assert client.recv() == b"room again"


def test_what_is_too_long_is_refused_and_what_stood_before_it_is_sent(address: str) -> None:
    with mr.udp_connect(address, timeout="20s") as client:
        with pytest.raises(errors.LocalProtocolError, match="65508 bytes"):
            client.send_many([b"one", b"two", b"x" * 65_508, b"three"])
        assert [client.recv(), client.recv()] == [b"one", b"two"]
        with pytest.raises(TypeError):
            client.send_many([b"four", "five"])  # type: ignore[list-item]
        client.send(b"x" * 65_507)
        assert client.recv() == b"x" * 65_507  # and nothing before it


def test_a_refusal_is_told_once_and_the_client_goes_on(nobody: str) -> None:
    host, _, port = nobody.rpartition(":")
    with mr.udp_connect(nobody, timeout="20s") as client:
        client.send(b"anybody?")
        with pytest.raises(errors.ConnectError) as told:
            client.recv()
        assert (told.value.code, told.value.safe_to_retry) == ("connection_refused", True)
        with socket.socket(type=socket.SOCK_DGRAM) as somebody:
            somebody.bind((host, int(port)))
            somebody.settimeout(20)
            client.send(b"now?")
            data, who = somebody.recvfrom(100)
            somebody.sendto(data.upper(), who)
            assert client.recv() == b"NOW?"


def test_senders_hear_of_refusals_too(nobody: str) -> None:
    with mr.udp_connect(nobody) as client:

        def send_on() -> None:
            for _ in range(1000):
                client.send(b"anybody?")

        with pytest.raises(errors.ConnectError):
            send_on()


def test_close_wakes_readers_and_ends_iteration(address: str) -> None:
    got: list[bytes] = []
    with mr.udp_connect(address, timeout=None) as client:
        reader = threading.Thread(target=lambda: got.extend(client))
        reader.start()
        client.send(b"last words")
        wait_until(lambda: got == [b"last words"])
        client.close()
        reader.join(20)
        assert not reader.is_alive()
        assert client.is_closed
        for late in (client.recv, lambda: client.send(b"late")):
            with pytest.raises(errors.ReadError):
                late()
    assert client.stats().messages_in == 1


def test_many_threads_share_a_client(address: str) -> None:
    with mr.udp_connect(address, timeout="20s") as client:
        writers = [
            threading.Thread(target=client.send_many, args=([b"%d" % n] * 20,)) for n in range(4)
        ]
        for writer in writers:
            writer.start()
        got: list[bytes] = []
        while len(got) < 80:
            got += client.recv_many()
        for writer in writers:
            writer.join()
    assert sorted(got) == sorted(b"%d" % n for n in range(4) for _ in range(20))


def buffers_of(peer: tuple[str, int]) -> list[tuple[int, int]]:
    """SO_RCVBUF and SO_SNDBUF of this process's sockets that are connected to a peer."""
    found = []
    for descriptor in Path("/proc/self/fd").iterdir():
        try:
            with socket.socket(fileno=os.dup(int(descriptor.name))) as copy:
                if copy.getpeername()[:2] == peer:
                    options = (socket.SO_RCVBUF, socket.SO_SNDBUF)
                    found.append(tuple(copy.getsockopt(socket.SOL_SOCKET, o) for o in options))
        except OSError:
            continue
    return found  # type: ignore[return-value]


def test_socket_options_reach_the_kernel(address: str) -> None:
    options = mr.SocketOptions(receive_buffer=50_000, send_buffer=60_000)
    with mr.udp_connect(address, socket_options=options) as client:
        assert buffers_of(client.peer) == [(100_000, 120_000)]  # socket(7): doubled


@pytest.mark.parametrize(
    ("name", "value"),
    [("nodelay", False), ("backlog", 5), ("reuse_port", True), ("v6_only", False),
     ("incoming_cpu", 0), ("linger", 0)],
)  # fmt: skip
def test_options_of_others_are_refused(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=rf"'{name}' means nothing to .*UDP: leave it out"):
        mr.udp_connect("127.0.0.1:1", socket_options=mr.SocketOptions(**{name: value}))


@pytest.mark.parametrize("bind", ["127.0.0.1:0", "[::1]:0"])
def test_a_size_that_the_kernel_changes_is_reported(
    bind: str, caplog: pytest.LogCaptureFixture
) -> None:
    options = mr.SocketOptions(receive_buffer=1, send_buffer=50_000)
    with mr.UdpServer(mr.udp.echo, bind=bind) as server:
        with mr.udp_connect(server.address, socket_options=options) as client:
            report = client.socket_report()
            assert {row.address for row in report} == {server.address}
            ((received, sent),) = buffers_of(client.peer)
        with mr.udp_connect(server.address) as usual:
            assert usual.socket_report().problems == ()
    changed, taken = report["receive_buffer"], report["send_buffer"]
    assert (changed.asked, changed.effective, changed.verdict) == (1, received, "changed")
    assert (taken.asked, taken.effective, taken.verdict) == (50_000, sent, "taken")
    assert report.problems == (changed,)
    (warning,) = caplog.messages
    assert "socket option receive_buffer" in warning


def test_limits_are_checked(address: str) -> None:
    with pytest.raises(ValueError, match="unread_datagrams"):
        mr.udp_connect(address, unread_datagrams=0)
    with mr.udp_connect(address) as client, pytest.raises(ValueError, match="at_most"):
        client.recv_many(0)
    with pytest.raises(ValueError, match="UDP needs"), mr.udp_connect("unix:/nowhere"):
        pass


def test_ipv6() -> None:
    with (
        mr.UdpServer(mr.udp.echo, bind="[::1]:0") as server,
        mr.udp_connect(server.address, timeout="20s") as client,
    ):
        client.send(b"hello")
        assert client.recv() == b"hello"
        assert client.peer == ("::1", server.port)


def test_coroutines_send_and_receive_batches(address: str) -> None:
    async def main() -> None:
        async with mr.udp_connect(address) as client, asyncio.timeout(20):
            await client.send_many(SENT)
            got: list[bytes] = []
            while len(got) < len(SENT):
                got += await client.recv_many()
            assert got == SENT
            await client.send(b"one")
            async for datagram in client:
                assert datagram == b"one"
                client.close()
            with pytest.raises(errors.ReadError):
                await client.recv()
            assert client.stats().messages_in == len(SENT) + 1

    asyncio.run(main())


def test_a_coroutine_that_gives_up_leaves_the_client_as_it_was(address: str) -> None:
    async def main() -> None:
        async with mr.udp_connect(address) as client:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await client.recv()
            async with asyncio.timeout(20):
                readers = [asyncio.create_task(client.recv()) for _ in range(3)]
                await client.send_many([b"a", b"b", b"c"])
                assert sorted(await asyncio.gather(*readers)) == [b"a", b"b", b"c"]

    asyncio.run(main())


def test_coroutines_hear_of_refusals(nobody: str) -> None:
    async def main() -> None:
        async with mr.udp_connect(nobody) as client, asyncio.timeout(20):
            await client.send(b"anybody?")
            with pytest.raises(errors.ConnectError):
                await client.recv()

    asyncio.run(main())
