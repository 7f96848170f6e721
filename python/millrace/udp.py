"""UDP: servers and clients of datagrams, on the reactor that serves HTTP."""

from __future__ import annotations

import asyncio
import errno
import inspect
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from millrace import _core, errors, observe, patterns
from millrace.patterns import Pattern
from millrace.units import byte_count, seconds

__all__ = ["AsyncUdpClient", "UdpClient", "UdpServer", "echo", "udp_connect"]

# The engine has the defaults.
_SERVER = _core.UdpServerOptions()

# No datagram is longer: the length field of RFC 768 has 16 bits.
_MOST_BYTES = 65_535


def echo(data: bytes, peer: tuple[str, int]) -> bytes:
    """Send back what came. As a server's handler it is the engine's own and never enters Python."""
    return data


class UdpServer:
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
        pattern: Pattern | None = None,
        max_bytes: int | str = _SERVER.datagram_bytes,
        batch: int = _SERVER.batch,
        unsent_datagrams: int = _SERVER.unsent_datagrams,
        receive_buffer: int | str | None = None,
        send_buffer: int | str | None = None,
    ) -> None:
        if not callable(handler):
            raise TypeError(f"handler is {handler!r}: write def handler(data, peer)")
        call = getattr(handler, "__call__", None)  # noqa: B004 - an object whose call is a coroutine
        if inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(call):
            raise TypeError(
                f"handler {handler!r} is a coroutine function: UDP is served by plain functions; "
                "for handlers that wait use pattern=millrace.patterns.acceptor_queue_workers()"
            )
        if pattern is not None and not isinstance(pattern, Pattern):
            raise ValueError(
                f"pattern={pattern!r}: UDP is served by one process in this version; use a "
                "pattern of threads, such as millrace.patterns.reuseport_shards()"
            )
        self._handler = handler
        self._pattern = pattern if pattern is not None else patterns.single_thread()
        self._options = options = _core.UdpServerOptions()
        options.bind = [bind] if isinstance(bind, str) else list(bind)
        if not options.bind:
            raise ValueError("bind is empty: name at least one address, such as '127.0.0.1:0'")
        options.recipe = self._pattern.recipe()
        options.datagram_bytes = _positive("max_bytes", byte_count(max_bytes))
        options.batch = _positive("batch", batch)
        options.unsent_datagrams = _positive("unsent_datagrams", unsent_datagrams)
        if receive_buffer is not None:
            options.receive_buffer = _positive("receive_buffer", byte_count(receive_buffer))
        if send_buffer is not None:
            options.send_buffer = _positive("send_buffer", byte_count(send_buffer))
        self._lock = threading.Lock()
        self._core: _core.Server | None = None
        self._is_running = False

    def __repr__(self) -> str:
        where = ", ".join(self.addresses) if self._is_running else "not running"
        return f"<UdpServer {where}, {self._pattern!r}>"

    @property
    def addresses(self) -> list[str]:
        """Where it is bound, each as `udp_connect` takes it."""
        return self._running_core().endpoints

    @property
    def address(self) -> str:
        """The first of `addresses`."""
        return self.addresses[0]

    @property
    def port(self) -> int:
        """The first port it is bound to."""
        return self._running_core().ports[0]

    def start(self) -> UdpServer:
        """Bind and read.

        Raises
        ------
        OSError
            The address is in use or not available; nothing is left running.
        RuntimeError
            It is running.
        ValueError
            The pattern places connections.
        """
        with self._lock:
            if self._is_running:
                raise RuntimeError("the server is running: stop it before it is started again")
            if self._handler is echo:
                core = _core.serve_datagram_echo(self._options)
            else:
                core = _core.serve_datagrams(self._options, self._handler)
            core.listen()
            try:
                core.run_loops()
                core.accept()
            except BaseException:
                core.stop_loops()
                raise
            self._core = core
            self._is_running = True
        return self

    def stop(self) -> None:
        """Read no more, answer what has been read, end all threads.

        Raises
        ------
        WrongState
            Called by a handler, which would wait for itself.
        """
        with self._lock:
            if not self._is_running:
                return
            core = self._running_core()
            core.stop_accepting()  # raises on a thread of the server's own
            core.stop_loops()
            self._is_running = False

    def stats(self) -> observe.Stats:
        """Return what the engine counted, per loop: system calls, datagrams, bytes, drops."""
        if self._core is None:
            raise RuntimeError("the server has not been started yet")
        return observe.Stats(self._core.stats())

    def __enter__(self) -> UdpServer:
        return self.start()

    def __exit__(self, *error: object) -> None:
        self.stop()

    async def __aenter__(self) -> UdpServer:
        return await asyncio.to_thread(self.start)

    async def __aexit__(self, *error: object) -> None:
        await asyncio.to_thread(self.stop)

    def _running_core(self) -> _core.Server:
        if self._core is None or not self._is_running:
            raise RuntimeError("the server is not running: start it, or use it in a `with`")
        return self._core


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


def _positive(name: str, value: Any) -> Any:
    if value <= 0:
        raise ValueError(f"{name}={value!r}: a limit is more than zero")
    return value
