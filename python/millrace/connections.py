"""Who is connected and who waits: accept queues, connections, and what the kernel knows of them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Protocol, overload

from millrace import _core, human
from millrace.tables import ShownAsTable, TextTable

__all__ = [
    "AcceptQueue",
    "AcceptQueues",
    "Connection",
    "Connections",
    "QueueReport",
    "TcpInfo",
    "as_message",
    "from_engine",
    "from_messages",
]


class QueueReport(Protocol):
    """What waits at one listening socket, as the engine tells it."""

    @property
    def endpoint(self) -> str:
        """Where it listens."""

    @property
    def queue(self) -> _core.AcceptQueue | None:
        """None where the kernel does not say."""


@dataclass(frozen=True)
class AcceptQueue:
    """Connections that are complete and wait to be accepted, at one listening socket.

    ``limit`` is min(backlog, net.core.somaxconn); Linux admits one more than that. Both are None
    where the kernel does not say.
    """

    address: str
    depth: int | None
    limit: int | None


class AcceptQueues(ShownAsTable, Sequence[AcceptQueue]):
    """The `AcceptQueue` of each listening socket, with the overflow counters of the machine.

    ``overflows`` and ``drops`` are TcpExtListenOverflows and TcpExtListenDrops: they belong to the
    whole network namespace, to every program in it, since it was made. None where the kernel does
    not say.
    """

    def __init__(
        self, reports: Sequence[QueueReport], counters: _core.ListenCounters | None
    ) -> None:
        self._queues = tuple(
            AcceptQueue(one.endpoint, one.queue.depth, one.queue.limit)
            if one.queue is not None
            else AcceptQueue(one.endpoint, None, None)
            for one in reports
        )
        self.overflows = counters.overflows if counters is not None else None
        self.drops = counters.drops if counters is not None else None

    @overload
    def __getitem__(self, index: int) -> AcceptQueue: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[AcceptQueue, ...]: ...
    def __getitem__(self, index: int | slice) -> AcceptQueue | tuple[AcceptQueue, ...]:
        return self._queues[index]

    def __len__(self) -> int:
        return len(self._queues)

    def _table(self) -> TextTable:
        table = TextTable("Accept queues", ("address", "depth", "limit"))
        for one in self._queues:
            table.add(one.address, _count(one.depth), _count(one.limit))
        table.notes.append(
            f"In this network namespace, all programs: {_count(self.overflows)} overflows, "
            f"{_count(self.drops)} drops."
        )
        return table


@dataclass(frozen=True)
class TcpInfo:
    """TCP_INFO of a connection (tcp(7), linux/tcp.h), as it was when it was asked for.

    Durations are in seconds, rates in bytes per second; ``congestion_window`` and
    ``slow_start_threshold`` count segments of ``send_segment_bytes`` (RFC 5681, RFC 6298). What an
    old kernel does not tell is 0.
    """

    state: str
    congestion_control: str
    rtt: float
    rtt_variation: float
    rtt_min: float
    retransmission_timeout: float
    since_data_sent: float
    since_data_received: float
    send_segment_bytes: int
    congestion_window: int
    slow_start_threshold: int
    unacked_segments: int
    lost_segments: int
    retransmitted_segments: int
    not_sent_bytes: int
    bytes_acked: int
    bytes_received: int
    segments_out: int
    segments_in: int
    delivery_rate: int
    pacing_rate: int


@dataclass(frozen=True)
class Connection:
    """One open connection.

    ``id`` is the kernel's cookie for the socket, the ``sk:`` of ss(8) in decimal. ``state`` is
    ``"idle"``, ``"answering"`` (a request has come whose answer is not complete) or ``"sending"``
    (complete, and waiting for the peer). ``age`` is in seconds, ``requests`` counts those that have
    come, ``unsent_bytes`` those the kernel has not taken yet. Of plain TCP, ``requests`` counts
    messages, and ``"answering"`` says that some wait for a worker or for their coroutine, or that a
    worker has them. ``tcp_info`` is None on Unix sockets.
    ``pid`` is the process that owns it, ``interpreter`` the number of its interpreter, from 1, with
    `millrace.patterns.subinterpreters`. ``loop`` counts within one of these.
    """

    id: int
    peer: str
    loop: int
    age: float
    requests: int
    state: str
    unsent_bytes: int
    tcp_info: TcpInfo | None
    pid: int
    interpreter: int | None = None


class Connections(ShownAsTable, Sequence[Connection]):
    """The connections that were open when the loops were asked.

    ``silent_loops`` counts loops that did not answer in time: a handler blocks them. ``silent``
    names worker processes and interpreters that did not answer at all, such as
    ``"worker 1 (pid 4242)"``; their connections are missing.
    """

    def __init__(
        self, rows: Iterable[Connection], silent_loops: int = 0, silent: Iterable[str] = ()
    ) -> None:
        self._connections = tuple(rows)
        self.silent_loops = silent_loops
        self.silent = tuple(silent)

    @overload
    def __getitem__(self, index: int) -> Connection: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Connection, ...]: ...
    def __getitem__(self, index: int | slice) -> Connection | tuple[Connection, ...]:
        return self._connections[index]

    def __len__(self) -> int:
        return len(self._connections)

    def __iter__(self) -> Iterator[Connection]:
        return iter(self._connections)

    def _table(self) -> TextTable:
        owner = self._owner_columns()
        headings = ("peer", "state", *owner, "loop", "age", "requests", "in", "out", "rtt", "cwnd",
                    "unacked", "resent", "not sent")  # fmt: skip
        table = TextTable("Connections", headings, 2)
        for one in self._connections:
            table.add(one.peer, one.state, *(str(getattr(one, name)) for name in owner),
                      str(one.loop), human.duration(one.age), human.count(one.requests),
                      *_tcp_cells(one.tcp_info))  # fmt: skip
        if self.silent_loops:
            table.notes.append(f"{self.silent_loops} loops did not answer: a handler blocks them.")
        if self.silent:
            table.notes.append(f"No answer in time, so missing here: {', '.join(self.silent)}.")
        return table

    def _owner_columns(self) -> list[str]:
        """Columns that say whose a connection is, where that is not plain."""
        if any(one.interpreter is not None for one in self._connections):
            return ["interpreter"]
        return ["pid"] if any(one.pid != os.getpid() for one in self._connections) else []


def from_engine(reports: Iterable[_core.ConnectionReport], silent_loops: int) -> Connections:
    """Return what the engine of this process told."""
    return Connections(map(_connection, reports), silent_loops)


def as_message(found: Connections) -> dict[str, Any]:
    """Return connections as JSON can say them."""
    return {"rows": [asdict(one) for one in found], "silent_loops": found.silent_loops}


def from_messages(messages: Iterable[Mapping[str, Any]], silent: Iterable[str]) -> Connections:
    """Put together what `as_message` made elsewhere; ``silent`` names who made nothing."""
    rows, silent_loops = [], 0
    for message in messages:
        silent_loops += message["silent_loops"]
        for row in message["rows"]:
            tcp = row["tcp_info"]
            rows.append(Connection(**{**row, "tcp_info": tcp and TcpInfo(**tcp)}))
    return Connections(rows, silent_loops, silent)


def _connection(report: _core.ConnectionReport) -> Connection:
    tcp = report.tcp
    info = None
    if tcp is not None:
        info = TcpInfo(**{field.name: getattr(tcp, field.name) for field in fields(TcpInfo)})
    return Connection(report.id, report.peer, report.loop, report.age, report.requests,
                      report.state, report.unsent_bytes, info, os.getpid())  # fmt: skip


def _tcp_cells(info: TcpInfo | None) -> tuple[str, ...]:
    if info is None:
        return ()
    return (
        human.size(info.bytes_received),
        human.size(info.bytes_acked),
        human.duration(info.rtt),
        human.count(info.congestion_window),
        human.count(info.unacked_segments),
        human.count(info.retransmitted_segments),
        human.size(info.not_sent_bytes),
    )


def _count(number: int | None) -> str:
    return "-" if number is None else human.count(number)
