"""What threads and processes bring under CPython's lock, for handlers that compute or wait."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Iterable
from functools import partial

from millrace.app import App
from millrace.http import Request
from millrace.lab.experiment import Claim, Experiment, Measure, Quantity, Run
from millrace.lab.load import load
from millrace.lab.machine import Machine
from millrace.lab.verdicts import Prediction
from millrace.lab.work import Price, Work, native_work
from millrace.patterns import (
    MultiProcess,
    Pattern,
    acceptor_queue_workers,
    multi_process,
    single_thread,
)
from millrace.server import Server

__all__ = ["experiment"]

WORKERS = 4
# Twice the workers, so that none is ever without a request.
CLIENTS = 2 * WORKERS
# To processes the kernel deals connections out by a hash: so many that none is left without one but
# in one round of 2,000.
CLIENTS_OF_PROCESSES = 8 * WORKERS
COMPUTE_S = 0.005
WAIT_S = 0.020
SECONDS = 0.6
QUICK_SECONDS = 0.35
# Until every worker has a request. What begins after that counts, and from then on one begins where
# one ends: the rate is steady, whoever is still to be served for the first time.
WARMUP_S = 0.05
TOLERANCE = 0.10

_COMPUTING = Work("compute", "computes 5 ms", Price(cpu=COMPUTE_S))
# Functions that are called through PyDLL keep the lock.
_usleep_with_the_lock = ctypes.PyDLL(None).usleep
# When each request of this process began to wait.
_waits: list[float] = []


def experiment() -> Experiment:
    """Return the experiment ``threads-vs-processes``."""
    one = single_thread()
    threads = acceptor_queue_workers(workers=WORKERS)
    alone = Prediction(1 / COMPUTE_S, 1 / COMPUTE_S, "1 / cpu", relative=TOLERANCE)
    waits = WORKERS / WAIT_S
    arms: dict[str, Measure] = {
        "computes, 1 thread": partial(_serve, path="/compute", pattern=one),
        f"computes, {WORKERS} threads": partial(_serve, path="/compute", pattern=threads),
        "waits, 1 thread": partial(_serve, path="/wait", pattern=one),
        f"waits, {WORKERS} threads": partial(_serve, path="/wait", pattern=threads),
    }
    return Experiment(
        name="threads-vs-processes",
        question="What do threads bring, and what processes, when handlers are Python functions?",
        formula="computing: 1 / cpu with any number of threads, min(n, cores) / cpu with n "
        "processes; waiting: n / wait with n of either",
        source="Python/C API, thread state and the global interpreter lock; Denning & Buzen 1978, "
        "asymptotic bounds",
        quantities=[
            Quantity("rate", "Answered", "requests/s"),
            Quantity("at_once", "Waiting at once", "handlers"),
        ],
        arms=arms | _arms_of_processes(),
        claims=[
            Claim("computes, 1 thread", "rate", alone, "One thread has one core.", by="clock"),
            Claim(
                f"computes, {WORKERS} threads",
                "rate",
                alone,
                "More threads compute no faster: one at a time holds the interpreter's lock.",
                by="clock",
            ),
            Claim(
                "waits, 1 thread",
                "rate",
                Prediction(1 / WAIT_S, 1 / WAIT_S, "1 / wait", relative=TOLERANCE),
                "One thread waits for one thing at a time.",
                by="clock",
            ),
            Claim(
                f"waits, {WORKERS} threads",
                "rate",
                Prediction(waits, waits, "n / wait", relative=TOLERANCE),
                "Who waits has given the lock back, so each thread adds its own.",
                by="clock",
            ),
            Claim(
                f"waits, {WORKERS} threads",
                "at_once",
                Prediction(WORKERS, WORKERS, "n", relative=0.25),
                "As many handlers wait at once as there are threads.",
            ),
            *_claims_of_processes(),
        ],
        without_cause="the lock's rule: what computes does so outside the lock, and what waits "
        "keeps it",
        rounds=3,
        quick_rounds=1,
    )


def _arms_of_processes() -> dict[str, Measure]:
    processes = multi_process(WORKERS, listener="reuseport")
    return {
        f"{what}, {WORKERS} processes": partial(
            _serve, path=path, pattern=processes, clients=CLIENTS_OF_PROCESSES
        )
        for what, path in (("computes", "/compute"), ("waits", "/wait"))
    }


def _claims_of_processes() -> list[Claim]:
    computing = min(WORKERS, Machine.here().cores) / COMPUTE_S
    waiting = WORKERS / WAIT_S
    return [
        Claim(
            f"computes, {WORKERS} processes",
            "rate",
            Prediction(computing, computing, "min(n, cores) / cpu", relative=TOLERANCE),
            "Processes have a lock each, so they compute on as many cores as there are.",
            by="clock",
        ),
        Claim(
            f"waits, {WORKERS} processes",
            "rate",
            Prediction(waiting, waiting, "n / wait", relative=TOLERANCE),
            "Processes wait no better than threads.",
            by="clock",
        ),
    ]


def _compute(request: Request) -> str:
    end = time.thread_time() + COMPUTE_S
    while time.thread_time() < end:
        pass
    return "done"


def _wait(request: Request) -> str:
    _waits.append(time.monotonic())
    time.sleep(WAIT_S)
    return "done"


def _wait_with_the_lock(request: Request) -> str:
    _waits.append(time.monotonic())
    _usleep_with_the_lock(round(WAIT_S * 1e6))
    return "done"


def _claimed() -> App:
    """Return an app that computes with the lock and waits without it."""
    app = App()
    app.get("/compute")(_compute)
    app.get("/wait")(_wait)
    return app


def _without_cause() -> App:
    """Return an app that computes without the lock and waits with it."""
    app = App()
    native_work(app, "/compute", _COMPUTING)
    app.get("/wait")(_wait_with_the_lock)
    return app


# Worker processes import them by these names.
CLAIMED = _claimed()
WITHOUT_CAUSE = _without_cause()


def _serve(
    run: Run, *, path: str, pattern: Pattern | MultiProcess, clients: int = CLIENTS
) -> dict[str, float]:
    _waits.clear()
    app = WITHOUT_CAUSE if run.without_cause else CLAIMED
    seconds = QUICK_SECONDS if run.quick else SECONDS
    with Server(app, pattern=pattern, journey=False) as server:
        result = load(
            server.url + path,
            connections=clients,
            duration=seconds,
            warmup=WARMUP_S,
        )
    assert not result.errors, result
    # Counted, within one request of each thread. Clients by mean latency (X = N / R) would say too
    # much where the connections are dealt out unevenly: of the long waits fewer end in time.
    values = {"rate": result.requests / seconds}
    if _waits:
        values["at_once"] = _at_once(_waits)
    return values


def _at_once(starts: Iterable[float]) -> float:
    """Return how many waited on average while anybody did."""
    count, covered, end = 0, 0.0, float("-inf")
    for start in sorted(starts):
        count += 1
        covered += min(WAIT_S, start + WAIT_S - end)
        end = start + WAIT_S
    return count * WAIT_S / covered
