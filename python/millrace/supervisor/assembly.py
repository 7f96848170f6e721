"""Puts a supervisor together for an app and a pattern."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
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

__all__ = ["assemble"]


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
    """Return what serves an app outside of this interpreter, not started yet.

    Raises
    ------
    NotPicklable
        The app cannot be sent there; the message says why.
    """
    if isinstance(pattern, Subinterpreters):
        interpreters = assemble_interpreters(
            app,
            pattern,
            bind=bind,
            backlog=backlog,
            socket_options=socket_options,
            arguments=arguments,
            inherited=inherited,
        )
        return interpreters, RemoteLifetime(app, interpreters, served_by="other interpreters")
    inner = pattern.inner
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
    origin = app._origin
    luggage = Luggage(
        app=origin.target if origin is not None else importable_name(app) or app,
        is_factory=origin is not None and origin.is_factory,
        options={**arguments, "pattern": inner},
        log_levels=configured_levels(),
    )
    supervisor = Supervisor(
        Fleet(policy, seed=time.monotonic_ns()),
        Listeners(bind, backlog, socket_options, Layout.of(pattern), inherited),
        pack(luggage),
        on_failure,
    )
    return supervisor, RemoteLifetime(app, supervisor)
