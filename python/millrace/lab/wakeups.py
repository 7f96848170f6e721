"""Who is woken for a new connection, when several threads wait on one listening socket."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from millrace.app import App
from millrace.lab.machine import CpuUse, Machine
from millrace.lab.verdicts import Finding, Prediction, Verdict, judge, overall
from millrace.lab.waiting import wait_until
from millrace.patterns import Pattern, shared_acceptors
from millrace.server import Server

__all__ = ["WakeupRun", "Woken", "compare_wakeups", "count_wakeups", "predict_wakeups"]

Wakeup = Literal["blocking", "epoll_exclusive", "epoll"]

CONNECTIONS = 100
# How often we look whether every thread has gone back to sleep.
GLANCE_S = 0.0002
# Sleeps for a connection that have other causes, such as the clock's tick once a second.
SLEEPS_SLACK = 0.5
SHARE_TOLERANCE = 0.10


@dataclass(frozen=True)
class WakeupRun:
    """One way to wait, measured over connections that come one at a time.

    Attributes
    ----------
    shares:
        Of the connections, per loop.
    sleeps:
        Voluntary context switches of all loops and acceptors, per connection.
    busiest:
        Largest of ``shares``.
    """

    wakeup: Wakeup
    threads: int
    connections: int
    shares: tuple[float, ...]
    sleeps: Finding
    busiest: Finding

    @property
    def verdict(self) -> Verdict:
        return overall([self.sleeps, self.busiest])


def predict_wakeups(wakeup: Wakeup, threads: int) -> tuple[Prediction, Prediction | None]:
    """Predict sleeps per connection, and the busiest loop's share of the connections.

    Every wake-up ends in one sleep, so wake-ups are counted by counting sleeps. A connection that
    opens and closes wakes the loop that owns it twice. With ``"epoll"`` its opening wakes all other
    loops too, for nothing. With ``"blocking"`` a thread of its own accepts for each loop and is
    woken as well; the kernel keeps these threads in a queue, first come first served, so the loops
    get equally many. With ``"epoll_exclusive"`` the kernel asks the loops in the same order every
    time and wakes the first that sleeps: one loop gets nearly all, as long as it keeps up. For who
    wins the race of ``"epoll"`` there is no closed form.
    """
    sleeps = {"blocking": 3, "epoll_exclusive": 2, "epoll": 1 + threads}[wakeup]
    formula = {
        "blocking": "acceptor, loop, close",
        "epoll_exclusive": "loop, close",
        "epoll": "all loops, close",
    }[wakeup]
    shares = {
        "blocking": Prediction(
            1 / threads, 1 / threads, "first come, first served", relative=SHARE_TOLERANCE
        ),
        "epoll_exclusive": Prediction(1.0, 1.0, "always the same", relative=SHARE_TOLERANCE),
    }
    return (
        Prediction(sleeps, sleeps, formula, relative=0.1, absolute=SLEEPS_SLACK),
        shares.get(wakeup),
    )


def compare_wakeups(
    *, threads: int = 4, connections: int = CONNECTIONS, cores: int | None = None
) -> list[WakeupRun]:
    """Open and close connections one at a time under each way to wait.

    Examples
    --------
    >>> [run.wakeup for run in compare_wakeups(connections=4)]
    ['blocking', 'epoll_exclusive', 'epoll']
    """
    cores = cores or Machine.here().cores
    return [_run(wakeup, threads, connections, cores) for wakeup in get_args(Wakeup)]


@dataclass(frozen=True)
class Woken:
    """What happened while connections came one at a time.

    Attributes
    ----------
    accepts:
        Connections that each loop took.
    sleeps:
        Voluntary context switches of all the server's threads: each wake-up ends in one.
    """

    accepts: tuple[int, ...]
    sleeps: int

    @property
    def connections(self) -> int:
        return sum(self.accepts)

    @property
    def shares(self) -> tuple[float, ...]:
        """Of the connections, per loop."""
        return tuple(count / max(1, self.connections) for count in self.accepts)


def count_wakeups(pattern: Pattern, connections: int) -> Woken:
    """Open and close connections one at a time, each when every thread of the server is asleep.

    Examples
    --------
    >>> from millrace import patterns
    >>> count_wakeups(patterns.reuseport_shards(loops=2), 5).connections
    5
    """
    app = App()
    app.respond("/", "ok")
    strangers = _threads()
    with Server(app, pattern=pattern, journey=False) as server:

        def rest(accepted: int, is_open: bool) -> None:
            def is_quiet() -> bool:
                stats = server.stats()
                arrived = stats.total("accepts") == accepted
                settled = stats.total("connections_open") == is_open
                return arrived and settled and all(map(_is_asleep, ours))

            wait_until(is_quiet, "the server's threads did not come to rest", glance_s=GLANCE_S)

        # Acceptors that block are threads of their own, which the loops' counters do not know.
        ours = _threads() - strangers
        rest(0, False)
        slept_before = _sleeps(ours)
        for ordinal in range(1, connections + 1):
            with socket.create_connection(("127.0.0.1", server.port)):
                rest(ordinal, True)
            rest(ordinal, False)
        accepts = tuple(loop["accepts"] for loop in server.stats().loops)
        return Woken(accepts, _sleeps(ours) - slept_before)


def _run(wakeup: Wakeup, threads: int, connections: int, cores: int) -> WakeupRun:
    used = CpuUse.now()
    woken = count_wakeups(shared_acceptors(threads=threads, wakeup=wakeup), connections)
    doubts = CpuUse.now().doubts_since(used, cores)
    sleeps, busiest = predict_wakeups(wakeup, threads)
    return WakeupRun(
        wakeup=wakeup,
        threads=threads,
        connections=connections,
        shares=woken.shares,
        sleeps=judge(woken.sleeps / connections, sleeps, doubts),
        busiest=judge(max(woken.shares), busiest, doubts),
    )


def _threads() -> set[Path]:
    return set(Path("/proc/self/task").iterdir())


def _sleeps(threads: set[Path]) -> int:
    """Return the voluntary context switches of some threads of this process."""
    return sum(
        int(count)
        for thread in threads
        for name, _, count in (
            line.partition(":")
            for line in (thread / "status").read_text(encoding="ascii").splitlines()
        )
        if name == "voluntary_ctxt_switches"
    )


def _is_asleep(thread: Path) -> bool:
    # The name before the state is in brackets, and may itself hold anything (proc_pid_stat(5)).
    return (thread / "stat").read_text(encoding="utf-8").rpartition(") ")[2].startswith("S")
