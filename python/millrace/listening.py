"""Listening sockets that are opened before there is a server, and outlive several of them."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from millrace import _core
from millrace.patterns import MultiProcess, Pattern, Subinterpreters
from millrace.sockets import SocketOptions
from millrace.supervisor.listeners import Layout

__all__ = ["descriptors_of", "opened"]


@contextmanager
def opened(
    binds: Sequence[str],
    *,
    pattern: Pattern | MultiProcess | Subinterpreters,
    backlog: int | None,
    socket_options: SocketOptions,
) -> Iterator[list[str]]:
    """Open what a `Server` with these options would, as ``fd://`` addresses for it.

    At the end the sockets are closed. Unix paths that were made are removed, unless a successor
    listens there by then.

    Raises
    ------
    OSError, ValueError
        An address cannot be listened on.
    """
    with contextlib.ExitStack() as stack:
        count = Layout.of(pattern).total
        yield [_open(bind, stack, count, backlog, socket_options) for bind in binds]


def descriptors_of(binds: Sequence[str]) -> list[int]:
    """Return the descriptors that ``fd://`` addresses name."""
    return [int(text) for bind in binds for text in bind.removeprefix("fd://").split(",")]


def _open(
    bind: str,
    stack: contextlib.ExitStack,
    count: int,
    backlog: int | None,
    socket_options: SocketOptions,
) -> str:
    if bind.startswith("fd://"):
        return bind
    options = socket_options.to_engine(count)
    wanted = backlog or socket_options.backlog or _core.ServerOptions().backlog
    found: list[int] = []
    if bind.startswith("unix:") and not bind.startswith("unix:@"):
        stack.callback(_remove, Path(bind.removeprefix("unix:")))  # after it has been closed
    for index in range(count):
        descriptor, report = _core.open_listening_socket(bind, wanted, count > 1, options, index)
        bind = report.endpoint
        stack.callback(os.close, descriptor)
        found.append(descriptor)
    return f"fd://{','.join(map(str, found))}"


def _remove(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)  # its queue may be full
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            # The folder may be root's, who this process was; what is left is replaced by the next.
            with contextlib.suppress(OSError):
                path.unlink()
        except OSError:
            pass  # a successor's, or gone
