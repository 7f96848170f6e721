"""What this machine is, and whether anybody else used it while something was measured."""

from __future__ import annotations

import os
import platform
import resource
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

__all__ = ["CpuUse", "Machine"]

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Machine:
    """The facts that belong beside a measured number."""

    cores: int
    processor: str
    kernel: str
    python: str

    @classmethod
    def here(cls) -> Self:
        """Describe this machine; ``cores`` are those this process may use."""
        return cls(
            cores=len(os.sched_getaffinity(0)),
            processor=_processor(),
            kernel=platform.release(),
            python=f"{platform.python_implementation()} {platform.python_version()}",
        )


@dataclass(frozen=True)
class CpuUse:
    """Processor seconds so far: our own, and what the machine spent and lost in all.

    Our own are those of this process and of its children, however far down.
    """

    when: float
    own: float
    machine: float
    stolen: float

    @classmethod
    def now(cls) -> Self:
        own = _seconds_below(os.getpid())
        for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
            used = resource.getrusage(whose)
            own += used.ru_utime + used.ru_stime
        machine, stolen = _machine_seconds()
        return cls(time.monotonic(), own, machine, stolen)

    def doubts_since(self, start: CpuUse, cores: int, most: float = 0.05) -> list[str]:
        """Say why what ran since ``start`` is no fair test of a claim about processor time.

        Parameters
        ----------
        cores:
            Cores of the machine that this process may use.
        most:
            Share of their time that may go elsewhere. 5 %: half of what a prediction of capacity
            may be off by.
        """
        available = (self.when - start.when) * cores
        if available <= 0:
            return []
        doubts = []
        stolen = (self.stolen - start.stolen) / available
        others = (self.machine - start.machine - (self.own - start.own)) / available
        # The kernel counts in ticks, so that over a short time it may be more than there was.
        others = min(others, 1.0)
        if stolen > most:
            doubts.append(f"the hypervisor took {stolen:.0%} of the cores")
        if others > most:
            doubts.append(f"other programs used {others:.0%} of the cores")
        return doubts


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.machine()


def _seconds_below(process: int) -> float:
    """Return the processor seconds of the children that live, and of all below them."""
    total = 0.0
    try:
        for thread in Path(f"/proc/{process}/task").iterdir():
            for child in (thread / "children").read_text(encoding="ascii").split():
                stat = Path(f"/proc/{child}/stat").read_text(encoding="utf-8")
                # utime, stime, and the same of its own children that have ended (proc_pid_stat(5)).
                used = stat.rpartition(") ")[2].split()[11:15]
                total += sum(map(int, used)) / _TICKS_PER_SECOND + _seconds_below(int(child))
    except OSError:
        pass  # it has just ended, or the kernel does not list children
    return total


def _machine_seconds() -> tuple[float, float]:
    """Return the seconds our cores were busy, and those the hypervisor gave to somebody else."""
    ours = {f"cpu{number}" for number in os.sched_getaffinity(0)}
    busy = stolen = 0
    try:
        lines = Path("/proc/stat").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0.0, 0.0
    for line in lines:
        name, *ticks = line.split()
        if name in ours:
            user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, ticks[:8])
            busy += user + nice + system + irq + softirq
            stolen += steal
    return busy / _TICKS_PER_SECOND, stolen / _TICKS_PER_SECOND
