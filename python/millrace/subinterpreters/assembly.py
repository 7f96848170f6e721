"""Puts interpreters together for what is served and a pattern."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from millrace import patterns
from millrace.subinterpreters.pool import Interpreters
from millrace.supervisor.listeners import Listeners
from millrace.supervisor.luggage import Luggage, pack

__all__ = ["assemble_interpreters"]


def assemble_interpreters(
    luggage: Luggage, listeners: Listeners, pattern: patterns.Subinterpreters
) -> Interpreters:
    """Return what serves in interpreters of this process, not started yet.

    Raises
    ------
    NotPicklable
        Something of the luggage cannot be sent to another interpreter; the message says why.
    """

    def packed(own: dict[str, Any]) -> bytes:
        options = luggage.options | own | {"pattern": patterns.single_thread()}
        return pack(replace(luggage, options=options))

    return Interpreters(pattern.interpreters, listeners, packed)
