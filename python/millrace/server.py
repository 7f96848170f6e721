"""A server: an app, an address and an execution pattern, on threads of its own."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from millrace import _core, chain, errors, patterns
from millrace.access_log import AccessLog, RequestLogs
from millrace.app import App, check_app
from millrace.drain import Drain
from millrace.filters import ProxyHeaders
from millrace.handler_server import bind_list
from millrace.lifetime import Lifetime
from millrace.limits import Limits
from millrace.monitor import Monitor, chosen_path
from millrace.patterns import MultiProcess, Pattern, Subinterpreters
from millrace.sight import Sight
from millrace.sockets import SocketOptions, chosen_backlog
from millrace.supervisor.listeners import Layout, Lent, lent_by_engine, taken_over
from millrace.units import seconds

if TYPE_CHECKING:
    from millrace.subinterpreters.pool import Interpreters
    from millrace.supervisor.lifetime import RemoteLifetime
    from millrace.supervisor.supervisor import Supervisor

__all__ = ["Server"]


class Server(Sight):
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
    proxy_headers:
        Whom to believe about the client: `millrace.filters.ProxyHeaders`, before the app's own
        filters. By default nobody, since without a proxy those fields are the client's own words.
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
    decompress:
        Hand bodies of requests to handlers without their ``Content-Encoding`` (gzip, deflate, br,
        zstd), within `Limits.body_ratio`; another one is 415. By default handlers get what came.
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
        ``app`` is no `App`, or ``pattern`` is no value of `millrace.patterns`.
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
        proxy_headers: ProxyHeaders | None = None,
        http: str = "h1",
        journey: bool = True,
        metrics: bool | None = None,
        access_log: AccessLog | str | Path | bool | None = None,
        slow_request: float | str | None = None,
        monitor: str | Path | bool | None = None,
        decompress: bool = False,
        half_close: bool = False,
        backlog: int | None = None,
        socket_options: SocketOptions | None = None,
        drain: float | str = "10s",
        tls: None = None,
    ) -> None:
        super().__init__(pattern, drain)
        given = locals().items()
        # What worker processes get another way, or not at all, is left out.
        self._arguments = {name: value for name, value in given if name not in _NOT_FOR_WORKERS}
        check_app(app)
        if http != "h1":
            raise ValueError(f"http={http!r} is not available in this version: use 'h1'")
        if tls is not None:
            raise ValueError("tls is not available in this version: leave it out")
        self._app = app
        self._options = _core.ServerOptions()
        self._binds = bind_list(bind)
        self._options.recipe = self._pattern.recipe()
        self._options.journey = journey
        self._options.decompress = decompress
        self._options.half_close = half_close
        self._proxy_headers = proxy_headers
        self._metrics = metrics
        self._access_log = AccessLog.of(access_log)
        self._monitor_path = chosen_path(monitor)
        self._slow_request_s = None if slow_request is None else seconds(slow_request)
        wanted = socket_options or SocketOptions()
        self._options.socket = wanted.to_engine(Layout.of(self._pattern).total)
        self._options.backlog = chosen_backlog(backlog, wanted, self._options.backlog)
        self._limits = limits or Limits()
        self._limits.apply(self._options)
        self._monitor: Monitor | None = None
        self._lifetime: Lifetime | RemoteLifetime | None = None
        # Sockets that a predecessor of this process left for it; see millrace.supervisor.handover.
        self._inherited: dict[str, list[int]] = {}

    def __repr__(self) -> str:
        where = ", ".join(self.urls) if self.is_running else "not running"
        return f"<Server {where}, {self._pattern!r}>"

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

    @property
    def pattern(self) -> Pattern | MultiProcess | Subinterpreters:
        """Who accepts, who owns connections, who runs handlers."""
        return self._pattern

    @property
    def limits(self) -> Limits:
        """What it refuses, and when."""
        return self._limits

    @property
    def drain_s(self) -> float:
        """What `stop` gives to requests under way, in seconds."""
        return self._drain_s

    @property
    def is_hurried(self) -> bool:
        """Whether `hurry` has been called since it started."""
        return self._hurry.is_set()

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
        self._stop_within(drain, lambda patience: self._stop(patience, idle))

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

    def _start(self) -> None:
        has_predecessor = bool(self._inherited)
        core, lifetime = self._make_core()
        self._core, self._lifetime = core, lifetime
        core.listen()
        if isinstance(core, _core.Server):  # workers say it themselves
            self.socket_report().log_problems()
        try:
            if self._logs is not None:
                self._logs.open()
            if self._monitor_path is not None:
                self._monitor = Monitor(self, self._monitor_path, takes_over=has_predecessor)
            core.run_loops()
            lifetime.enter()
            core.accept()
        except BaseException:
            lifetime.detach()
            core.stop_loops()
            self._close_sight()
            raise
        self._serves()
        if self._monitor is not None:
            self._monitor.start()

    def _filters(self) -> list[_core.Filter]:
        """Return the server's own and the app's, in their order."""
        own = self._app._engine_filters()
        if self._proxy_headers is None:
            return own
        if self._app._has_filter(ProxyHeaders):
            raise ValueError(
                "proxy_headers (--proxy-headers): the app has the filter ProxyHeaders itself, and "
                "the second of two would take the client for a proxy: leave one of them out"
            )
        return [self._proxy_headers.to_engine(""), *own]

    def _recorders(self) -> _core.RecorderOptions:
        recorders = _core.RecorderOptions()
        recorders.metrics = self._app._has_metrics() if self._metrics is None else self._metrics
        return recorders

    def _make_core(
        self,
    ) -> tuple[_core.Server, Lifetime] | tuple[Supervisor | Interpreters, RemoteLifetime]:
        inherited, self._inherited = self._inherited, {}  # once
        self._app._refuse_open_routes()
        filters = self._filters()
        if not isinstance(self._pattern, Pattern):
            # Imported here: a server of one process has no need for it, and a worker must not.
            from millrace.supervisor.assembly import assemble

            return assemble(
                self._app,
                self._pattern,
                bind=self._binds,
                backlog=self._options.backlog,
                socket_options=self._options.socket,
                drain=self._drain_s,
                arguments=self._arguments,
                inherited=inherited,
                on_failure=self._on_failure,
            )
        lifetime = Lifetime(self._app)
        hooks = _core.AppHooks(
            app=self._app,
            # Not methods of this server: what holds it would keep a stopped one until the collector
            # comes, and its descriptors.
            on_exception=partial(chain.answer_error, (self._app._errors,)),
            on_background=lifetime.run_background,
            form_limits=self._limits.form,
        )
        on_threads = isinstance(self._pattern.dispatch, patterns.Queue)
        routes = self._app._engine_routes(plain_on_threads=on_threads)
        self._options.filters = filters
        recorders = self._recorders()
        self._logs = RequestLogs(self._access_log, self._slow_request_s, recorders)
        self._options.bind = taken_over(self._binds, inherited)
        # What was somebody else's before the predecessor is theirs still.
        is_ours = not any(bind.startswith("fd://") for bind in self._binds)
        self._options.takes_over = bool(inherited) and is_ours
        core = _core.Server(self._options, routes, hooks, recorders)
        lifetime.run_on(core.asyncio_loop)
        return core, lifetime

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
                self._has_ended()

    def _close_sight(self) -> None:
        if self._monitor is not None:
            self._monitor.close()
            self._monitor = None
        if self._logs is not None:
            self._logs.close()

    def _lend(self) -> Lent:
        """Return the listening sockets, for a successor of this process."""
        core, pattern = self._running_core(), self._pattern
        if isinstance(core, _core.Server):
            assert isinstance(pattern, Pattern)
            return lent_by_engine(self._binds, pattern, core.listening_descriptors())
        return core.lent()

    def _leave_paths(self) -> None:
        """Let Unix paths stay at the end: a successor of this process serves there."""
        self._last_core().leave_paths()

    def _forget(self) -> None:
        super()._forget()
        if self._lifetime is not None:
            self._lifetime.unregister()
        if self._logs is not None:
            self._logs.forget()
        self._logs = self._monitor = None


# Arguments that a worker process gets another way: a descriptor per address, the inner pattern.
_NOT_FOR_WORKERS = {"self", "__class__", "app", "bind", "pattern", "backlog", "monitor"}

# How soon Ctrl-C is heard, at the latest.
_GLANCE_S = 0.5
