"""What a server tells about itself: counts, times, metrics, sockets, connections."""

from __future__ import annotations

from typing import TYPE_CHECKING

from millrace import _core, observe
from millrace.connections import AcceptQueues, Connections, from_engine
from millrace.life import AnyPattern, Life
from millrace.metrics import Metrics, collect
from millrace.sockets import SocketReport
from millrace.units import seconds

if TYPE_CHECKING:
    from millrace.access_log import RequestLogs

__all__ = ["Sight"]


class Sight(Life):
    """What may be asked of a server, whoever serves; of its last run where it is stopped."""

    def __init__(self, pattern: AnyPattern | None, drain: float | str) -> None:
        super().__init__(pattern, drain)
        self._logs: RequestLogs | None = None

    def stats(self) -> observe.Stats:
        """Return what the engine counted, per loop; of the last run where it is stopped."""
        counted = self._last_core().stats()
        return observe.Stats(counted | (self._logs.stats() if self._logs else {}))

    def metrics(self) -> Metrics:
        """Return its metrics as values: requests by method, status and route, loops, queue, stages.

        Requests are among them where the server counts them; see its option ``metrics``.

        Examples
        --------
        >>> import millrace as mr
        >>> with mr.Server(mr.App(), metrics=True) as server:
        ...     server.metrics()["http_server_active_requests"].total
        0.0
        """
        return collect(self)

    def journey(self) -> observe.Journey:
        """Return where the time of the requests went, stage by stage; see `millrace.observe`."""
        return observe.Journey(self._last_core().journey())

    def reset_journey(self) -> None:
        """Forget the times recorded so far, such as those of a warm-up."""
        self._last_core().reset_journey()

    def blocked_loops(self, patience: float | str = "500ms") -> int:
        """Count the loops that do not answer in time, because something blocks them.

        A handler that computes or waits on its loop does so, and nothing else of that loop moves
        meanwhile. 0 where the server does not run.

        Parameters
        ----------
        patience:
            How long they may take.

        Examples
        --------
        >>> import millrace as mr
        >>> with mr.Server(mr.App()) as server:
        ...     server.blocked_loops()
        0
        """
        core = self._core
        return 0 if core is None else core.under_way(0, seconds(patience))[1]

    def socket_report(self) -> SocketReport:
        """Return what the kernel made of the socket options; of the last run where it is stopped.

        Examples
        --------
        >>> import millrace as mr
        >>> options = mr.SocketOptions(defer_accept="5s")
        >>> with mr.Server(mr.App(), socket_options=options) as server:
        ...     row = server.socket_report()["defer_accept"]
        >>> row.asked, row.effective, row.verdict
        (5, 7, 'changed')
        """
        return SocketReport(self._last_core().socket_reports())

    def accept_queues(self) -> AcceptQueues:
        """Return what waits at each listening socket to be accepted; nothing where it is stopped.

        A socket that worker processes share is one row, whoever accepts from it.

        Examples
        --------
        >>> import millrace as mr
        >>> with mr.Server(mr.App(), backlog=100) as server:
        ...     (queue,) = server.accept_queues()
        >>> queue.depth, queue.limit
        (0, 100)
        """
        return AcceptQueues(self._last_core().accept_queues(), _core.listen_counters())

    def connections(self, *, most: int = 1000, timeout: float | str = "1s") -> Connections:
        """Ask every loop for its open connections, with TCP_INFO of each.

        Those of worker processes and interpreters too; who does not answer within a second more is
        named in `Connections.silent`.

        Parameters
        ----------
        most:
            Of each loop; one costs its loop some microseconds.
        timeout:
            How long to wait for the loops.

        Raises
        ------
        WrongState
            Called by a handler, which would wait for itself.

        Examples
        --------
        >>> import millrace as mr, socket
        >>> with mr.Server(mr.App()) as server, socket.socket() as client:
        ...     client.connect(("127.0.0.1", server.port))
        ...     while not (open_now := server.connections()): pass
        >>> open_now[0].state, open_now[0].tcp_info.state
        ('idle', 'ESTABLISHED')
        """
        core, patience = self._last_core(), seconds(timeout)
        if isinstance(core, _core.Server):
            return from_engine(*core.connections(most, patience))
        return core.connections(most, patience)
