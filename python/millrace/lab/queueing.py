"""Closed forms of queueing: what a server must do, before anybody measures it.

The setting is a *closed* system: ``population`` clients (connections) that send the next request as
soon as the last one is answered, so the number of requests in the system never changes. Times are
seconds, rates are per second.

Sources, named in each function:

- Little 1961: J. D. C. Little, "A Proof for the Queuing Formula L = λW", Operations Research 9(3).
- Denning & Buzen 1978: P. J. Denning, J. P. Buzen, "The Operational Analysis of Queueing Network
  Models", ACM Computing Surveys 10(3): utilisation law, response time law, asymptotic bounds.
- Feller 1968: W. Feller, "An Introduction to Probability Theory and Its Applications", volume I,
  third edition: occupancy, the binomial and multinomial distributions, renewal theory.
- Takagi 1986: H. Takagi, "Analysis of Polling Systems", MIT Press: gated service.
- David & Nagaraja 2003: H. A. David, H. N. Nagaraja, "Order Statistics", third edition, section
  7.1: distribution-free intervals of quantiles.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

__all__ = [
    "Distribution",
    "capacity",
    "expected_occupied",
    "fifo_response",
    "gated_response",
    "largest_count",
    "late_share_of_shared_queue",
    "mean_service",
    "quantile_band",
    "renewal_spread",
    "response_time",
    "shared_queue_response",
    "slow_time_share",
    "unlucky_response",
]


@dataclass(frozen=True)
class Distribution:
    """Finitely many values and their probabilities, smallest value first.

    Examples
    --------
    >>> coin = Distribution.of([(2.0, 1.0), (1.0, 1.0)])
    >>> coin.mean, coin.quantile(0.5), coin.share_above(1.0)
    (1.5, 1.0, 0.5)
    """

    steps: tuple[tuple[float, float], ...]

    @classmethod
    def of(cls, weighted: Iterable[tuple[float, float]]) -> Self:
        """Build from (value, weight) pairs; weights need not add up to one."""
        pairs = sorted((value, weight) for value, weight in weighted if weight > 0)
        total = math.fsum(weight for _, weight in pairs)
        if not pairs or not math.isfinite(total):
            raise ValueError("a distribution needs at least one value with a finite weight above 0")
        return cls(tuple((value, weight / total) for value, weight in pairs))

    @classmethod
    def mixture(cls, parts: Iterable[tuple[Distribution, float]]) -> Self:
        """Draw from one of several distributions, each with its weight."""
        return cls.of(
            (value, probability * weight)
            for part, weight in parts
            for value, probability in part.steps
        )

    @property
    def mean(self) -> float:
        return math.fsum(value * probability for value, probability in self.steps)

    def quantile(self, level: float) -> float:
        """Return the smallest value that at least ``level`` (0 to 1) of the draws do not exceed."""
        reached = 0.0
        for value, probability in self.steps:
            reached += probability
            if reached >= level - 1e-12:
                return value
        return self.steps[-1][0]

    def share_above(self, limit: float) -> float:
        """Return the probability of a value greater than ``limit``."""
        return math.fsum(probability for value, probability in self.steps if value > limit)


def response_time(population: float, throughput: float, think_time: float = 0.0) -> float:
    """Return the mean response time of a closed system: R = N / X - Z.

    The interactive response time law (Denning & Buzen 1978); with ``think_time`` 0 it is Little's
    law (Little 1961) for the system as a whole. It holds for every service distribution and every
    order of service.

    Examples
    --------
    >>> response_time(population=8, throughput=400.0)
    0.02
    """
    return population / throughput - think_time


def capacity(
    *, population: int, threads: int, cpu: float, wait: float, cores: float, locked: bool = False
) -> float:
    """Return the throughput of blocking threads that share cores, in requests per second.

    The least of the asymptotic bounds (Denning & Buzen 1978): a thread is busy for the whole of a
    request, so ``min(threads, population)`` of them finish one each ``cpu + wait`` seconds at best;
    the cores finish one each ``cpu / cores`` seconds; and where a lock lets one thread compute at
    a time (CPython's GIL), one each ``cpu`` seconds. With fixed service times and clients that do
    not think, the bound is reached: nobody who could work ever waits for anything else.

    Parameters
    ----------
    population:
        Clients, each with one request in the system.
    threads:
        Threads that run handlers and have something to do.
    cpu, wait:
        Seconds a request computes, and seconds it sleeps, in its thread.
    cores:
        Cores that the threads may use.
    locked:
        One thread at a time may compute.

    Examples
    --------
    >>> capacity(population=8, threads=4, cpu=0.0, wait=0.050, cores=2)
    80.0
    >>> capacity(population=8, threads=4, cpu=0.005, wait=0.0, cores=2)
    400.0
    >>> capacity(population=8, threads=4, cpu=0.005, wait=0.0, cores=2, locked=True)
    200.0
    """
    bounds = [min(threads, population) / (cpu + wait)]
    if cpu > 0:
        bounds.append((1.0 if locked else cores) / cpu)
    return min(bounds)


def mean_service(usual: float, slow: float, slow_fraction: float) -> float:
    """Return the mean service time where a fraction of the requests is slow, in seconds.

    Examples
    --------
    >>> round(mean_service(0.005, 0.100, 0.01), 6)
    0.00595
    """
    return (1 - slow_fraction) * usual + slow_fraction * slow


def slow_time_share(usual: float, slow: float, slow_fraction: float) -> float:
    """Return the share of its time that an always busy worker spends on slow requests.

    Renewal reward theorem (Feller 1968): the slow part of a mean service over all of it. One slow
    request in a hundred is one in six of the worker's seconds when it takes twenty times as long.

    Examples
    --------
    >>> round(slow_time_share(0.005, 0.100, 0.01), 3)
    0.168
    """
    return slow_fraction * slow / mean_service(usual, slow, slow_fraction)


def renewal_spread(usual: float, slow: float, slow_fraction: float, served: float) -> float:
    """Return the relative standard deviation of what an always busy worker serves in a while.

    Central limit theorem for renewals (Feller 1968): services with mean m and deviation d, of which
    about n fit into the time, vary in number by ``d / m * sqrt(n)``.

    Examples
    --------
    >>> renewal_spread(0.005, 0.005, 0.0, served=400)
    0.0
    >>> round(renewal_spread(0.005, 0.100, 0.01, served=400), 3)
    0.079
    """
    deviation = (slow - usual) * math.sqrt(slow_fraction * (1 - slow_fraction))
    return deviation / mean_service(usual, slow, slow_fraction) / math.sqrt(served)


def fifo_response(
    population: int, *, usual: float, slow: float = 0.0, slow_fraction: float = 0.0
) -> Distribution:
    """Return the response times of ``population`` clients that share one first-come server.

    A client that sends its next request at once finds all others before it, so it stays for
    exactly ``population`` services, its own included. Each is slow with probability
    ``slow_fraction``, so their number is binomial (Feller 1968), and one slow request is felt by
    ``population`` clients.

    Examples
    --------
    >>> fifo_response(2, usual=0.005).steps
    ((0.01, 1.0),)
    >>> felt = fifo_response(8, usual=0.005, slow=0.100, slow_fraction=0.01)
    >>> round(felt.share_above(0.050), 3)
    0.077
    """
    return _services(population, usual, slow, slow_fraction)


def gated_response(
    population: int, *, usual: float, slow: float = 0.0, slow_fraction: float = 0.0
) -> Distribution:
    """Return the response times of clients whose server works in turns, as an event loop does.

    A turn serves the requests that were there when it began (gated service, Takagi 1986). The
    client that a turn serves last has its answer when the next turn begins, and its next request is
    a moment too late for it. So each turn has ``n - 1`` services: ``n - 2`` clients are in every
    turn, and two take turns at the last place. The mean is that of `fifo_response`, as Little's
    law demands.

    Examples
    --------
    >>> gated_response(5, usual=1.0).steps
    ((4.0, 0.75), (8.0, 0.25))
    """
    if population < 3:
        return _services(population, usual, slow, slow_fraction)
    in_turn = population - 1
    return Distribution.mixture(
        [
            (_services(in_turn, usual, slow, slow_fraction), float(population - 2)),
            (_services(2 * in_turn, usual, slow, slow_fraction), 1.0),
        ]
    )


def unlucky_response(
    population: int, *, usual: float, slow: float = 0.0, slow_fraction: float = 0.0
) -> Distribution:
    """Return the longest that a loop working in turns makes a client wait (Takagi 1986).

    It missed a turn of all others by a moment and is the last of the one after:
    ``2 * population - 1`` services. Nobody waits longer, as a client misses at most one turn.

    Examples
    --------
    >>> unlucky_response(5, usual=1.0).steps
    ((9.0, 1.0),)
    """
    return _services(2 * population - 1, usual, slow, slow_fraction)


def _services(count: int, usual: float, slow: float, slow_fraction: float) -> Distribution:
    """Return how long so many services take one after the other."""
    return Distribution.of(
        (
            (count - slow_ones) * usual + slow_ones * slow,
            math.comb(count, slow_ones)
            * slow_fraction**slow_ones
            * (1 - slow_fraction) ** (count - slow_ones),
        )
        for slow_ones in range(count + 1)
    )


def shared_queue_response(
    population: int, workers: int, *, usual: float, slow: float = 0.0, slow_fraction: float = 0.0
) -> Distribution:
    """Return the response times of ``population`` clients before one queue and several workers.

    The workers are never idle when ``population >= workers``, so each is an independent sequence of
    services, and the number *j* that is stuck with a slow request is binomial with the share of
    `slow_time_share` (Feller 1968). While *j* are stuck the other ``workers - j`` serve the other
    ``population - j`` clients; by the response time law (Denning & Buzen 1978) a usual request then
    takes ``usual * (population - j) / (workers - j)``, and such requests pass in proportion to the
    workers that are free. A slow request waits like any other, then takes ``slow``.

    Examples
    --------
    >>> shared_queue_response(8, 4, usual=0.005).steps
    ((0.01, 1.0),)
    >>> felt = shared_queue_response(8, 4, usual=0.005, slow=0.100, slow_fraction=0.01)
    >>> round(felt.share_above(0.050), 3)
    0.01
    """
    if population < workers:
        workers = population
    stuck = slow_time_share(usual, slow, slow_fraction) if slow_fraction else 0.0
    steps = []
    for j in range(workers):
        weight = math.comb(workers, j) * stuck**j * (1 - stuck) ** (workers - j) * (workers - j)
        response = usual * (population - j) / (workers - j)
        steps.append((response, weight * (1 - slow_fraction)))
        steps.append((response - usual + slow, weight * slow_fraction))
    return Distribution.of(steps)


def late_share_of_shared_queue(
    population: int, workers: int, *, usual: float, slow: float, slow_fraction: float
) -> float:
    """Return the share of requests that a slow one makes late, before one queue.

    The slow ones themselves, and those that wait while every worker is stuck at once. All are
    stuck for ``stuck ** workers`` of the time, each such moment ends after ``slow / workers`` on
    average and holds up the ``population - workers`` clients in the queue; over the throughput
    ``workers / mean_service`` that is a share of all requests (Little 1961).

    Examples
    --------
    >>> round(late_share_of_shared_queue(8, 4, usual=.005, slow=.1, slow_fraction=.01), 4)
    0.0102
    >>> round(late_share_of_shared_queue(8, 1, usual=.005, slow=.1, slow_fraction=.01), 4)
    0.08
    """
    workers = min(workers, population)
    stuck = slow_time_share(usual, slow, slow_fraction)
    episodes = stuck**workers * workers / slow
    throughput = workers / mean_service(usual, slow, slow_fraction)
    return slow_fraction + (population - workers) * episodes / throughput


def expected_occupied(connections: int, loops: int) -> float:
    """Return how many loops get a connection at all when a hash places each on one by chance.

    Classical occupancy (Feller 1968): each loop stays empty with probability ``(1 - 1/k)^N``.

    Examples
    --------
    >>> expected_occupied(2, 2)
    1.5
    """
    return float(loops * (1 - (1 - 1 / loops) ** connections))


def largest_count(connections: int, loops: int) -> Distribution:
    """Return how many connections the fullest loop gets when each lands on one by chance.

    The maximum of a multinomial distribution (Feller 1968), exactly:
    ``P(max <= m) = N! / k^N [x^N] (sum of x^j / j! for j <= m)^k``.

    Examples
    --------
    >>> largest_count(2, 2).steps
    ((1, 0.5), (2, 0.5))
    """
    at_most = [_all_at_most(limit, connections, loops) for limit in range(connections + 1)]
    return Distribution.of(
        (count, at_most[count] - at_most[count - 1]) for count in range(1, connections + 1)
    )


def quantile_band(
    distribution: Distribution, level: float, draws: float, deviations: float = 2.0
) -> tuple[float, float]:
    """Return between which values a sample's quantile may lie, sampling alone considered.

    Distribution-free (David & Nagaraja 2003): the share of a sample below the true quantile is
    binomial, so the sample's quantile lies between the true ones at the levels
    ``level ± deviations * sqrt(level * (1 - level) / draws)``. The band is wide exactly where the
    quantile falls on a step, such as the 99th percentile when one request in a hundred is slow.

    Examples
    --------
    >>> step = Distribution.of([(0.010, 0.99), (0.105, 0.01)])
    >>> quantile_band(step, 0.5, draws=1000)
    (0.01, 0.01)
    >>> quantile_band(step, 0.99, draws=1000)
    (0.01, 0.105)
    """
    margin = deviations * math.sqrt(level * (1 - level) / draws)
    return (
        distribution.quantile(max(0.0, level - margin)),
        distribution.quantile(min(1.0, level + margin)),
    )


def _all_at_most(limit: int, connections: int, loops: int) -> float:
    one_loop = [1 / math.factorial(count) for count in range(limit + 1)]
    series = [1.0]
    for _ in range(loops):
        series = _product(series, one_loop, connections)
    reached = series[connections] if len(series) > connections else 0.0
    return math.factorial(connections) * reached / float(loops) ** connections


def _product(left: Sequence[float], right: Sequence[float], degree: int) -> list[float]:
    product = [0.0] * min(len(left) + len(right) - 1, degree + 1)
    for i, a in enumerate(left):
        for j, b in enumerate(right[: len(product) - i]):
            product[i + j] += a * b
    return product
