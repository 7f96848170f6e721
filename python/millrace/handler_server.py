"""What servers of one plain handler share, whatever the transport."""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self, cast

from millrace import _core, observe, patterns, running
from millrace.patterns import MultiProcess, Pattern, Subinterpreters
from millrace.sockets import SocketReport
from millrace.units import seconds

if TYPE_CHECKING:
    from millrace.subinterpreters.pool import Interpreters
    from millrace.supervisor.listeners import Listeners
    from millrace.supervisor.supervisor import Supervisor
    from millrace.supervisor.table import Workers

__all__ = ["AnyPattern", "HandlerServer", "bind_list", "is_coroutine_function", "positive"]

_log = logging.getLogger("millrace.error")

AnyPattern = Pattern | MultiProcess | Subinterpreters

# How long one wait takes, so that a hasty stop is heard.
_SLICE_S = 0.1

# Arguments that a worker gets another way: a descriptor per address, the inner pattern.
_NOT_FOR_WORKERS = {"self", "__class__", "handler", "bind", "pattern", "backlog"}


class HandlerServer(ABC):
    """The life of a server with one handler; a context manager, plain and async.

    Parameters
    ----------
    kind:
        What workers make of it: a row of `millrace.supervisor.kinds`.
    handler, pattern, drain:
        As the server was given them.
    arguments:
        All that it was given, by name.
    """

    def __init__(
        self,
        kind: str,
        handler: Callable[..., Any],
        pattern: AnyPattern | None,
        drain: float | str,
        arguments: Mapping[str, Any],
    ) -> None:
        self._kind = kind
        self._handler = handler
        self._pattern = pattern if pattern is not None else patterns.single_thread()
        self._drain_s = seconds(drain)
        self._arguments = {name: arguments[name] for name in arguments.keys() - _NOT_FOR_WORKERS}
        # Why the worker processes were given up; empty while all is well.
        self.failure = ""
        self._core: _core.Server | Supervisor | Interpreters | None = None
        self._is_running = False
        self._make_locks()

    def __repr__(self) -> str:
        where = ", ".join(self.addresses) if self._is_running else "not running"
        return f"<{type(self).__name__} {where}, {self._pattern!r}>"

    @property
    def is_running(self) -> bool:
        """Whether it is between `start` and `stop`."""
        return self._is_running

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
        NotPicklable
            The handler cannot be sent to a worker.
        OSError
            The address is in use or not available; nothing is left running.
        RuntimeError
            It is running.
        ValueError
            The pattern does not fit the transport.
        WorkerFailed
            A worker process could not start.
        """
        with self._lock:
            if self._is_running:
                raise RuntimeError("the server is running: stop it before it is started again")
            self._core = core = self._make_core()
            core.listen()
            try:
                if isinstance(core, _core.Server):  # workers say it themselves
                    SocketReport(core.socket_reports()).log_problems()
                core.run_loops()
                core.accept()
            except BaseException:
                core.stop_loops()
                raise
            self.failure = ""
            self._hurry.clear()
            self._is_running = True
            running.add(self)
        return self

    def stop(self, *, drain: float | str | None = None) -> None:
        """Take nothing more in, let handlers finish with what has come, end all threads.

        Does nothing where it is not running.

        Parameters
        ----------
        drain:
            What calls under way get instead of the server's own value; 0 cuts off at once.

        Raises
        ------
        WrongState
            Called by a handler, which would wait for itself.
        """
        patience = self._drain_s if drain is None else seconds(drain)
        if patience == 0:
            self.hurry()
        with self._lock:
            if self._is_running:
                self._stop(patience)

    def hurry(self) -> None:
        """Make a `stop` that waits in another thread cut off what is under way."""
        self._hurry.set()

    def stats(self) -> observe.Stats:
        """Return what the engine counted, per loop: system calls, bytes, copies, drops."""
        return observe.Stats(self._last_core().stats())

    def workers(self) -> Workers:
        """Return a table of the worker processes; their requests are messages.

        Raises
        ------
        RuntimeError
            The pattern is not `millrace.patterns.multi_process`, or it is not running.
        """
        from millrace.supervisor.table import Workers

        return Workers(self._supervisor().workers())

    def roll(self) -> None:
        """Replace every worker process by a new one, one by one.

        The new ones import the handler's module afresh. Returns when the last old one is gone.

        Raises
        ------
        WorkerFailed
            A new one did not start; the old ones that are left serve on.
        RuntimeError
            The pattern is not `millrace.patterns.multi_process`, or it is not running.
        """
        self._supervisor().roll()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *error: object) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        return await asyncio.to_thread(self.start)

    async def __aexit__(self, *error: object) -> None:
        await asyncio.to_thread(self.stop)

    @abstractmethod
    def _make_engine(self) -> _core.Server:
        """Return the engine's server of the options and the handler."""

    @abstractmethod
    def _make_listeners(self, pattern: MultiProcess | Subinterpreters) -> Listeners:
        """Return the sockets that all workers are lent, not open yet."""

    def _make_core(self) -> _core.Server | Supervisor | Interpreters:
        if isinstance(self._pattern, Pattern):
            # What the bridge uses: no connection should be the one that waits for imports.
            import millrace._host  # noqa: F401

            return self._make_engine()
        # Imported here: a server of one process has no need for it, and a worker must not.
        from millrace.supervisor.assembly import assemble_handler

        return assemble_handler(
            self._kind,
            self._handler,
            self._pattern,
            listeners=self._make_listeners(self._pattern),
            drain=self._drain_s,
            arguments=self._arguments,
            on_failure=self._on_failure,
        )

    def _stop(self, patience: float) -> None:
        core = self._running_core()
        core.stop_accepting()  # raises on a thread of the server's own
        try:
            self._let_finish(core, patience)
        finally:
            core.stop_loops()
            self._is_running = False
            running.discard(self)

    def _let_finish(self, core: _core.Server | Supervisor | Interpreters, patience: float) -> None:
        if not isinstance(core, _core.Server):
            core.drain(0)
            core.wait_for_end(patience, self._hurry.is_set)
            return
        until = time.monotonic() + patience
        while True:
            left = max(0.0, until - time.monotonic())
            core.drain(min(_SLICE_S, left))
            counted = core.stats()
            is_idle = counted["connections"] == counted["in_flight"] == 0
            if is_idle or left == 0 or self._hurry.is_set():
                return

    def _on_failure(self, why: str) -> None:
        """The workers are given up, on a thread of its own."""
        _log.error("the server stops: %s", why)
        self.failure = why
        self.stop(drain=0)

    def _make_locks(self) -> None:
        self._lock = threading.Lock()
        self._hurry = threading.Event()

    def _forget(self) -> None:
        """In the child of a fork: the threads are the parent's, and nothing may be waited for."""
        self._make_locks()
        self._is_running = False
        if self._core is not None and not isinstance(self._core, _core.Server):
            self._core.forget()

    def _engine(self) -> _core.Server:
        core = self._last_core()
        if not isinstance(core, _core.Server):
            raise RuntimeError(
                "the sockets are in workers, which this cannot look into yet: serve by a pattern "
                "of one process, or look with ss(8)"
            )
        return core

    def _supervisor(self) -> Supervisor:
        core = self._running_core()
        if not isinstance(self._pattern, MultiProcess):
            raise RuntimeError(
                "the server has one process: it has workers with "
                "pattern=millrace.patterns.multi_process(2)"
            )
        return cast("Supervisor", core)

    def _running_core(self) -> _core.Server | Supervisor | Interpreters:
        if not self._is_running:
            raise RuntimeError("the server is not running: start it, or use it in a `with`")
        return self._last_core()

    def _last_core(self) -> _core.Server | Supervisor | Interpreters:
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
