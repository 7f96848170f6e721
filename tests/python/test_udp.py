"""UDP: answers under the patterns that serve it, what is dropped, and who is refused."""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import millrace as mr
import pytest
from millrace import errors

SERVED = [
    mr.patterns.single_thread(),
    mr.patterns.reuseport_shards(loops=2),
    mr.patterns.acceptor_queue_workers(workers=2),
]
ELSEWHERE = [
    mr.patterns.multi_process(2),
    mr.patterns.multi_process(2, inner=mr.patterns.reuseport_shards(loops=2), listener="reuseport"),
    mr.patterns.multi_process(1, inner=mr.patterns.acceptor_queue_workers(workers=2)),
]
if sys.version_info >= (3, 13):
    ELSEWHERE.append(mr.patterns.subinterpreters(2))
served = pytest.mark.parametrize("pattern", [*SERVED, *ELSEWHERE], ids=repr)


@pytest.fixture
def pattern(request: pytest.FixtureRequest) -> Any:
    return request.param


def shout(data: bytes, peer: tuple[str, int]) -> bytes:
    return data.upper()


async def shout_later(data: bytes, peer: tuple[str, int]) -> bytes:
    await asyncio.sleep(0.001)
    return data.upper()


@served
@pytest.mark.parametrize("handler", [shout, shout_later, mr.udp.echo])
def test_every_datagram_is_answered(pattern: Any, handler: Any) -> None:
    with mr.UdpServer(handler, pattern=pattern) as server:
        for number in range(20):  # each from a port of its own
            with mr.udp_connect(server.address) as client:
                client.send(b"hello %d" % number)
                wanted = b"hello %d" if handler is mr.udp.echo else b"HELLO %d"
                assert client.recv() == wanted % number
    stats = server.stats()
    assert (stats.total("messages_in"), stats.total("messages_out")) == (20, 20)


@served
@pytest.mark.parametrize("bind", ["127.0.0.1:0", "[::1]:0"])
def test_handlers_learn_who_sent_it(pattern: Any, bind: str) -> None:
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
    pattern: Any, caplog: pytest.LogCaptureFixture
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
def test_a_datagram_at_the_limit_passes_and_one_beyond_is_dropped(pattern: Any) -> None:
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


@pytest.mark.parametrize("pattern", SERVED, ids=repr)
def test_one_that_cannot_start_leaves_no_port_bound(pattern: mr.Pattern) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as busy, socket.socket(type=socket.SOCK_DGRAM) as at:
        busy.bind(("127.0.0.1", 0))
        at.bind(("127.0.0.1", 0))
        free = f"127.0.0.1:{at.getsockname()[1]}"
        at.close()
        server = mr.UdpServer(
            shout, pattern=pattern, bind=[free, f"127.0.0.1:{busy.getsockname()[1]}"]
        )
        with pytest.raises(OSError, match="in use"):
            server.start()
        with mr.UdpServer(shout, bind=free):
            assert not server.is_running
        assert not list(server.socket_report())


# --- coroutines -----------------------------------------------------------------------------------


def wait_until(is_true: Callable[[], bool]) -> bool:
    until = time.monotonic() + 20
    while not is_true() and time.monotonic() < until:
        time.sleep(0.005)
    return is_true()


@served
def test_coroutines_wait_at_the_same_time(pattern: Any) -> None:
    async def meet(data: bytes, peer: tuple[str, int]) -> bytes:
        await asyncio.sleep(0.2 if data == b"slow" else 0)
        return data

    with (
        mr.UdpServer(meet, pattern=pattern) as server,
        mr.udp_connect(server.address, timeout="20s") as client,
    ):
        client.send(b"slow")
        client.send(b"quick")
        assert [client.recv(), client.recv()] == [b"quick", b"slow"]


@pytest.mark.parametrize("pattern", SERVED, ids=repr)
def test_a_call_at_the_limit_passes_and_one_beyond_is_dropped(pattern: mr.Pattern) -> None:
    entered, go_on = [], threading.Event()

    async def waits(data: bytes, peer: tuple[str, int]) -> bytes:
        entered.append(data)
        while not go_on.is_set():
            await asyncio.sleep(0.005)
        return data

    with (
        mr.UdpServer(waits, pattern=pattern, max_calls=2) as server,
        mr.udp_connect(server.address, timeout="20s") as client,
    ):
        for number in range(3):
            client.send(b"%d" % number)
        assert wait_until(lambda: server.stats().total("datagrams_dropped") == 1)
        assert server.stats()["in_flight"] == 2
        go_on.set()
        assert {client.recv(), client.recv()} == {b"0", b"1"}
        assert wait_until(lambda: server.stats()["in_flight"] == 0)
        client.send(b"3")
        assert client.recv() == b"3"
    assert sorted(entered) == [b"0", b"1", b"3"]


def test_a_coroutine_that_raises_is_logged_once_and_serving_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def picky(data: bytes, peer: tuple[str, int]) -> Any:
        await asyncio.sleep(0)
        if data == b"bad":
            raise KeyError("gone")
        return {b"number": 5, b"quiet": None}.get(data, data)

    with (
        caplog.at_level(logging.ERROR),
        mr.UdpServer(picky) as server,
        mr.udp_connect(server.address) as client,
    ):
        for data in (b"bad", b"number", b"quiet", b"good"):
            client.send(data)
        assert client.recv() == b"good"
        assert wait_until(lambda: server.stats()["in_flight"] == 0)
    assert server.stats().total("requests_failed") == 2
    assert server.stats().total("messages_out") == 1
    logged = [record.getMessage().rpartition(": ")[2] for record in caplog.records]
    assert sorted(logged) == ["KeyError", "TypeError"]


@pytest.mark.parametrize("pattern", SERVED, ids=repr)
def test_a_stop_waits_for_coroutines_and_then_cancels_them(pattern: mr.Pattern) -> None:
    began, cancelled = threading.Event(), threading.Event()

    async def waits(data: bytes, peer: tuple[str, int]) -> bytes:
        began.set()
        try:
            await asyncio.sleep(0.1 if data == b"finish" else 600)
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return data

    for data, drain in ((b"finish", "20s"), (b"never", "50ms")):
        began.clear()
        with (
            mr.UdpServer(waits, pattern=pattern) as server,
            mr.udp_connect(server.address, timeout="20s") as client,
        ):
            client.send(data)
            assert began.wait(20)
            server.stop(drain=drain)
            if data == b"finish":
                assert client.recv() == b"finish"
                assert not cancelled.is_set()
    assert cancelled.is_set()
    assert server.stats()["in_flight"] == 0


# --- socket options -------------------------------------------------------------------------------


@pytest.mark.parametrize("pattern", SERVED, ids=repr)
def test_socket_options_are_asked_for_and_reported(pattern: mr.Pattern) -> None:
    wanted = mr.SocketOptions(receive_buffer=30_000, send_buffer="40kB", incoming_cpu=0)
    with mr.UdpServer(shout, pattern=pattern, socket_options=wanted) as server:
        report = server.socket_report()
    rows = {row.name: (row.effective, row.verdict) for row in report}
    assert rows["receive_buffer"] == (60_000, "taken")
    assert rows["send_buffer"] == (80_000, "taken")
    assert rows["incoming_cpu"] == (0, "taken")
    assert rows["nodelay"][1] == rows["linger"][1] == "not_applicable"
    assert report.problems == ()


@pytest.mark.parametrize(
    "pattern",
    [
        mr.patterns.reuseport_shards(loops=3),
        mr.patterns.multi_process(3, listener="reuseport"),
    ],
    ids=repr,
)
def test_each_of_several_sockets_has_a_cpu_of_its_own(pattern: Any) -> None:
    wanted = mr.SocketOptions(incoming_cpu=[2, 0, 1])
    with mr.UdpServer(shout, pattern=pattern, socket_options=wanted) as server:
        rows = [row for row in server.socket_report() if row.name == "incoming_cpu"]
    assert [(row.asked, row.effective, row.verdict) for row in rows] == [
        (cpu, cpu, "taken") for cpu in (2, 0, 1)
    ]
    with pytest.raises(ValueError, match="several sockets on one port"):
        mr.UdpServer(shout, socket_options=wanted)


def test_two_servers_share_a_port_that_both_ask_for() -> None:
    shared = mr.SocketOptions(reuse_port=True)
    with (
        mr.UdpServer(shout, socket_options=shared) as one,
        mr.UdpServer(shout, bind=one.address, socket_options=shared) as other,
    ):
        assert one.port == other.port
    with pytest.raises(ValueError, match="needs reuse_port"):
        mr.UdpServer(
            shout,
            pattern=mr.patterns.reuseport_shards(loops=2),
            socket_options=mr.SocketOptions(reuse_port=False),
        ).start()


@pytest.mark.parametrize(
    ("name", "value"),
    [("nodelay", False), ("quickack", True), ("cork", True), ("not_sent_low_watermark", 1000),
     ("fast_open", 5), ("defer_accept", "1s"), ("keepalive", True), ("user_timeout", "5s"),
     ("congestion_control", "cubic"), ("linger", 0), ("unix_mode", 0o600), ("backlog", 5)],
)  # fmt: skip
def test_options_of_tcp_are_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"'{name}' means nothing to UDP: leave it out"):
        mr.UdpServer(shout, socket_options=mr.SocketOptions(**{name: value}))


def test_a_socket_at_hand_is_read_and_stays_open() -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as bound:
        bound.bind(("127.0.0.1", 0))
        for _ in range(2):
            with (
                mr.UdpServer(shout, bind=f"fd://{bound.fileno()}") as server,
                mr.udp_connect(server.address) as client,
            ):
                client.send(b"hello")
                assert client.recv() == b"HELLO"
        assert bound.getsockname()[0] == "127.0.0.1"
    with socket.create_server(("127.0.0.1", 0)) as listening:
        for number in (listening.fileno(), 9999):
            with pytest.raises(ValueError, match=r"not UDP|no such socket"):
                mr.UdpServer(shout, bind=f"fd://{number}").start()


NAMES = {one.name for one in SERVED}


@pytest.mark.parametrize(
    "pattern", [one for one in mr.patterns.all() if one.name not in NAMES], ids=repr
)
def test_patterns_that_place_connections_are_refused(pattern: Any) -> None:
    for chosen in (pattern, mr.patterns.multi_process(1, inner=pattern)):
        with pytest.raises(ValueError, match="no connections to accept"):
            mr.UdpServer(shout, pattern=chosen)


def test_options_are_checked() -> None:
    with pytest.raises(TypeError, match="handler"):
        mr.UdpServer("echo")  # type: ignore[arg-type]
    for limit in ("max_bytes", "batch", "unsent_datagrams", "max_calls"):
        with pytest.raises(ValueError, match=limit):
            mr.UdpServer(shout, **{limit: 0})
    with pytest.raises(ValueError, match="1024"):
        mr.UdpServer(shout, batch=1025).start()
    with pytest.raises(ValueError, match="UDP needs"):
        mr.UdpServer(shout, bind="unix:/nowhere").start()
    for address in ("nowhere", "host:", "host:65536"):
        with pytest.raises(ValueError, match="no address"), mr.udp_connect(address):
            pass
