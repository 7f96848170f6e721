"""What servers of every kind share: they start and stop, one step at a time."""

from __future__ import annotations

import asyncio
import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Self, TypeAlias, cast

# What the bridge and requests use: no request should be the one that waits for imports, and a user
# that the process changes to may not be able to read them.
import millrace._host  # noqa: F401
from millrace import _core, patterns, running
from millrace.patterns import MultiProcess, Pattern, Subinterpreters
from millrace.units import seconds

if TYPE_CHECKING:
    from millrace.subinterpreters.pool import Interpreters
    from millrace.supervisor.supervisor import Supervisor
    from millrace.supervisor.table import Workers

__all__ = ["AnyPattern", "Life", "ServedBy"]

_log = logging.getLogger("millrace.error")

AnyPattern = Pattern | MultiProcess | Subinterpreters

# Who serves: this process, others, or other interpreters. All of them live and answer alike.
ServedBy: TypeAlias = "_core.Server | Supervisor | Interpreters"


class Life(ABC):
    """Started and stopped, as often as one likes; a context manager, plain and async.

    A kind of server adds `_start`, which runs under the lock, makes ``_core``, and ends with
    `_serves`; what it does to stop ends with `_has_ended`.
    """

    def __init__(self, pattern: AnyPattern | None, drain: float | str) -> None:
        self._drain_s = seconds(drain)
        if not isinstance(pattern, AnyPattern | None):
            raise TypeError(
                f"pattern={pattern!r}: use a value of millrace.patterns, such as single_thread(); "
                "millrace.patterns.parse() makes one of a text"
            )
        self._pattern = pattern if pattern is not None else patterns.single_thread()
        self._core: ServedBy | None = None
        # Why the worker processes were given up, and whom to tell; empty while all is well.
        self.failure = ""
        self._when_failed: Callable[[], None] = lambda: None
        self._make_locks()

    @property
    def is_running(self) -> bool:
        """Whether it is between `start` and `stop`."""
        return not self._stopped.is_set()

    def start(self) -> Self:
        """Listen and serve; returns when whoever connects is served.

        Raises
        ------
        NotPicklable
            What is served cannot be sent to a worker.
        OSError
            The address is in use or not available; nothing is left running.
        RuntimeError
            It is running.
        ValueError
            The pattern does not fit what is served.
        WorkerFailed
            A worker process could not start.
        """
        with self._lock:
            if self.is_running:
                raise RuntimeError("the server is running: stop it before it is started again")
            self._start()
        return self

    @abstractmethod
    def stop(self, *, drain: float | str | None = None) -> None:
        """End all threads; nothing where it is not running."""

    def hurry(self) -> None:
        """Make a `stop` that waits in another thread cut off what is under way."""
        self._hurry.set()

    def workers(self) -> Workers:
        """Return a table of the worker processes.

        Raises
        ------
        RuntimeError
            The pattern is not `millrace.patterns.multi_process`, or it is not running.
        """
        from millrace.supervisor.table import Workers

        return Workers(self._supervisor().workers())

    def roll(self) -> None:
        """Replace every worker process by a new one, one by one.

        The new ones import what they serve afresh. Over HTTP no request is lost. Returns when the
        last old one is gone.

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
    def _start(self) -> None: ...

    def _stop_within(self, drain: float | str | None, stop: Callable[[float], None]) -> None:
        """Stop where it runs, under the lock, with the seconds that calls under way get."""
        patience = self._drain_s if drain is None else seconds(drain)
        if patience == 0:
            self.hurry()
        with self._lock:
            if self.is_running:
                stop(patience)

    def _serves(self) -> None:
        self.failure = ""
        self._hurry.clear()
        self._stopped.clear()
        running.add(self)

    def _has_ended(self) -> None:
        running.discard(self)
        self._stopped.set()

    def _on_failure(self, why: str) -> None:
        """The workers are given up, on a thread of its own."""
        _log.error("the server stops: %s", why)
        self.failure = why
        self._when_failed()
        self.stop(drain=0)

    def _make_locks(self) -> None:
        self._lock = threading.Lock()
        self._hurry = threading.Event()
        self._stopped = threading.Event()
        self._stopped.set()

    def _forget(self) -> None:
        """In the child of a fork: the threads are the parent's, and nothing may be waited for."""
        self._make_locks()
        if self._core is not None and not isinstance(self._core, _core.Server):
            self._core.forget()

    def _supervisor(self) -> Supervisor:
        core = self._running_core()
        if not isinstance(self._pattern, MultiProcess):
            raise RuntimeError(
                "the server has one process: it has workers with "
                "pattern=millrace.patterns.multi_process(2)"
            )
        return cast("Supervisor", core)

    def _running_core(self) -> ServedBy:
        if not self.is_running:
            raise RuntimeError("the server is not running: start it, or use it in a `with`")
        return self._last_core()

    def _last_core(self) -> ServedBy:
        if self._core is None:
            raise RuntimeError("the server has not been started yet")
        return self._core
