"""Plain TCP: servers and connections, with messages or without, on the reactor that serves HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from millrace import _core, errors
from millrace.connected import Connected
from millrace.framing import Framing
from millrace.handler_server import (
    AnyPattern,
    HandlerServer,
    bind_list,
    is_coroutine_function,
    positive,
)
from millrace.sockets import SocketOptions, chosen_backlog
from millrace.supervisor.listeners import Layout, Listeners
from millrace.units import byte_count, seconds
from millrace.waiting import Waiting

if TYPE_CHECKING:
    from millrace.patterns import MultiProcess, Subinterpreters

__all__ = ["Connection", "TcpConnection", "TcpServer", "echo", "tcp_connect"]

# The engine has the defaults.
_SERVER = _core.TcpServerOptions()
_STREAM = _core.StreamOptions()

# What one read takes at most, where it is not told.
_READ_BYTES = 64 * 1024


class Connection:
    """One side of a TCP connection; what a plain handler is given. Any thread may use it."""

    def __init__(self, core: _core.Conversation) -> None:
        self._core = core

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._core.number} with {self.peer!r}>"

    @property
    def peer(self) -> tuple[str, int] | str | None:
        """Who is at the other end: host and port, or the path of a Unix socket."""
        return self._core.peer

    @property
    def is_closed(self) -> bool:
        """Whether both sides have ended, or the connection broke."""
        return self._core.is_closed

    @property
    def unsent_bytes(self) -> int:
        """What was written and is still to be taken by the kernel."""
        return self._core.unsent_bytes

    def write(self, data: bytes | bytearray | memoryview) -> Any:
        """Send bytes, or a message where there is framing; it does not wait.

        What the peer does not take is kept. A handler that writes far more than it reads looks at
        `unsent_bytes`, or is a coroutine.

        Raises
        ------
        LocalProtocolError
            The message does not fit the framing, or this side has been ended.
        ReadError
            The connection is closed.
        """
        self._core.write(data)

    def end(self) -> None:
        """End this side, behind what was written (FIN); the peer may go on sending."""
        self._core.finish()

    def close(self) -> None:
        """End both sides, behind what was written."""
        self._core.close()

    def abort(self) -> None:
        """Reset the connection (RST); what was not sent is lost."""
        self._core.abort()

    def _room(self) -> bool | None:
        return self._core.has_room() or None


class TcpConnection(Connection):
    """A client's connection that waits; made by `tcp_connect`.

    With framing `receive` and iteration give messages; without, `read`, `readexactly` and
    `readline` give bytes.
    """

    def __init__(self, core: _core.Conversation, timeout: float | None) -> None:
        super().__init__(core)
        self._until = Waiting(core, timeout).until

    def receive(self) -> bytes | None:
        """Return the next message, or None where the peer has ended.

        Raises
        ------
        ReadTimeout
            Nothing came in time.
        RemoteProtocolError
            The peer ended inside a message, or sent one above the limit.
        """
        got = self._ask(self._core.take_message, 0)
        return None if got is False else got

    def __iter__(self) -> Iterator[bytes]:
        """Iterate over messages until the peer ends."""
        while (message := self.receive()) is not None:
            yield message

    def read(self, most: int = _READ_BYTES) -> bytes:
        """Return 1 to ``most`` bytes, as soon as there are any; none where the peer has ended."""
        return self._ask(self._core.take_some, most) or b""

    def readexactly(self, count: int) -> bytes:
        """Return so many bytes; `RemoteProtocolError` where the peer ends before."""
        got = self._ask(self._core.take_exactly, count)
        if got is False:
            raise errors.from_code("incomplete_message", f"0 of {count} bytes had come")
        return bytes(got)

    def readline(self, most: int = _READ_BYTES) -> bytes:
        """Return a line with its LF, which only the last may lack; nothing at the end."""
        return self._ask(self._core.take_line, most) or b""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send bytes, or a message; waits while more is unsent than the high-water mark.

        Raises
        ------
        WriteTimeout
            The peer did not take it in time.
        """
        if not self._core.write_at_once(data):
            self._until(self._room, code="write_timeout", what="the peer takes nothing")

    def __enter__(self) -> TcpConnection:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _ask(self, take: Callable[[int], Any], count: int) -> Any:
        return self._until(take, count, code="read_timeout", what="nothing came")


def echo(connection: Connection, data: bytes) -> bytes:
    """Send back what came. As a server's handler it is the engine's own and never enters Python."""
    return data


class tcp_connect:  # noqa: N801 - called like a function
    """Connect to a TCP server, with ``with`` or ``async with``.

    The one gives a `TcpConnection`, the other an `AsyncConnection`.

    Parameters
    ----------
    address:
        ``"host:port"``, ``"[::1]:port"`` or ``"unix:/path"``; a name is resolved, and its addresses
        are tried in turn.
    timeout:
        For connecting, and for each read and write of the plain twin; None waits for ever. In
        coroutines use ``asyncio.timeout``.
    framing:
        What messages are; None for bytes.
    socket_options:
        What the socket is asked to be before it connects; what the kernel refuses is left out. With
        ``fast_open=1`` the first write goes with the SYN where the server has given a cookie before
        (RFC 7413): connecting then says nothing about the server, a `ConnectError` comes with the
        first write or read, nothing is sent before the first write, and that write may reach the
        server twice. So only where the client speaks first, and its first message is safe to
        repeat.

    Raises
    ------
    ConnectError
        Nobody listens there. Nothing was sent: safe to retry.
    ConnectTimeout
        No connection in time. Safe to retry.

    Examples
    --------
    >>> import millrace as mr
    >>> with mr.TcpServer(mr.tcp.echo) as server, mr.tcp_connect(server.address) as connection:
    ...     connection.write(b"hello")
    ...     connection.read()
    b'hello'
    """

    def __init__(
        self,
        address: str,
        *,
        timeout: float | str | None = "5s",
        framing: Framing | None = None,
        socket_options: SocketOptions | None = None,
    ) -> None:
        self._address = address
        self._timeout = None if timeout is None else seconds(timeout)
        self._options = _core.StreamOptions()
        self._options.framing = framing if framing is not None else Framing()
        self._options.idle_timeout = 0.0  # clients have their own timeouts
        self._socket = (socket_options or SocketOptions()).to_engine()
        self._connection: Any = None

    def __enter__(self) -> TcpConnection:
        self._connection = connection = TcpConnection(self._connect(), self._timeout)
        return connection

    def __exit__(self, *error: object) -> None:
        self._connection.close()

    async def __aenter__(self) -> Any:
        from millrace.aio import AsyncConnection

        core = await asyncio.to_thread(self._connect)
        self._connection = AsyncConnection(core, _core.Bell(core))
        return self._connection

    async def __aexit__(self, *error: object) -> None:
        self._connection.close()

    def _connect(self) -> _core.Conversation:
        patience = float("inf") if self._timeout is None else self._timeout
        return _core.connect(self._address, patience, self._options, self._socket)


class TcpServer(HandlerServer, Connected):
    """Serves plain TCP with one handler, under any execution pattern; a context manager.

    A plain function is called with the connection and each message (without framing: with what
    each read brought), one at a time per connection and in order, where the pattern says; what it
    returns is sent. A coroutine function is called once per connection and reads for itself.

    Parameters
    ----------
    handler:
        ``handler(connection, data) -> bytes | None``, or ``async def handler(connection)``. What it
        raises is logged, and its connection reset.
    bind:
        As of `Server`.
    pattern:
        Who accepts, who owns connections, who runs handlers; one thread for all by default. With
        `patterns.multi_process` other processes serve, with `patterns.subinterpreters` other
        interpreters, each with its own copy of the handler.
    framing:
        What messages are, see `millrace.framing`; a message above its limit ends the connection.
    max_connections:
        Open connections; one more is closed at once.
    max_connections_per_address:
        Of these, from one client address, as of `Limits`; one more is closed at once. 0: no limit.
    idle_timeout:
        A connection without traffic for so long is reset; 0 for never.
    write_timeout:
        For a peer that does not take what it is sent; then the connection is reset.
    high_water_bytes:
        Unsent bytes per connection above which nothing is read from its peer; also what waits in
        memory for a coroutine or a worker.
    backlog:
        Connections the kernel keeps until they are accepted.
    socket_options:
        What listening sockets and connections are asked to be; see `socket_report`.
    handler_stuck:
        A handler that has kept its thread for so long is named in the log, as of `Limits`; 0: none
        is.
    drain:
        What `stop` gives to calls under way.

    Examples
    --------
    >>> import millrace as mr
    >>> def shout(connection, line):
    ...     return line.upper()
    >>> with mr.TcpServer(shout, framing=mr.framing.lines()) as server:
    ...     with mr.tcp_connect(server.address, framing=mr.framing.lines()) as connection:
    ...         connection.write(b"hello")
    ...         connection.receive()
    b'HELLO'
    """

    def __init__(
        self,
        handler: Callable[..., Any],
        *,
        bind: str | Sequence[str] = "127.0.0.1:0",
        pattern: AnyPattern | None = None,
        framing: Framing | None = None,
        max_connections: int = _SERVER.max_connections,
        max_connections_per_address: int = _SERVER.max_connections_per_address,
        idle_timeout: float | str = _STREAM.idle_timeout,
        write_timeout: float | str = _STREAM.write_timeout,
        high_water_bytes: int | str = _STREAM.high_water_bytes,
        backlog: int | None = None,
        socket_options: SocketOptions | None = None,
        handler_stuck: float | str = _SERVER.handler_stuck,
        drain: float | str = "10s",
    ) -> None:
        given = locals()
        if not callable(handler):
            raise TypeError(f"handler is {handler!r}: write def handler(connection, data)")
        super().__init__("tcp", handler, pattern, drain, given)
        options = _core.TcpServerOptions()
        options.bind = bind_list(bind)
        options.recipe = self._pattern.recipe()
        wanted = socket_options or SocketOptions()
        options.socket = wanted.to_engine(Layout.of(self._pattern).total)
        options.backlog = chosen_backlog(backlog, wanted, options.backlog)
        options.max_connections = positive("max_connections", max_connections)
        options.max_connections_per_address = byte_count(max_connections_per_address)
        options.handler_stuck = seconds(handler_stuck)
        stream = _core.StreamOptions()
        stream.framing = framing if framing is not None else Framing()
        stream.idle_timeout = seconds(idle_timeout)
        stream.write_timeout = positive("write_timeout", seconds(write_timeout))
        stream.high_water_bytes = positive("high_water_bytes", byte_count(high_water_bytes))
        stream.low_water_bytes = stream.high_water_bytes // 4
        options.stream = stream
        self._options = options

    def _make_engine(self) -> _core.Server:
        if self._handler is echo:
            return _core.serve_echo(self._options, None)
        if is_coroutine_function(self._handler):
            return _core.serve_coroutine(self._options, self._handler)
        return _core.serve_function(self._options, self._handler)

    def _make_listeners(self, pattern: MultiProcess | Subinterpreters) -> Listeners:
        options = self._options
        return Listeners(options.bind, options.backlog, options.socket, Layout.of(pattern), {})
