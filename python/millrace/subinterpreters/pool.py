"""The half in the interpreter that the server was made in: it keeps the sockets and the others."""

from __future__ import annotations

# Its types are shared by all interpreters. The first one that imports it makes them, and the last
# one that ends takes them down with an allocator of its own, which is a crash unless both are this
# one (https://github.com/python/cpython/issues/136423).
import datetime  # noqa: F401
import json
import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from functools import reduce
from typing import Any, Literal

from millrace import _core
from millrace.connections import Connections, from_messages
from millrace.supervisor import totals
from millrace.supervisor.keeper import Keeper
from millrace.supervisor.listeners import Listeners
from millrace.supervisor.log_lines import replay
from millrace.supervisor.questions import LOOPS_SHARE

__all__ = ["Interpreters"]

_log = logging.getLogger("millrace.error")

_INSIDE = "millrace.subinterpreters.inside"

# How long one wait inside an interpreter takes; it hears nothing else meanwhile.
_SLICE_S = 0.05

# How long an interpreter has to answer a question; of one that does not, the last report counts.
_ANSWER_S = 1.0

# How long its loop may take to say what it works on, before it is asked again.
_LOOPS_S = 0.4

# CPython sets up modules of its own without a lock when interpreters import them: one at a time.
_starting = threading.Lock()


class Interpreters(Keeper):
    """Lives as the engine's own server does: listen, run_loops, accept, stop_accepting, drain,
    stop_loops. Each step once, by one thread at a time; what may be asked, from any thread.

    Parameters
    ----------
    count:
        How many interpreters.
    listeners:
        The sockets, which all of them share.
    pack:
        Makes what each is given, of the options that are its own; see
        `millrace.supervisor.luggage`.
    """

    def __init__(
        self, count: int, listeners: Listeners, pack: Callable[[dict[str, Any]], bytes]
    ) -> None:
        super().__init__(listeners)
        self._count = count
        self._pack = pack
        self._members: list[_Member] = []
        self._is_leaving = False
        self._calls_fd = -1  # an eventfd: somebody has log lines for us, or wants all metrics
        self._hearing: threading.Thread | None = None

    # --- life -----------------------------------------------------------------------------------

    def run_loops(self) -> None:
        """Make the interpreters; returns when all of them serve.

        Raises
        ------
        RuntimeError
            One could not start; the message says why.
        """
        for number in range(1, self._count + 1):
            luggage = self._pack(self._listeners.options_of(number - 1))
            with _starting:
                member = _Member(number)
                self._members.append(member)
                member.start(luggage)
        self._calls_fd = os.eventfd(0, os.EFD_CLOEXEC)
        self._hearing = threading.Thread(target=self._hear, name="millrace-hear", daemon=True)
        self._hearing.start()
        for member in self._members:
            member.tell({"call": self._calls_fd})

    def retire(self, seconds: float) -> int:
        """Tell all to leave when connections that rest were served once more.

        Waits, and returns how many connections are left.
        """
        self._leave("one_more")
        return self._wait(seconds, "connections")

    def drain(self, seconds: float) -> int:
        """Tell all to leave, wait, and return how many requests they still answer."""
        self._leave("close")
        return self._wait(seconds, "in_flight")

    def under_way(self, most: int, seconds: float) -> tuple[list[tuple[str, float]], int]:
        """Return what the engine's own server does, of all interpreters."""
        deadline = time.monotonic() + seconds
        while True:  # in slices: meanwhile an interpreter hears nothing else
            left = max(0.0, deadline - time.monotonic())
            words = {"under_way": most, "seconds": min(_LOOPS_S, left * LOOPS_SHARE)}
            told, silent = self._ask(words, left)
            reports = [report["under_way"] for report in told]
            rows, blocked = totals.join_under_way(reports, most, len(silent))
            if not blocked or left <= _LOOPS_S:
                return rows, blocked

    def wait_for_end(self, seconds: float, hurried: Callable[[], bool]) -> None:
        """Wait until all have left, lifespans and background work included."""
        deadline = time.monotonic() + seconds
        while not hurried() and time.monotonic() < deadline:
            self._wait(_SLICE_S, "in_flight")
            if all(member.has_left for member in self._members):
                return

    def stop_loops(self) -> None:
        """Cut off what is left, and end the interpreters."""
        for member in self._members:
            member.tell({"hurry": True})
        self._leave("close")
        while not all(member.has_left for member in self._members):
            self._wait(_SLICE_S, "in_flight")
        for member in self._members:
            member.end()
        if self._hearing is not None:
            os.eventfd_write(self._calls_fd, 1)  # there is nobody left to hear
            self._hearing.join()
            os.close(self._calls_fd)
            self._hearing = None
        self._listeners.close()

    def forget(self) -> None:
        """In the child of a fork: there is nothing to do, the interpreters are the parent's."""

    # --- what may be asked ----------------------------------------------------------------------

    def stats(self) -> totals.Stats:
        """Return what all interpreters counted, their loops side by side."""
        empty: totals.Stats = {}
        return reduce(totals.join_stats, (one["stats"] for one in self._reports()), empty)

    def journey(self) -> totals.JourneySum:
        """Return where the time went in all interpreters."""
        return totals.JourneySum.of(one["journey"] for one in self._reports())

    def metrics(self) -> list[Any]:
        """Return the metrics of all interpreters, added up; those of the process once."""
        families = [one["metrics"] for one in self._reports()]
        others = [[row for row in more if not row[0].startswith("process_")] for more in families]
        return _core.merge_metrics([*families[:1], *others[1:]])

    def connections(self, most: int, seconds: float) -> Connections:
        """Return the connections of all interpreters; one that does not say in time is named."""
        told, silent = self._ask({"connections": most, "seconds": seconds}, seconds + _ANSWER_S)
        return from_messages((report["connections"] for report in told), silent)

    def reopen_logs(self) -> None:
        """Open the access logs anew, in every interpreter."""
        for member in self._members:
            member.tell({"reopen_logs": True})

    def reset_journey(self) -> None:
        """Forget the journey recorded so far."""
        for member in self._members:
            member.tell({"reset_journey": True})

    def _reports(self) -> list[dict[str, Any]]:
        self._ask({}, _ANSWER_S)
        return [member.report for member in self._members if member.report]

    def _ask(
        self, words: dict[str, Any], patience: float
    ) -> tuple[list[dict[str, Any]], list[str]]:
        """Say something to all at the same time.

        Returns the reports that come in time, and the names of those that owe one.
        """
        asked = [(member, member.ask(words, patience)) for member in self._members]
        wait([report for _, report in asked], patience)
        told = [report.result() for _, report in asked if report.done()]
        silent = [f"interpreter {one.number}" for one, report in asked if not report.done()]
        return [report for report in told if report is not None], silent

    def _hear(self) -> None:
        """On a thread of its own: do what the interpreters wake us for.

        The logging of this interpreter gets what they log, and who was asked for metrics gets those
        of all, which are asked for after the question came.
        """
        while not all(member.has_ended for member in self._members):
            os.eventfd_read(self._calls_fd)
            self._reports()
            curious = [member for member in self._members if member.take_question()]
            if curious:
                text = _core.render_metrics(self.metrics())
                for member in curious:
                    member.ask({"metrics": text}, threading.TIMEOUT_MAX)  # it must hear

    def _leave(self, idle: Literal["close", "one_more"]) -> None:
        if not self._is_leaving:
            self._is_leaving = True
            for member in self._members:
                member.tell({"leave": idle})

    def _wait(self, seconds: float, what: str) -> int:
        deadline = time.monotonic() + seconds
        for member in self._members:
            while not member.has_left and (left := deadline - time.monotonic()) > 0:
                member.tell({"wait": min(left, _SLICE_S)})
        return sum(m.report["stats"][what] for m in self._members if not m.has_left)


class _Member:
    """One interpreter, and what it last told."""

    def __init__(self, number: int) -> None:
        self.number = number  # from 1
        self.report: dict[str, Any] = {}
        self._is_curious = False  # it wants the metrics of all
        self._interpreter: _core.Interpreter | None = _core.Interpreter(sys.path)
        self._lock = threading.Lock()

    def start(self, luggage: bytes) -> None:
        """Serve; raises RuntimeError with the reason where it cannot."""
        assert self._interpreter is not None
        told = json.loads(self._interpreter.call(_INSIDE, "start", luggage))
        _replay(told)
        if "failed" in told:
            _log.debug("interpreter %d cannot start:\n%s", self.number, told["traceback"])
            raise RuntimeError(f"interpreter {self.number} cannot start: {told['failed']}")
        self.report = told

    @property
    def has_ended(self) -> bool:
        """Whether the interpreter is gone."""
        return self._interpreter is None

    @property
    def has_left(self) -> bool:
        """Whether it serves no more, or never did."""
        return not self.report or self.report["has_left"] is True

    def tell(self, words: dict[str, Any]) -> None:
        """Say something to it, and keep its report. Nothing where it has left."""
        with self._lock:
            self._tell(words)

    def ask(self, words: dict[str, Any], patience: float) -> Future[dict[str, Any] | None]:
        """Say something to it on another thread, as it may be busy; None where it has left.

        Where even the words before these wait longer than `patience`, in seconds, there is no
        answer, and the future never done.
        """
        answer: Future[dict[str, Any] | None] = Future()
        if self.has_left:
            answer.set_result(None)
            return answer

        def ask() -> None:
            if self._lock.acquire(timeout=patience):
                try:
                    answer.set_result(self._tell(words))
                except BaseException as error:
                    answer.set_exception(error)
                finally:
                    self._lock.release()

        threading.Thread(target=ask, name=f"millrace-ask-{self.number}", daemon=True).start()
        return answer

    def take_question(self) -> bool:
        """Whether it wants the metrics of all; once each time."""
        if was_curious := self._is_curious:
            self._is_curious = False
        return was_curious

    def _tell(self, words: dict[str, Any]) -> dict[str, Any] | None:
        if self._interpreter is None or self.has_left:
            return None
        report: dict[str, Any] = json.loads(
            self._interpreter.call(_INSIDE, "obey", json.dumps(words).encode())
        )
        _replay(report)
        self._is_curious |= report["wants_metrics"]
        for row in report["connections"]["rows"] if "connections" in report else ():
            row["interpreter"] = self.number
        self.report = report
        return report

    def end(self) -> None:
        """End the interpreter, which has left."""
        with self._lock:
            interpreter, self._interpreter = self._interpreter, None
        if interpreter is not None:
            if self.report:
                interpreter.call(_INSIDE, "end", b"")
            interpreter.end()


def _replay(report: dict[str, Any]) -> None:
    for record in report.pop("log"):
        replay(record)
