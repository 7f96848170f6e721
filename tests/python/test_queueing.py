"""The closed forms against small cases done by hand, by enumeration and by simulation."""

import doctest
import heapq
import itertools
import math
import random
from collections import Counter, deque

import pytest
from millrace.lab import queueing
from millrace.lab.queueing import Distribution

SKEW = {"usual": 0.005, "slow": 0.100, "slow_fraction": 0.01}


def test_examples_in_the_docstrings_hold():
    assert doctest.testmod(queueing).failed == 0


def test_quantile_of_a_distribution_is_the_smallest_value_that_reaches_the_level():
    three = Distribution.of([(3.0, 0.2), (1.0, 0.5), (2.0, 0.3)])
    assert [three.quantile(level) for level in (0.0, 0.5, 0.51, 0.8, 0.81, 1.0)] == [
        1,
        1,
        2,
        2,
        3,
        3,
    ]
    assert three.mean == pytest.approx(1.7)
    assert three.share_above(2.0) == pytest.approx(0.2)


def test_distribution_without_weight_is_refused():
    with pytest.raises(ValueError, match="at least one value"):
        Distribution.of([(1.0, 0.0)])


def test_mixture_weighs_its_parts():
    low, high = Distribution.of([(1.0, 1.0)]), Distribution.of([(2.0, 1.0)])
    assert Distribution.mixture([(low, 3.0), (high, 1.0)]).steps == ((1.0, 0.75), (2.0, 0.25))


@pytest.mark.parametrize(
    ("threads", "cpu", "wait", "cores", "locked", "expected"),
    [
        (1, 0.005, 0.0, 2, False, 200.0),  # one thread, one core of two
        (2, 0.005, 0.0, 2, False, 400.0),  # as many threads as cores
        (4, 0.005, 0.0, 2, False, 400.0),  # the cores are the limit
        (4, 0.005, 0.0, 2, True, 200.0),  # the lock is
        (1, 0.0, 0.050, 2, False, 20.0),  # the thread is
        (4, 0.0, 0.050, 1, False, 80.0),  # sleeping needs no core
        (4, 0.0, 0.050, 1, True, 80.0),  # nor the lock
        (16, 0.0, 0.050, 2, False, 160.0),  # the eight clients are
        (4, 0.005, 0.015, 2, False, 200.0),  # threads bound a mixed load below the cores' 400
    ],
)
def test_capacity_is_the_least_of_its_bounds(threads, cpu, wait, cores, locked, expected):
    measured = queueing.capacity(
        population=8, threads=threads, cpu=cpu, wait=wait, cores=cores, locked=locked
    )
    assert measured == pytest.approx(expected)


def test_response_time_law_subtracts_the_think_time():
    assert queueing.response_time(10, 5.0, think_time=0.5) == pytest.approx(1.5)


@pytest.mark.parametrize("form", [queueing.fifo_response, queueing.gated_response])
@pytest.mark.parametrize("population", [1, 2, 8])
def test_response_behind_one_server_obeys_littles_law(population, form):
    # X of a server that is never idle is one over its mean service, so R = N x mean service.
    response = form(population, **SKEW)
    assert response.mean == pytest.approx(population * queueing.mean_service(*SKEW.values()))


def test_response_behind_one_server_equals_the_enumeration_of_all_sequences():
    counted = Counter()
    for sequence in itertools.product((False, True), repeat=3):
        weight = math.prod(0.25 if slow else 0.75 for slow in sequence)
        counted[sum(10 if slow else 1 for slow in sequence)] += weight
    response = queueing.fifo_response(3, usual=1, slow=10, slow_fraction=0.25)
    assert dict(response.steps) == pytest.approx(dict(counted))


@pytest.mark.parametrize("population", [2, 3, 8])
def test_gated_response_equals_a_loop_played_turn_by_turn(population):
    ready, missed, now = list(range(population)), [], 0
    asked = dict.fromkeys(ready, 0)
    responses = Counter()
    for turn in range(1000):
        for client in ready:
            now += 1
            if turn >= population:  # it has settled
                responses[now - asked[client]] += 1
            asked[client] = now
        # Who was answered last asks just after the next turn has been put together.
        *early, last = ready
        ready, missed = early + missed, [last]
    played = {value: count / responses.total() for value, count in responses.items()}
    assert played == pytest.approx(dict(queueing.gated_response(population, usual=1).steps))
    unlucky = queueing.unlucky_response(population, usual=1).quantile(1.0)
    assert max(responses) <= unlucky


def test_response_of_fixed_services_is_one_value():
    assert queueing.fifo_response(8, usual=0.05).steps == ((8 * 0.05, 1.0),)
    assert queueing.shared_queue_response(8, 4, usual=0.05).steps == ((0.1, 1.0),)


def test_spare_workers_change_nothing():
    few = queueing.shared_queue_response(2, 8, usual=0.05)
    assert few.steps == ((0.05, 1.0),)


def test_one_worker_makes_as_many_late_as_a_loop_does():
    # To first order in the slow fraction; the loop's answer counts two slow ones in a row once.
    queue = queueing.late_share_of_shared_queue(8, 1, **SKEW)
    loop = queueing.fifo_response(8, **SKEW).share_above(0.05)
    assert queue == pytest.approx(8 * 0.01)
    assert loop == pytest.approx(1 - 0.99**8)


def simulate(population, workers, *, usual, slow, slow_fraction, requests, seed=1):
    """Serve a closed system first come first served; return response times and throughput."""
    draw = random.Random(seed)
    waiting = deque((0.0, client) for client in range(population))
    busy: list[tuple[float, int, float]] = []
    now, responses = 0.0, []
    while len(responses) < requests:
        while waiting and len(busy) < workers:
            arrived, client = waiting.popleft()
            service = slow if draw.random() < slow_fraction else usual
            heapq.heappush(busy, (now + service, client, arrived))
        now, client, arrived = heapq.heappop(busy)
        responses.append(now - arrived)
        waiting.append((now, client))
    return responses, requests / now


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_closed_forms_agree_with_a_simulation(workers):
    responses, throughput = simulate(8, workers, requests=200_000, **SKEW)
    mean_service = queueing.mean_service(*SKEW.values())
    capacity = queueing.capacity(population=8, threads=workers, cpu=0, wait=mean_service, cores=1)
    assert throughput == pytest.approx(capacity, rel=0.03)
    late = sum(response > 0.05 for response in responses) / len(responses)
    if workers == 1:
        assert late == pytest.approx(queueing.fifo_response(8, **SKEW).share_above(0.05), rel=0.05)
    if workers == 4:
        predicted = queueing.late_share_of_shared_queue(8, workers, **SKEW)
        assert late == pytest.approx(predicted, rel=0.05)
    form = queueing.shared_queue_response(8, workers, **SKEW)
    responses.sort()
    assert responses[len(responses) // 2] == pytest.approx(form.quantile(0.5), rel=0.05)


def test_expected_occupied_equals_the_enumeration_of_all_placements():
    placements = list(itertools.product(range(3), repeat=4))
    mean = sum(len(set(placement)) for placement in placements) / len(placements)
    assert queueing.expected_occupied(4, 3) == pytest.approx(mean)


@pytest.mark.parametrize(("connections", "loops"), [(1, 1), (2, 2), (4, 3), (5, 2), (3, 4)])
def test_largest_count_equals_the_enumeration_of_all_placements(connections, loops):
    counted = Counter(
        max(Counter(placement).values())
        for placement in itertools.product(range(loops), repeat=connections)
    )
    exact = {count: number / loops**connections for count, number in counted.items()}
    assert dict(queueing.largest_count(connections, loops).steps) == pytest.approx(exact)


def test_band_of_a_quantile_shrinks_with_the_sample():
    steps = Distribution.of([(float(value), 1.0) for value in range(1, 101)])
    low, high = queueing.quantile_band(steps, 0.5, draws=100)
    assert (low, high) == (40.0, 60.0)
    assert queueing.quantile_band(steps, 0.5, draws=1_000_000) == (50.0, 51.0)
