"""Measures the execution patterns under known work, each value beside what it must be.

One cell is one server under one pattern with one handler, loaded in a closed loop. Throughput and
context switches come from the server's own counters between two moments of the steady state
(operational analysis: completions over the time observed), response times from the load generator.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from millrace.app import App
from millrace.lab.load import Load, load
from millrace.lab.machine import CpuUse, Machine
from millrace.lab.predictions import Runs, Setup, predict, predict_placement
from millrace.lab.verdicts import Finding, Verdict, judge, overall
from millrace.lab.wakeups import WakeupRun
from millrace.lab.work import WORKS, Work, coroutine_work, native_work, python_work
from millrace.patterns import (
    Pattern,
    acceptor_queue_workers,
    acceptor_readers,
    reuseport_shards,
    shared_acceptors,
    single_thread,
)
from millrace.server import Server

__all__ = [
    "CONNECTIONS",
    "THREADS",
    "Cell",
    "Comparison",
    "Contender",
    "cells",
    "contenders",
    "run",
]

# Two clients for each thread: every thread always finds the next request, and a slow one has
# somebody to hold up. More would only make the queues longer.
CONNECTIONS = 8
# The same for every pattern that has several, so that they differ in nothing but the pattern. Above
# the cores of a small machine, since threads that wait need none.
THREADS = 4
# The first requests start threads and fill caches.
WARM_UP_S = 0.25


@dataclass(frozen=True)
class Contender:
    """A pattern as it takes part: how many threads run handlers, how connections find them."""

    pattern: Pattern
    placement: str
    threads: int

    @property
    def name(self) -> str:
        return self.pattern.name


@dataclass(frozen=True)
class Snapshot:
    """The server's counters at one moment."""

    when: float
    served: tuple[int, ...]  # requests per loop, or per worker behind a queue
    connections: tuple[int, ...]  # open, per loop
    voluntary: int
    involuntary: int

    @property
    def requests(self) -> int:
        return sum(self.served)


@dataclass(frozen=True)
class Cell:
    """One measured run beside its predictions.

    ``findings`` has the names of `millrace.lab.predictions.predict`, and ``fullest``: connections
    on the fullest loop.
    """

    setup: Setup
    placed: tuple[int, ...]
    shares: tuple[float, ...]
    requests: int
    errors: int
    involuntary: float
    in_system: float
    doubts: tuple[str, ...]
    findings: dict[str, Finding] = field(default_factory=dict)

    @property
    def verdict(self) -> Verdict:
        return Verdict.INCONCLUSIVE if self.errors else overall(self.findings.values())

    @property
    def reason(self) -> str:
        """Why the verdict is not "reproduced"; empty where it is."""
        if self.errors:
            return f"{self.errors} requests failed"
        off = [name for name, finding in self.findings.items() if finding.verdict == self.verdict]
        if self.verdict == Verdict.INCONCLUSIVE:
            return "; ".join(self.doubts)
        return f"off: {', '.join(off)}" if self.verdict == Verdict.NOT_REPRODUCED else ""

    def measured(self, name: str) -> float:
        return self.findings[name].measured


@dataclass
class Comparison:
    """All cells of one comparison, and where they were measured."""

    machine: Machine
    seconds: float
    connections: int
    cells: list[Cell] = field(default_factory=list)
    wakeups: list[WakeupRun] = field(default_factory=list)
    elapsed: float = 0.0

    def of(self, work: str, handler: str) -> list[Cell]:
        """Return the cells of one kind of work and one kind of handler, in the patterns' order."""
        return [
            cell
            for cell in self.cells
            if cell.setup.work.name == work and cell.setup.handler == handler
        ]

    @property
    def verdicts(self) -> list[Verdict]:
        """One verdict for each run."""
        return [*(cell.verdict for cell in self.cells), *(run.verdict for run in self.wakeups)]


def contenders(threads: int = THREADS) -> list[Contender]:
    """Return the five patterns of one process, simplest first."""
    return [
        Contender(single_thread(), "one", 1),
        Contender(acceptor_readers(readers=threads), "round_robin", threads),
        Contender(shared_acceptors(threads=threads), "first_waiting", threads),
        Contender(reuseport_shards(loops=threads), "hash", threads),
        Contender(acceptor_queue_workers(workers=threads), "queue", threads),
    ]


def cells(
    *, works: Sequence[Work] = WORKS, connections: int = CONNECTIONS, cores: int
) -> Iterator[tuple[Contender, Setup]]:
    """Yield every cell of the comparison: works x handlers x patterns.

    Coroutines run on the one asyncio loop whatever the pattern, so they take part once, where they
    matter: waiting, on a single thread.
    """
    for work in works:
        for handler in (Runs.NATIVE, Runs.PYTHON):
            for contender in contenders():
                yield contender, _setup(contender, work, handler, connections, cores)
        if not work.usual.cpu and not work.slow_fraction:
            alone = contenders()[0]
            yield alone, _setup(alone, work, Runs.COROUTINE, connections, cores)


def run(contender: Contender, setup: Setup, *, seconds: float) -> Cell:
    """Serve, load and judge one cell.

    Parameters
    ----------
    seconds:
        How long its steady state is observed.

    Examples
    --------
    >>> cores = 2
    >>> contender, setup = next(cells(cores=cores))
    >>> cell = run(contender, setup, seconds=0.2)
    >>> cell.errors
    0
    """
    with Server(_app(setup), pattern=contender.pattern, journey=False, drain="2s") as server:
        before, after, loaded, doubts = _observe(server, setup, seconds)
    return _judge(setup, before, after, loaded, doubts)


def _setup(contender: Contender, work: Work, handler: str, connections: int, cores: int) -> Setup:
    return Setup(
        pattern=contender.name,
        placement=contender.placement,
        work=work,
        handler=handler,
        threads=contender.threads,
        connections=connections,
        cores=cores,
    )


def _app(setup: Setup) -> App:
    app = App()
    if setup.handler == Runs.NATIVE:
        native_work(app, "/", setup.work)
    elif setup.handler == Runs.PYTHON:
        app.get("/")(python_work(setup.work))
    else:
        app.get("/")(coroutine_work(setup.work))
    return app


def _observe(
    server: Server, setup: Setup, seconds: float
) -> tuple[Snapshot, Snapshot, Load, list[str]]:
    with ThreadPoolExecutor(1) as beside:
        running = beside.submit(
            load,
            server.url + "/",
            connections=setup.connections,
            # The load goes on past the second look, so that it is still steady then.
            duration=1.1 * seconds + 0.1,
            warmup=WARM_UP_S,
        )
        time.sleep(WARM_UP_S)
        used, before = CpuUse.now(), _look(server, setup)
        time.sleep(seconds)
        doubts = CpuUse.now().doubts_since(used, setup.cores)
        after = _look(server, setup)
        return before, after, running.result(), doubts


def _look(server: Server, setup: Setup) -> Snapshot:
    """Read the counters. The moment is that of the reading, whatever the caller waited for."""
    stats = server.stats()
    when = time.monotonic()
    loops, queue = stats.loops, stats["queue"]
    # A loop that only accepts comes first and owns nothing.
    owners = loops if setup.has_queue else loops[-setup.threads :]
    served = queue["workers"] if setup.has_queue else [loop["requests"] for loop in owners]
    threads = [thread for kind in stats["threads"].values() for thread in kind]
    return Snapshot(
        when=when,
        served=tuple(served),
        connections=tuple(loop["connections_open"] for loop in owners),
        voluntary=sum(thread["voluntary"] for thread in threads),
        involuntary=sum(thread["involuntary"] for thread in threads),
    )


def _judge(
    setup: Setup, before: Snapshot, after: Snapshot, loaded: Load, doubts: list[str]
) -> Cell:
    elapsed = after.when - before.when
    requests = after.requests - before.requests
    served = [late - early for early, late in zip(before.served, after.served, strict=True)]
    shares = tuple(count / max(requests, 1) for count in served)
    values = {
        "capacity": requests / elapsed,
        "mean": loaded.mean,
        "p50": loaded.p50,
        "p99": loaded.p99,
        "busiest": max(shares),
        "sleeps": (after.voluntary - before.voluntary) / max(requests, 1),
    }
    if setup.work.slow_fraction:
        values["late"] = loaded.latency.count_above(setup.work.limit) / max(1, loaded.requests)
    # Threads in step finish one round of requests at the same moment; a run that holds few rounds
    # is long or short by one of them.
    in_step = setup.connections if setup.handler == Runs.COROUTINE else setup.threads
    rounds = requests / min(in_step, setup.connections)
    doubts = [*doubts, *([f"only {rounds:.0f} rounds of requests"] if rounds < 20 else [])]
    # Where the machine was so busy that a look came before or after the load, one sees fewer.
    placed = tuple(map(max, before.connections, after.connections))
    seen = min(sum(before.connections), sum(after.connections))
    if seen < setup.connections:
        doubts.append(f"only {seen} clients were connected all the time")
    expected = predict(setup, placed, max(loaded.requests, 1))
    findings = {name: judge(value, expected.get(name), doubts) for name, value in values.items()}
    if (placement := predict_placement(setup)) is not None:
        findings["fullest"] = judge(float(max(placed)), placement)
    return Cell(
        setup=setup,
        placed=placed,
        shares=shares,
        requests=requests,
        errors=loaded.errors,
        involuntary=(after.involuntary - before.involuntary) / max(requests, 1),
        in_system=requests / elapsed * loaded.mean,
        doubts=tuple(doubts),
        findings=findings,
    )
