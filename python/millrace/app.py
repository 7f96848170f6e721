"""The application: routes, middleware, error handlers, lifespan and state."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from os import PathLike
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, TypeVar

from millrace import _core, chain
from millrace._core import Response
from millrace.files import StaticFiles
from millrace.filters import Credentials, Filter
from millrace.filters.auth import Guard
from millrace.route_words import check_path, checked_methods

if TYPE_CHECKING:
    from millrace.lifetime import Lifetime
    from millrace.supervisor.lifetime import RemoteLifetime

__all__ = ["App", "Origin", "check_app"]

AnyFunction = TypeVar("AnyFunction", bound=Callable[..., Any])
LifespanFunction = Callable[[Any], AsyncIterator[Any] | AbstractAsyncContextManager[Any]]


class _MetricsRoute:
    """Stands where a handler would, for a route that answers with metrics."""


_NATIVE_KINDS: dict[type, str] = {
    Response: "constant",
    _core.NativeWork: "work",
    _MetricsRoute: "metrics",
    StaticFiles: "static",
}


@dataclass(frozen=True)
class Origin:
    """Where an app was imported from, so that another process can do the same.

    Attributes
    ----------
    target:
        ``"module:app"``.
    is_factory:
        What is named is a function that makes the app.
    """

    target: str
    is_factory: bool


@dataclass(frozen=True)
class _Route:
    methods: tuple[str, ...]
    path: str
    # What is of a type in _NATIVE_KINDS never enters Python.
    handler: Callable[..., Any] | Response | _core.NativeWork | _MetricsRoute | StaticFiles
    is_public: bool = False  # whatever the app asks of others

    @property
    def is_native(self) -> bool:
        return type(self.handler) in _NATIVE_KINDS

    @property
    def label(self) -> str:
        return f"{' '.join(self.methods)} {self.path}"


class App:
    """What a server answers: an ordered set of routes and what surrounds their handlers.

    A handler takes the request and returns its answer: ``str`` for text, ``dict`` or ``list`` for
    JSON, ``bytes``, a `Response`, or a generator for an answer in pieces. A plain function runs
    where the execution pattern says, with the request's body already read; a coroutine function
    runs on the server's asyncio loop and may read the body piece by piece. What is registered
    stays fixed while a server serves the app.

    Parameters
    ----------
    lifespan:
        The same as the `lifespan` decorator.

    Attributes
    ----------
    state:
        A place for what handlers share, such as a connection pool. Each worker process has one of
        its own.

    Examples
    --------
    >>> import millrace as mr
    >>> app = mr.App()
    >>> @app.get("/hello/{name}")
    ... def hello(request):
    ...     return f"Hello, {request.path_params['name']}!"
    >>> with mr.Server(app) as server:
    ...     import urllib.request
    ...     urllib.request.urlopen(server.url + "/hello/Ada").read()
    b'Hello, Ada!'
    """

    def __init__(self, *, lifespan: LifespanFunction | None = None) -> None:
        self.state = SimpleNamespace()
        self._routes: list[_Route] = []
        self._included: list[tuple[str, App]] = []
        self._filters: list[tuple[str, Filter]] = []
        self._middleware: list[Callable[..., Any]] = []
        self._errors: chain.ErrorTable = {}
        self._lifespan: Callable[[App], AbstractAsyncContextManager[Any]] | None = None
        self._lifetimes: list[Lifetime | RemoteLifetime] = []
        self._origin: Origin | None = None
        # Answers routes for metrics where more is to be told than this process knows.
        self._metrics_handler: Callable[..., Any] | None = None
        if lifespan is not None:
            self.lifespan(lifespan)

    def get(self, path: str) -> Callable[[AnyFunction], AnyFunction]:
        """Route GET, and HEAD where nothing else is routed for it; see `route`."""
        return self.route(path, methods=["GET"])

    def post(self, path: str) -> Callable[[AnyFunction], AnyFunction]:
        """Route POST; see `route`."""
        return self.route(path, methods=["POST"])

    def put(self, path: str) -> Callable[[AnyFunction], AnyFunction]:
        """Route PUT; see `route`."""
        return self.route(path, methods=["PUT"])

    def patch(self, path: str) -> Callable[[AnyFunction], AnyFunction]:
        """Route PATCH; see `route`."""
        return self.route(path, methods=["PATCH"])

    def delete(self, path: str) -> Callable[[AnyFunction], AnyFunction]:
        """Route DELETE; see `route`."""
        return self.route(path, methods=["DELETE"])

    def options(self, path: str) -> Callable[[AnyFunction], AnyFunction]:
        """Route OPTIONS, which is otherwise answered with the methods there are; see `route`."""
        return self.route(path, methods=["OPTIONS"])

    def head(self, path: str) -> Callable[[AnyFunction], AnyFunction]:
        """Route HEAD, which otherwise goes where GET goes; see `route`."""
        return self.route(path, methods=["HEAD"])

    def route(
        self, path: str, *, methods: Sequence[str] = ("GET",)
    ) -> Callable[[AnyFunction], AnyFunction]:
        """Route a path to the decorated handler.

        A path without a route is answered 404, a method without one 405 with Allow, both without
        entering Python.

        Parameters
        ----------
        path:
            Starts with ``/``. A segment may be a parameter, ``{name}`` or ``{name:type}``, of type
            str, int, float, uuid, or path (the rest, slashes included); handlers find it in
            ``request.path_params``. Literal segments win over parameters.
        methods:
            HTTP methods; names that HTTP does not define are fine.

        Raises
        ------
        ValueError
            The path or a method is malformed, or routed already.

        Examples
        --------
        >>> app = App()
        >>> @app.route("/items/{item_id:int}", methods=["GET", "DELETE"])
        ... def item(request):
        ...     return {"id": request.path_params["item_id"]}
        """
        names = checked_methods(methods)
        check_path(path)

        def register(handler: AnyFunction) -> AnyFunction:
            chain.takes(handler, "request")
            self._add(_Route(names, path, handler))
            return handler

        return register

    def respond(
        self,
        path: str,
        body: str | bytes | dict[str, Any] | list[Any] | Response,
        *,
        status: int = 200,
        headers: Any = None,
        content_type: str | None = None,
        public: bool = False,
    ) -> None:
        """Answer GET of a path with a constant that never enters Python.

        It is encoded once, here. Middleware does not see it.

        Parameters
        ----------
        path:
            As for `route`.
        body:
            Text, bytes, what goes into JSON, or a `Response` that says all of it. Not a
            `FileResponse`: files are for `static` and for handlers.
        status, headers, content_type:
            As for `Response`.
        public:
            Let everybody read it where the app wants credentials (`millrace.filters.basic_auth`),
            for which nobody is asked here. Without it such an app is refused by its server.

        Examples
        --------
        >>> App().respond("/health", "ok", public=True)
        """
        check_path(path)
        if isinstance(body, Response):
            if (status, headers, content_type) != (200, None, None):
                raise ValueError("status, headers and content_type are the Response's own")
            response = body
        else:
            response = Response(body, status=status, headers=headers, content_type=content_type)
        if isinstance(response.body, _core.OpenFile):
            raise TypeError("app.respond: a file is no constant; use app.static or a handler")
        self._add(_Route(("GET",), path, _with_plain_body(response), public))

    def static(
        self,
        prefix: str,
        directory: str | PathLike[str],
        *,
        index: str | None = "index.html",
        fallback: str | None = None,
        precompressed: bool = False,
        dot_files: bool = False,
        cache_control: str | Mapping[str, str] | None = None,
        media_types: Mapping[str, str] | None = None,
        public: bool = False,
    ) -> None:
        """Serve the files below a directory, natively: their requests never enter Python.

        GET and HEAD, with ETag, Last-Modified, conditions and ranges (RFC 9110 13, 14). No path
        leads out of the directory. A route of the app wins over files where it is at least as
        literal as their prefix; middleware does not see them. ``docs/files.md`` says what becomes
        of each request.

        Parameters
        ----------
        prefix:
            Where the directory lies, such as ``/assets``, or ``/``.
        directory:
            It is opened when the server starts and served as long, whatever becomes of its name.
        index:
            The file that answers for a folder; a path without the last slash is redirected.
        fallback:
            The file that answers where there is none, for applications that route in the browser;
            not where the last part of the path has a dot.
        precompressed:
            Send ``name.br``, ``name.zst`` or ``name.gz`` for ``name`` where the client takes it
            and it is not older.
        dot_files:
            Serve names that begin with a dot.
        cache_control:
            A value for Cache-Control, or values by pattern of the path below the directory; the
            first that fits counts, and ``*`` takes slashes too.
        media_types:
            Content-Type by the end of the name, in any letter case, such as
            ``{".wgsl": "text/wgsl"}``, before those that are known.
        public:
            As for `respond`.

        Raises
        ------
        NotADirectoryError
            There is no such directory.

        Examples
        --------
        >>> import millrace as mr, pathlib, tempfile, urllib.request
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> _ = (folder / "style.css").write_text("b {}")
        >>> app = mr.App()
        >>> app.static("/assets", folder, cache_control="max-age=3600")
        >>> with mr.Server(app) as server:
        ...     url = server.url + "/assets/style.css"
        ...     with urllib.request.urlopen(url) as answer:
        ...         print(answer.headers["content-type"], answer.read())
        text/css; charset=utf-8 b'b {}'
        """
        check_path(prefix)
        if "{" in prefix:
            raise ValueError(f"prefix {prefix!r} has a parameter, which names no file")
        files = StaticFiles(
            directory, index, fallback, precompressed, dot_files, cache_control, media_types
        )
        below = prefix.rstrip("/")
        self._add(_Route(("GET",), below + "/{path:path}", files, public))
        if below:
            self._add(_Route(("GET",), below, files, public))

    def metrics(self, path: str = "/metrics", *, public: bool = False) -> None:
        """Answer GET of a path with the server's metrics, as Prometheus reads them.

        It makes the server count requests by method, status and route. The answer is collected
        and written natively, on the connection's loop; where there are worker processes, or other
        interpreters, it is the sum over all of them. `Server.metrics` gives the same as values.
        Middleware does not see it. Where others may not read it, put the filter
        `millrace.filters.Credentials` before it, or let a second server on another address answer
        with ``millrace.metrics.render(server.metrics())`` instead.

        Parameters
        ----------
        path:
            As for `route`.
        public:
            As for `respond`.

        Examples
        --------
        >>> App().metrics("/metrics")
        """
        check_path(path)
        self._add(_Route(("GET",), path, _MetricsRoute(), public))

    def include(self, prefix: str, app: App) -> None:
        """Serve another app's routes below a prefix.

        Its middleware, error handlers and lifespan come along, inside this app's own. Handlers
        see this app as ``request.app``.

        Parameters
        ----------
        prefix:
            Starts with ``/`` and does not end with one.
        app:
            The other app; what is registered on it later counts too.

        Examples
        --------
        >>> api = App()
        >>> api.respond("/health", "ok")
        >>> app = App()
        >>> app.include("/api", api)
        """
        self._refuse_while_served()
        check_path(prefix)
        if prefix.endswith("/"):
            raise ValueError(f"prefix {prefix!r} ends with '/': leave it out, paths begin with it")
        if app is self or any(inner is self for inner in app._all_apps()):
            raise ValueError("an app cannot include itself")
        self._included.append((prefix, app))

    def filter(self, filter: Filter, *, prefix: str = "") -> None:
        """Let a filter see every request before the router does, and its answer.

        The first one registered is the outermost; those of an included app come after, for paths
        below its prefix. Filters run natively and see what is answered without Python too;
        `millrace.filters` has them.

        Parameters
        ----------
        filter:
            Such as ``millrace.filters.SecurityHeaders()``.
        prefix:
            Only for paths at and below it, such as ``/api``.

        Examples
        --------
        >>> import millrace as mr
        >>> app = mr.App()
        >>> app.filter(mr.filters.SecurityHeaders(), prefix="/pages")
        """
        self._refuse_while_served()
        if not isinstance(filter, Filter):
            raise TypeError(f"{filter!r} is no filter: millrace.filters has them")
        if prefix:
            check_path(prefix)
        self._filters.append((prefix.rstrip("/"), filter))

    def middleware(self, function: AnyFunction) -> AnyFunction:
        """Put a function around every handler; the first one registered is the outermost.

        It is called with the request and ``call_next``, which gives the handler's `Response`, and
        returns an answer. A coroutine function awaits ``call_next(request)``. Either kind works
        around either kind of handler; `millrace.chain` says what the mixed cases cost. Native
        constant routes and answers without a route do not pass through.

        Examples
        --------
        >>> app = App()
        >>> @app.middleware
        ... def timing(request, call_next):
        ...     response = call_next(request)
        ...     response.headers["server-timing"] = "app"
        ...     return response
        """
        self._refuse_while_served()
        chain.takes(function, "request", "call_next")
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError(f"{function.__name__}: a middleware returns its answer, without yield")
        self._middleware.append(function)
        return function

    def on_error(
        self, error: type[Exception], *others: type[Exception]
    ) -> Callable[[AnyFunction], AnyFunction]:
        """Answer exceptions of these classes with the decorated function.

        It is called with the request and the exception and returns an answer, as handlers do, and
        may be a coroutine function. The most specific class wins. It works inside the middleware:
        these see its answer. Exceptions that nobody answers give 500 and a log line.

        Examples
        --------
        >>> app = App()
        >>> @app.on_error(ValueError)
        ... def bad_value(request, error):
        ...     return Response({"error": str(error)}, status=422)
        """
        for kind in (error, *others):
            if not (isinstance(kind, type) and issubclass(kind, Exception)):
                raise TypeError(
                    f"{kind!r} is no class of exceptions: write @app.on_error(KeyError)"
                )

        def register(function: AnyFunction) -> AnyFunction:
            self._refuse_while_served()
            chain.takes(function, "request", "error")
            self._errors.update(dict.fromkeys((error, *others), function))
            return function

        return register

    def lifespan(self, function: LifespanFunction) -> LifespanFunction:
        """Run an async context manager around serving.

        It takes the app. What stands before its ``yield`` runs before the first request, on the
        asyncio loop that runs the handlers; what stands behind it runs when all requests are
        done. If it raises before the ``yield``, the server does not start.

        Examples
        --------
        >>> app = App()
        >>> @app.lifespan
        ... async def life(app):
        ...     app.state.ready = True
        ...     yield
        ...     app.state.ready = False
        """
        self._refuse_while_served()
        if self._lifespan is not None:
            raise ValueError("this app has a lifespan; put both into one async context manager")
        chain.takes(function, "app")
        self._lifespan = (
            asynccontextmanager(function) if inspect.isasyncgenfunction(function) else function  # type: ignore[assignment]
        )
        return function

    def spawn(self, coroutine: Coroutine[Any, Any, Any]) -> Future[Any]:
        """Start a coroutine on the server's asyncio loop, from any thread, and do not wait.

        An error in it is logged. The server lets it finish, within its drain time, before it
        stops, then cancels it.

        Returns
        -------
        :
            Its result to be; wait for it on another thread only.

        Raises
        ------
        RuntimeError
            No server is serving the app.
        """
        if not self._lifetimes:
            coroutine.close()
            raise RuntimeError("app.spawn: no server is serving this app; start one first")
        return self._lifetimes[-1].spawn(coroutine)

    def _add(self, route: _Route) -> None:
        self._refuse_while_served()
        for other in self._routes:
            if other.path == route.path and set(other.methods) & set(route.methods):
                raise ValueError(f"{route.label}: {other.label} is routed already")
        self._routes.append(route)

    def _refuse_while_served(self) -> None:
        if self._lifetimes:
            raise RuntimeError("the app is being served: stop its server, then change it")

    def _has_metrics(self) -> bool:
        routes = (route for app in self._all_apps() for route in app._routes)
        return any(isinstance(route.handler, _MetricsRoute) for route in routes)

    def _has_filter(self, kind: type[Filter]) -> bool:
        return any(isinstance(filter, kind) for _, filter in self._nested_filters())

    def _all_apps(self) -> Iterator[App]:
        yield self
        for _, app in self._included:
            yield from app._all_apps()

    def _engine_routes(self, *, plain_on_threads: bool) -> list[_core.Route]:
        """Return every route as the engine takes it, with what surrounds its handler."""
        rows = []
        for prefix, apps, route in self._nested_routes("", ()):
            target: Any = route.handler
            kind = _NATIVE_KINDS.get(type(target))
            if isinstance(target, StaticFiles):
                target = target.to_engine()
            if kind == "metrics" and self._metrics_handler is not None:
                target, kind = self._metrics_handler, "coroutine"
            elif kind is None:
                around = chain.Chain(
                    middleware=tuple(layer for app in apps for layer in app._middleware),
                    errors=tuple(app._errors for app in reversed(apps)),
                    plain_on_threads=plain_on_threads,
                )
                target, kind = chain.compose(target, around)
            rows.append(_core.Route(list(route.methods), prefix + route.path, kind, target))
        return rows

    def _refuse_open_routes(self) -> None:
        """Raise ValueError where credentials are wanted that some routes would never ask for."""
        filters = self._nested_filters()
        guarded = tuple(f"{below}/" for below, one in filters if isinstance(one, Credentials))
        found = [
            f"{' '.join(route.methods)} {prefix}{route.path}"
            for prefix, apps, route in self._nested_routes("", ())
            if route.is_native and not route.is_public
            if any(isinstance(layer, Guard) for app in apps for layer in app._middleware)
            if not f"{prefix}{route.path}/".startswith(guarded)
        ]
        if found:
            raise ValueError(
                f"basic_auth or bearer_auth cannot guard {', '.join(found)}, answered without "
                "Python: say public=True there if everybody may read it, guard it with the filter "
                "millrace.filters.Credentials, or answer by a handler"
            )

    def _engine_filters(self) -> list[_core.Filter]:
        return [filter.to_engine(prefix) for prefix, filter in self._nested_filters()]

    def _nested_filters(self, prefix: str = "") -> Iterator[tuple[str, Filter]]:
        for below, filter in self._filters:
            yield prefix + below, filter
        for inner, app in self._included:
            yield from app._nested_filters(prefix + inner)

    def _nested_routes(
        self, prefix: str, outside: tuple[App, ...]
    ) -> Iterator[tuple[str, tuple[App, ...], _Route]]:
        apps = (*outside, self)
        for route in self._routes:
            yield prefix, apps, route
        for inner, app in self._included:
            yield from app._nested_routes(prefix + inner, apps)


def _with_plain_body(response: Response) -> Response:
    """Return the response with its body as bytes and its content type as a value."""
    body, content_type = response.body, response.content_type
    if isinstance(body, str):
        body, usual = body.encode(), "text/plain; charset=utf-8"
    elif isinstance(body, bytes | bytearray | memoryview):
        body, usual = bytes(body), "application/octet-stream"
    else:
        body, usual = _core.encode_json(body), "application/json"
    return Response(
        body,
        status=response.status,
        headers=response.headers,
        content_type=content_type or usual,
    )


def check_app(app: object) -> None:
    """Raise TypeError, with the remedy, where something else was given for an app."""
    if isinstance(app, App):
        return
    if isinstance(app, str):
        raise TypeError(f"app is the text {app!r}: import it, or use millrace.run({app!r})")
    if callable(app):
        raise TypeError(
            f"{app!r} is no millrace.App; ASGI and WSGI applications are not available in this "
            "version"
        )
    raise TypeError(f"app is {app!r}: make one with millrace.App()")
