"""A server: an app, an address and an execution pattern, on threads of its own."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from millrace import _core, chain, errors, observe, patterns, running
from millrace.access_log import AccessLog, RequestLogs
from millrace.app import App, check_app
from millrace.connections import AcceptQueues, Connections
from millrace.drain import Drain
from millrace.http import Request
from millrace.lifetime import Lifetime
from millrace.limits import Limits
from millrace.metrics import Metrics, collect
from millrace.monitor import Monitor, chosen_path
from millrace.patterns import MultiProcess, Pattern, Subinterpreters
from millrace.sockets import SocketOptions, SocketReport
from millrace.supervisor.listeners import Layout
from millrace.units import seconds

if TYPE_CHECKING:
    from millrace.subinterpreters.pool import Interpreters
    from millrace.supervisor.lifetime import RemoteLifetime
    from millrace.supervisor.supervisor import Supervisor
    from millrace.supervisor.table import Workers

__all__ = ["Server"]

_log = logging.getLogger("millrace.error")


class Server:
    """Serves an app from `start` to `stop`; a context manager, plain and async.

    It has threads of its own, so it runs beside anything: a notebook's loop, other servers, tests.
    It can be started again after it stopped.

    Parameters
    ----------
    app:
        What answers.
    bind:
        ``"host:port"``, ``":port"`` for all IPv4 addresses, ``"[::1]:port"``, ``"unix:/path"``,
        ``"fd://3"`` for a socket that listens already (it stays open when the server stops; where
        each loop has its own socket, ``"fd://3,4"`` names one per loop), or several of them. Port
        0 takes a free one.
    pattern:
        Who accepts, who owns connections, who runs handlers; one thread for all by default. With
        `millrace.patterns.multi_process` the app is served by other processes, with
        `millrace.patterns.subinterpreters` by other interpreters.
    limits:
        What is refused.
    http:
        Protocol versions; ``"h1"`` is the one there is.
    journey:
        Record where the time of each request goes. It costs a few percent.
    metrics:
        Count requests by method, status and route for `metrics`. By default, where the app has a
        route for them (`App.metrics`).
    access_log:
        A path, ``"-"`` for the standard output, or an `AccessLog`; by default there is none. Where
        the logger ``millrace.access`` has a handler when the server starts, it gets a record per
        request, whatever stands here.
    slow_request:
        Tell the logger ``millrace.slow`` about requests that take this long, with their journey.
    monitor:
        The path of a Unix socket for ``millrace top``; True chooses one by the process's id.
    half_close:
        A client that ends its sending side still wants its answer. By default it has left.
    backlog:
        Connections the kernel keeps until they are accepted.
    socket_options:
        What listening sockets and connections are asked to be; see `socket_report`.
    drain:
        What `stop` gives to requests under way.
    tls:
        Not available in this version.

    Raises
    ------
    TypeError
        ``app`` is no `App`.
    ValueError
        An option has a value that cannot be used.

    Examples
    --------
    >>> import millrace as mr
    >>> app = mr.App()
    >>> app.respond("/", "Hello, World!")
    >>> with mr.Server(app, pattern=mr.patterns.reuseport_shards(loops=2)) as server:
    ...     server.url.startswith("http://127.0.0.1:")
    True
    """

    def __init__(
        self,
        app: App,
        *,
        bind: str | Sequence[str] = "127.0.0.1:0",
        pattern: Pattern | MultiProcess | Subinterpreters | None = None,
        limits: Limits | None = None,
        http: str = "h1",
        journey: bool = True,
        metrics: bool | None = None,
        access_log: AccessLog | str | Path | bool | None = None,
        slow_request: float | str | None = None,
        monitor: str | Path | bool | None = None,
        half_close: bool = False,
        backlog: int | None = None,
        socket_options: SocketOptions | None = None,
        drain: float | str = "10s",
        tls: None = None,
    ) -> None:
        given = locals().items()
        # What worker processes get another way, or not at all, is left out.
        self._arguments = {name: value for name, value in given if name not in _NOT_FOR_WORKERS}
        check_app(app)
        if http != "h1":
            raise ValueError(f"http={http!r} is not available in this version: use 'h1'")
        if tls is not None:
            raise ValueError("tls is not available in this version: leave it out")
        self._app = app
        self._pattern = pattern if pattern is not None else patterns.single_thread()
        self._drain_s = seconds(drain)
        self._options = _core.ServerOptions()
        self._options.bind = [bind] if isinstance(bind, str) else list(bind)
        if not self._options.bind:
            raise ValueError("bind is empty: name at least one address, such as '127.0.0.1:0'")
        self._options.recipe = self._pattern.recipe()
        self._options.journey = journey
        self._options.half_close = half_close
        self._metrics = metrics
        self._access_log = AccessLog.of(access_log)
        self._monitor_path = chosen_path(monitor)
        self._slow_request_s = None if slow_request is None else seconds(slow_request)
        wanted = socket_options or SocketOptions()
        self._options.socket = wanted.to_engine(Layout.of(self._pattern).total)
        if backlog is not None and wanted.backlog is not None:
            raise ValueError("backlog is given twice: leave it out of the socket_options")
        backlog = wanted.backlog if backlog is None else backlog
        if backlog is not None:
            self._options.backlog = backlog
        (limits or Limits()).apply(self._options)
        self._make_locks()
        self._core: _core.Server | Supervisor | Interpreters | None = None
        self._logs: RequestLogs | None = None
        self._monitor: Monitor | None = None
        self._lifetime: Lifetime | RemoteLifetime | None = None
        # Why the worker processes were given up, and whom to tell; empty while all is well.
        self.failure = ""
        self._when_failed: Callable[[], None] = lambda: None
        # Sockets that a predecessor of this process left for it; see millrace.supervisor.handover.
        self._inherited: dict[str, list[int]] = {}

    def __repr__(self) -> str:
        where = ", ".join(self.urls) if self.is_running else "not running"
        return f"<Server {where}, {self._pattern!r}>"

    @property
    def is_running(self) -> bool:
        """Whether it is between `start` and `stop`."""
        return not self._stopped.is_set()

    @property
    def url(self) -> str:
        """Where it listens, as a URL without a path; the first of `urls`."""
        return self.urls[0]

    @property
    def urls(self) -> list[str]:
        """Where it listens; ``unix:/path`` for a Unix socket."""
        endpoints = self._running_core().endpoints
        return [end if end.startswith("unix:") else f"http://{end}" for end in endpoints]

    @property
    def port(self) -> int:
        """The first TCP port it listens on."""
        return self._running_core().ports[0]

    def start(self) -> Server:
        """Listen, run the app's lifespan, then accept.

        Raises
        ------
        OSError
            The address is in use or not available; nothing is left running.
        RuntimeError
            It is running.
        """
        with self._lock:
            if self.is_running:
                raise RuntimeError("the server is running: stop it before it is started again")
            self._start()
        return self

    @property
    def pattern(self) -> Pattern | MultiProcess | Subinterpreters:
        """Who accepts, who owns connections, who runs handlers."""
        return self._pattern

    @property
    def drain_s(self) -> float:
        """What `stop` gives to requests under way, in seconds."""
        return self._drain_s

    @property
    def is_hurried(self) -> bool:
        """Whether `hurry` has been called since it started."""
        return self._hurry.is_set()

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
        >>> with Server(App()) as server:
        ...     server.blocked_loops()
        0
        """
        core = self._core
        return 0 if core is None else core.under_way(0, seconds(patience))[1]

    def hurry(self) -> None:
        """Make a `stop` that waits in another thread cut off what is under way."""
        self._hurry.set()

    def stop(
        self,
        *,
        drain: float | str | None = None,
        idle: Literal["close", "one_more"] = "close",
    ) -> None:
        """Stop accepting, let requests finish, leave the lifespan, end all threads.

        Does nothing where it is not running.

        Parameters
        ----------
        drain:
            What requests under way get instead of the server's own value; what is left then is
            cut off. 0 cuts off at once.
        idle:
            ``"close"`` closes connections that rest; a request that was just being sent is lost.
            ``"one_more"`` gives them 2 s for one more request, whose answer says that the
            connection closes; use it where something else takes over the address.

        Raises
        ------
        WrongState
            Called by a handler, which would wait for itself.
        """
        patience = self._drain_s if drain is None else seconds(drain)
        if patience == 0:
            self.hurry()
        with self._lock:
            if self.is_running:
                self._stop(patience, idle)

    def serve_forever(self) -> None:
        """Serve until Ctrl-C, or until another thread calls `stop`; started where it is not.

        Raises
        ------
        WorkerFailed
            Worker processes ended again and again, so the server has stopped.
        """
        if not self.is_running:
            self.start()
        try:
            # In glances: a signal that comes just before a wait begins would not end it.
            while not self._stopped.wait(_GLANCE_S):
                pass
        finally:
            self.stop()
        if self.failure:
            raise errors.WorkerFailed(self.failure)

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

    def reopen_logs(self) -> None:
        """Go on with the access log in a new file of its name, after the old one was moved away.

        Raises
        ------
        OSError
            It cannot be opened; the old one is written to as before.
        """
        if self._logs is not None:
            self._logs.reopen()
        elif self._core is not None and not isinstance(self._core, _core.Server):
            self._core.reopen_logs()

    def workers(self) -> Workers:
        """Return a table of the worker processes.

        Raises
        ------
        RuntimeError
            The pattern is not `millrace.patterns.multi_process`, or it is not running.
        """
        from millrace.supervisor.table import Workers

        return Workers(self._supervisor().workers())

    def roll(self) -> None:
        """Replace every worker process by a new one, one by one, without losing a request.

        The new ones import the app afresh. Returns when the last old one is gone.

        Raises
        ------
        WorkerFailed
            A new one did not start; the old ones that are left serve on.
        RuntimeError
            The pattern is not `millrace.patterns.multi_process`, or it is not running.
        """
        self._supervisor().roll()

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
        return SocketReport(self._engine().socket_reports())

    def accept_queues(self) -> AcceptQueues:
        """Return what waits at each listening socket to be accepted; nothing where it is stopped.

        Examples
        --------
        >>> import millrace as mr
        >>> with mr.Server(mr.App(), backlog=100) as server:
        ...     (queue,) = server.accept_queues()
        >>> queue.depth, queue.limit
        (0, 100)
        """
        return AcceptQueues(self._engine().accept_queues(), _core.listen_counters())

    def connections(self, *, most: int = 1000, timeout: float | str = "1s") -> Connections:
        """Ask every loop for its open connections, with TCP_INFO of each.

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
        return Connections(*self._engine().connections(most, seconds(timeout)))

    def __enter__(self) -> Server:
        return self.start()

    def __exit__(self, *error: object) -> None:
        self.stop()

    async def __aenter__(self) -> Server:
        return await asyncio.to_thread(self.start)

    async def __aexit__(self, *error: object) -> None:
        await asyncio.to_thread(self.stop)

    def _start(self) -> None:
        core, lifetime = self._make_core()
        self._core, self._lifetime, self.failure = core, lifetime, ""
        core.listen()
        if isinstance(core, _core.Server):  # workers say it themselves
            self.socket_report().log_problems()
        try:
            if self._logs is not None:
                self._logs.open()
            if self._monitor_path is not None:
                self._monitor = Monitor(self, self._monitor_path)
            core.run_loops()
            lifetime.enter()
            core.accept()
        except BaseException:
            lifetime.detach()
            core.stop_loops()
            self._close_sight()
            raise
        self._hurry.clear()
        self._stopped.clear()
        running.add(self)
        if self._monitor is not None:
            self._monitor.start()

    def _recorders(self) -> _core.RecorderOptions:
        recorders = _core.RecorderOptions()
        recorders.metrics = self._app._has_metrics() if self._metrics is None else self._metrics
        return recorders

    def _make_core(
        self,
    ) -> tuple[_core.Server, Lifetime] | tuple[Supervisor | Interpreters, RemoteLifetime]:
        if not isinstance(self._pattern, Pattern):
            # Imported here: a server of one process has no need for it, and a worker must not.
            from millrace.supervisor.assembly import assemble

            return assemble(
                self._app,
                self._pattern,
                bind=self._options.bind,
                backlog=self._options.backlog,
                socket_options=self._options.socket,
                drain=self._drain_s,
                arguments=self._arguments,
                inherited=self._inherited,
                on_failure=self._on_failure,
            )
        # What the bridge and requests use: no request should be the one that waits for imports.
        import millrace._host  # noqa: F401

        hooks = _core.AppHooks(
            app=self._app, on_exception=self._on_exception, on_background=self._on_background
        )
        on_threads = isinstance(self._pattern.dispatch, patterns.Queue)
        routes = self._app._engine_routes(plain_on_threads=on_threads)
        recorders = self._recorders()
        self._logs = RequestLogs(self._access_log, self._slow_request_s, recorders)
        core = _core.Server(self._options, routes, hooks, recorders)
        return core, Lifetime(self._app, core.asyncio_loop)

    def _stop(self, patience: float, idle: Literal["close", "one_more"]) -> None:
        drain = Drain(self._running_core(), patience, self._hurry.is_set)
        try:
            drain.announce()
        finally:  # it serves no longer, whatever becomes of the lines about it
            self._finish(drain, idle)

    def _finish(self, drain: Drain, idle: Literal["close", "one_more"]) -> None:
        core, lifetime = self._running_core(), self._lifetime
        assert lifetime is not None
        core.stop_accepting()  # raises on a thread of the server's own
        try:
            if idle == "one_more":
                drain.let_rest()
            drain.let_finish()
        finally:
            try:
                lifetime.leave(drain.left, self._hurry.is_set)
            finally:
                lifetime.detach()
                core.stop_loops()
                self._close_sight()
                running.discard(self)
                self._stopped.set()

    def _close_sight(self) -> None:
        if self._monitor is not None:
            self._monitor.close()
            self._monitor = None
        if self._logs is not None:
            self._logs.close()

    def _make_locks(self) -> None:
        self._lock = threading.Lock()
        self._hurry = threading.Event()
        self._stopped = threading.Event()
        self._stopped.set()

    def _forget(self) -> None:
        """In the child of a fork: the threads are the parent's, and nothing may be waited for."""
        self._make_locks()
        if self._lifetime is not None:
            self._lifetime.unregister()
        if self._logs is not None:
            self._logs.forget()
        self._logs = self._monitor = None
        if self._core is not None and not isinstance(self._core, _core.Server):
            self._core.forget()

    def _engine(self) -> _core.Server:
        core = self._last_core()
        if not isinstance(core, _core.Server):
            raise RuntimeError(
                "the sockets are in worker processes, which this cannot look into yet: serve by a "
                "pattern of one process, or look with ss(8)"
            )
        return core

    def _supervisor(self) -> Supervisor:
        core = self._running_core()
        if not isinstance(self._pattern, MultiProcess):
            raise RuntimeError(
                "the server has one process: it has workers with "
                "pattern=millrace.patterns.multi_process(2)"
            )
        return cast("Supervisor", core)

    def _running_core(self) -> _core.Server | Supervisor | Interpreters:
        if not self.is_running:
            raise RuntimeError("the server is not running: start it, or use it in a `with`")
        return self._last_core()

    def _last_core(self) -> _core.Server | Supervisor | Interpreters:
        if self._core is None:
            raise RuntimeError("the server has not been started yet")
        return self._core

    def _on_exception(self, request: Request, error: BaseException) -> Any:
        """Answer what a handler raised, or raise it: then the engine logs it and answers 500."""
        return chain.answer_error((self._app._errors,), request, error)

    def _on_background(self, task: object) -> None:
        lifetime = self._lifetime
        if isinstance(lifetime, Lifetime):
            lifetime.run_background(task)

    def _on_failure(self, why: str) -> None:
        """The workers are given up, on a thread of its own."""
        _log.error("the server stops: %s", why)
        self.failure = why
        self._when_failed()
        self.stop(drain=0)


# Arguments that a worker process gets another way: a descriptor per address, the inner pattern.
_NOT_FOR_WORKERS = {"self", "app", "bind", "pattern", "backlog", "monitor"}

# How soon Ctrl-C is heard, at the latest.
_GLANCE_S = 0.5
