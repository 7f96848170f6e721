"""The signals of a serving process, heard one after another by its main thread."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from types import FrameType

__all__ = ["Signals", "hear"]

# How soon a signal is heard, at the latest.
_GLANCE_S = 0.5

_STOP = (signal.SIGINT, signal.SIGTERM)
_OTHERS = (signal.SIGHUP, signal.SIGUSR1)


class Signals:
    """What came while `hear` was open. Main thread, where Python runs the handlers."""

    def __init__(self) -> None:
        # Not an Event: only this queue may be filled by a handler that interrupts its own reader.
        self._queue: SimpleQueue[signal.Signals | None] = SimpleQueue()
        # Until then, a signal that stops interrupts whatever the main thread does.
        self.has_started = False
        self._had_terminal = _has_terminal()

    def get(self, patience: float = float("inf")) -> signal.Signals | None:
        """Return the next signal; None after `wake`, or once the patience in seconds is over."""
        deadline = time.monotonic() + patience
        while (left := deadline - time.monotonic()) > 0:
            try:
                # In glances: a signal that comes just before a wait begins would not end it.
                return self._queue.get(timeout=min(left, _GLANCE_S))
            except Empty:
                pass
        return None

    def wake(self) -> None:
        """Make `get` return None. Any thread."""
        self._queue.put(None)

    def means_stop(self, number: signal.Signals) -> bool:
        """SIGINT and SIGTERM do, and SIGHUP where the terminal has gone away."""
        return number in _STOP or (
            number == signal.SIGHUP and self._had_terminal and not _has_terminal()
        )

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if number in _STOP and not self.has_started:
            raise KeyboardInterrupt
        self._queue.put(signal.Signals(number))


@contextmanager
def hear(
    *, deaf_to: Collection[signal.Signals] = (), also: Collection[signal.Signals] = ()
) -> Iterator[Signals]:
    """Handle SIGINT, SIGTERM, SIGHUP and SIGUSR1; afterwards they do what they did before.

    Parameters
    ----------
    deaf_to:
        Signals of these four that stay as they are.
    also:
        More signals to handle.

    Raises
    ------
    RuntimeError
        It is not the main thread, which alone hears signals.
    """
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("run() handles signals, so it needs the main thread: use Server instead")
    signals = Signals()
    # nohup(1) has SIGHUP ignored, and so it stays.
    ignored = {n for n in _OTHERS if signal.getsignal(n) is signal.SIG_IGN}
    heard = {*_STOP, *_OTHERS, *also} - ignored - {*deaf_to}
    before = {number: signal.signal(number, signals._on_signal) for number in heard}
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_CLOEXEC | os.O_NOCTTY))
    except OSError:
        return False
    return True
