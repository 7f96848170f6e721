"""The half in the interpreter that the server was made in: it keeps the sockets and the others."""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from functools import reduce
from typing import Any, Literal

from millrace import _core
from millrace.supervisor import totals
from millrace.supervisor.listeners import Listeners
from millrace.supervisor.log_lines import replay

__all__ = ["Interpreters"]

_log = logging.getLogger("millrace.error")

_INSIDE = "millrace.subinterpreters.inside"

# How long one wait inside an interpreter takes; it hears nothing else meanwhile.
_SLICE_S = 0.05

# CPython sets up modules of its own without a lock when interpreters import them: one at a time.
_starting = threading.Lock()


class Interpreters:
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
        self._count = count
        self._listeners = listeners
        self._pack = pack
        self._members: list[_Member] = []
        self._is_leaving = False
        self._endpoints: list[str] = []
        self._logs_fd = -1  # an eventfd: somebody has log lines for us
        self._replaying: threading.Thread | None = None

    # --- life -----------------------------------------------------------------------------------

    def listen(self) -> None:
        """Open the sockets."""
        self._listeners.open()
        self._endpoints = list(self._listeners.endpoints)

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
                member = _Member()
                self._members.append(member)
                member.start(number, luggage)
        self._logs_fd = os.eventfd(0, os.EFD_CLOEXEC)
        self._replaying = threading.Thread(
            target=self._replay_logs, name="millrace-logs", daemon=True
        )
        self._replaying.start()
        for member in self._members:
            member.tell({"tell_logs": self._logs_fd})

    def accept(self) -> None:
        """Do nothing: each interpreter accepts once it is ready."""

    def stop_accepting(self) -> None:
        """Do nothing: each interpreter stops accepting when it is told to leave."""

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
        for member in self._members:
            member.tell({"under_way": True})
        rows = [
            (what, since) for member in self._members for what, since in member.report["under_way"]
        ]
        return sorted(rows, key=lambda row: row[1])[:most], 0

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
        if self._replaying is not None:
            os.eventfd_write(self._logs_fd, 1)  # there is nobody left to ask
            self._replaying.join()
            os.close(self._logs_fd)
            self._replaying = None
        self._listeners.close()

    def forget(self) -> None:
        """In the child of a fork: there is nothing to do, the interpreters are the parent's."""

    # --- what may be asked ----------------------------------------------------------------------

    @property
    def endpoints(self) -> list[str]:
        """Where it listens."""
        return self._endpoints

    @property
    def ports(self) -> list[int]:
        """The TCP ports of `endpoints`."""
        tcp = (end for end in self._endpoints if not end.startswith("unix:"))
        return [int(end.rpartition(":")[2]) for end in tcp]

    def stats(self) -> totals.Stats:
        """Return what all interpreters counted, their loops side by side."""
        empty: totals.Stats = {}
        return reduce(totals.join_stats, (one["stats"] for one in self._reports()), empty)

    def journey(self) -> totals.JourneySum:
        """Return where the time went in all interpreters."""
        return totals.JourneySum.of(one["journey"] for one in self._reports())

    def metrics(self) -> list[Any]:
        """Return the metrics of all interpreters, added up."""
        reports = self._reports()
        return _core.merge_metrics([one["metrics"] for one in reports])

    def reopen_logs(self) -> None:
        """Open the access logs anew, in every interpreter."""
        for member in self._members:
            member.tell({"reopen_logs": True})

    def reset_journey(self) -> None:
        """Forget the journey recorded so far."""
        for member in self._members:
            member.tell({"reset_journey": True})

    def _reports(self) -> list[dict[str, Any]]:
        for member in self._members:
            member.tell({})
        return [member.report for member in self._members if member.report]

    def _replay_logs(self) -> None:
        """On a thread of its own: let the logging of this interpreter have what the others log."""
        while not all(member.has_ended for member in self._members):
            os.eventfd_read(self._logs_fd)
            for member in self._members:
                member.tell({})

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

    def __init__(self) -> None:
        self.report: dict[str, Any] = {}
        self._interpreter: _core.Interpreter | None = _core.Interpreter(sys.path)
        self._lock = threading.Lock()

    def start(self, number: int, luggage: bytes) -> None:
        """Serve; raises RuntimeError with the reason where it cannot."""
        assert self._interpreter is not None
        told = json.loads(self._interpreter.call(_INSIDE, "start", luggage))
        _replay(told)
        if "failed" in told:
            _log.debug("interpreter %d cannot start:\n%s", number, told["traceback"])
            raise RuntimeError(f"interpreter {number} cannot start: {told['failed']}")
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
            if self._interpreter is not None and not self.has_left:
                self.report = json.loads(
                    self._interpreter.call(_INSIDE, "obey", json.dumps(words).encode())
                )
                _replay(self.report)

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
