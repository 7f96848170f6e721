"""Plain TCP from Python: servers under every pattern, clients of both kinds, framing, counters."""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
import threading
from typing import Any

import millrace as mr
import pytest
from millrace import errors

LINES = mr.framing.lines(max_bytes=64)

# Plain TCP is served by one process.
pytestmark = pytest.mark.in_process


def shout(connection: mr.tcp.Connection, line: bytes) -> bytes:
    return line.upper()


async def chat(connection: Any) -> None:
    async for line in connection:
        await connection.write(line.upper())


def plain_client(server: mr.TcpServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=10)


@pytest.mark.parametrize("handler", [shout, chat])
def test_every_pattern_answers_messages_in_order(pattern: mr.Pattern, handler: Any) -> None:
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


def test_the_native_echo_keeps_every_byte(pattern: mr.Pattern) -> None:
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
    pattern: mr.Pattern, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(connection: mr.tcp.Connection, data: bytes) -> bytes:
        raise KeyError("gone")

    with caplog.at_level(logging.ERROR), mr.TcpServer(broken, pattern=pattern) as server:
        with plain_client(server) as client:
            client.sendall(b"x")
            with pytest.raises(ConnectionResetError):
                client.recv(1)
    assert "KeyError" in caplog.text


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
    with pytest.raises(ValueError, match="one process"):
        mr.TcpServer(shout, pattern=mr.patterns.multi_process(2))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="1, 2, 4 or 8"):
        mr.framing.length_prefixed(bytes=3)
    with pytest.raises(ValueError, match="no address"), mr.tcp_connect("nowhere"):
        pass
