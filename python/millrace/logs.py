"""Where the log goes, and how its files are opened anew."""

from __future__ import annotations

import logging
import logging.config
import os
import sys
from collections.abc import Callable
from pathlib import Path

__all__ = ["LogFile", "configure_logging", "files", "on_reopen", "reopen_logs"]

_log = logging.getLogger("millrace.error")

_LINE = "%(asctime)s [%(process)d] %(levelname)s: %(message)s"

# What `reopen_logs` calls; files of the engine's own are here too.
_reopeners: list[Callable[[], None]] = []


def configure_logging(
    *, log_level: str = "info", log_config: str | None = None, error_log: str | None = None
) -> None:
    """Send the logger ``millrace`` to the standard error, where logging is not configured yet.

    Parameters
    ----------
    log_level:
        critical, error, warning, info or debug.
    log_config:
        A file for `logging.config`: JSON where its name ends in ``.json``, else the ini form.
    error_log:
        A file to append to instead; see `LogFile`.

    Raises
    ------
    OSError, ValueError
        A file cannot be opened, or makes no configuration.
    """
    if log_config is not None:
        _read_log_config(log_config)
        return
    log = logging.getLogger("millrace")
    log.setLevel(log_level.upper())
    if error_log is not None:
        log.addHandler(LogFile(error_log))
        log.propagate = False
    elif not log.hasHandlers():
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
        log.addHandler(handler)


def on_reopen(reopen: Callable[[], None]) -> Callable[[], None]:
    """Have a function called by `reopen_logs`; the one returned takes it out again.

    It runs on the main thread, where SIGUSR1 is heard, and says itself on ``millrace.error`` what
    it could not open: then it goes on with the file it has.
    """
    _reopeners.append(reopen)
    return lambda: _reopeners.remove(reopen)


def reopen_logs() -> None:
    """Open every log file anew by its name, as after logrotate(8) has moved it away."""
    for reopen in list(_reopeners):
        reopen()


def files() -> list[LogFile]:
    """Return the files that `configure_logging` made the logger write to."""
    return [one for one in logging.getLogger("millrace").handlers if isinstance(one, LogFile)]


class LogFile(logging.Handler):
    """Appends to a file, and never stands in the way of serving.

    A record that cannot be written, such as on a full disk, is dropped and counted; the standard
    error hears of it once, and the file of their number once it takes lines again.

    Parameters
    ----------
    path:
        The file; made where it does not exist, opened anew by `reopen_logs`.

    Raises
    ------
    OSError
        The file cannot be opened.
    """

    def __init__(self, path: str | Path) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter(_LINE))
        self.path = Path(path).absolute()
        self.dropped = 0
        self._dropped_in_a_row = 0
        self._is_torn = False
        self._descriptor = -1  # logging closes handlers at exit, those that could not open too
        try:
            self._descriptor = self._open()
        except OSError as error:
            raise OSError(f"cannot open the log {self.path}: {error.strerror}") from None
        self._forget = on_reopen(self.reopen)

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record. With the handler's lock held, as `logging.Handler` does."""
        try:
            line = self.format(record)
        except Exception:
            self.handleError(record)
            return
        try:
            if self._dropped_in_a_row:
                self._write(f"({self._dropped_in_a_row} records could not be written here)")
                self._dropped_in_a_row = 0
            self._write(line)
        except OSError as error:
            self._drop(error)

    def reopen(self) -> None:
        """Go on in the file that has the name now, or in the old one where that fails."""
        try:
            descriptor = self._open()
        except OSError as error:
            _log.error("cannot re-open %s: %s; going on in the old file", self.path, error.strerror)
            return
        self.acquire()
        try:
            old, self._descriptor = self._descriptor, descriptor
        finally:
            self.release()
        os.close(old)

    def give_to(self, user: int, group: int) -> None:
        """Change the file's owner, so that a process that becomes this user can re-open it."""
        os.fchown(self._descriptor, user, group)

    def close(self) -> None:
        """Close the file; nothing may be written any more."""
        self.acquire()
        try:
            if self._descriptor >= 0:
                self._forget()
                os.close(self._descriptor)
                self._descriptor = -1
        finally:
            self.release()
        super().close()

    def _open(self) -> int:
        # O_APPEND: several processes may write to one file, each line in one piece.
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        return os.open(self.path, flags, 0o640)

    def _write(self, line: str) -> None:
        data = line.encode(errors="backslashreplace") + b"\n"
        if self._is_torn:
            data = b"\n" + data
        written = os.write(self._descriptor, data)
        self._is_torn = written < len(data)
        if self._is_torn:
            os.write(self._descriptor, data[written:])  # says why it did not fit
            self._is_torn = False

    def _drop(self, error: OSError) -> None:
        self.dropped += 1
        self._dropped_in_a_row += 1
        if self._dropped_in_a_row == 1:
            print(
                f"millrace: cannot write to {self.path}: {error.strerror}; "
                "log records are dropped until it can",
                file=sys.stderr,
                flush=True,
            )


def _read_log_config(path: str) -> None:
    try:
        if path.endswith(".json"):
            import json

            logging.config.dictConfig(json.loads(Path(path).read_text(encoding="utf-8")))
        else:
            logging.config.fileConfig(path, disable_existing_loggers=False)
    except Exception as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise ValueError(f"cannot configure logging by {path}: {why}") from error
