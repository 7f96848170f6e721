"""How a stop waits for the requests under way, and what it says about them."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

from millrace import _core

if TYPE_CHECKING:
    from millrace.subinterpreters.pool import Interpreters
    from millrace.supervisor.supervisor import Supervisor

__all__ = ["MOST_NAMED", "Drain"]

_log = logging.getLogger("millrace.error")

# Requests that one line names, the oldest first; the rest are counted.
MOST_NAMED = 10

# How long one wait takes, so that Ctrl-C and a hasty stop are heard.
_SLICE_S = 0.1

# How long the loops may take to say what they work on. One that takes longer is blocked.
_ANSWER_S = 0.5

# How often a long wait says what it is still waiting for.
_REMIND_S = 5.0

# How long connections that rest may stay when something else takes over: a request that comes in
# this time is answered, and told that the connection closes. Nothing is lost of clients that ask
# more often than this; others find their connection closed before they ask again.
_REST_S = 2.0

_Requests = Counter[tuple[str, float]]  # what, and since when


class Drain:
    """One stop of one server, from its announcement to the last line. One controlling thread."""

    def __init__(
        self,
        core: _core.Server | Supervisor | Interpreters,
        patience: float,
        is_hurried: Callable[[], bool],
    ) -> None:
        self._core = core
        self._patience = patience
        self._is_hurried = is_hurried
        self._begun = time.monotonic()
        self._seen: _Requests = Counter()
        self._last_seen = self._begun

    @property
    def left(self) -> float:
        """What is left of the time that was given, in seconds."""
        return max(0.0, self._begun + self._patience - time.monotonic())

    def announce(self) -> None:
        """Say what is under way. Before anything waits for a loop: one may be blocked."""
        open_now, silent = self._look()
        count = int(self._core.stats()["in_flight"])
        if silent:
            _log.warning("stopping: something blocks %s", _counted(silent, "loop"))
        if count:
            names = _names(open_now, count, self._last_seen)
            _log.info("stopping: %s under way, up to %.3g s to finish%s",
                      _counted(count, "request"), self._patience, names)  # fmt: skip

    def let_rest(self) -> None:
        """Serve connections that rest once more: a client may be sending its request just now."""
        until = time.monotonic() + min(_REST_S, self.left)
        left = 1
        while left and not self._is_hurried() and (time_left := until - time.monotonic()) > 0:
            left = self._core.retire(min(_SLICE_S, time_left))

    def let_finish(self) -> None:
        """Let requests finish, until the time is over or there is a hurry; say how it ended."""
        first = left = self._core.drain(0)
        remind_at = time.monotonic() + _REMIND_S
        while left and not self._is_hurried() and self.left > 0:
            left = self._core.drain(min(_SLICE_S, self.left))
            open_now, _ = self._look()
            if time.monotonic() >= remind_at:
                remind_at += _REMIND_S
                _log.info("stopping: waiting for %s, %.3g s left%s", _counted(left, "request"),
                          self.left, _names(open_now, left, self._last_seen))  # fmt: skip
        open_now, _ = self._look() if left else (Counter(), 0)
        self._report(first, left, open_now)

    def _report(self, first: int, left: int, open_now: _Requests) -> None:
        waited = time.monotonic() - self._begun
        finished = self._seen - open_now
        if count := max(first - left, finished.total()):
            _log.info("stopping: waited %.3g s for %s%s", waited, _counted(count, "request"),
                      _names(finished, count, self._last_seen))  # fmt: skip
        if left:
            _log.warning("stopping: cut off after %.3g s: %s%s", waited, _counted(left, "request"),
                         _names(open_now, left, self._last_seen))  # fmt: skip

    def _look(self) -> tuple[_Requests, int]:
        rows, silent = self._core.under_way(MOST_NAMED, _ANSWER_S)
        self._last_seen = time.monotonic()
        open_now = Counter(rows)
        self._seen |= open_now
        return open_now, silent


def _names(requests: _Requests, count: int, now: float) -> str:
    """``: GET /a (1.2 s), GET /b (0.3 s) and 4 more``."""
    oldest = sorted(requests.elements(), key=lambda row: row[1])[:MOST_NAMED]
    if not oldest:
        return ""
    texts = [f"{what} ({max(0.0, now - since):.1f} s)" for what, since in oldest]
    more = f" and {count - len(texts)} more" if count > len(texts) else ""
    return f": {', '.join(texts)}{more}"


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'s' if count != 1 else ''}"
