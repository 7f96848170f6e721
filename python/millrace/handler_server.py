"""What servers of one plain handler share, whatever the transport."""

from __future__ import annotations

import inspect
import time
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from millrace import _core, observe
from millrace.life import AnyPattern, Life, ServedBy
from millrace.patterns import MultiProcess, Pattern, Subinterpreters
from millrace.sockets import SocketReport

if TYPE_CHECKING:
    from millrace.supervisor.listeners import Listeners

__all__ = ["AnyPattern", "HandlerServer", "bind_list", "is_coroutine_function", "positive"]

# How long one wait takes, so that a hasty stop is heard.
_SLICE_S = 0.1

# Arguments that a worker gets another way: a descriptor per address, the inner pattern.
_NOT_FOR_WORKERS = {"self", "__class__", "handler", "bind", "pattern", "backlog"}


class HandlerServer(Life):
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
        super().__init__(pattern, drain)
        self._kind = kind
        self._handler = handler
        self._arguments = {name: arguments[name] for name in arguments.keys() - _NOT_FOR_WORKERS}

    def __repr__(self) -> str:
        where = ", ".join(self.addresses) if self.is_running else "not running"
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
        self._stop_within(drain, self._stop)

    def stats(self) -> observe.Stats:
        """Return what the engine counted, per loop: system calls, bytes, copies, drops."""
        return observe.Stats(self._last_core().stats())

    def socket_report(self) -> SocketReport:
        """Return what the kernel made of the socket options, in this run or the last one."""
        return SocketReport(self._last_core().socket_reports())

    @abstractmethod
    def _make_engine(self) -> _core.Server:
        """Return the engine's server of the options and the handler."""

    @abstractmethod
    def _make_listeners(self, pattern: MultiProcess | Subinterpreters) -> Listeners:
        """Return the sockets that all workers are lent, not open yet."""

    def _make_core(self) -> ServedBy:
        if isinstance(self._pattern, Pattern):
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

    def _start(self) -> None:
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
        self._serves()

    def _stop(self, patience: float) -> None:
        core = self._running_core()
        core.stop_accepting()  # raises on a thread of the server's own
        try:
            self._let_finish(core, patience)
        finally:
            core.stop_loops()
            self._has_ended()

    def _let_finish(self, core: ServedBy, patience: float) -> None:
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
