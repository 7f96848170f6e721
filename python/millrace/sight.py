"""What a server of HTTP tells about itself: counts, times, metrics, sockets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from millrace import observe
from millrace.connected import Connected
from millrace.life import AnyPattern
from millrace.metrics import Metrics, collect
from millrace.sockets import SocketReport
from millrace.units import seconds

if TYPE_CHECKING:
    from millrace.access_log import RequestLogs

__all__ = ["Sight"]


class Sight(Connected):
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
