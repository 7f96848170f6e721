"""What each execution pattern must do to each kind of work, computed from the closed forms.

Connections land where the pattern (or, for some, chance) puts them. That placement is predicted
first; everything else is predicted from the placement that then came about, since a closed form
needs to know how many clients share a thread.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from millrace.lab import queueing
from millrace.lab.queueing import Distribution
from millrace.lab.verdicts import Prediction
from millrace.lab.work import Work

__all__ = ["Runs", "Setup", "predict", "predict_placement"]

# Engine, loopback, load generator and timers cost 50 to 200 us a request, up to 4 % of the shortest
# service here; the ends of a run cut off up to one round of requests, and the scheduler takes its
# part. The same 10 % are what a reader would call "as predicted".
CAPACITY_TOLERANCE = 0.10
# As for capacity, to which it is tied by Little's law.
RESPONSE_TOLERANCE = 0.10
# A timer that fires late or a wake-up that waits for a core shifts a single response by this much;
# it cancels out of means, not out of quantiles.
RESPONSE_SLACK_S = 0.001
# How long threads that share a core run before the next one's turn: Linux's base slice is 0.7 to 3
# ms and rounded up to a tick of 1 to 4 ms. Also CPython's switch interval, sys.getswitchinterval().
CORE_SLICE_S = 0.004
GIL_SLICE_S = 0.005
# Sleeps per request that have other causes: locks, timers, the load generator's pauses.
SLEEPS_SLACK = 0.35
# Workers that take turns at one queue take equally often in the long run, not exactly.
SHARE_TOLERANCE = 0.10
# Threads that share a core with others, the load generator among them, get less than those that do
# not, until the kernel moves them: fair in the long run only.
SHARED_CORE_TOLERANCE = 0.20
_NO_TURNS = "the GIL passes to whoever wakes first: only capacity and mean are known"
# Slow requests that meet in one window count once; by how much depends on which loop serves them.
LATE_TOLERANCE = 0.15


class Runs:
    """Where handlers run; the words of the tables."""

    NATIVE = "native"
    PYTHON = "Python"
    COROUTINE = "coroutine"


@dataclass(frozen=True)
class Setup:
    """One cell of the comparison: who serves, what, with how much.

    Attributes
    ----------
    pattern, placement:
        Its name, and how it places connections: ``"one"`` (there is one loop), ``"round_robin"``,
        ``"hash"``, ``"first_waiting"`` or ``"queue"`` (workers take from one queue).
    handler:
        One of `Runs`.
    threads:
        Threads that run handlers: loops, or workers behind a queue.
    connections:
        Clients of the closed loop.
    cores:
        Cores that this process may use.
    """

    pattern: str
    placement: str
    work: Work
    handler: str
    threads: int
    connections: int
    cores: int

    @property
    def has_queue(self) -> bool:
        return self.placement == "queue"

    @property
    def computes_at_once(self) -> int:
        """Threads that may compute at the same time: the cores, or one where there is a GIL."""
        return 1 if self.handler == Runs.PYTHON else self.cores


def predict_placement(setup: Setup) -> Prediction | None:
    """Predict how many connections the fullest loop gets; None where there is one loop."""
    if setup.placement in ("one", "queue"):
        return None
    even = float(-(-setup.connections // setup.threads))
    if setup.placement == "round_robin":
        return Prediction(even, even, "connections / loops, rounded up")
    if setup.placement == "first_waiting":
        return Prediction(
            even,
            float(setup.connections),
            "whoever is first",
            no_test="clients that connect at the same moment start a race",
        )
    chance = queueing.largest_count(setup.connections, setup.threads).quantile(0.999)
    return Prediction(even, chance, "largest of a multinomial, 99.9 %")


def predict(setup: Setup, placed: Sequence[int], requests: int) -> dict[str, Prediction]:
    """Predict one run from where its connections landed.

    Parameters
    ----------
    setup:
        The run.
    placed:
        Connections on each loop; loops without any are left out of everything.
    requests:
        How many responses will be looked at, which limits how well their quantiles are known.

    Returns
    -------
    :
        Predictions of ``capacity`` (requests per second), ``mean``, ``p50`` and ``p99`` (seconds),
        ``busiest`` (largest share of requests that one thread serves), ``sleeps`` (voluntary
        context switches per request, where they follow from the pattern) and, for work with slow
        requests, ``late`` (share of responses above `Work.limit`).
    """
    if setup.handler == Runs.COROUTINE:
        return _predict_coroutines(setup)
    counts = [count for count in placed if count] or [setup.connections]
    threads = setup.threads if setup.has_queue else len(counts)
    capacity = _capacity(setup, threads)
    predictions = {
        "capacity": capacity,
        "mean": _mean(setup, capacity),
        "busiest": _busiest(setup, threads, requests),
        **_responses(setup, counts, threads, requests),
    }
    if (sleeps := _sleeps(setup, counts)) is not None:
        predictions["sleeps"] = sleeps
    if setup.work.slow_fraction:
        predictions["late"] = _late(setup, counts, requests)
    return predictions


def _predict_coroutines(setup: Setup) -> dict[str, Prediction]:
    # A coroutine that waits holds no thread, so nobody queues: N clients are N services at once.
    service, clients = setup.work.usual.wait, setup.connections
    capacity = clients / service
    return {
        "capacity": Prediction(
            capacity, capacity, "connections / service", relative=CAPACITY_TOLERANCE
        ),
        "mean": _response(service, service, "connections / capacity"),
        "p50": _response(service, service, "service"),
        "p99": _response(service, service, "service", slack=2 * RESPONSE_SLACK_S),
        "busiest": Prediction(1.0, 1.0, "one thread", relative=SHARE_TOLERANCE),
    }


def _capacity(setup: Setup, threads: int) -> Prediction:
    work = setup.work
    cpu = queueing.mean_service(work.usual.cpu, work.slow.cpu, work.slow_fraction)
    wait = queueing.mean_service(work.usual.wait, work.slow.wait, work.slow_fraction)
    value = queueing.capacity(
        population=setup.connections,
        threads=threads,
        cpu=cpu,
        wait=wait,
        cores=setup.cores,
        locked=setup.handler == Runs.PYTHON,
    )
    if not cpu:
        formula = "busy threads / mean service"
    elif setup.handler == Runs.PYTHON:
        formula = "1 / service (GIL)"
    else:
        formula = "min(busy threads, cores) / service"
    return Prediction(value, value, formula, relative=CAPACITY_TOLERANCE)


def _mean(setup: Setup, capacity: Prediction) -> Prediction:
    mean = queueing.response_time(setup.connections, capacity.low)
    return _response(mean, mean, "connections / capacity")


def _shares_a_lock(setup: Setup) -> bool:
    """Whether threads compete for the GIL, which passes to whoever wakes first: no turns."""
    return setup.handler == Runs.PYTHON and setup.work.usual.cpu > 0 and setup.threads > 1


def _busiest(setup: Setup, threads: int, requests: int) -> Prediction:
    work, tolerance = setup.work, SHARE_TOLERANCE
    if work.usual.cpu and threads > setup.computes_at_once:
        tolerance = SHARED_CORE_TOLERANCE
    # Who happens to get more of the slow requests serves fewer in all: three deviations, as the
    # busiest of several is looked at.
    luck = 0.0
    if threads > 1 and work.slow_fraction:
        luck = 3 * queueing.renewal_spread(
            work.usual.total, work.slow.total, work.slow_fraction, requests / threads
        )
    share = 1 / threads
    return Prediction(
        share,
        share,
        "1 / busy threads",
        relative=tolerance + luck,
        no_test=_NO_TURNS if _shares_a_lock(setup) and threads > 1 else "",
    )


def _responses(
    setup: Setup, counts: Sequence[int], threads: int, requests: int
) -> dict[str, Prediction]:
    work = setup.work
    # Threads that compute share what can compute at once. Where the division leaves a remainder,
    # some have more company than others.
    alone, turn = 1.0, 0.0
    crowded = 1.0
    if work.usual.cpu and threads > setup.computes_at_once:
        share = threads / setup.computes_at_once
        alone, crowded = float(int(share)), float(-int(-share // 1))
        turn = crowded * (GIL_SLICE_S if setup.handler == Runs.PYTHON else CORE_SLICE_S)
    forms = [
        form
        for stretch in (alone, crowded)
        for form in _response_times(setup, counts, threads, stretch)
    ]
    formula = "clients / workers x service" if setup.has_queue else "clients of the loop x service"
    found = {}
    for name, level in (("p50", 0.50), ("p99", 0.99)):
        bands = [queueing.quantile_band(form, level, requests) for form in forms]
        low, high = min(low for low, _ in bands), max(high for _, high in bands)
        if name == "p99" and not setup.has_queue:
            high = max(high, _unlucky(setup, counts, crowded))
        # Half a turn early or late for the middle, a whole one for the slowest.
        slack = turn / 2 if name == "p50" else turn
        no_test = _NO_TURNS if _shares_a_lock(setup) and threads > 1 else ""
        found[name] = _response(low, high, formula, slack=RESPONSE_SLACK_S + slack, no_test=no_test)
    return found


def _response(
    low: float,
    high: float,
    formula: str,
    *,
    slack: float = RESPONSE_SLACK_S,
    no_test: str = "",
) -> Prediction:
    if high > 3 * low and not no_test:
        no_test = "the band is too wide: it spans usual and unlucky or slow requests"
    return Prediction(
        low,
        high,
        formula,
        relative=RESPONSE_TOLERANCE,
        absolute=slack,
        no_test=no_test,
    )


def _response_times(
    setup: Setup, counts: Sequence[int], threads: int, stretch: float
) -> list[Distribution]:
    """Return the possible distributions: a loop has two, and which it is depends on a race.

    The client that a loop answers last in a turn either has its next request in before the loop
    asks the kernel for the next turn (first come, first served) or not (gated).
    """
    if setup.has_queue:
        price = _price(setup.work, stretch)
        return [queueing.shared_queue_response(setup.connections, threads, **price)]
    forms = (queueing.fifo_response, queueing.gated_response)
    return [_of_loops(setup, counts, stretch, form) for form in forms]


def _unlucky(setup: Setup, counts: Sequence[int], stretch: float) -> float:
    """Return the 99th percentile of clients that keep missing turns by a moment."""
    return _of_loops(setup, counts, stretch, queueing.unlucky_response).quantile(0.99)


def _of_loops(
    setup: Setup, counts: Sequence[int], stretch: float, form: Callable[..., Distribution]
) -> Distribution:
    # Every busy loop serves equally many requests, however many clients it has.
    price = _price(setup.work, stretch)
    return Distribution.mixture((form(count, **price), 1.0) for count in counts)


def _price(work: Work, stretch: float) -> dict[str, float]:
    return {
        "usual": work.usual.wait + work.usual.cpu * stretch,
        "slow": work.slow.wait + work.slow.cpu * stretch,
        "slow_fraction": work.slow_fraction,
    }


def _late(setup: Setup, counts: Sequence[int], requests: int) -> Prediction:
    work = setup.work
    if setup.has_queue:
        share = queueing.late_share_of_shared_queue(
            setup.connections, setup.threads, **_price(work, 1.0)
        )
        felt_by, unevenness = 1.0, 0.0
        formula = "slow requests, and those that find every worker stuck"
    else:
        felt_by, unevenness = statistics.fmean(counts), statistics.pvariance(counts)
        # Gated service makes equally many late, but for slow requests that meet.
        share = _of_loops(setup, counts, 1.0, queueing.fifo_response).share_above(work.limit)
        formula = "slow requests x clients of their loop"
    # Each run of 1 / fraction requests holds one slow one. The two runs that the ends of the
    # measurement cut may or may not: their number is off by sqrt(1/3) in the standard deviation.
    # And it is chance which loop gets a slow one: with few or with many clients. Two deviations.
    slow_ones = work.slow_fraction * requests
    spread = math.sqrt(felt_by**2 / 3 + unevenness * slow_ones)
    return Prediction(
        share, share, formula, relative=LATE_TOLERANCE, absolute=2 * spread / requests
    )


def _sleeps(setup: Setup, counts: Sequence[int]) -> Prediction | None:
    """Predict how often a thread of the server goes to sleep for each request.

    Once in a handler that waits. A loop that owns several connections always finds the next request
    there, and one that owns a single connection sleeps until its client's next. With a queue, the
    loop sleeps before each request and before each answer that comes home, unless up to ``workers``
    of them arrive together; the workers never find the queue empty. Several Python threads that
    wait may each sleep once more, for the GIL, when they go on. Those that compute do so as often
    as the switch interval and their number bring about: no closed form.
    """
    if _shares_a_lock(setup):
        return None
    handler = 1.0 if setup.work.usual.wait else 0.0
    lock = 1.0 if setup.handler == Runs.PYTHON and setup.threads > 1 else 0.0
    if setup.has_queue:
        low, high = handler + 2 / setup.threads, handler + 2.0 + lock
        return Prediction(low, high, "handler + loop's two waits", absolute=SLEEPS_SLACK)
    single = sum(1 for count in counts if count == 1) / len(counts)
    value = handler + single
    # With every core busy the client runs in the loop's place, and its request is there before the
    # loop looks: it may find the next one even if it has but one client.
    contended = setup.work.usual.cpu > 0 and len(counts) >= setup.computes_at_once
    low = handler if contended else value
    return Prediction(low, value + lock, "handler + lonely loops", absolute=SLEEPS_SLACK)
