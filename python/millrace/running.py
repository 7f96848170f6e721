"""The servers that run: they stay alive without a reference, and stop when the interpreter exits.

In the child of a fork they are the parent's.
"""

from __future__ import annotations

import atexit
import os
from typing import Any, Protocol

__all__ = ["add", "discard"]


class _Server(Protocol):
    def stop(self, *, drain: float) -> None: ...
    def _forget(self) -> None: ...


_servers: set[Any] = set()


def add(server: _Server) -> None:
    """It has started."""
    _servers.add(server)


def discard(server: _Server) -> None:
    """It has stopped."""
    _servers.discard(server)


def _stop_all() -> None:
    for server in list(_servers):
        server.stop(drain=0)


def _forget_all() -> None:
    for server in _servers:
        server._forget()
    _servers.clear()


atexit.register(_stop_all)
os.register_at_fork(after_in_child=_forget_all)
