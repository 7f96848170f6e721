"""A server as a whole process: signals, logging, exit codes."""

from __future__ import annotations

import errno
import importlib
import logging
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NoReturn

from millrace import logs
from millrace.access_log import AccessLog
from millrace.app import App, Origin
from millrace.filters import ProxyHeaders
from millrace.limits import Limits
from millrace.logs import configure_logging, reopen_logs
from millrace.notify import Notifier, Watchdog
from millrace.patterns import MultiProcess, Pattern
from millrace.server import Server
from millrace.signals import Signals, hear
from millrace.sockets import SocketOptions
from millrace.supervisor.handover import predecessor
from millrace.supervisor.steering import Steering

__all__ = [
    "START_FAILED",
    "AppNotFound",
    "configure_logging",
    "find_app",
    "import_app",
    "run",
    "sentence_of",
    "serve",
    "starting",
]

_log = logging.getLogger("millrace.error")

# The exit code of a server that could not start, as uvicorn has it.
START_FAILED = 3

# What helps where the system's word for an error stands at the end of a line.
_REMEDIES = {
    errno.EADDRINUSE: "stop what listens there, or choose another address",
    errno.EADDRNOTAVAIL: "choose an address of this machine, or 0.0.0.0 for all of them",
    errno.EACCES: "choose another, or start as root with --user (ports below 1024 are root's)",
    errno.ENOENT: "make the folder first",
}

# What a stop may take beyond the time for requests: lifespans close their pools in it. After a
# second signal it is all there is.
_END_S = 10.0

# For a thread that has said its last word.
_GLANCE_S = 0.5


class AppNotFound(Exception):
    """A text like ``"module:app"`` leads to no app; the message says where it ends."""


class AppLeft(Exception):
    """Code of the app's called `sys.exit` before it served; the message says where."""


def run(
    app: App | str,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    uds: str | None = None,
    bind: str | Sequence[str] | None = None,
    pattern: Pattern | MultiProcess | None = None,
    limits: Limits | None = None,
    proxy_headers: ProxyHeaders | None = None,
    http: str = "h1",
    journey: bool = True,
    decompress: bool = False,
    half_close: bool = False,
    backlog: int | None = None,
    socket_options: SocketOptions | None = None,
    drain: float | str = "10s",
    access_log: AccessLog | str | Path | bool | None = None,
    slow_request: float | str | None = None,
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
    pattern, limits, proxy_headers, http, journey, decompress, half_close, backlog,
    socket_options, drain, access_log, slow_request:
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
            proxy_headers=proxy_headers,
            http=http,
            journey=journey,
            decompress=decompress,
            half_close=half_close,
            backlog=backlog,
            socket_options=socket_options,
            drain=drain,
            access_log=access_log,
            slow_request=slow_request,
        )
    )


def serve(
    server: Server,
    *,
    deaf_to: Collection[signal.Signals] = (),
    is_replaced: Callable[[], bool] = lambda: False,
) -> None:
    """Start a server and keep it until a signal says to stop; exit with 3 where it cannot start.

    SIGINT and SIGTERM stop it, SIGUSR1 opens its log files anew, SIGUSR2 hands over to a new
    process, and a service manager that asks for it is notified; see ``docs/operating.md``. Where it
    has worker processes, SIGHUP replaces them one by one; see ``docs/processes.md``.

    Parameters
    ----------
    server:
        One that does not run.
    deaf_to:
        Signals that somebody else hears in its place.
    is_replaced:
        Whether a signal that stops it makes room for another process with the same sockets.
    """
    notifier, before = Notifier(os.environ), predecessor()
    also = set(Steering.signals(server)) - {*deaf_to}
    with notifier, hear(deaf_to=deaf_to, also=also) as signals:
        steering = Steering(server, notifier, signals.wake)
        with starting(), _staying("the app's start"):
            if before is not None:
                server._inherited = before.listeners
            server.start()
            signals.has_started = True
        if before is not None:
            before.say_ready()
        where = ", ".join(server.urls)
        _log.info("serving on %s (%r); Ctrl-C stops", where, server.pattern)
        with Watchdog(notifier, server.blocked_loops) as watchdog:
            notifier.ready(f"serving on {where}")
            _live(signals, notifier, where, steering)
            steering.stop()
            watchdog.ask_no_more()
            notifier.stopping("requests under way may finish")
            goes_on = steering.has_successor or is_replaced()
            _stop(server, signals, "one_more" if goes_on else "close")
    if server.failure:
        sys.exit(START_FAILED)
    _log.info("stopped")


@contextmanager
def starting() -> Iterator[None]:
    """Exit with 3 and one line on the log where the block fails, with 0 where a signal stops it."""
    try:
        yield
    except Exception as error:
        _fail_to_start(error)
    except KeyboardInterrupt:
        _log.info("stopped before it served")
        sys.exit(0)


def find_app(target: str, *, app_dir: str = ".", factory: bool = False) -> App:
    """Return what `import_app` returns; exit with 3 and one line on the log where it fails."""
    with starting():
        return import_app(target, app_dir=app_dir, factory=factory)


def import_app(target: str, *, app_dir: str | None = ".", factory: bool = False) -> App:
    """Return the app that a text like ``"module:app"`` names.

    Parameters
    ----------
    target:
        A module's dotted name, a colon, and the app's name in it, which may have dots.
    app_dir:
        The folder that modules are looked for in first; None for the import path as it is.
    factory:
        What is named is a function that makes the app.

    Raises
    ------
    AppNotFound
        There is no such module or app.
    AppLeft
        The module, or the function that makes the app, calls ``sys.exit``.
    """
    module_name, _, path = target.partition(":")
    if not module_name or not path:
        raise AppNotFound(f"{target!r} names no app: write it as module:app")
    folder = str(Path(app_dir or ".").resolve())
    if app_dir is not None and folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        with _staying(f"importing {module_name!r}"):
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


def join_address(host: str, port: int) -> str:
    """Return host and port as one text, IPv6 addresses in brackets."""
    return f"[{host}]:{port}" if ":" in host and not host.startswith("[") else f"{host}:{port}"


def _live(signals: Signals, notifier: Notifier, where: str, steering: Steering) -> None:
    """Do what signals say, until one says to stop."""
    while (number := signals.get()) is not None and not signals.means_stop(number):
        if number in steering.numbers:
            reopen_logs()
            steering.act(number)
        elif number == signal.SIGHUP:
            _log.info("SIGHUP: one process cannot reload its code, so only its logs are re-opened")
            notifier.reloading()
            reopen_logs()
            notifier.ready(f"serving on {where}")
        else:
            reopen_logs()


def _stop(server: Server, signals: Signals, idle: Literal["close", "one_more"]) -> None:
    """Stop on another thread, so that this one hears the second signal, and has the last word."""
    _log.info("stopping: requests under way may finish; a second signal cuts them off")
    failure: list[BaseException] = []

    def stop() -> None:
        try:
            server.stop(idle=idle)
        except Exception as error:
            failure.append(error)
        signals.wake()

    stopping = threading.Thread(target=stop, name="millrace-stop", daemon=True)
    stopping.start()
    patience = server.drain_s + _END_S
    while (number := signals.get(patience)) is not None:
        if signals.means_stop(number):
            if server.is_hurried:
                break
            server.hurry()
            patience = _END_S
        else:
            reopen_logs()
    stopping.join(_GLANCE_S)
    if stopping.is_alive():
        _abandon()
    if failure:
        _log.error("stopping failed", exc_info=failure[0])
        sys.exit(1)


def _abandon() -> NoReturn:
    """End without the threads that do not: a handler, or a lifespan, is somewhere for good."""
    _log.error("stopping: threads do not end; leaving without them, their stacks follow")
    import faulthandler  # here, as it cannot be loaded in every interpreter

    faulthandler.dump_traceback()
    logging.shutdown()
    os._exit(1)


@contextmanager
def _staying(what: str) -> Iterator[None]:
    """Keep an app's own `sys.exit` from ending the process, with a code of its own."""
    try:
        yield
    except SystemExit as error:
        raise AppLeft(f"{what} ended in {sentence_of(error)}") from error


def _checked(found: Any, target: str, *, factory: bool) -> App:
    if factory:
        if not callable(found):
            raise AppNotFound(f"{target!r} is no function that makes an app: leave --factory out")
        with _staying(f"calling {target!r}"):
            found = found()
    if not isinstance(found, App):
        raise AppNotFound(
            f"{target!r} is {type(found).__name__}, no millrace.App; ASGI and WSGI applications "
            "are not available in this version"
        )
    found._origin = Origin(target, is_factory=factory)
    return found


def _fail_to_start(error: Exception) -> NoReturn:
    """One clear line; the traceback is for those who ask for it with the level debug."""
    line = f"the server cannot start: {_with_remedy(sentence_of(error))}"
    _log.error("%s", line)
    if logs.files():
        print(f"ERROR: {line}", file=sys.stderr)
    _log.debug("where it failed", exc_info=error)
    sys.exit(START_FAILED)


def _with_remedy(sentence: str) -> str:
    for number, remedy in _REMEDIES.items():
        if sentence.endswith(os.strerror(number)):
            return f"{sentence}; {remedy}"
    return sentence


def sentence_of(error: BaseException) -> str:
    """What happened, in one line; where it was not in this package, its kind and where as well."""
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, SyntaxError):
        return f"{type(error).__name__}: {error.msg} ({error.filename}, line {error.lineno})"
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename[:1] != "<"]
    own = str(Path(__file__).parent)
    if not frames or frames[-1].filename.startswith(own):
        return text
    return f"{type(error).__name__}: {text} ({frames[-1].filename}, line {frames[-1].lineno})"
