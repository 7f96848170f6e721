"""Waiting for what other threads and the kernel do, which nothing announces."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["wait_for_rest", "wait_until"]

# Far above what anything here takes.
PATIENCE_S = 10.0


def wait_until(condition: Callable[[], bool], what: str, *, glance_s: float = 0.001) -> None:
    """Wait until a condition holds, and look every ``glance_s`` seconds.

    Parameters
    ----------
    what:
        What did not happen, for the error.

    Raises
    ------
    TimeoutError
        It did not within 10 s.
    """
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} within {PATIENCE_S:g} s")
        time.sleep(glance_s)


def wait_for_rest(state: Callable[[], object], for_s: float) -> None:
    """Wait until something has not changed for so many seconds."""
    seen, since = state(), time.monotonic()
    while time.monotonic() - since < for_s:
        time.sleep(for_s / 10)
        if (now := state()) != seen:
            seen, since = now, time.monotonic()
