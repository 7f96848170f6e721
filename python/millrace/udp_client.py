"""UDP with one peer, on the reactor that serves HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from millrace import _core, errors
from millrace.handler_server import positive
from millrace.sockets import SocketOptions, SocketReport, for_datagrams
from millrace.units import seconds
from millrace.waiting import AsyncWaiting, Waiting

__all__ = ["AsyncUdpClient", "UdpClient", "UdpClientStats", "udp_connect"]

# The engine has the defaults.
_CLIENT = _core.UdpClientOptions()

# Datagrams that are handed over at a time: one call of the engine, with bounded memory.
_MANY = 1024

_NOTHING_CAME = {"code": "read_timeout", "what": "nothing came"}
_NO_ROOM = {"code": "write_timeout", "what": "the kernel takes nothing"}


@dataclass(frozen=True, kw_only=True)
class UdpClientStats:
    """What a UDP client has done so far; `udp_connect`.

    Parameters
    ----------
    reads, writes:
        System calls: recvmmsg(2) and sendmmsg(2).
    messages_in, messages_out:
        Datagrams.
    bytes_in, bytes_out:
        Their bytes.
    datagrams_joined_in, datagrams_joined_out:
        Of the datagrams, those that went through the kernel in groups (UDP_GRO, UDP_SEGMENT).
    datagrams_dropped:
        Came when ``unread_datagrams`` waited already.
    datagrams_lost:
        Dropped by the kernel, its receive buffer being full; told with the next one that arrives.
    writes_blocked:
        Calls that the kernel took nothing of, its send buffer being full.
    """

    reads: int
    writes: int
    messages_in: int
    messages_out: int
    bytes_in: int
    bytes_out: int
    datagrams_joined_in: int
    datagrams_joined_out: int
    datagrams_dropped: int
    datagrams_lost: int
    writes_blocked: int


class _Client:
    """What both twins have; any thread may use it."""

    def __init__(self, core: _core.DatagramConversation) -> None:
        self._core = core

    def __repr__(self) -> str:
        return f"<{type(self).__name__} with {self.peer!r}>"

    @property
    def peer(self) -> tuple[str, int]:
        """Who is at the other end: host and port."""
        return self._core.peer

    @property
    def is_closed(self) -> bool:
        """Whether it has been closed; a peer cannot close it."""
        return self._core.is_closed

    def stats(self) -> UdpClientStats:
        """Return its counters."""
        return UdpClientStats(**self._core.counters())

    def socket_report(self) -> SocketReport:
        """Return what the kernel made of the socket options, under the peer's address.

        What it refused or changed is logged as a warning too, when the client is opened.
        """
        return SocketReport(self._core.socket_reports())

    def close(self) -> None:
        """Close the socket; whoever waits is told by `ReadError`, and iteration ends."""
        self._core.close()

    def _take(self, at_most: int) -> list[bytes] | None:
        return self._core.take(positive("at_most", at_most))

    def _send(self, data: bytes | bytearray | memoryview) -> bool | None:
        return self._core.send_one(data) or None

    def _send_some(self, datagrams: list[Any], begin: int) -> int | None:
        return self._core.send(datagrams, begin) or None


class UdpClient(_Client):
    """A socket that sends to one peer and hears only that one; made by `udp_connect`."""

    def __init__(self, core: _core.DatagramConversation, timeout: float | None) -> None:
        super().__init__(core)
        self._until = Waiting(core, timeout).until

    def send(self, data: bytes | bytearray | memoryview) -> None:
        """Hand a datagram to the kernel; whether it arrives nobody says.

        Raises
        ------
        LocalProtocolError
            It is longer than a datagram can be (RFC 768).
        ConnectError
            The network said that nobody is there, of one sent before (ICMP); told once, and this
            one has not been sent.
        WriteTimeout
            The kernel's buffer stayed full.
        ReadError
            The client is closed.
        """
        self._until(self._send, data, **_NO_ROOM)

    def send_many(self, datagrams: Iterable[bytes | bytearray | memoryview]) -> None:
        """Send datagrams in order, many with each system call.

        Runs of equal size leave as one message that the kernel cuts up (UDP_SEGMENT; udp(7)).

        Raises
        ------
        LocalProtocolError, ConnectError, WriteTimeout, ReadError
            As `send`; those before it have been sent.
        """
        for chunk in _chunks(datagrams):
            sent = 0
            while sent < len(chunk):
                sent += self._until(self._send_some, chunk, sent, **_NO_ROOM)

    def recv(self) -> bytes:
        """Return the next datagram.

        Raises
        ------
        ReadTimeout
            Nothing came in time: the question or its answer may be lost.
        ConnectError
            The network said that nobody is there (ICMP); told once.
        ReadError
            The client is closed.
        """
        return bytes(self._until(self._core.take_one, **_NOTHING_CAME))

    def recv_many(self, at_most: int = _MANY) -> list[bytes]:
        """Return 1 to ``at_most`` datagrams, as soon as there are any.

        Raises
        ------
        ReadTimeout, ConnectError, ReadError
            As `recv`.
        """
        return list(self._until(self._take, at_most, **_NOTHING_CAME))

    def __iter__(self) -> Iterator[bytes]:
        """Iterate over datagrams until the client is closed; `ReadTimeout` as `recv`."""
        while not self.is_closed:
            try:
                datagram = self.recv()
            except errors.ReadError:
                return
            yield datagram


class AsyncUdpClient(_Client):
    """As `UdpClient`, for coroutines on any asyncio loop; timeouts are ``asyncio.timeout``."""

    def __init__(self, core: _core.DatagramConversation) -> None:
        super().__init__(core)
        self._until = AsyncWaiting(_core.Bell(core)).until

    async def send(self, data: bytes | bytearray | memoryview) -> None:
        """Hand a datagram to the kernel; see `UdpClient.send`."""
        await self._until(self._send, data)

    async def send_many(self, datagrams: Iterable[bytes | bytearray | memoryview]) -> None:
        """Send datagrams in order; see `UdpClient.send_many`."""
        for chunk in _chunks(datagrams):
            sent = 0
            while sent < len(chunk):
                sent += await self._until(self._send_some, chunk, sent)

    async def recv(self) -> bytes:
        """Return the next datagram; see `UdpClient.recv`."""
        return bytes(await self._until(self._core.take_one))

    async def recv_many(self, at_most: int = _MANY) -> list[bytes]:
        """Return 1 to ``at_most`` datagrams; see `UdpClient.recv_many`."""
        return list(await self._until(self._take, at_most))

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Iterate over datagrams until the client is closed."""
        while not self.is_closed:
            try:
                datagram = await self.recv()
            except errors.ReadError:
                return
            yield datagram


class udp_connect:  # noqa: N801 - called like a function
    """Open a UDP socket that talks to one peer, with ``with`` or ``async with``.

    The one gives a `UdpClient`, the other an `AsyncUdpClient`. Nothing is sent for that.

    Parameters
    ----------
    address:
        ``"host:port"`` or ``"[::1]:port"``; a name is resolved, and the first of its addresses that
        there is a way to is taken.
    timeout:
        For each read and write of the plain twin; None waits for ever. In coroutines use
        ``asyncio.timeout``.
    unread_datagrams:
        What waits in memory until it is received; one more is dropped and counted.
    socket_options:
        What the socket is asked to be: ``receive_buffer`` and ``send_buffer``, see `SocketOptions`.

    Raises
    ------
    ValueError
        It is no address, or an option is none of UDP's.
    ConnectError
        The name is not known, or there is no way to its addresses.

    Examples
    --------
    >>> import millrace as mr
    >>> with mr.UdpServer(mr.udp.echo) as server, mr.udp_connect(server.address) as client:
    ...     client.send_many([b"hello", b"again"])
    ...     client.recv(), client.recv()
    (b'hello', b'again')
    """

    def __init__(
        self,
        address: str,
        *,
        timeout: float | str | None = "5s",
        unread_datagrams: int = _CLIENT.unread_datagrams,
        socket_options: SocketOptions | None = None,
    ) -> None:
        self._address = address
        self._timeout = None if timeout is None else seconds(timeout)
        self._options = _core.UdpClientOptions()
        self._options.unread_datagrams = positive("unread_datagrams", unread_datagrams)
        self._options.socket = for_datagrams(socket_options or SocketOptions())
        self._options.check()
        self._core: _core.DatagramConversation | None = None

    def __enter__(self) -> UdpClient:
        return UdpClient(self._connect(), self._timeout)

    def __exit__(self, *error: object) -> None:
        self._close()

    async def __aenter__(self) -> AsyncUdpClient:
        return AsyncUdpClient(await asyncio.to_thread(self._connect))

    async def __aexit__(self, *error: object) -> None:
        self._close()

    def _connect(self) -> _core.DatagramConversation:
        self._core = core = _core.connect_datagrams(self._address, self._options)
        SocketReport(core.socket_reports()).log_problems()
        return core

    def _close(self) -> None:
        if self._core is not None:
            self._core.close()


def _chunks(datagrams: Iterable[Any]) -> Iterator[list[Any]]:
    source = iter(datagrams)
    while chunk := list(islice(source, _MANY)):
        yield chunk
