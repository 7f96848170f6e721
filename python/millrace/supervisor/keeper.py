"""Who keeps the sockets that others serve on: worker processes or interpreters."""

from __future__ import annotations

from collections.abc import Sequence

from millrace import _core
from millrace.connections import QueueReport
from millrace.receive_queues import ReceiveQueueReport
from millrace.supervisor.listeners import Lent, Listeners

__all__ = ["Keeper"]


class Keeper:
    """What the engine's own server does with its sockets; `accept` once all serve on them."""

    def __init__(self, listeners: Listeners) -> None:
        self._listeners = listeners

    def listen(self) -> None:
        """Open the sockets."""
        self._listeners.open()

    def accept(self) -> None:
        """Take note that those who serve do: each accepts once it is ready."""
        self._listeners.take_paths()

    def stop_accepting(self) -> None:
        """Do nothing: each stops accepting when it is told to leave."""

    @property
    def endpoints(self) -> list[str]:
        """Where it listens."""
        return list(self._listeners.endpoints)

    @property
    def ports(self) -> list[int]:
        """The TCP ports of `endpoints`."""
        tcp = (end for end in self._listeners.endpoints if not end.startswith("unix:"))
        return [int(end.rpartition(":")[2]) for end in tcp]

    def accept_queues(self) -> Sequence[QueueReport]:
        """Return what waits at each listening socket, whoever accepts from it."""
        return self._listeners.accept_queues()

    def receive_queues(self) -> Sequence[ReceiveQueueReport]:
        """Return what waits at each socket of UDP, whoever reads it."""
        return self._listeners.receive_queues()

    def socket_reports(self) -> list[_core.SocketReport]:
        """Return what became of the options of each listening socket."""
        return self._listeners.reports

    def lent(self) -> Lent:
        """Return every listening descriptor, for a successor of this process."""
        return self._listeners.all()

    def leave_paths(self) -> None:
        """Let Unix paths stay at the end: a successor of this process serves there."""
        self._listeners.leave_paths()
