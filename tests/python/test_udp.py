"""UDP: answers under the patterns that serve it, what is dropped, and who is refused."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
import time

import millrace as mr
import pytest
from millrace import errors

SERVED = [
    mr.patterns.single_thread(),
    mr.patterns.reuseport_shards(loops=2),
    mr.patterns.acceptor_queue_workers(workers=2),
]
served = pytest.mark.parametrize("pattern", SERVED, ids=repr)


@pytest.fixture
def pattern(request: pytest.FixtureRequest) -> mr.Pattern:
    chosen: mr.Pattern = request.param
    return chosen


def shout(data: bytes, peer: tuple[str, int]) -> bytes:
    return data.upper()


@served
@pytest.mark.parametrize("handler", [shout, mr.udp.echo])
def test_every_datagram_is_answered(pattern: mr.Pattern, handler: object) -> None:
    with mr.UdpServer(handler, pattern=pattern) as server:  # type: ignore[arg-type]
        for number in range(20):  # each from a port of its own
            with mr.udp_connect(server.address) as client:
                client.send(b"hello %d" % number)
                wanted = b"HELLO %d" if handler is shout else b"hello %d"
                assert client.recv() == wanted % number
    stats = server.stats()
    assert (stats.total("messages_in"), stats.total("messages_out")) == (20, 20)


@served
@pytest.mark.parametrize("bind", ["127.0.0.1:0", "[::1]:0"])
def test_handlers_learn_who_sent_it(pattern: mr.Pattern, bind: str) -> None:
    def who(data: bytes, peer: tuple[str, int]) -> bytes:
        return repr(peer).encode()

    family = socket.AF_INET6 if "[" in bind else socket.AF_INET
    host = "::1" if "[" in bind else "127.0.0.1"
    with (
        mr.UdpServer(who, pattern=pattern, bind=bind) as server,
        socket.socket(family, socket.SOCK_DGRAM) as client,
    ):
        client.settimeout(20)
        client.sendto(b"who?", (host, server.port))
        answer, sender = client.recvfrom(100)
        assert answer.decode() == repr((host, client.getsockname()[1]))
        assert sender[:2] == (host, server.port)


@served
def test_a_handler_that_raises_is_logged_once_and_serving_goes_on(
    pattern: mr.Pattern, caplog: pytest.LogCaptureFixture
) -> None:
    def picky(data: bytes, peer: tuple[str, int]) -> object:
        if data == b"bad":
            raise KeyError("gone")
        return 5 if data == b"number" else data

    with (
        caplog.at_level(logging.ERROR),
        mr.UdpServer(picky, pattern=pattern) as server,
        mr.udp_connect(server.address) as client,
    ):
        for data in (b"bad", b"number", b"good"):
            client.send(data)
        assert client.recv() == b"good"
    assert server.stats().total("requests_failed") == 2
    logged = [record.getMessage().rpartition(": ")[2] for record in caplog.records]
    assert sorted(logged) == ["KeyError", "TypeError"]


@served
def test_a_datagram_at_the_limit_passes_and_one_beyond_is_dropped(pattern: mr.Pattern) -> None:
    with (
        mr.UdpServer(shout, pattern=pattern, max_bytes=100) as server,
        mr.udp_connect(server.address) as client,
    ):
        client.send(b"x" * 101)
        client.send(b"y" * 100)
        assert client.recv() == b"Y" * 100
        assert server.stats().total("datagrams_too_large") == 1


def test_the_largest_datagram_of_ipv4_passes() -> None:
    with mr.UdpServer(mr.udp.echo) as server, mr.udp_connect(server.address) as client:
        client.send(b"x" * 65_507)
        assert client.recv() == b"x" * 65_507
        with pytest.raises(errors.LocalProtocolError):
            client.send(b"x" * 65_508)


def test_what_the_workers_have_no_room_for_is_dropped_and_counted() -> None:
    began, go_on = threading.Event(), threading.Event()

    def waits(data: bytes, peer: tuple[str, int]) -> bytes:
        began.set()
        go_on.wait(30)
        return data

    pattern = mr.patterns.acceptor_queue_workers(workers=1, capacity=2)
    with (
        mr.UdpServer(waits, pattern=pattern) as server,
        mr.udp_connect(server.address, timeout="20s") as client,
    ):
        client.send(b"0")
        assert began.wait(20)
        for number in range(1, 6):
            client.send(b"%d" % number)
        until = time.monotonic() + 20
        while server.stats().total("datagrams_dropped") < 3 and time.monotonic() < until:
            time.sleep(0.005)
        go_on.set()
        assert [client.recv() for _ in range(3)] == [b"0", b"1", b"2"]
    assert server.stats().total("datagrams_dropped") == 3


def test_silence_times_out_and_an_empty_datagram_is_one() -> None:
    def silent_unless_empty(data: bytes, peer: tuple[str, int]) -> bytes | None:
        return None if data else b""

    with (
        mr.UdpServer(silent_unless_empty) as server,
        mr.udp_connect(server.address, timeout="50ms") as client,
    ):
        client.send(b"hello")
        with pytest.raises(errors.ReadTimeout):
            client.recv()
    with (
        mr.UdpServer(silent_unless_empty) as server,
        mr.udp_connect(server.address) as client,
    ):
        client.send(b"")
        assert client.recv() == b""


def test_nobody_there_is_a_connect_error() -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    with mr.udp_connect(f"127.0.0.1:{port}") as client:
        client.send(b"hello?")
        with pytest.raises(errors.ConnectError):
            client.recv()


def test_the_coroutine_client() -> None:
    async def main(address: str) -> bytes:
        async with mr.udp_connect(address) as client:
            await client.send(b"hello")
            return await asyncio.wait_for(client.recv(), 20)

    with mr.UdpServer(shout) as server:
        assert asyncio.run(main(server.address)) == b"HELLO"


def test_a_server_starts_again_and_keeps_its_address_to_itself() -> None:
    server = mr.UdpServer(shout)
    for _ in range(2):
        with server:
            with pytest.raises(OSError, match="in use"):
                mr.UdpServer(shout, bind=server.address).start()
            with mr.udp_connect(server.address) as client:
                client.send(b"hello")
                assert client.recv() == b"HELLO"


NAMES = {one.name for one in SERVED}


@pytest.mark.parametrize(
    "pattern", [one for one in mr.patterns.all() if one.name not in NAMES], ids=repr
)
def test_patterns_that_place_connections_are_refused(pattern: mr.Pattern) -> None:
    with pytest.raises(ValueError, match="no connections to accept"):
        mr.UdpServer(shout, pattern=pattern).start()


def test_options_are_checked() -> None:
    async def coroutine(data: bytes, peer: tuple[str, int]) -> bytes:
        return data

    with pytest.raises(TypeError, match="coroutine function"):
        mr.UdpServer(coroutine)
    with pytest.raises(TypeError, match="handler"):
        mr.UdpServer("echo")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="one process"):
        mr.UdpServer(shout, pattern=mr.patterns.multi_process(2))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="max_bytes"):
        mr.UdpServer(shout, max_bytes=0)
    with pytest.raises(ValueError, match="1024"):
        mr.UdpServer(shout, batch=1025).start()
    with pytest.raises(ValueError, match="UDP needs"):
        mr.UdpServer(shout, bind="unix:/nowhere").start()
    for address in ("nowhere", "host:", "host:65536"):
        with pytest.raises(ValueError, match="no address"), mr.udp_connect(address):
            pass
