"""What signals make a serving process do, besides stopping."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable

from millrace.errors import WorkerFailed
from millrace.notify import Notifier
from millrace.patterns import MultiProcess
from millrace.server import Server
from millrace.supervisor.handover import start_successor

__all__ = ["Steering"]

_log = logging.getLogger("millrace.error")

# How long a successor without workers may take to serve: as `multi_process` gives a worker.
_START_TIMEOUT_S = 60.0


class _Following(threading.Thread):
    """Follows one signal; only tells of it once it ``is_done``.

    Who is told may ask for more at once.
    """

    def __init__(
        self, number: int, follow: Callable[[int], None], tell: Callable[[int], None]
    ) -> None:
        super().__init__(name="millrace-steering")
        self.number = number
        self.is_done = threading.Event()
        self._follow, self._tell = follow, tell

    def run(self) -> None:
        """Do what the signal says, and tell."""
        try:
            self._follow(self.number)
        finally:
            self.is_done.set()
            self._tell(self.number)


class Steering:
    """SIGHUP rolls the workers, SIGUSR2 lets a new process take over; each on its own thread.

    Parameters
    ----------
    server:
        What is steered.
    notifier:
        Tells a service manager of a roll, and of the successor.
    time_to_stop:
        Called when a successor serves, and when the workers were given up.
    """

    def __init__(
        self, server: Server, notifier: Notifier, time_to_stop: Callable[[], None]
    ) -> None:
        self._server = server
        self._notifier = notifier
        self._time_to_stop = server._when_failed = time_to_stop
        self._following: _Following | None = None  # the last signal's
        self._is_stopping = threading.Event()
        self.numbers = Steering.signals(server)
        self.has_successor = False

    @staticmethod
    def signals(server: Server) -> list[signal.Signals]:
        """Return the signals that mean something to a server; only workers can be rolled."""
        rolled = [signal.SIGHUP] if isinstance(server.pattern, MultiProcess) else []
        return [*rolled, signal.SIGUSR2]

    def act(self, number: int) -> None:
        """Do what a signal says; where another one is being followed, say that it is ignored.

        Called by one thread only.
        """
        if self._following is not None:
            if not self._following.is_done.is_set():
                _log.warning("another roll or hand-over is under way: the signal is ignored")
                return
            self._following.join()
        self._following = _Following(number, self._follow, self._tell)
        self._following.start()

    def stop(self) -> None:
        """Hand over no more: a successor serves when this returns, or is gone. Before the server
        stops, as it closes what would be handed over."""
        self._is_stopping.set()
        if self._following is not None and self._following.number == signal.SIGUSR2:
            self._following.join()

    def _follow(self, number: int) -> None:
        try:
            if number == signal.SIGHUP:
                self._roll()
            else:
                self._succeed()
        except (WorkerFailed, RuntimeError, OSError) as error:
            who = "workers serve" if signal.SIGHUP in self.numbers else "process serves"
            _log.error("%s; the old %s on", error, who)

    def _tell(self, number: int) -> None:
        if number == signal.SIGHUP:
            self._notifier.ready(f"serving on {', '.join(self._server.urls)}")

    def _roll(self) -> None:
        _log.info("SIGHUP: new workers take over, one by one")
        self._notifier.reloading()
        self._server.roll()
        _log.info("all workers are new")

    def _succeed(self) -> None:
        _log.info("SIGUSR2: a new process is started")
        pattern = self._server.pattern
        patience = pattern.start_timeout if isinstance(pattern, MultiProcess) else _START_TIMEOUT_S
        pid = start_successor(
            self._server._lend(), patience, self._notifier.environment, self._is_over
        )
        if pid is None:
            _log.info("the new process is ended, as this one stops")
            return
        self._server._leave_paths()
        self._notifier.hand_over(pid)
        _log.info("the new process (pid %d) serves; this one leaves", pid)
        self.has_successor = True
        self._time_to_stop()

    def _is_over(self) -> bool:
        return self._is_stopping.is_set() or not self._server.is_running
