"""What servers of one plain handler share, whatever the transport."""

from __future__ import annotations

import asyncio
import inspect
import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Self

from millrace import _core, observe, patterns
from millrace.patterns import Pattern
from millrace.sockets import SocketReport

__all__ = ["HandlerServer", "bind_list", "is_coroutine_function", "positive"]


class HandlerServer(ABC):
    """The life of a server with one handler; a context manager, plain and async."""

    def __init__(self, pattern: Pattern | None, *, transport: str) -> None:
        if pattern is not None and not isinstance(pattern, Pattern):
            raise ValueError(
                f"pattern={pattern!r}: {transport} is served by one process in this version; use a "
                "pattern of threads, such as millrace.patterns.reuseport_shards()"
            )
        self._pattern = pattern if pattern is not None else patterns.single_thread()
        self._lock = threading.Lock()
        self._core: _core.Server | None = None
        self._is_running = False

    def __repr__(self) -> str:
        where = ", ".join(self.addresses) if self._is_running else "not running"
        return f"<{type(self).__name__} {where}, {self._pattern!r}>"

    @property
    def addresses(self) -> list[str]:
        """Where it is bound, each as its clients take it."""
        return self._running_core().endpoints

    @property
    def address(self) -> str:
        """The first of `addresses`."""
        return self.addresses[0]

    @property
    def port(self) -> int:
        """The first port it is bound to."""
        return self._running_core().ports[0]

    def start(self) -> Self:
        """Bind and serve.

        Raises
        ------
        OSError
            The address is in use or not available; nothing is left running.
        RuntimeError
            It is running.
        ValueError
            The pattern does not fit the transport.
        """
        with self._lock:
            if self._is_running:
                raise RuntimeError("the server is running: stop it before it is started again")
            self._core = core = self._make_core()
            core.listen()
            SocketReport(core.socket_reports()).log_problems()
            try:
                core.run_loops()
                core.accept()
            except BaseException:
                core.stop_loops()
                raise
            self._is_running = True
        return self

    def stats(self) -> observe.Stats:
        """Return what the engine counted, per loop: system calls, bytes, copies, drops."""
        return observe.Stats(self._last_core().stats())

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *error: object) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        return await asyncio.to_thread(self.start)

    async def __aexit__(self, *error: object) -> None:
        await asyncio.to_thread(self.stop)

    @abstractmethod
    def stop(self) -> None:
        """End all threads; nothing where it is not running."""

    @abstractmethod
    def _make_core(self) -> _core.Server:
        """Return the engine's server of the options and the handler."""

    def _stop(self, drain_s: float | None) -> None:
        """End all threads, after calls under way got their time where there is one."""
        with self._lock:
            if not self._is_running:
                return
            core = self._running_core()
            core.stop_accepting()  # raises on a thread of the server's own
            try:
                if drain_s is not None:
                    core.drain(drain_s)
            finally:
                core.stop_loops()
                self._is_running = False

    def _running_core(self) -> _core.Server:
        if self._core is None or not self._is_running:
            raise RuntimeError("the server is not running: start it, or use it in a `with`")
        return self._core

    def _last_core(self) -> _core.Server:
        if self._core is None:
            raise RuntimeError("the server has not been started yet")
        return self._core


def bind_list(bind: str | Sequence[str]) -> list[str]:
    """Return one address or several as a list that is not empty."""
    addresses = [bind] if isinstance(bind, str) else list(bind)
    if not addresses:
        raise ValueError("bind is empty: name at least one address, such as '127.0.0.1:0'")
    return addresses


def is_coroutine_function(handler: object) -> bool:
    """Whether calling it, or its ``__call__``, makes a coroutine."""
    call = getattr(handler, "__call__", None)  # noqa: B004 - an object whose call is a coroutine
    return inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(call)


def positive(name: str, value: Any) -> Any:
    """Return a limit that is more than zero."""
    if value <= 0:
        raise ValueError(f"{name}={value!r}: a limit is more than zero")
    return value
