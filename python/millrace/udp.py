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
from millrace.patterns import Pattern
from millrace.udp_client import AsyncUdpClient, UdpClient, UdpClientStats, udp_connect
from millrace.units import byte_count

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
