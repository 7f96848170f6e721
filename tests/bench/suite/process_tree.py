"""A server as the kernel sees it: a process and its descendants, what they ran and hold.

A server may be several processes with several threads each; all of them count, or a server that
moves its work to a second process would look free.
"""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")


def members(root: int) -> list[int]:
    """Process ids of the tree below and including `root`, parents first; empty once it is gone."""
    found = [root] if (PROC / str(root)).exists() else []
    for pid in found:  # grows while it is walked
        for task in _tasks(pid):
            found += [int(child) for child in _read(task / "children").split()]
    return found


def cpu_time_ns(pids: list[int]) -> int:
    """Nanoseconds on a processor so far, over every thread of these processes.

    `schedstat` has nanoseconds where `stat` has clock ticks of 10 ms. A thread that has ended is no
    longer listed, so where the process's own clock knows of more, that one is taken.
    """
    return sum(max(_threads_time_ns(pid), _process_clock_ns(pid)) for pid in pids)


def signal_all(pids: list[int], which: signal.Signals) -> None:
    """Send a signal to processes of a tree this program started; those gone are skipped."""
    for pid in pids:
        try:
            os.kill(pid, which)
        except ProcessLookupError:
            continue


@dataclass(frozen=True)
class Memory:
    """User-space memory of a tree in bytes."""

    private_dirty: int
    """Written and shared with nobody: what the server itself made the machine hold."""
    resident: int


def memory(pids: list[int]) -> Memory:
    """Sum of `smaps_rollup` over these processes."""
    totals = {"Private_Dirty": 0, "Rss": 0}
    for pid in pids:
        for line in _read(PROC / str(pid) / "smaps_rollup").splitlines():
            name, _, value = line.partition(":")
            if name in totals:
                totals[name] += int(value.split()[0]) * 1024
    return Memory(private_dirty=totals["Private_Dirty"], resident=totals["Rss"])


def peak_bytes(pids: list[int]) -> int:
    """Sum of the most that each of these processes has had resident."""
    lines = [line for pid in pids for line in _read(PROC / str(pid) / "status").splitlines()]
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


def _tasks(pid: int) -> list[Path]:
    try:
        return list((PROC / str(pid) / "task").iterdir())
    except OSError:
        return []


def _threads_time_ns(pid: int) -> int:
    return sum(int((_read(task / "schedstat") or "0").split()[0]) for task in _tasks(pid))


def _process_clock_ns(pid: int) -> int:
    # The id clock_getcpuclockid(3) gives, which Python does not wrap.
    try:
        return time.clock_gettime_ns((~pid << 3) | 2)
    except OSError:
        return 0


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # it ended between being listed and being read
        return ""
