"""UDP: servers and clients of datagrams, on the reactor that serves HTTP."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from millrace import _core, errors
from millrace.handler_server import (
    AnyPattern,
    HandlerServer,
    bind_list,
    is_coroutine_function,
    positive,
)
from millrace.patterns import Pattern
from millrace.units import byte_count, seconds

if TYPE_CHECKING:
    from millrace.patterns import MultiProcess, Subinterpreters
    from millrace.supervisor.listeners import Listeners

__all__ = ["AsyncUdpClient", "UdpClient", "UdpServer", "echo", "udp_connect"]

# The engine has the defaults.
_SERVER = _core.UdpServerOptions()

# No datagram is longer: the length field of RFC 768 has 16 bits.
_MOST_BYTES = 65_535


def echo(data: bytes, peer: tuple[str, int]) -> bytes:
    """Send back what came. As a server's handler it is the engine's own and never enters Python."""
    return data


class UdpServer(HandlerServer):
    """Serves UDP with one handler; a context manager.

    Parameters
    ----------
    handler:
        A plain function, ``handler(data, (host, port)) -> bytes | None``, called for each datagram
        where the pattern says; what it returns is sent back. What it raises is logged.
    bind:
        ``"host:port"`` or ``"[::1]:port"``, or several; port 0 is chosen by the kernel.
    pattern:
        `patterns.single_thread`, `patterns.reuseport_shards` (a socket per loop; the kernel spreads
        peers over them) or `patterns.acceptor_queue_workers` (handlers on workers; where their
        queue is full a datagram is dropped and counted). The others place connections on loops,
        and datagrams have none.
    max_bytes:
        A longer datagram is dropped and counted as ``datagrams_too_large``.
    batch:
        Datagrams that one system call reads or sends at most.
    unsent_datagrams:
        Answers that wait for room in the kernel's buffer; one more is dropped and counted.
    receive_buffer, send_buffer:
        The kernel's buffers in bytes (SO_RCVBUF, SO_SNDBUF; socket(7)); None: the kernel's choice.
    drain:
        What `stop` gives to calls under way.

    Raises
    ------
    TypeError
        The handler is a coroutine function, or cannot be called.
    ValueError
        A limit is not more than zero, or the pattern is not one of plain threads.

    Examples
    --------
    >>> import millrace as mr
    >>> def shout(data, peer):
    ...     return data.upper()
    >>> with mr.UdpServer(shout) as server, mr.udp_connect(server.address) as client:
    ...     client.send(b"hello")
    ...     client.recv()
    b'HELLO'
    """

    def __init__(
        self,
        handler: Callable[[bytes, tuple[str, int]], Any],
        *,
        bind: str | Sequence[str] = "127.0.0.1:0",
        pattern: AnyPattern | None = None,
        max_bytes: int | str = _SERVER.datagram_bytes,
        batch: int = _SERVER.batch,
        unsent_datagrams: int = _SERVER.unsent_datagrams,
        receive_buffer: int | str | None = None,
        send_buffer: int | str | None = None,
        drain: float | str = "10s",
    ) -> None:
        given = locals()
        if not callable(handler):
            raise TypeError(f"handler is {handler!r}: write def handler(data, peer)")
        if is_coroutine_function(handler):
            raise TypeError(
                f"handler {handler!r} is a coroutine function: UDP is served by plain functions; "
                "for handlers that wait use pattern=millrace.patterns.acceptor_queue_workers()"
            )
        super().__init__("udp", handler, pattern, drain, given)
        if not isinstance(self._pattern, Pattern):
            raise ValueError(
                f"pattern={pattern!r}: UDP is served by one process in this version; use a pattern "
                "of threads, such as millrace.patterns.reuseport_shards()"
            )
        self._options = options = _core.UdpServerOptions()
        options.bind = bind_list(bind)
        options.recipe = self._pattern.recipe()
        options.datagram_bytes = positive("max_bytes", byte_count(max_bytes))
        options.batch = positive("batch", batch)
        options.unsent_datagrams = positive("unsent_datagrams", unsent_datagrams)
        if receive_buffer is not None:
            options.receive_buffer = positive("receive_buffer", byte_count(receive_buffer))
        if send_buffer is not None:
            options.send_buffer = positive("send_buffer", byte_count(send_buffer))

    def _make_engine(self) -> _core.Server:
        if self._handler is echo:
            return _core.serve_datagram_echo(self._options)
        return _core.serve_datagrams(self._options, self._handler)

    def _make_listeners(self, pattern: MultiProcess | Subinterpreters) -> Listeners:
        raise NotImplementedError


class UdpClient:
    """A socket that sends to one peer and hears only that one; made by `udp_connect`."""

    def __init__(self, made: socket.socket, timeout: float | None) -> None:
        self._socket = made
        self._timeout = timeout
        made.settimeout(timeout)

    def send(self, data: bytes | bytearray | memoryview) -> None:
        """Send a datagram; whether it arrives nobody says.

        Raises
        ------
        LocalProtocolError
            It is longer than a datagram can be.
        ConnectError
            Nobody listened there when the one before arrived (ICMP).
        """
        with _translated(self._timeout, "write_timeout", "the kernel takes nothing"):
            self._socket.send(data)

    def recv(self) -> bytes:
        """Return the next datagram.

        Raises
        ------
        ReadTimeout
            Nothing came in time: the question or its answer may be lost.
        ConnectError
            Nobody listens there (ICMP).
        """
        with _translated(self._timeout, "read_timeout", "nothing came"):
            return self._socket.recv(_MOST_BYTES)


class AsyncUdpClient:
    """As `UdpClient`, for coroutines."""

    def __init__(self, made: socket.socket) -> None:
        self._socket = made
        made.setblocking(False)

    async def send(self, data: bytes | bytearray | memoryview) -> None:
        """Send a datagram; see `UdpClient.send`."""
        with _translated(None, "write_timeout", ""):
            await asyncio.get_running_loop().sock_sendall(self._socket, data)

    async def recv(self) -> bytes:
        """Return the next datagram; see `UdpClient.recv`."""
        with _translated(None, "read_timeout", ""):
            return await asyncio.get_running_loop().sock_recv(self._socket, _MOST_BYTES)


class udp_connect:  # noqa: N801 - called like a function
    """Open a UDP socket that talks to one peer, with ``with`` or ``async with``.

    The one gives a `UdpClient`, the other an `AsyncUdpClient`. Nothing is sent for that.

    Parameters
    ----------
    address:
        ``"host:port"`` or ``"[::1]:port"``; a name is resolved, and its first address is taken.
    timeout:
        For each `UdpClient.recv`; None waits for ever. In coroutines use ``asyncio.timeout``.

    Raises
    ------
    ValueError
        It is no address.
    OSError
        The name is not known, or there is no route.

    Examples
    --------
    >>> import millrace as mr
    >>> with mr.UdpServer(mr.udp.echo) as server, mr.udp_connect(server.address) as client:
    ...     client.send(b"hello")
    ...     client.recv()
    b'hello'
    """

    def __init__(self, address: str, *, timeout: float | str | None = "5s") -> None:
        host, _, port = address.rpartition(":")
        if not host or not port.isascii() or not port.isdigit() or int(port) > _MOST_BYTES:
            raise ValueError(f"{address!r} is no address: write 'host:port'")
        self._host = host[1:-1] if host.startswith("[") and host.endswith("]") else host
        self._port = int(port)
        self._timeout = None if timeout is None else seconds(timeout)
        self._socket: socket.socket | None = None

    def __enter__(self) -> UdpClient:
        return UdpClient(self._open(), self._timeout)

    def __exit__(self, *error: object) -> None:
        self._close()

    async def __aenter__(self) -> AsyncUdpClient:
        return AsyncUdpClient(await asyncio.to_thread(self._open))

    async def __aexit__(self, *error: object) -> None:
        self._close()

    def _open(self) -> socket.socket:
        found = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_DGRAM)
        family, kind, protocol, _, where = found[0]
        self._socket = made = socket.socket(family, kind, protocol)
        try:
            made.connect(where)
        except BaseException:
            made.close()
            raise
        return made

    def _close(self) -> None:
        if self._socket is not None:
            self._socket.close()


@contextmanager
def _translated(timeout: float | None, code: str, what: str) -> Iterator[None]:
    try:
        yield
    except TimeoutError as error:
        raise errors.from_code(code, f"{what} for {timeout} s") from error
    except ConnectionRefusedError as error:
        raise errors.from_code("connection_refused", "nobody listens there") from error
    except OSError as error:
        if error.errno != errno.EMSGSIZE:
            raise
        raise errors.from_code("invalid_message", "no datagram is that long", "RFC 768") from error
