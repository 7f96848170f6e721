"""Restarting the server when a file changes, for development.

The listening sockets belong to the process that watches; each server in turn inherits them, so
that a connection waits while one ends and the next begins, and none is refused.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, MutableMapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from millrace.listening import descriptors_of
from millrace.logs import reopen_logs
from millrace.signals import Signals, hear

__all__ = [
    "HEARD_BY_RELOADER",
    "Watched",
    "inherited_binds",
    "is_available",
    "is_replaced",
    "serve_and_watch",
]

_log = logging.getLogger("millrace.error")

# Ctrl-C reaches both from a terminal, and the reloader makes a SIGTERM of it: once is enough. And
# there is no handing over to a new process: that is what the reloader does all the time.
HEARD_BY_RELOADER = (signal.SIGINT, signal.SIGUSR2)

# Tells a server that it is a reloader's, and where it listens.
_VARIABLE = "_MILLRACE_RELOAD"

# In a server of a reloader: the next one is about to serve on the same sockets.
_has_changed = threading.Event()

# How soon a change, a signal or the server's end is seen, at the latest.
_GLANCE_S = 0.2

# Changes that come this close together are one, as when an editor saves all files.
_DEBOUNCE_MS = 200

# Changed files that one line names.
_MOST_NAMED = 3


@dataclass(frozen=True)
class Watched:
    """Which files' changes count; patterns as of `pathlib.PurePath.match`, or folders.

    What editors and version control write beside the files never counts.
    """

    folders: tuple[Path, ...]
    include: tuple[str, ...] = ("*.py",)
    exclude: tuple[str, ...] = ()

    def counts(self, path: str) -> bool:
        """Whether a change of this file is a reason to restart."""
        return _matches(path, self.include) and not _matches(path, self.exclude)


def is_available() -> bool:
    """Whether watchfiles is installed."""
    try:
        import watchfiles  # noqa: F401
    except ImportError:
        return False
    return True


def inherited_binds(environment: MutableMapping[str, str]) -> list[str] | None:
    """Return where a server of a reloader listens; None in any other process."""
    text = environment.pop(_VARIABLE, None)
    if text is None:
        return None
    for number in HEARD_BY_RELOADER:
        signal.signal(number, signal.SIG_IGN)
    lifeline, *binds = text.split()
    threading.Thread(
        target=_follow, args=[int(lifeline)], name="millrace-follow", daemon=True
    ).start()
    return binds


def is_replaced() -> bool:
    """Whether this server of a reloader stops because the next one takes its place."""
    return _has_changed.is_set()


def serve_and_watch(arguments: Sequence[str], binds: Sequence[str], watched: Watched) -> int:
    """Keep ``millrace serve`` running on listening sockets, anew after every change.

    Parameters
    ----------
    arguments:
        Of ``millrace serve``, as they were given.
    binds:
        ``fd://`` addresses of sockets that listen.
    watched:
        What makes it start anew.

    Returns
    -------
    :
        The last server's exit code.
    """
    with hear(also=[signal.SIGUSR2]) as signals, _Changes(watched) as changes:
        signals.has_started = True
        folders = ", ".join(str(folder) for folder in watched.folders)
        _log.info("watching %s for changes of %s", folders, ", ".join(watched.include))
        server = _Child(arguments, binds)
        while True:
            number = signals.get(_GLANCE_S)
            if number is not None and signals.means_stop(number):
                server.stop(signals)
                return server.code
            if number is not None:
                reopen_logs()
                server.pass_on(number)
            if names := changes.take():
                _log.info("changed: %s; starting the server anew", ", ".join(names))
                if server.stop(signals, is_replaced=True):
                    return server.code
                server = _Child(arguments, binds)
            elif server.has_just_ended():
                _log.error("the server ended with code %d; waiting for a change", server.code)


def _follow(lifeline: int) -> None:
    """Stop this process when another one takes its place, or the reloader is gone, so that nobody
    could stop it otherwise."""
    if os.read(lifeline, 1):  # nothing comes when the other side is closed
        _has_changed.set()
    os.kill(os.getpid(), signal.SIGTERM)


class _Child:
    """One server: a process of its own, started by exec."""

    def __init__(self, arguments: Sequence[str], binds: Sequence[str]) -> None:
        theirs, self._lifeline = os.pipe()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "millrace", "serve", *arguments],
            env={**os.environ, _VARIABLE: " ".join([str(theirs), *binds])},
            pass_fds=[theirs, *descriptors_of(binds)],
        )
        os.close(theirs)
        self._is_ended = False

    @property
    def code(self) -> int:
        """Its exit code, once it has ended; 0 where our signal ended it while it was starting."""
        code = self._process.returncode
        return 0 if code == -signal.SIGTERM else code

    def has_just_ended(self) -> bool:
        """Whether it has ended, once."""
        if self._is_ended or self._process.poll() is None:
            return False
        self._is_ended = True
        return True

    def pass_on(self, number: signal.Signals) -> None:
        """Send it a signal, if it is there."""
        if self._process.poll() is None:
            self._process.send_signal(number)

    def stop(self, signals: Signals, *, is_replaced: bool = False) -> bool:
        """Let it finish its requests; return whether a signal that came meanwhile says to stop."""
        if is_replaced and self._process.poll() is None:
            with contextlib.suppress(BrokenPipeError):  # it has just ended
                os.write(self._lifeline, b"1")  # and so it knows why
        else:
            self.pass_on(signal.SIGTERM)
        must_stop = False
        while self._process.poll() is None:
            number = signals.get(_GLANCE_S)
            if number is not None and signals.means_stop(number):
                must_stop = True
                self.pass_on(signal.SIGTERM)  # the second one hurries it
            elif number is not None:
                self.pass_on(number)
        os.close(self._lifeline)
        return must_stop


class _Changes:
    """The files that changed since they were last asked for. A context manager."""

    def __init__(self, watched: Watched) -> None:
        self._watched = watched
        self._lock = threading.Lock()
        self._paths: set[str] = set()
        self._over = threading.Event()
        self._watches = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._watch, name="millrace-watch", daemon=True)

    def __enter__(self) -> _Changes:
        self._thread.start()
        self._watches.wait()  # a change from now on is seen
        if self._failure is not None:
            raise self._failure
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()

    def take(self) -> list[str]:
        """Return their names, some where they are many.

        Raises
        ------
        OSError
            The system does not tell of changes any more.
        """
        if self._failure is not None:
            raise self._failure
        with self._lock:
            paths, self._paths = sorted(self._paths), set()
        more = [f"{len(paths) - _MOST_NAMED} more"] if len(paths) > _MOST_NAMED else []
        return [*(os.path.relpath(path) for path in paths[:_MOST_NAMED]), *more]

    def _watch(self) -> None:
        try:
            self._collect()
        except Exception as error:  # such as too few inotify watches
            self._failure = error
            self._watches.set()

    def _collect(self) -> None:
        import watchfiles

        everywhere = watchfiles.DefaultFilter()  # without editors' files, .git and the like
        for changes in watchfiles.watch(
            *self._watched.folders,
            watch_filter=lambda change, path: (
                everywhere(change, path) and self._watched.counts(path)
            ),
            debounce=_DEBOUNCE_MS,
            rust_timeout=int(_GLANCE_S * 1000),
            yield_on_timeout=True,
            stop_event=self._over,
            raise_interrupt=False,
        ):
            self._watches.set()
            with self._lock:
                self._paths |= {path for _, path in changes}


def _matches(path: str, patterns: Iterable[str]) -> bool:
    parents = Path(path).parents
    return any(
        Path(path).match(pattern) or (Path(pattern).is_dir() and Path(pattern).resolve() in parents)
        for pattern in patterns
    )
