"""Many clients that keep their connections, and count what goes wrong, by content."""

from __future__ import annotations

import itertools
import threading
from dataclasses import dataclass, field

import millrace as mr

from tests.python.wire import Gone, Wire

CLIENTS = 64
_THREADS = 8


@dataclass
class Failure:
    """A request without its answer."""

    kind: str  # "refused", "reset" or "lost"
    pid: int | None  # of the process that answered on this connection before


@dataclass
class Counted:
    """What the clients saw."""

    answers: int = 0
    wrong: list[str] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    pids: set[int] = field(default_factory=set)


class KeepAliveLoad:
    """64 connections, each asked in turn, from `with` to its end.

    The app answers ``/echo/{mark}`` with its process's id, a space and the mark. A client whose
    answer says that the connection closes opens the next one, as HTTP has it; any other end is a
    failure.
    """

    def __init__(self, server: mr.Server) -> None:
        self._server = server
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self.seen = Counted()
        self._marks = itertools.count()
        self._threads = [
            threading.Thread(target=self._ask_in_turn, daemon=True) for _ in range(_THREADS)
        ]

    def __enter__(self) -> KeepAliveLoad:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)

    def _ask_in_turn(self) -> None:
        clients = [_Client(self._server) for _ in range(CLIENTS // _THREADS)]
        while not self._stop.is_set():
            for client in clients:
                mark = f"mark-{next(self._marks)}"
                failure, text = client.ask(mark)
                with self._lock:
                    self._count(mark, failure, text)
                # It is there to lose answers, not to keep the main threads of both processes
                # waiting for their interpreter locks.
                self._stop.wait(0.001)
        for client in clients:
            client.leave()

    def _count(self, mark: str, failure: Failure | None, text: str) -> None:
        if failure is not None:
            self.seen.failures.append(failure)
            return
        pid, _, echoed = text.partition(" ")
        if echoed == mark:
            self.seen.answers += 1
            self.seen.pids.add(int(pid))
        else:
            self.seen.wrong.append(f"{mark}: {text}")


class _Client:
    def __init__(self, server: mr.Server) -> None:
        self._server = server
        self._wire: Wire | None = None
        self._pid: int | None = None

    def ask(self, mark: str) -> tuple[Failure | None, str]:
        try:
            if self._wire is None:
                self._wire, self._pid = Wire(self._server), None
            answer = self._wire.get(f"/echo/{mark}")
        except ConnectionRefusedError:
            return self._failed("refused")
        except (ConnectionResetError, BrokenPipeError):
            return self._failed("reset")
        except (Gone, TimeoutError):
            return self._failed("lost")
        assert answer.status == 200
        self._pid = int(answer.text.partition(" ")[0])
        if (answer.header("connection") or "") == "close":
            self.leave()
        return None, answer.text

    def leave(self) -> None:
        if self._wire is not None:
            self._wire.socket.close()
            self._wire = None

    def _failed(self, kind: str) -> tuple[Failure, str]:
        failure = Failure(kind, self._pid)
        self.leave()
        return failure, ""
