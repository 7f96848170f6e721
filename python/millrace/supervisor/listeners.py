"""The listening sockets of all workers: opened here, kept here, lent to one worker after another.

A socket that stays open keeps its queue of connections that nobody has accepted yet, whatever
becomes of the worker that was accepting.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from millrace import _core
from millrace.patterns import MultiProcess, Pattern, Subinterpreters

__all__ = ["DatagramSockets", "Layout", "Lent", "Listeners"]

# Which descriptors listen on which address, as the addresses were written.
Lent = dict[str, list[int]]


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
    """Every listening socket of a server, from `open` to `close`. One thread."""

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
        self.endpoints: list[str] = []

    def open(self) -> None:
        """Open all of them, or take over those that a predecessor left for us.

        Raises
        ------
        OSError, ValueError
            An address cannot be listened on; nothing is left open.
        """
        try:
            wanted = [f"{place} {bind}" for place, bind in enumerate(self._binds)]
            if self._inherited and sorted(self._inherited) != sorted(wanted):
                raise ValueError(
                    f"the sockets handed over are for {', '.join(self._inherited)}, and not for "
                    f"{', '.join(wanted)}: stop the old process and start this one anew"
                )
            for place, bind in enumerate(self._binds):
                # The same text may stand there twice, as "127.0.0.1:0" does for two free ports.
                key = f"{place} {bind}"
                self._sockets[key] = [_adopt(fd) for fd in self._inherited.pop(key, [])]
                self._fill(bind, self._sockets[key])
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

    def close(self, *, keep_paths: bool = False) -> None:
        """Close them; Unix paths are removed, unless somebody else serves there from now on."""
        for row in self._sockets.values():
            for one in row:
                path = one.getsockname() if one.family == socket.AF_UNIX else None
                one.close()
                if isinstance(path, str) and path and not keep_paths:
                    with contextlib.suppress(OSError):
                        Path(path).unlink()
        self._sockets.clear()
        self.endpoints.clear()

    def _fill(self, bind: str, row: list[socket.socket]) -> None:
        if not row and bind.startswith("fd://"):
            row += [_adopt(os.dup(int(text))) for text in bind.removeprefix("fd://").split(",")]
        if bind.startswith("fd://") and len(row) != self._layout.total:
            raise ValueError(
                f"{bind!r} has {len(row)} of the {self._layout.total} sockets that the pattern "
                "needs for an address: name as many (fd://3,4,...), or take a pattern whose "
                "processes and loops share one, such as multi_process with listener='shared'"
            )
        if row:
            self.endpoints.append(_endpoint(row[0]))
        while len(row) < self._layout.total:
            fd, where = self._open_one(bind if not row else self.endpoints[-1], len(row))
            if not row:
                self.endpoints.append(where)
            row.append(_adopt(fd))

    def _open_one(self, bind: str, index: int) -> tuple[int, str]:
        return _core.open_listening_socket(
            bind, self._backlog, self._layout.reuse_port, self._options, index
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

    def _open_one(self, bind: str, index: int) -> tuple[int, str]:
        return _core.open_datagram_socket(bind, self._layout.reuse_port, self._options, index)


def _adopt(descriptor: int) -> socket.socket:
    os.set_inheritable(descriptor, False)
    return socket.socket(fileno=descriptor)


def _endpoint(listening: socket.socket) -> str:
    name = listening.getsockname()
    if listening.family == socket.AF_UNIX:
        return f"unix:{name}"
    host, port = name[:2]
    return f"[{host}]:{port}" if listening.family == socket.AF_INET6 else f"{host}:{port}"
