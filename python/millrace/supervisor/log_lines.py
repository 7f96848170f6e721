"""Log records of the workers come out where the supervisor's do, as its logging is configured."""

from __future__ import annotations

import logging
from collections.abc import Callable
from queue import Empty, Full, SimpleQueue
from typing import Any

__all__ = ["Forwarder", "configured_levels", "replay"]

# Records that wait to be sent. More, while the supervisor is busy, are dropped and counted: a
# handler must not wait for its log lines.
MOST_WAITING = 10_000


class Forwarder(logging.Handler):
    """The one handler in a worker: keeps records until `take` brings them to the supervisor."""

    def __init__(self) -> None:
        super().__init__()
        self._waiting: SimpleQueue[dict[str, Any]] = SimpleQueue()
        self._dropped = 0
        self.on_record: Callable[[], None] = lambda: None

    def emit(self, record: logging.LogRecord) -> None:
        if self._waiting.qsize() >= MOST_WAITING:
            self._dropped += 1
            return
        self._waiting.put(_as_message(record))
        self.on_record()

    def take(self) -> list[dict[str, Any]]:
        """Return the records that wait, oldest first."""
        taken = []
        try:
            while True:
                taken.append(self._waiting.get_nowait())
        except (Empty, Full):
            pass
        if self._dropped:
            dropped, self._dropped = self._dropped, 0
            lost = logging.makeLogRecord(
                {
                    "name": "millrace.error",
                    "levelno": logging.WARNING,
                    "levelname": "WARNING",
                    "msg": f"{dropped} log lines of a worker were dropped",
                }
            )
            taken.append(_as_message(lost))
        return taken


def configured_levels() -> dict[str, int]:
    """Return the level of every logger that has one; the root's name is empty."""
    loggers = {name: logging.getLogger(name) for name in logging.Logger.manager.loggerDict}
    levels = {name: logger.level for name, logger in loggers.items() if logger.level}
    return {"": logging.getLogger().level, **levels}


def replay(message: dict[str, Any]) -> None:
    """Let the supervisor's logging have a worker's record."""
    record = logging.makeLogRecord(message)
    logger = logging.getLogger(record.name)
    if logger.isEnabledFor(record.levelno):
        logger.handle(record)


_KEPT = (
    "name", "levelno", "levelname", "pathname", "filename", "module", "lineno", "funcName",
    "created", "msecs", "process", "processName", "thread", "threadName",
)  # fmt: skip


def _as_message(record: logging.LogRecord) -> dict[str, Any]:
    message = {name: getattr(record, name, None) for name in _KEPT}
    message["msg"] = record.getMessage()
    if record.exc_info:
        message["exc_text"] = logging.Formatter().formatException(record.exc_info)
    return message
