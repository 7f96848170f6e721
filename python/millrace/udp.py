"""UDP: servers of datagrams, on the reactor that serves HTTP; the client is `udp_connect`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from millrace import _core
from millrace.handler_server import (
    AnyPattern,
    HandlerServer,
    bind_list,
    is_coroutine_function,
    positive,
)
from millrace.receive_queues import ReceiveQueues
from millrace.sockets import SocketOptions, for_datagrams
from millrace.supervisor.listeners import DatagramSockets, Layout
from millrace.udp_client import AsyncUdpClient, UdpClient, UdpClientStats, udp_connect
from millrace.units import byte_count, seconds

if TYPE_CHECKING:
    from millrace.patterns import MultiProcess, Subinterpreters
    from millrace.supervisor.listeners import Listeners

__all__ = [
    "AsyncUdpClient",
    "UdpClient",
    "UdpClientStats",
    "UdpServer",
    "echo",
    "udp_connect",
]

# The engine has the defaults.
_SERVER = _core.UdpServerOptions()


def echo(data: bytes, peer: tuple[str, int]) -> bytes:
    """Send back what came. As a server's handler it is the engine's own and never enters Python."""
    return data


class UdpServer(HandlerServer):
    """Serves UDP with one handler; a context manager.

    Parameters
    ----------
    handler:
        ``handler(data, (host, port)) -> bytes | None``, called for each datagram; what it returns
        is sent back, what it raises is logged. A plain function runs where the pattern says, a
        coroutine function as a task of the server's asyncio loop.
    bind:
        ``"host:port"`` or ``"[::1]:port"``, or several; port 0 is chosen by the kernel.
    pattern:
        `patterns.single_thread`, `patterns.reuseport_shards` (a socket per loop; the kernel spreads
        peers over them) or `patterns.acceptor_queue_workers` (handlers on workers; where their
        queue is full a datagram is dropped and counted). The others place connections on loops,
        and datagrams have none. With `patterns.multi_process`, which may have any of the three
        inside, other processes serve, with `patterns.subinterpreters` other interpreters.
    max_bytes:
        A longer datagram is dropped and counted as ``datagrams_too_large``.
    batch:
        Datagrams that one system call reads or sends at most.
    unsent_datagrams:
        Answers that wait for room in the kernel's buffer; one more is dropped and counted.
    socket_options:
        What its sockets are asked to be: ``receive_buffer``, ``send_buffer``, ``reuse_port``,
        ``v6_only`` and ``incoming_cpu`` mean something for UDP; see `socket_report`.
    max_calls:
        Calls of a coroutine handler under way; one more datagram is dropped and counted.
    handler_stuck:
        A handler that has kept its thread for so long is named in the log, as of `Limits`; 0: none
        is.
    drain:
        What `stop` gives to calls under way; coroutines that are left then are cancelled.

    Raises
    ------
    TypeError
        The handler cannot be called.
    ValueError
        A limit is not more than zero, the pattern places connections, or a socket option means
        nothing to UDP.

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
        max_calls: int = _SERVER.calls,
        socket_options: SocketOptions | None = None,
        handler_stuck: float | str = _SERVER.handler_stuck,
        drain: float | str = "10s",
    ) -> None:
        given = locals()
        if not callable(handler):
            raise TypeError(f"handler is {handler!r}: write def handler(data, peer)")
        super().__init__("udp", handler, pattern, drain, given)
        self._options = options = _core.UdpServerOptions()
        options.bind = bind_list(bind)
        options.recipe = self._pattern.recipe()
        options.datagram_bytes = positive("max_bytes", byte_count(max_bytes))
        options.batch = positive("batch", batch)
        options.unsent_datagrams = positive("unsent_datagrams", unsent_datagrams)
        options.calls = positive("max_calls", max_calls)
        options.handler_stuck = seconds(handler_stuck)
        wanted = socket_options or SocketOptions()
        options.socket = for_datagrams(wanted, Layout.of(self._pattern).total)
        options.check()

    def receive_queues(self) -> ReceiveQueues:
        """Return what waits at each socket to be read, and how much had no room there.

        Nothing where it is stopped. A socket that worker processes share is one row, whoever reads.

        Examples
        --------
        >>> import millrace as mr
        >>> options = mr.SocketOptions(receive_buffer="64KiB")
        >>> with mr.UdpServer(mr.udp.echo, socket_options=options) as server:
        ...     (queue,) = server.receive_queues()
        >>> queue.waiting_bytes, queue.limit_bytes, queue.drops
        (0, 131072, 0)
        """
        return ReceiveQueues(self._last_core().receive_queues())

    def _make_engine(self) -> _core.Server:
        if self._handler is echo:
            return _core.serve_datagram_echo(self._options, None)
        if is_coroutine_function(self._handler):
            return _core.serve_datagram_coroutine(self._options, self._handler)
        return _core.serve_datagrams(self._options, self._handler)

    def _make_listeners(self, pattern: MultiProcess | Subinterpreters) -> Listeners:
        return DatagramSockets(self._options.bind, self._options.socket, Layout.of(pattern))
