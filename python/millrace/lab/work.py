"""Handlers with a known price: they compute or wait for exactly as long as they are told."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from millrace import _core
from millrace import app as _app
from millrace.route_words import check_path

__all__ = ["WORKS", "Price", "Work", "coroutine_work", "native_work", "python_work"]


@dataclass(frozen=True)
class Price:
    """What a request costs its thread, in seconds: ``cpu`` computing, then ``wait`` asleep."""

    cpu: float = 0.0
    wait: float = 0.0

    @property
    def total(self) -> float:
        return self.cpu + self.wait


@dataclass(frozen=True)
class Work:
    """A kind of handler work.

    Attributes
    ----------
    name, title:
        For tables and for people.
    usual, slow:
        The price of a usual request and of a slow one.
    slow_fraction:
        Share of slow requests: exactly one in each run of ``1 / slow_fraction`` requests, at a
        place in it that the seed draws, so that a short run holds the share it should.
    """

    name: str
    title: str
    usual: Price
    slow: Price = Price()
    slow_fraction: float = 0.0

    @property
    def limit(self) -> float:
        """Seconds above which a response counts as late.

        Nine tenths of a slow request: what waited for one took longer, and fifteen usual ones in a
        row, the most that a client of eight may have to wait for, did not.
        """
        return 0.9 * self.slow.total

    def native(self, seed: int = 1) -> _core.NativeWork:
        """Return the engine's handler for this work; it never enters Python."""
        return _core.NativeWork(
            cpu_seconds=self.usual.cpu,
            wait_seconds=self.usual.wait,
            slow_fraction=self.slow_fraction,
            slow_cpu_seconds=self.slow.cpu,
            slow_wait_seconds=self.slow.wait,
            seed=seed,
        )


# The usual wait of "skew" is long enough that timers and hand-overs (50 to 150 us) are a small part
# of it, and short enough that a slow request is felt as twenty usual ones.
WORKS = (
    Work("cpu", "computes 5 ms", Price(cpu=0.005)),
    Work("wait", "waits 50 ms", Price(wait=0.050)),
    Work("skew", "waits 5 ms, 1 in 100 waits 100 ms", Price(wait=0.005), Price(wait=0.100), 0.01),
)


def native_work(app: _app.App, path: str, work: Work, *, seed: int = 1) -> None:
    """Answer a path with a native handler that does this work.

    It runs where the pattern says, like a plain Python function, but without the interpreter:
    what differs between the two is Python.

    Examples
    --------
    >>> import millrace as mr
    >>> app = mr.App()
    >>> native_work(app, "/work", WORKS[0])
    """
    check_path(path)
    app._add(_app._Route(("GET",), path, work.native(seed)))


def python_work(work: Work, *, seed: int = 1) -> Callable[[Any], str]:
    """Return a plain function that does this work and answers ``"done"``."""
    price_of = _prices(work, seed)

    def handler(request: object) -> str:
        price = price_of()
        if price.cpu:
            end = time.thread_time() + price.cpu
            while time.thread_time() < end:
                pass
        if price.wait:
            time.sleep(price.wait)
        return "done"

    return handler


def coroutine_work(work: Work, *, seed: int = 1) -> Callable[[Any], Awaitable[str]]:
    """Return a coroutine function that waits as this work does, and computes nothing."""
    price_of = _prices(work, seed)

    async def handler(request: object) -> str:
        await asyncio.sleep(price_of().wait)
        return "done"

    return handler


def _prices(work: Work, seed: int) -> Callable[[], Price]:
    # The engine's own choice of slow requests, so that both languages serve the same sequence.
    is_slow = work.native(seed).is_slow
    ordinals = itertools.count()
    return lambda: work.slow if is_slow(next(ordinals)) else work.usual
