"""Puts together what serves outside of this interpreter, for an app or a handler and a pattern."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from millrace import _core
from millrace.app import App
from millrace.patterns import MultiProcess, Subinterpreters
from millrace.subinterpreters.assembly import assemble_interpreters
from millrace.subinterpreters.pool import Interpreters
from millrace.supervisor.fleet import Fleet, Policy
from millrace.supervisor.lifetime import RemoteLifetime
from millrace.supervisor.listeners import Layout, Listeners
from millrace.supervisor.log_lines import configured_levels
from millrace.supervisor.luggage import Luggage, importable_name, pack
from millrace.supervisor.supervisor import Supervisor

__all__ = ["assemble", "assemble_handler"]


def assemble(
    app: App,
    pattern: MultiProcess | Subinterpreters,
    *,
    bind: Sequence[str],
    backlog: int,
    socket_options: _core.SocketOptions,
    drain: float,
    arguments: Mapping[str, Any],
    inherited: Mapping[str, list[int]],
    on_failure: Callable[[str], None],
) -> tuple[Supervisor | Interpreters, RemoteLifetime]:
    """Return what serves an app, not started yet.

    Raises
    ------
    NotPicklable
        The app cannot be sent there; the message says why.
    """
    origin = app._origin
    luggage = Luggage(
        kind="http",
        target=origin.target if origin is not None else importable_name(app) or app,
        is_factory=origin is not None and origin.is_factory,
        options=dict(arguments),
        log_levels=configured_levels(),
    )
    listeners = Listeners(bind, backlog, socket_options, Layout.of(pattern), inherited)
    workers = _assemble(luggage, listeners, pattern, drain, on_failure)
    is_process = isinstance(workers, Supervisor)
    served_by = "worker processes" if is_process else "other interpreters"
    return workers, RemoteLifetime(app, workers, served_by)


def assemble_handler(
    kind: str,
    handler: Callable[..., Any],
    pattern: MultiProcess | Subinterpreters,
    *,
    listeners: Listeners,
    drain: float,
    arguments: Mapping[str, Any],
    on_failure: Callable[[str], None],
) -> Supervisor | Interpreters:
    """Return what serves one handler; `kind` is a row of `kinds.KINDS`.

    Raises
    ------
    NotPicklable
        The handler cannot be sent there; the message says why.
    """
    luggage = Luggage(kind, handler, dict(arguments), configured_levels())
    return _assemble(luggage, listeners, pattern, drain, on_failure)


def _assemble(
    luggage: Luggage,
    listeners: Listeners,
    pattern: MultiProcess | Subinterpreters,
    drain: float,
    on_failure: Callable[[str], None],
) -> Supervisor | Interpreters:
    if isinstance(pattern, Subinterpreters):
        return assemble_interpreters(luggage, listeners, pattern)
    policy = Policy(
        processes=pattern.processes,
        start_timeout=pattern.start_timeout,
        stop_timeout=pattern.stop_timeout,
        drain=drain,
        crash_limit=pattern.crash_limit,
        max_requests=pattern.max_requests,
        max_requests_jitter=pattern.max_requests_jitter,
        max_lifetime=pattern.max_lifetime,
        max_memory=pattern.max_memory,
    )
    return Supervisor(
        Fleet(policy, seed=time.monotonic_ns()),
        listeners,
        pack(replace(luggage, options=_options_of_worker(luggage.options, pattern))),
        on_failure,
    )


def _options_of_worker(options: Mapping[str, Any], pattern: MultiProcess) -> dict[str, Any]:
    own = {**options, "pattern": pattern.inner}
    wanted = options.get("socket_options")
    if wanted is not None and not isinstance(wanted.incoming_cpu, int):
        # Whoever opens all sockets has dealt the CPUs out; a worker knows none but its own.
        own["socket_options"] = replace(wanted, incoming_cpu=None)
    return own
