"""The listening sockets of all workers: opened here, kept here, lent to one worker after another.

A socket that stays open keeps its queue of connections that nobody has accepted yet, whatever
becomes of the worker that was accepting.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Generic, TypeVar

from millrace import _core
from millrace.patterns import MultiProcess, Pattern, Subinterpreters

__all__ = [
    "DatagramSockets",
    "Layout",
    "Lent",
    "Listeners",
    "lent_by_engine",
    "taken_over",
]

# Device and inode of a file; None where there is none.
_Identity = tuple[int, int] | None

# Which descriptors listen on which address, as the addresses were written.
Lent = dict[str, list[int]]


_Q = TypeVar("_Q")


@dataclass(frozen=True)
class _Queue(Generic[_Q]):
    """What waits at one of them."""

    endpoint: str
    queue: _Q | None


@dataclass(frozen=True)
class Layout:
    """How many sockets an address gets."""

    processes: int
    per_process: bool  # else all workers share them
    per_worker: int  # one, or one per loop where a worker's loops have a socket each

    @classmethod
    def of(cls, pattern: Pattern | MultiProcess | Subinterpreters) -> Layout:
        """Return what a pattern needs."""
        if isinstance(pattern, Subinterpreters):
            # One for all: a loop that computes does not wake up, so one that rests accepts.
            return cls(processes=pattern.interpreters, per_process=False, per_worker=1)
        if isinstance(pattern, MultiProcess):
            per_process = pattern.listener == "reuseport"
            return cls(pattern.processes, per_process, cls.of(pattern.inner).per_worker)
        per_loop = pattern.accept == "socket_per_loop"
        return cls(1, per_process=False, per_worker=pattern.loops if per_loop else 1)

    @property
    def reuse_port(self) -> bool:
        """Whether several sockets have the same address."""
        return self.per_process or self.per_worker > 1

    @property
    def total(self) -> int:
        """Sockets per address."""
        return self.per_worker * (self.processes if self.per_process else 1)


class Listeners:
    """Every listening socket of a server, from `open` to `close`.

    One thread, except for what says otherwise.
    """

    def __init__(
        self,
        binds: Sequence[str],
        backlog: int,
        options: _core.SocketOptions,
        layout: Layout,
        inherited: Mapping[str, list[int]],
    ) -> None:
        self._options = options
        self._binds = binds
        self._backlog = backlog
        self._layout = layout
        self._inherited = dict(inherited)  # once
        self._sockets: dict[str, list[socket.socket]] = {}
        self._paths: dict[str, _Identity] = {}  # the Unix paths that are ours, as we know them
        self._coming_and_going = threading.Lock()
        self.endpoints: list[str] = []
        # What became of the options of each, in the last run as well.
        self.reports: list[_core.SocketReport] = []

    def open(self) -> None:
        """Open all of them, or take over those that a predecessor left for us.

        Raises
        ------
        OSError, ValueError
            An address cannot be listened on; nothing is left open.
        """
        try:
            _check_inherited(self._inherited, self._binds)
            with self._coming_and_going:
                self.reports.clear()
                for key, bind in _keys(self._binds).items():
                    self._sockets[key] = []
                    self._fill(self._sockets[key], bind, self._inherited.pop(key, []))
        except BaseException:
            self.close()
            raise

    def options_of(self, slot: int) -> dict[str, Any]:
        """Return what the server in a slot is told: to bind its descriptors, address by address."""
        return {"bind": [f"fd://{','.join(map(str, mine))}" for mine in self._of(slot)]}

    def descriptors(self, slot: int) -> list[int]:
        """Return all descriptors that the worker in a slot needs."""
        return [number for mine in self._of(slot) for number in mine]

    def all(self) -> Lent:
        """Return every descriptor there is, for a successor of this process."""
        return {key: [one.fileno() for one in row] for key, row in self._sockets.items()}

    def take_paths(self) -> None:
        """Own the Unix paths that a predecessor left: they are its own until this process serves,
        as it serves on if this one does not come up."""
        for key, row in self._sockets.items():
            if " fd://" not in key:
                self._own_paths(row)

    def leave_paths(self) -> None:
        """Let Unix paths stay at the end: a successor of this process serves there."""
        self._paths.clear()

    def close(self) -> None:
        """Close them; Unix paths that are ours are removed, unless somebody else serves there."""
        with self._coming_and_going:
            for path, identity in self._paths.items():
                if _identity(path) == identity:
                    with contextlib.suppress(OSError):
                        Path(path).unlink()
            for row in self._sockets.values():
                for one in row:
                    one.close()
            self._paths.clear()
            self._sockets.clear()
            self.endpoints.clear()

    def accept_queues(self) -> list[_Queue[_core.AcceptQueue]]:
        """Return what waits at each socket, once however many accept from it. Any thread."""
        return self._queues(lambda one: _core.accept_queue(one.fileno(), one.family))

    def receive_queues(self) -> list[_Queue[_core.ReceiveQueue]]:
        """Return what waits at each socket of UDP, once however many read it. Any thread."""
        return self._queues(lambda one: _core.receive_queue(one.fileno()))

    def _queues(self, ask: Callable[[socket.socket], _Q | None]) -> list[_Queue[_Q]]:
        with self._coming_and_going:
            return [
                _Queue(_endpoint(one), ask(one)) for row in self._sockets.values() for one in row
            ]

    def _fill(self, row: list[socket.socket], bind: str, inherited: Sequence[int]) -> None:
        total, at_hand = self._layout.total, list(inherited)
        if not at_hand and bind.startswith("fd://"):
            at_hand = [int(text) for text in bind.removeprefix("fd://").split(",")]
        if bind.startswith("fd://") and len(at_hand) != total:
            raise ValueError(
                f"{bind!r} has {len(at_hand)} of the {total} sockets that the pattern "
                "needs for an address: name as many (fd://3,4,...), or take a pattern whose "
                "processes and loops share one, such as multi_process with listener='shared'"
            )
        while len(row) < max(total, len(at_hand)):
            is_at_hand = len(row) < len(at_hand)
            # The port that the kernel chose for the first one is everybody's.
            place = bind if not row else self.endpoints[-1]
            fd, report = self._open_one(
                f"fd://{at_hand[len(row)]}" if is_at_hand else place,
                len(row),
                takes_over=is_at_hand and bool(inherited),
            )
            if not row:
                self.endpoints.append(report.endpoint)
            row.append(_adopt(fd))
            if not is_at_hand:
                self._own_paths(row[-1:])
            self.reports.append(report)

    def _own_paths(self, row: Sequence[socket.socket]) -> None:
        for one in row:
            path = one.getsockname() if one.family == socket.AF_UNIX else None
            # An abstract name is bytes, and there is no file of it.
            if isinstance(path, str) and path not in self._paths:
                self._paths[path] = _identity(path)

    def _open_one(
        self, bind: str, index: int, *, takes_over: bool
    ) -> tuple[int, _core.SocketReport]:
        return _core.open_listening_socket(
            bind, self._backlog, self._layout.reuse_port, self._options, index, takes_over
        )

    def _of(self, slot: int) -> list[list[int]]:
        """Return the worker's descriptors per address: dealt out, so that each has a worker."""
        layout = self._layout
        hands = layout.processes if layout.per_process else 1
        return [
            [one.fileno() for at, one in enumerate(row) if at % hands == slot % hands]
            for row in self._sockets.values()
        ]


class DatagramSockets(Listeners):
    """The same for UDP: what waits in them is datagrams that no worker has read yet."""

    def __init__(self, binds: Sequence[str], options: _core.SocketOptions, layout: Layout) -> None:
        super().__init__(binds, 0, options, layout, {})

    def options_of(self, slot: int) -> dict[str, Any]:
        """Return what the server in a slot is told; of those that share sockets one counts what
        the kernel dropped."""
        counts_losses = self._layout.per_process or slot == 0
        return super().options_of(slot) | {"counts_losses": counts_losses}

    def _open_one(
        self, bind: str, index: int, *, takes_over: bool
    ) -> tuple[int, _core.SocketReport]:
        return _core.open_datagram_socket(bind, self._layout.reuse_port, self._options, index)


def lent_by_engine(binds: Sequence[str], pattern: Pattern, descriptors: Sequence[int]) -> Lent:
    """Return the listening descriptors of a server of one process by their addresses."""
    left, per_address = iter(descriptors), Layout.of(pattern).total
    counts = [bind.count(",") + 1 if bind.startswith("fd://") else per_address for bind in binds]
    return {key: list(islice(left, n)) for key, n in zip(_keys(binds), counts, strict=True)}


def taken_over(binds: Sequence[str], inherited: Mapping[str, list[int]]) -> list[str]:
    """Return addresses as they are for who takes over the sockets of a predecessor, if it has one.

    Raises
    ------
    ValueError
        They are for other addresses.
    """
    _check_inherited(inherited, binds)
    if not inherited:
        return list(binds)
    return [f"fd://{','.join(map(str, inherited[key]))}" for key in _keys(binds)]


def _keys(binds: Sequence[str]) -> dict[str, str]:
    # The same text may stand there twice, as "127.0.0.1:0" does for two free ports.
    return {f"{place} {bind}": bind for place, bind in enumerate(binds)}


def _check_inherited(inherited: Mapping[str, list[int]], binds: Sequence[str]) -> None:
    wanted = _keys(binds)
    if inherited and set(inherited) != set(wanted):
        raise ValueError(
            f"the sockets handed over are for {', '.join(inherited)}, and not for "
            f"{', '.join(wanted)}: stop the old process and start this one anew"
        )


def _identity(path: str) -> _Identity:
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _adopt(descriptor: int) -> socket.socket:
    os.set_inheritable(descriptor, False)
    return socket.socket(fileno=descriptor)


def _endpoint(listening: socket.socket) -> str:
    name = listening.getsockname()
    if listening.family == socket.AF_UNIX:
        return f"unix:{name}"
    host, port = name[:2]
    return f"[{host}]:{port}" if listening.family == socket.AF_INET6 else f"{host}:{port}"
