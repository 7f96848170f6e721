"""What a worker or an interpreter answers for its metrics: those of all, added up elsewhere."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future

from millrace import _core
from millrace.metrics import MEDIA_TYPE

__all__ = ["FleetMetrics"]

_log = logging.getLogger("millrace.error")

# How long a request waits for the sum. Silent workers are given a second for it, and a request
# may come while the question of an earlier one is on its way; Prometheus itself gives up after 10.
PATIENCE_S = 5.0


class FleetMetrics:
    """Asks who adds them up one question at a time, whatever many requests there are. Any thread.

    A request is never answered by a question that was asked before it came: its counters could be
    lower than what another worker has told already.

    Parameters
    ----------
    ask:
        Has the question sent; returns at once. What comes back is for `tell`.
    """

    def __init__(self, ask: Callable[[], None]) -> None:
        self._ask = ask
        self._lock = threading.Lock()
        self._is_asked = False
        self._asked: set[Future[str]] = set()  # wait for the question that is on its way
        self._next: set[Future[str]] = set()  # came later, and wait for the one after it

    async def answer(self, request: _core.Request) -> _core.Response:
        """Answer a request with the sum over all, or with 503 where there is none."""
        text: Future[str] = Future()
        with self._lock:
            self._next.add(text)
        self._ask_next()
        try:
            told = await asyncio.wait_for(asyncio.wrap_future(text), PATIENCE_S)
        except TimeoutError:
            why = f"the metrics of all were not added up within {PATIENCE_S:g} s"
            _log.warning("%s: a request for them is answered 503", why)
            return _core.Response(f"{why}: ask again later\n", status=503)
        finally:
            with self._lock:
                self._asked.discard(text)
                self._next.discard(text)
        return _core.Response(told, content_type=MEDIA_TYPE)

    def tell(self, text: str) -> None:
        """Take the answer."""
        with self._lock:
            answered, self._asked, self._is_asked = self._asked, set(), False
        for waiting in answered:
            if waiting.set_running_or_notify_cancel():
                waiting.set_result(text)
        self._ask_next()

    def _ask_next(self) -> None:
        with self._lock:
            if self._is_asked or not self._next:
                return
            self._asked, self._next, self._is_asked = self._next, set(), True
        self._ask()
