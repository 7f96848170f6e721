"""Puts interpreters together for an app and a pattern."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from millrace import _core, patterns
from millrace.app import App
from millrace.subinterpreters.pool import Interpreters
from millrace.supervisor.listeners import Layout, Listeners
from millrace.supervisor.log_lines import configured_levels
from millrace.supervisor.luggage import Luggage, importable_name, pack

__all__ = ["assemble_interpreters"]


def assemble_interpreters(
    app: App,
    pattern: patterns.Subinterpreters,
    *,
    bind: Sequence[str],
    backlog: int,
    socket_options: _core.SocketOptions,
    arguments: Mapping[str, Any],
    inherited: Mapping[str, list[int]],
) -> Interpreters:
    """Return what serves an app in interpreters of this process, not started yet.

    Raises
    ------
    NotPicklable
        The app cannot be sent to another interpreter; the message says why.
    """
    origin = app._origin

    def packed(lent: Sequence[str]) -> bytes:
        return pack(
            Luggage(
                app=origin.target if origin is not None else importable_name(app) or app,
                is_factory=origin is not None and origin.is_factory,
                options={**arguments, "bind": list(lent), "pattern": patterns.single_thread()},
                log_levels=configured_levels(),
            )
        )

    return Interpreters(
        pattern.interpreters,
        Listeners(bind, backlog, socket_options, Layout.of(pattern), inherited),
        packed,
    )
