"""How one process hands its sockets over to the next: a new binary, without a gap.

The old process starts the new one with its own command line, and passes the listening descriptors
on. The new one serves on them, with workers where it has some, and says when it accepts; only then
the old one leaves. If the new one does not come up, the old one serves on.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from millrace.errors import WorkerFailed
from millrace.supervisor.listeners import Lent

__all__ = ["Predecessor", "foreign_binds", "predecessor", "start_successor"]

# Holds the descriptors, and the pipe on which a successor says that it serves.
VARIABLE = "MILLRACE_HANDOVER"

# What a successor gets beyond the time to start, to import what it needs.
_BEYOND_S = 30.0

# How long one wait takes, so that a successor that has ended is noticed.
_SLICE_S = 0.1


@dataclass(frozen=True)
class Predecessor:
    """The process that has started this one, to be succeeded."""

    listeners: Lent
    pipe: int

    def say_ready(self) -> None:
        """Tell it that this one accepts; it leaves then."""
        os.write(self.pipe, b"1")
        os.close(self.pipe)


def foreign_binds(environment: Mapping[str, str]) -> list[str]:
    """Return where a successor listens whose predecessor got its sockets from somebody else.

    That one has them no more to give: a service manager, or this program itself while it was root.
    """
    text = environment.get(VARIABLE)
    binds = [key.partition(" ")[2] for key in json.loads(text)["listeners"]] if text else []
    return binds if all(bind.startswith("fd://") for bind in binds) else []


def predecessor() -> Predecessor | None:
    """Return who handed sockets over to this process, the first time that it is asked."""
    text = os.environ.pop(VARIABLE, None)
    if text is None:
        return None
    found = Predecessor(**json.loads(text))
    for descriptor in [found.pipe, *(fd for row in found.listeners.values() for fd in row)]:
        os.set_inheritable(descriptor, False)
    return found


def start_successor(
    listeners: Lent,
    start_timeout: float,
    environment: Mapping[str, str],
    is_over: Callable[[], bool],
) -> int | None:
    """Start this program anew with our sockets, wait until it serves, and return its process id.

    `environment` is added to what it inherits. None where `is_over` said first that there is
    nothing to hand over any more; the new process is gone then.

    Raises
    ------
    WorkerFailed
        It does not serve. It is gone, and nothing has changed.
    """
    ours, theirs = os.pipe()
    try:
        message = json.dumps({"listeners": listeners, "pipe": theirs})
        process = subprocess.Popen(
            [sys.executable, *sys.orig_argv[1:]],
            env={**os.environ, **environment, VARIABLE: message},
            pass_fds=[theirs, *(fd for row in listeners.values() for fd in row)],
        )
        os.close(theirs)
        serves = _await(process, ours, start_timeout + _BEYOND_S, is_over)
    finally:
        os.close(ours)
    return process.pid if serves else None


def _await(
    process: subprocess.Popen[bytes], pipe: int, patience: float, is_over: Callable[[], bool]
) -> bool:
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline and not is_over():
        if select.select([pipe], [], [], _SLICE_S)[0]:
            if os.read(pipe, 1):
                return True
            break  # closed: it has ended, or is about to
        if process.poll() is not None:
            break
    process.kill()
    code = process.wait()
    if is_over():
        return False
    raise WorkerFailed(f"the new process (pid {process.pid}) does not serve: it ended with {code}")
