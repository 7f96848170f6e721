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
        self._is_busy = threading.Event()
        self._thread: threading.Thread | None = None
        self._handing_over: threading.Thread | None = None
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
        if self._is_busy.is_set():
            _log.warning("another roll or hand-over is under way: the signal is ignored")
            return
        if self._thread is not None:
            self._thread.join()  # it only tells that it is done
        self._is_busy.set()
        work = self._roll if number == signal.SIGHUP else self._succeed
        thread = threading.Thread(target=self._alone, args=(work,), name="millrace-steering")
        self._thread = thread
        self._handing_over = None if number == signal.SIGHUP else thread
        thread.start()

    def stop(self) -> None:
        """Hand over no more: a successor serves when this returns, or is gone. Before the server
        stops, as it closes what would be handed over."""
        self._is_stopping.set()
        if self._handing_over is not None:
            self._handing_over.join()

    def _alone(self, work: Callable[[], None]) -> None:
        try:
            work()
        except (WorkerFailed, RuntimeError, OSError) as error:
            who = "workers serve" if signal.SIGHUP in self.numbers else "process serves"
            _log.error("%s; the old %s on", error, who)
        finally:
            self._is_busy.clear()

    def _roll(self) -> None:
        _log.info("SIGHUP: new workers take over, one by one")
        self._notifier.reloading()
        try:
            self._server.roll()
        finally:
            self._is_busy.clear()  # first: who hears that it is done may ask for more at once
            self._notifier.ready(f"serving on {', '.join(self._server.urls)}")
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
