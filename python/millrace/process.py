"""A server as a whole process: signals, logging, exit codes."""

from __future__ import annotations

import importlib
import logging
import logging.config
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, SimpleQueue
from types import FrameType
from typing import Any, NoReturn

from millrace.app import App
from millrace.limits import Limits
from millrace.patterns import Pattern
from millrace.server import Server

__all__ = [
    "START_FAILED",
    "AppNotFound",
    "configure_logging",
    "find_app",
    "import_app",
    "run",
    "serve",
]

_log = logging.getLogger("millrace.error")

# The exit code of a server that could not start, as uvicorn has it.
START_FAILED = 3

# How soon a signal is heard, at the latest.
_GLANCE_S = 0.5


class AppNotFound(Exception):
    """A text like ``"module:app"`` leads to no app; the message says where it ends."""


def run(
    app: App | str,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    uds: str | None = None,
    bind: str | Sequence[str] | None = None,
    pattern: Pattern | None = None,
    limits: Limits | None = None,
    http: str = "h1",
    journey: bool = True,
    half_close: bool = False,
    backlog: int | None = None,
    drain: float | str = "10s",
    log_level: str = "info",
) -> None:
    """Serve until SIGINT (Ctrl-C) or SIGTERM, then let requests finish; a second signal cuts off.

    Exits with status 3 and one line on the log where the server cannot start.

    Parameters
    ----------
    app:
        The app, or where to import it from: ``"module:app"``.
    host, port:
        Where to listen; port 0 takes a free one.
    uds:
        The path of a Unix socket to listen on instead.
    bind:
        Where to listen instead, in one or several texts as for `Server`.
    pattern, limits, http, journey, half_close, backlog, drain:
        As for `Server`.
    log_level:
        Of the logger ``millrace``, which writes to the standard error where logging is not
        configured.
    """
    configure_logging(log_level=log_level)
    found = app if isinstance(app, App) else find_app(app)
    where = f"unix:{uds}" if uds is not None else join_address(host, port)
    serve(
        Server(
            found,
            bind=bind if bind is not None else where,
            pattern=pattern,
            limits=limits,
            http=http,
            journey=journey,
            half_close=half_close,
            backlog=backlog,
            drain=drain,
        )
    )


def serve(server: Server) -> None:
    """Start a server and keep it until a signal says to stop; exit with 3 where it cannot start."""
    with _signals() as signals:
        try:
            server.start()
        except Exception as error:
            _fail_to_start(error)
        except KeyboardInterrupt:
            _fail_to_start("it was interrupted")
        signals.has_started = True
        _log.info("serving on %s (%r); Ctrl-C stops", ", ".join(server.urls), server.pattern)
        signals.get()
        _stop(server, signals)
    _log.info("stopped")


def find_app(target: str, *, app_dir: str = ".", factory: bool = False) -> App:
    """Return what `import_app` returns; exit with 3 and one line on the log where it fails."""
    try:
        return import_app(target, app_dir=app_dir, factory=factory)
    except Exception as error:
        _fail_to_start(error)


def import_app(target: str, *, app_dir: str = ".", factory: bool = False) -> App:
    """Return the app that a text like ``"module:app"`` names.

    Parameters
    ----------
    target:
        A module's dotted name, a colon, and the app's name in it, which may have dots.
    app_dir:
        The folder that modules are looked for in first.
    factory:
        What is named is a function that makes the app.

    Raises
    ------
    AppNotFound
        There is no such module or app.
    """
    module_name, _, path = target.partition(":")
    if not module_name or not path:
        raise AppNotFound(f"{target!r} names no app: write it as module:app")
    folder = str(Path(app_dir).resolve())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise  # the module is there; what it imports is not
        raise AppNotFound(f"no module {module_name!r} in {folder} or on the import path") from None
    for name in path.split("."):
        if not hasattr(found, name):
            raise AppNotFound(f"module {module_name!r} has no {path!r}")
        found = getattr(found, name)
    return _checked(found, target, factory=factory)


def configure_logging(*, log_level: str = "info", log_config: str | None = None) -> None:
    """Send the logger ``millrace`` to the standard error, where logging is not configured yet.

    Parameters
    ----------
    log_level:
        critical, error, warning, info or debug.
    log_config:
        A file for `logging.config`: JSON where its name ends in ``.json``, else the ini form.
    """
    if log_config is not None:
        _read_log_config(log_config)
        return
    log = logging.getLogger("millrace")
    log.setLevel(log_level.upper())
    if not log.hasHandlers():
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
        log.addHandler(handler)


def join_address(host: str, port: int) -> str:
    """Return host and port as one text, IPv6 addresses in brackets."""
    return f"[{host}]:{port}" if ":" in host and not host.startswith("[") else f"{host}:{port}"


class _Signals:
    """The signals that came, for the main thread, where Python runs their handlers."""

    def __init__(self) -> None:
        # Not an Event: only this queue may be filled by a handler that interrupts its own reader.
        self.queue: SimpleQueue[bool] = SimpleQueue()
        self.has_started = False

    def get(self) -> bool:
        """Return True when a signal came, False when the stopping is over."""
        while True:
            try:
                # In glances: a signal that comes just before a wait begins would not end it.
                return self.queue.get(timeout=_GLANCE_S)
            except Empty:
                pass

    def on_signal(self, number: int, frame: FrameType | None) -> None:
        if not self.has_started:
            raise KeyboardInterrupt
        self.queue.put(True)


@contextmanager
def _signals() -> Iterator[_Signals]:
    signals = _Signals()
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("run() handles signals, so it needs the main thread: use Server instead")
    numbers: Sequence[signal.Signals] = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, signals.on_signal) for number in numbers}
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _stop(server: Server, signals: _Signals) -> None:
    """Stop on another thread, so that this one hears the second signal."""
    _log.info("stopping: requests under way may finish; a second signal cuts them off")
    failure: list[BaseException] = []

    def stop() -> None:
        try:
            server.stop()
        except Exception as error:
            failure.append(error)
        signals.queue.put(False)

    threading.Thread(target=stop, name="millrace-stop").start()
    while signals.get():
        server.hurry()
    if failure:
        _log.error("stopping failed", exc_info=failure[0])
        sys.exit(1)


def _checked(found: Any, target: str, *, factory: bool) -> App:
    if factory:
        if not callable(found):
            raise AppNotFound(f"{target!r} is no function that makes an app: leave --factory out")
        found = found()
    if not isinstance(found, App):
        raise AppNotFound(
            f"{target!r} is {type(found).__name__}, no millrace.App; ASGI and WSGI applications "
            "are not available in this version"
        )
    return found


def _read_log_config(path: str) -> None:
    if path.endswith(".json"):
        import json

        logging.config.dictConfig(json.loads(Path(path).read_text(encoding="utf-8")))
    else:
        logging.config.fileConfig(path, disable_existing_loggers=False)


def _fail_to_start(why: Exception | str) -> NoReturn:
    """One clear line; the traceback is for those who ask for it with the level debug."""
    _log.error("the server cannot start: %s", why if isinstance(why, str) else _sentence(why))
    if isinstance(why, Exception):
        _log.debug("where it failed", exc_info=why)
    sys.exit(START_FAILED)


def _sentence(error: Exception) -> str:
    """What happened and, where it was not in this package, its kind and where it happened."""
    frames = traceback.extract_tb(error.__traceback__)
    text = str(error) or type(error).__name__
    own = str(Path(__file__).parent)
    if not frames or frames[-1].filename.startswith(own):
        return text
    return f"{type(error).__name__}: {text} ({frames[-1].filename}, line {frames[-1].lineno})"
