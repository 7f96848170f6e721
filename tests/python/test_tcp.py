"""Plain TCP from Python: servers under every pattern, clients of both kinds, framing, counters."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import queue
import socket
import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import millrace as mr
import pytest
from millrace import errors

from tests.python.wire import Wire

LINES = mr.framing.lines(max_bytes=64)


def shout(connection: mr.tcp.Connection, line: bytes) -> bytes:
    return line.upper()


async def chat(connection: Any) -> None:
    async for line in connection:
        await connection.write(line.upper())


def plain_client(server: mr.TcpServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=10)


@pytest.mark.parametrize("handler", [shout, chat])
def test_every_pattern_answers_messages_in_order(pattern: Any, handler: Any) -> None:
    wanted = [b"%d: hello" % number for number in range(40)]
    with mr.TcpServer(handler, framing=LINES, pattern=pattern) as server:
        with mr.tcp_connect(server.address, framing=LINES) as connection:
            for line in wanted:
                connection.write(line)
            connection.end()
            assert list(connection) == [line.upper() for line in wanted]
        stats = server.stats().loops
    assert sum(loop["messages_in"] for loop in stats) == len(wanted)
    assert sum(loop["messages_out"] for loop in stats) == len(wanted)
    assert sum(loop["reads"] for loop in stats) > 0


def relay(connection: mr.tcp.Connection, line: bytes) -> bytes:
    address, text = line.decode().split()
    with mr.tcp_connect(address, timeout="10s") as other:
        other.write(text.encode())
        return other.readexactly(len(text))


def test_a_plain_handler_may_ask_another_server_and_wait(pattern: Any) -> None:
    with (
        mr.TcpServer(mr.tcp.echo) as other,
        mr.TcpServer(relay, framing=LINES, pattern=pattern) as server,
        mr.tcp_connect(server.address, framing=LINES, timeout="20s") as connection,
    ):
        for text in (b"one", b"two"):
            connection.write(f"{other.address} ".encode() + text)
            assert connection.receive() == text


def test_a_plain_handler_of_http_may_ask_a_server_of_tcp_and_wait(serve: Any, pattern: Any) -> None:
    app = mr.App()

    @app.get("/{port}/{text}")
    def ask(request: mr.Request) -> bytes:
        address = f"127.0.0.1:{request.path_params['port']}"
        text = request.path_params["text"].encode()
        with mr.tcp_connect(address, timeout="20s") as connection:
            connection.write(text)
            return connection.readexactly(len(text))

    with mr.TcpServer(mr.tcp.echo) as other, Wire(serve(app, pattern=pattern)) as wire:
        for text in ("one", "two"):
            assert wire.get(f"/{other.port}/{text}").text == text


@pytest.mark.in_process
def test_what_a_plain_handler_writes_to_another_server_leaves_before_it_returns(
    serve: Any, pattern: Any
) -> None:
    arrived = threading.Event()
    app = mr.App()

    def note(connection: mr.tcp.Connection, data: bytes) -> None:
        arrived.set()

    @app.get("/")
    def tell(request: mr.Request) -> str:
        arrived.clear()
        with mr.tcp_connect(other.address) as connection:
            connection.write(b"hello")
            return "arrived" if arrived.wait(20) else "lost"

    with mr.TcpServer(note) as other, Wire(serve(app, pattern=pattern)) as wire:
        for _ in range(20):  # letters of a worker that was quick so far are held together
            assert wire.get("/").text == "arrived"


def test_the_native_echo_keeps_every_byte(pattern: Any) -> None:
    sent = bytes(range(256)) * 8000
    with (
        mr.TcpServer(mr.tcp.echo, pattern=pattern) as server,
        mr.tcp_connect(server.address, timeout="30s") as connection,
    ):
        writer = threading.Thread(target=connection.write, args=(sent,))
        writer.start()
        assert connection.readexactly(len(sent)) == sent
        writer.join()


def test_the_coroutine_client_runs_on_any_loop() -> None:
    async def main(address: str) -> None:
        async with mr.tcp_connect(address) as connection:
            await connection.write(b"one\ntwo\nthree" + b"x" * 300_000)
            assert await connection.readline() == b"one\n"
            assert await connection.readexactly(4) == b"two\n"
            connection.end()
            rest = b""
            while part := await connection.read():
                rest += part
            assert rest == b"three" + b"x" * 300_000

    with mr.TcpServer(mr.tcp.echo) as server:
        asyncio.run(main(server.address))


def test_a_message_at_the_limit_passes_and_one_beyond_ends_the_connection() -> None:
    framing = mr.framing.length_prefixed(bytes=2, max_bytes=5)
    with mr.TcpServer(shout, framing=framing) as server, plain_client(server) as client:
        client.sendall(struct.pack(">H", 5) + b"fiver")
        assert client.recv(7, socket.MSG_WAITALL) == b"\x00\x05FIVER"
        client.sendall(struct.pack(">H", 6))
        assert client.recv(1) == b""
        assert server.stats().loops[0]["protocol_errors"] == 1


def wait_until(is_true: Callable[[], bool]) -> bool:
    until = time.monotonic() + 20
    while not is_true() and time.monotonic() < until:
        time.sleep(0.01)
    return is_true()


def closed(server: mr.TcpServer) -> Callable[[], bool]:
    return lambda: server.stats().total("connections_open") == 0


def slow(connection: mr.tcp.Connection, line: bytes) -> bytes:
    time.sleep(0.02)
    return line.upper()


async def slow_chat(connection: Any) -> None:
    async for line in connection:
        await asyncio.sleep(0.02)
        await connection.write(line.upper())


@pytest.mark.parametrize("handler", [slow, slow_chat])
def test_answers_to_what_came_before_a_refusal_are_sent(pattern: Any, handler: Any) -> None:
    framing = mr.framing.lines(max_bytes=5)
    with (
        mr.TcpServer(handler, framing=framing, pattern=pattern) as server,
        plain_client(server) as client,
    ):
        client.sendall(b"one\ntwo\nthree\n123456\nfour\n")
        assert client.makefile("rb").read() == b"ONE\nTWO\nTHREE\n"
        assert server.stats().total("protocol_errors") == 1


def test_a_refusal_does_not_destroy_the_answer_before_it() -> None:
    framing = mr.framing.lines(max_bytes=5)
    with mr.TcpServer(shout, framing=framing) as server, plain_client(server) as client:
        # More than one read takes: the rest is unread when the line is refused.
        client.sendall(b"hello\n" + b"x" * 300_000)
        assert client.makefile("rb").read() == b"HELLO\n"  # to the end, not to a reset
        assert server.stats().total("connections_open") == 1
        client.shutdown(socket.SHUT_WR)
        assert wait_until(closed(server))
        assert server.stats().total("protocol_errors") == 1


def test_a_refused_peer_is_listened_to_for_a_while_and_no_longer() -> None:
    framing = mr.framing.lines(max_bytes=5)
    with mr.TcpServer(shout, framing=framing) as server:
        with plain_client(server) as talker:
            with pytest.raises(ConnectionError):
                talker.sendall(b"x" * 64_000_000)
        with plain_client(server) as silent:
            silent.sendall(b"x" * 6)
            assert silent.recv(1) == b""
            assert wait_until(closed(server))


def test_a_coroutine_hears_of_a_refusal_at_once() -> None:
    heard: queue.Queue[BaseException] = queue.Queue()

    async def listen(connection: Any) -> None:
        try:
            async for _ in connection:
                pass
        except errors.MillraceError as error:
            heard.put(error)

    framing = mr.framing.lines(max_bytes=5)
    with mr.TcpServer(listen, framing=framing) as server, plain_client(server) as client:
        client.sendall(b"x" * 6)
        assert isinstance(heard.get(timeout=20), errors.MessageTooLarge)
        assert client.recv(1) == b""


def values_at_both_ends(server: mr.TcpServer, level: int, option: int) -> list[int]:
    """Of the connections to a server of this process, whose two ends are both here."""
    found = []
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # the folder's own descriptor is gone by now
            if not str(link.readlink()).startswith("socket:"):
                continue
            with socket.socket(fileno=os.dup(int(link.name))) as one:
                is_tcp = one.family == socket.AF_INET
                if is_tcp and server.port in (one.getpeername()[1], one.getsockname()[1]):
                    found.append(one.getsockopt(level, option))
    return found


@pytest.mark.in_process
@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [("receive_buffer", 30_000, 60_000), ("send_buffer", 40_000, 80_000)],
)
def test_socket_options_reach_both_ends(
    pattern: Any, option: str, value: int, expected: int
) -> None:
    number = {"receive_buffer": socket.SO_RCVBUF, "send_buffer": socket.SO_SNDBUF}[option]
    wanted = mr.SocketOptions(**{option: value})
    with (
        mr.TcpServer(mr.tcp.echo, pattern=pattern, socket_options=wanted) as server,
        mr.tcp_connect(server.address, socket_options=wanted) as connection,
    ):
        connection.write(b"hello")
        assert connection.read() == b"hello"
        assert values_at_both_ends(server, socket.SOL_SOCKET, number) == [expected, expected]
        assert server.socket_report()[option].effective == expected


def test_what_the_kernel_does_not_take_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    wanted = mr.SocketOptions(congestion_control="nonesuch")
    with mr.TcpServer(shout, socket_options=wanted) as server:
        assert [row.name for row in server.socket_report().problems] == ["congestion_control"]
    assert "congestion_control" in caplog.text


def test_a_backlog_is_given_once() -> None:
    with pytest.raises(ValueError, match="backlog is given twice"):
        mr.TcpServer(shout, backlog=5, socket_options=mr.SocketOptions(backlog=6))


def test_a_client_hears_what_the_server_broke() -> None:
    def too_long(connection: mr.tcp.Connection, data: bytes) -> bytes:
        return b"123456\n"

    with mr.TcpServer(too_long) as server:
        framing = mr.framing.lines(max_bytes=5)
        with mr.tcp_connect(server.address, framing=framing) as connection:
            connection.write(b"go")
            with pytest.raises(errors.MessageTooLarge):
                connection.receive()
            with pytest.raises(errors.MillraceError):
                connection.write(b"123456")


def test_a_read_without_answer_times_out() -> None:
    def silent(connection: mr.tcp.Connection, data: bytes) -> None:
        return None

    with (
        mr.TcpServer(silent) as server,
        mr.tcp_connect(server.address, timeout="50ms") as connection,
    ):
        connection.write(b"hello")
        with pytest.raises(errors.ReadTimeout):
            connection.read()


def test_nobody_listening_is_a_connect_error() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        with (
            pytest.raises(errors.ConnectError) as raised,
            mr.tcp_connect(f"127.0.0.1:{port}"),
        ):
            pass
    assert raised.value.safe_to_retry


def test_a_handler_that_raises_is_logged_and_its_connection_reset(
    pattern: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(connection: mr.tcp.Connection, data: bytes) -> bytes:
        raise KeyError("gone")

    with caplog.at_level(logging.ERROR), mr.TcpServer(broken, pattern=pattern) as server:
        with plain_client(server) as client:
            client.sendall(b"x")
            with pytest.raises(ConnectionResetError):
                client.recv(1)
    assert "KeyError" in caplog.text


def test_a_clients_address_has_so_many_connections() -> None:
    with (
        mr.TcpServer(mr.tcp.echo, max_connections_per_address=1) as server,
        plain_client(server) as one,
    ):
        one.sendall(b"x")
        assert one.recv(1) == b"x"
        with plain_client(server) as other:
            assert other.recv(1) == b""
        assert server.stats().total("connections_refused_address") == 1
        assert server.stats().total("connections_refused") == 0


def test_a_reset_cancels_the_coroutine() -> None:
    began, cancelled = threading.Event(), threading.Event()

    async def waits(connection: Any) -> None:
        await connection.read(1)
        began.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    with mr.TcpServer(waits) as server:
        client = plain_client(server)
        client.sendall(b"x")
        assert began.wait(20)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        assert cancelled.wait(20)


def test_a_slow_reader_holds_its_writer_back() -> None:
    most = []

    async def floods(connection: Any) -> None:
        for _ in range(200):
            await connection.write(b"x" * 100_000)
            most.append(connection.unsent_bytes)

    with mr.TcpServer(floods) as server, mr.tcp_connect(server.address) as connection:
        assert len(connection.readexactly(20_000_000)) == 20_000_000
    assert max(most) < 400_000


def test_stop_ends_the_input_of_coroutines() -> None:
    server = mr.TcpServer(chat, framing=LINES).start()
    with mr.tcp_connect(server.address, framing=LINES) as connection:
        connection.write(b"hello")
        assert connection.receive() == b"HELLO"
        server.stop(drain="20s")
        assert connection.receive() is None


def test_options_are_checked() -> None:
    with pytest.raises(TypeError, match="handler"):
        mr.TcpServer("echo")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="max_connections"):
        mr.TcpServer(shout, max_connections=0)
    with pytest.raises(ValueError, match="1, 2, 4 or 8"):
        mr.framing.length_prefixed(bytes=3)
    with pytest.raises(ValueError, match="no address"), mr.tcp_connect("nowhere"):
        pass


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("step", ["make_async_connection", "begin_connection"])
def test_a_connection_that_cannot_begin_is_broken_off(
    step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import millrace._host

    def fail(*arguments: object) -> None:
        del arguments  # the exception keeps its frame, and the token is among them
        raise MemoryError

    monkeypatch.setattr(millrace._host, step, fail)
    with mr.TcpServer(chat, framing=LINES) as server:
        with contextlib.suppress(ConnectionResetError), plain_client(server) as client:
            assert client.recv(1) == b""
        until = time.monotonic() + 10
        while server.stats()["in_flight"] and time.monotonic() < until:
            time.sleep(0.005)
        assert server.stats()["in_flight"] == 0
