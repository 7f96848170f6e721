"""Which core serves and which one loads.

Both on one core would measure their fight for it; both free to move would measure the scheduler.
"""

import os
from dataclasses import dataclass
from pathlib import Path


class TooFewCores(RuntimeError):
    """The method needs two cores."""


@dataclass(frozen=True)
class Cores:
    server: int
    load: int
    are_siblings: bool
    """Both are threads of one physical core, so that each slows the other: the page says so."""


def choose_cores() -> Cores:
    """Two cores this process may use, on different physical cores where there are some."""
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < 2:
        raise TooFewCores(
            "the benchmark needs two cores, one for the server and one for the load generator; "
            f"this process may use only {allowed}"
        )
    server = allowed[0]
    siblings = _siblings(server)
    apart = [core for core in allowed[1:] if core not in siblings]
    return Cores(server=server, load=(apart or allowed[1:])[0], are_siblings=not apart)


def _siblings(core: int) -> set[int]:
    path = Path(f"/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list")
    try:
        text = path.read_text()
    except OSError:
        return {core}
    found: set[int] = set()
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        found |= set(range(int(first), int(last or first) + 1))
    return found
