"""A window into a running server: snapshots over a Unix socket that only its user may open."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import selectors
import socket
import tempfile
import threading
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from millrace.server import Server

__all__ = ["Monitor", "chosen_path", "default_path", "snapshot"]

# Those who look at the same time; one more is closed at once.
_MOST_CLIENTS = 8

# How long nobody is accepted after the process ran out of descriptors, as in the engine's loops.
_ACCEPT_PAUSE_S = 0.1

# What a client may have asked for and not read yet; one more byte and it is closed.
_MOST_UNREAD = 1024 * 1024


def default_path(pid: int) -> Path:
    """Return where ``monitor=True`` puts a process's socket."""
    folder = os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()
    return Path(folder) / f"millrace-{pid}.sock"


def chosen_path(monitor: str | Path | bool | None) -> Path | None:
    """Return where a server's option ``monitor`` puts the socket; None: nowhere."""
    if monitor is None or monitor is False:
        return None
    if monitor is True:
        return default_path(os.getpid())
    return Path(str(monitor).removeprefix("unix:"))


def snapshot(server: Server) -> dict[str, Any]:
    """Return what a server is doing: plain values, as they go into JSON.

    Counts go up from the server's start; durations are in seconds.
    """
    stats, journey = server.stats(), server.journey()
    return {
        "pid": os.getpid(),
        "time": time.monotonic(),
        "urls": server.urls,
        "pattern": repr(server.pattern),
        "connections": stats["connections"],
        "in_flight": stats["in_flight"],
        "requests_waiting": stats.get("requests_waiting", 0),
        "bodies_waiting": stats.get("bodies_waiting", 0),
        "body_bytes_held": stats.get("body_bytes_held", 0),
        "limits": asdict(server.limits),
        "loops": stats.loops,
        "queue": stats.queue,
        "logs": {name: stats[name] for name in ("access_log", "access_records") if name in stats},
        "stages": [
            {
                "name": stage.name,
                "count": stage.times.count,
                "p50": stage.times.p50,
                "p99": stage.times.p99,
                "max": stage.times.max,
            }
            for stage in journey.stages
            if stage.occurred
        ],
    }


class Monitor:
    """Answers each line that a client sends with a snapshot: one line of JSON.

    A thread of its own, which takes the GIL when somebody looks and at no other time.

    Parameters
    ----------
    server:
        What to look at.
    path:
        Where the socket goes, with mode 0600. One that nobody listens on any more is replaced.
    takes_over:
        A predecessor of this process listens there, until `start`.

    Raises
    ------
    OSError
        Another process listens there, or the path cannot be used.
    """

    def __init__(self, server: Server, path: Path, *, takes_over: bool = False) -> None:
        self._server = server
        self._path = path
        self._made = path.with_name(f"{path.name}.{os.getpid()}") if takes_over else path
        self._listener = _listen(self._made)
        self._inode = self._made.stat().st_ino
        self._accept_at: float | None = None  # while it pauses
        self._wake, self._waker = socket.socketpair()
        self._thread = threading.Thread(target=self._run, name="millrace monitor", daemon=True)

    def start(self) -> None:
        """Begin to answer; those who came earlier have waited."""
        if self._made != self._path:
            self._made = self._made.replace(self._path)
        self._thread.start()

    def close(self) -> None:
        """Close every connection and take the socket away."""
        self._waker.close()
        if self._thread.ident is not None:
            self._thread.join()
        self._wake.close()
        self._listener.close()
        with contextlib.suppress(FileNotFoundError):
            if self._made.stat().st_ino == self._inode:  # not a successor's
                self._made.unlink()

    def _run(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._wake, selectors.EVENT_READ)
            selector.register(self._listener, selectors.EVENT_READ)
            clients: dict[socket.socket, bytearray] = {}
            while True:
                for key, events in selector.select(self._pause_left(selector)):
                    if key.fileobj is self._wake:
                        for client in clients:
                            client.close()
                        return
                    if key.fileobj is self._listener:
                        self._accept(selector, clients)
                        continue
                    asking = key.fileobj
                    assert isinstance(asking, socket.socket)
                    if not self._serve(asking, clients[asking], events):
                        selector.unregister(asking)
                        del clients[asking]
                        asking.close()
                        continue
                    waiting = selectors.EVENT_WRITE if clients[asking] else 0
                    selector.modify(asking, selectors.EVENT_READ | waiting)

    def _accept(
        self, selector: selectors.BaseSelector, clients: dict[socket.socket, bytearray]
    ) -> None:
        try:
            client, _ = self._listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        except OSError:  # who waits would wake us at once, again and again
            selector.unregister(self._listener)
            self._accept_at = time.monotonic() + _ACCEPT_PAUSE_S
            return
        if len(clients) == _MOST_CLIENTS:
            client.close()
            return
        client.setblocking(False)
        clients[client] = bytearray()
        selector.register(client, selectors.EVENT_READ)

    def _pause_left(self, selector: selectors.BaseSelector) -> float | None:
        """Return how long nobody is accepted yet; accept again once that is over."""
        if self._accept_at is None:
            return None
        left = self._accept_at - time.monotonic()
        if left > 0:
            return left
        self._accept_at = None
        selector.register(self._listener, selectors.EVENT_READ)
        return None

    def _serve(self, client: socket.socket, unsent: bytearray, events: int) -> bool:
        """Take what a client asks and give what it has room for; whether it stays."""
        try:
            if events & selectors.EVENT_READ:
                asked = client.recv(64)
                if not asked:
                    return False
                for _ in range(asked.count(b"\n")):
                    unsent += json.dumps(snapshot(self._server)).encode() + b"\n"
            del unsent[: client.send(unsent)]
        except BlockingIOError:
            pass
        except OSError:
            return False
        return len(unsent) <= _MOST_UNREAD


def _listen(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    try:
        try:
            listener.bind(str(path))
        except OSError as error:
            if error.errno != errno.EADDRINUSE or _is_listening(path):
                raise OSError(error.errno, error.strerror, str(path)) from None
            path.unlink()
            listener.bind(str(path))
        # Before anybody can connect.
        path.chmod(0o600)
        listener.listen(_MOST_CLIENTS)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener


def _is_listening(path: Path) -> bool:
    """Whether the path is anything but a socket that was left behind."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            return not path.is_socket()
        except OSError:
            return True
    return True
