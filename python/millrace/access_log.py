"""The access log: a line per request, written natively; records where logging has a handler."""

from __future__ import annotations

import _thread
import json
import logging
import os
import re
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from millrace import _core, human, logs
from millrace.units import byte_count

__all__ = ["AccessLog", "RequestLogs"]

_error_log = logging.getLogger("millrace.error")
_access_log = logging.getLogger("millrace.access")
_slow_log = logging.getLogger("millrace.slow")


@dataclass(frozen=True)
class AccessLog:
    """Where the access log goes, and how a line looks.

    Lines are formatted on the loops and written by a thread of their own, natively. A disk that is
    slow or full costs lines, never requests: they are dropped and counted in
    ``server.stats()["access_log"]``.

    Parameters
    ----------
    path:
        A file, which is appended to and made where there is none; ``"-"`` is the standard output.
    format:
        ``"common"``, ``"combined"``, ``"json"``, or directives of Apache's LogFormat, of which
        these are known: ``%h %a %l %u %t %r %s %>s %b %B %D %T %m %U %q %H %R %{Name}i %%``; here,
        ``%R`` is the route.
    buffer:
        What may wait to be written, per loop; bytes, or such as ``"1MB"``. It is rounded up to a
        power of two.

    Raises
    ------
    ValueError
        The format has a directive that is not known; its place is named.

    Examples
    --------
    >>> AccessLog("access.log", format='%h "%r" %>s %D').format
    '%h "%r" %>s %D'
    >>> AccessLog(format="%h %Z")
    Traceback (most recent call last):
        ...
    millrace.errors.InvalidOption: ...'%Z' at position 4 is not known; ...
    """

    path: str | Path = "-"
    format: str = "combined"
    buffer: int | str = 1024 * 1024

    def __post_init__(self) -> None:
        _core.check_log_format(self.format)
        if byte_count(self.buffer) < _LEAST_BUFFER:
            raise ValueError(f"buffer={self.buffer!r}: use at least {_LEAST_BUFFER} bytes")

    @classmethod
    def of(cls, value: AccessLog | str | Path | bool | None) -> AccessLog | None:
        """Read what a server was given: nothing, a path, or the whole."""
        if value is None or value is False:
            return None
        if isinstance(value, AccessLog):
            return value
        return cls() if value is True else cls(value)


# A line that is longer than this is dropped; escaped, only a hostile one is.
_LEAST_BUFFER = 64 * 1024

# Per loop, for what logging's handlers have not taken yet: some 3,000 records.
_RECORDS_BUFFER = 1024 * 1024


class RequestLogs:
    """The logs of one run of a server, and the threads that write them out.

    Made before the engine, opened before it serves, closed after its loops have ended.
    """

    def __init__(
        self,
        access_log: AccessLog | None,
        slow_request_s: float | None,
        recorders: _core.RecorderOptions,
    ) -> None:
        self._queues: dict[str, _core.LineQueue] = {}
        self._threads: list[_Reader] = []
        self._file: _LogFile | None = None
        self._forget: Callable[[], None] = _nothing
        if access_log is not None:
            lines = self._queue("access_log", byte_count(access_log.buffer))
            recorders.add_log(access_log.format, lines)
            self._file = _LogFile(access_log, lines)
            self._threads.append(_Reader("access log", self._file.run))
        if _access_log.handlers and _access_log.isEnabledFor(logging.INFO):
            records = self._queue("access_records", _RECORDS_BUFFER)
            recorders.add_log("json", records)
            self._threads.append(_Reader("access records", _each_line(records, _record)))
        if slow_request_s is not None:
            slow = self._queue("slow_log", _LEAST_BUFFER)
            recorders.log_slow(slow_request_s, slow)
            self._threads.append(_Reader("slow requests", _each_line(slow, _tell_slow)))

    def _queue(self, name: str, ring_bytes: int) -> _core.LineQueue:
        self._queues[name] = queue = _core.LineQueue(ring_bytes)
        return queue

    def open(self) -> None:
        """Open the file and begin.

        Raises
        ------
        OSError
            The file cannot be opened.
        """
        if self._file is not None:
            self._file.open()
            self._forget = logs.on_reopen(self._reopen_or_say)
        for thread in self._threads:
            thread.start()

    def reopen(self) -> None:
        """Go on in a new file of the same name: the old one was moved away.

        Raises
        ------
        OSError
            It cannot be opened; the old one is written to as before.
        """
        if self._file is not None:
            self._file.reopen()

    def _reopen_or_say(self) -> None:
        try:
            self.reopen()
        except OSError as error:
            _error_log.error("access log: %s; it goes on in the old file", error)

    def close(self) -> None:
        """Write what is left, and end."""
        self.forget()
        for queue in self._queues.values():
            queue.close()
        for thread in self._threads:
            thread.join()
        if self._file is not None:
            self._file.close()

    def forget(self) -> None:
        """Leave the file alone from now on: `millrace.logs.reopen_logs` asks no more."""
        self._forget()
        self._forget = _nothing

    def stats(self) -> dict[str, dict[str, int]]:
        """What was written, and what was dropped, by log."""
        return {
            name: {"lines": queue.lines, "dropped": queue.dropped}
            for name, queue in self._queues.items()
        }


def _nothing() -> None:
    pass


class _Reader(threading.Thread):
    """A thread that ends when its queue is closed.

    A daemon, since exit handlers do the closing; but in a sub-interpreter, which has none and is
    always left by a stop.
    """

    def __init__(self, what: str, run: Callable[[], None]) -> None:
        is_daemon = sys.version_info < (3, 12) or _thread.daemon_threads_allowed()
        super().__init__(name=f"millrace {what}", target=run, daemon=is_daemon)

    def join(self, timeout: float | None = None) -> None:
        # A handler may stop its server; its thread cannot wait for itself.
        if self.ident is not None and self is not threading.current_thread():
            super().join(timeout)


class _LogFile:
    def __init__(self, log: AccessLog, lines: _core.LineQueue) -> None:
        self.lines = lines
        self._log = log
        self._lock = threading.Lock()
        self._descriptor = -1
        self._next: int | None = None

    def open(self) -> None:
        self._descriptor = self._opened()

    def reopen(self) -> None:
        with self._lock:
            fresh = self._opened()
            if self._next is not None:
                os.close(self._next)
            self._next = fresh
        self.lines.interrupt()

    def close(self) -> None:
        with self._lock:
            for descriptor in (self._descriptor, self._next):
                if descriptor is not None and descriptor >= 0:
                    os.close(descriptor)
            self._descriptor, self._next = -1, None

    def run(self) -> None:
        """Write until the end; the engine does it, and comes back when something has changed."""
        while (ended := self.lines.write_to(self._descriptor)) != "closed":
            if ended == "failed":
                why = os.strerror(self.lines.error)
                _error_log.warning(
                    "access log %s: %s; lines are dropped and counted until it takes some again",
                    self._log.path,
                    why,
                )
            elif ended == "recovered":
                _error_log.warning(
                    "access log %s is written again; %d lines were dropped",
                    self._log.path,
                    self.lines.dropped,
                )
            self._take_next()

    def _take_next(self) -> None:
        with self._lock:
            if self._next is not None:
                os.close(self._descriptor)
                self._descriptor, self._next = self._next, None

    def _opened(self) -> int:
        if str(self._log.path) == "-":
            return os.dup(1)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        return os.open(self._log.path, flags, 0o644)


def _each_line(
    lines: _core.LineQueue, tell: Callable[[dict[str, Any]], None]
) -> Callable[[], None]:
    def run() -> None:
        while batch := lines.take():
            for line in batch.splitlines():
                try:
                    tell(json.loads(line))
                except Exception:
                    _error_log.exception("a handler of a request's log record failed")

    return run


_SPECIAL = re.compile(r'["\\]|[^ -~]')


def _escaped(text: str) -> str:
    """Return what a client sent as text that cannot leave its place, as the native formats do."""
    return _SPECIAL.sub(
        lambda found: "\\" + found[0] if found[0] in '"\\' else f"\\x{ord(found[0]):02x}", text
    )


def _record(request: dict[str, Any]) -> None:
    """Log one request; its parts are the record's attributes too, for formatters and filters."""
    line = request.get("request_line")
    if line is None:
        line = f"{request['method']} {request['target']} {request['protocol']}"
    _access_log.info(
        '%s - "%s" %d',
        request["client"],
        _escaped(line) or "-",
        request["status"],
        extra=request,
    )


def _tell_slow(request: dict[str, Any]) -> None:
    stages = sorted(request["stages"].items(), key=lambda stage: -stage[1])
    journey = ", ".join(f"{name} {human.duration(lasted * 1e-9)}" for name, lasted in stages)
    others = f"; {request['suppressed']} more were not told" if request["suppressed"] else ""
    _slow_log.warning(
        "slow request: %s %s %s took %s: %s%s",
        _escaped(request["method"]),
        _escaped(request["target"]),
        request["status"] or "without an answer",
        human.duration(request["duration"] * 1e-9),
        journey,
        others,
        extra={"request": request},
    )
