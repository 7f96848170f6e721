"""What servers that accept connections tell of them, whatever they speak."""

from __future__ import annotations

from millrace import _core
from millrace.connections import AcceptQueues, Connections, from_engine
from millrace.life import Life
from millrace.units import seconds

__all__ = ["Connected"]


class Connected(Life):
    """Who waits to be accepted, and who is connected."""

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
