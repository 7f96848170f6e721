"""The kinds of server that workers run: an app over HTTP, a handler of plain TCP or of UDP."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from millrace import process
from millrace.app import App
from millrace.handler_server import HandlerServer
from millrace.server import Server
from millrace.tcp import TcpServer
from millrace.udp import UdpServer

if TYPE_CHECKING:
    from millrace.supervisor.luggage import Luggage

__all__ = ["KINDS", "Idle", "Kind"]

# Answers a worker's metrics route.
AnswerMetrics = Callable[..., Any]

# What becomes of connections that rest.
Idle = Literal["close", "one_more"]


@dataclass(frozen=True)
class Kind:
    """How one kind of server travels to a worker, and what the worker makes of it."""

    what: str  # is sent, in messages
    make: Callable[[Luggage, dict[str, Any], AnswerMetrics | None], Any]
    """In the worker: its own server, not started, with these options. The last is None where each
    worker answers for itself."""
    parts: Callable[[Any], Iterator[tuple[str, Any]]]  # of what is sent, with names for people
    remedy: str  # where a part cannot be sent
    stop: Callable[[Any, float | None, Idle], None]
    """Its server, within so many seconds; None: its own."""


def _app_server(
    luggage: Luggage, options: dict[str, Any], answer_metrics: AnswerMetrics | None
) -> Server:
    app = luggage.target
    if not isinstance(app, App):
        app = process.import_app(app, app_dir=None, factory=luggage.is_factory)
    if answer_metrics is not None:
        app._metrics_handler = answer_metrics
    return Server(app, **options)


def _tcp_server(luggage: Luggage, options: dict[str, Any], _: AnswerMetrics | None) -> TcpServer:
    return TcpServer(luggage.target, **options)


def _udp_server(luggage: Luggage, options: dict[str, Any], _: AnswerMetrics | None) -> UdpServer:
    counts_losses = options.pop("counts_losses")
    server = UdpServer(luggage.target, **options)
    server._options.counts_losses = counts_losses
    return server


def _stop_app(server: Server, drain: float | None, idle: Idle) -> None:
    server.stop(drain=drain, idle=idle)


def _stop_handler(server: HandlerServer, drain: float | None, _: Idle) -> None:
    server.stop(drain=drain)  # nothing in its protocol says that a message is the last


def _parts_of_app(app: App | str) -> Iterator[tuple[str, Any]]:
    for one in app._all_apps() if isinstance(app, App) else ():
        for route in one._routes:
            yield f"the handler of {route.label}", route.handler
        for middleware in one._middleware:
            yield f"the middleware {_name(middleware)}", middleware
        for kind, answer in one._errors.items():
            yield f"the handler of {kind.__name__}", answer
        if one._lifespan is not None:
            yield "the lifespan", one._lifespan
        for name, value in vars(one.state).items():
            yield f"app.state.{name}", value


def _parts_of_handler(handler: Any) -> Iterator[tuple[str, Any]]:
    yield f"the handler {_name(handler)}", handler


def _name(function: Callable[..., Any]) -> str:
    return getattr(function, "__name__", repr(function))


_OF_AN_APP = (
    "make it in the app's lifespan, which runs in every worker, or put the app into a module and "
    "serve it by name, as 'module:app'"
)
_OF_A_HANDLER = (
    "make it where the handler first needs it, or put the handler into a module, which every "
    "worker imports"
)

KINDS = {
    "http": Kind("app", _app_server, _parts_of_app, _OF_AN_APP, _stop_app),
    "tcp": Kind("handler", _tcp_server, _parts_of_handler, _OF_A_HANDLER, _stop_handler),
    "udp": Kind("handler", _udp_server, _parts_of_handler, _OF_A_HANDLER, _stop_handler),
}
