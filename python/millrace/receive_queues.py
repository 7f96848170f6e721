"""What waits at the sockets of a UDP server to be read, and what had no room there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, overload

from millrace import _core, human
from millrace.tables import ShownAsTable, TextTable

__all__ = ["ReceiveQueue", "ReceiveQueueReport", "ReceiveQueues"]


class ReceiveQueueReport(Protocol):
    """What waits at one socket, as the engine tells it."""

    @property
    def endpoint(self) -> str:
        """Where it is bound."""

    @property
    def queue(self) -> _core.ReceiveQueue | None:
        """None where the kernel does not say."""


@dataclass(frozen=True)
class ReceiveQueue:
    """Datagrams that the kernel holds for one socket until they are read.

    ``waiting_bytes`` and ``limit_bytes`` (SO_RCVBUF) are bytes as the kernel accounts them: a
    datagram weighs the buffer it lies in, which is several times what a small one carries.
    ``drops`` counts the datagrams that had no room since the socket was made, modulo 2**32. All are
    None where the kernel does not say (SO_MEMINFO, from Linux 4.12 on).
    """

    address: str
    waiting_bytes: int | None
    limit_bytes: int | None
    drops: int | None


class ReceiveQueues(ShownAsTable, Sequence[ReceiveQueue]):
    """The `ReceiveQueue` of each socket."""

    def __init__(self, reports: Sequence[ReceiveQueueReport]) -> None:
        self._queues = tuple(
            ReceiveQueue(one.endpoint, one.queue.waiting_bytes, one.queue.limit_bytes,
                         one.queue.drops)
            if one.queue is not None
            else ReceiveQueue(one.endpoint, None, None, None)
            for one in reports
        )  # fmt: skip

    @overload
    def __getitem__(self, index: int) -> ReceiveQueue: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[ReceiveQueue, ...]: ...
    def __getitem__(self, index: int | slice) -> ReceiveQueue | tuple[ReceiveQueue, ...]:
        return self._queues[index]

    def __len__(self) -> int:
        return len(self._queues)

    def _table(self) -> TextTable:
        table = TextTable("Receive queues", ("address", "waiting", "limit", "drops"))
        for one in self._queues:
            if one.waiting_bytes is None or one.limit_bytes is None or one.drops is None:
                table.add(one.address, "-", "-", "-")
            else:
                table.add(one.address, human.size(one.waiting_bytes),
                          human.size(one.limit_bytes), human.count(one.drops))  # fmt: skip
        return table
