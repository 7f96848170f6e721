"""When workers are started, replaced and given up: decisions alone, with a clock of our own."""

from __future__ import annotations

import pytest
from millrace.supervisor import fleet as fleet_module
from millrace.supervisor.fleet import Fleet, Policy, State


class Played:
    """A fleet, its clock, and what it asked for so far."""

    def __init__(self, *, started=True, **options):
        usual = {"processes": 2, "start_timeout": 60.0, "stop_timeout": 5.0, "drain": 10.0,
                 "crash_limit": 4}  # fmt: skip
        self.fleet = Fleet(Policy(**{**usual, **options}))
        self.now = 100.0
        self.fleet.start(self.now)
        if started:
            for number in self.does():
                self.fleet.ready(int(number.split()[1]), self.now)

    def does(self):
        """Return what is to be done now, as "start 1"."""
        return [f"{action.what} {action.member.number}" for action in self.fleet.take_actions()]

    def after(self, seconds):
        self.now += seconds
        self.fleet.tick(self.now)
        return self.does()

    def ready(self, number):
        self.fleet.ready(number, self.now)
        return self.does()

    def ended(self, number, how="was ended by signal 9"):
        self.fleet.ended(number, how, self.now)
        return self.does()

    def report(self, number, requests=0, memory=0):
        self.fleet.report(number, requests, memory, self.now)
        return self.does()


def test_a_fleet_starts_with_a_worker_in_every_slot():
    play = Played(started=False, processes=3)
    assert play.does() == ["start 1", "start 2", "start 3"]
    assert [member.slot for member in play.fleet.members.values()] == [0, 1, 2]
    for number in (1, 2):
        play.ready(number)
        assert not play.fleet.has_started
    play.ready(3)
    assert play.fleet.has_started


def test_a_worker_that_cannot_start_at_the_beginning_is_a_failure_of_the_whole():
    play = Played(started=False)
    play.does()
    play.ready(1)
    assert play.ended(2, "could not start: no module 'nothing'") == []
    assert play.fleet.failure == "worker 2 could not start: no module 'nothing'"


def test_the_first_worker_to_end_is_replaced_at_once_and_the_next_ones_later_and_later():
    play, waits = Played(crash_limit=20, processes=1), []
    number = 1
    for _ in range(12):
        play.ended(number)
        waits.append(round(play.fleet.next_event() - play.now, 2))
        (start,) = play.after(waits[-1])
        number = int(start.split()[1])
    assert waits == [0, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5, 5, 5, 5]


def test_a_worker_that_settles_ends_the_row():
    play = Played(crash_limit=2)
    number = 1
    for _ in range(10):
        play.after(fleet_module.SETTLED_S)
        play.ended(number)
        (start,) = play.after(0)
        number = int(start.split()[1])
        play.ready(number)
    assert play.fleet.failure is None


@pytest.mark.parametrize("deaths", [3, 4])
def test_as_many_ends_in_a_row_as_the_limit_are_a_crash_loop(deaths):
    play, number = Played(crash_limit=4), 1
    for _ in range(deaths):
        play.ended(number, "ended with exit code 1")
        if done := play.after(0.5):
            number = int(done[0].split()[1])
            play.ready(number)
            play.fleet.members[2].serving_since = play.now  # no other one is settled
    if deaths < 4:
        assert play.fleet.failure is None
    else:
        assert play.fleet.failure == (
            "worker 1 ended with exit code 1, the end of 4 workers in a row (crash_limit)"
        )


def test_a_worker_that_hangs_at_start_is_killed_and_that_is_its_reason():
    play = Played(started=False, start_timeout=3.0)
    play.does()
    play.ready(1)
    assert play.after(2.9) == []
    assert play.after(0.1) == ["kill 2"]
    assert play.after(10) == []  # once
    assert play.ready(2) == []  # too late
    play.ended(2)
    assert play.fleet.failure == (
        "worker 2 was not ready within start_timeout (3 s) and was killed"
    )


def test_a_roll_starts_the_next_before_the_last_leaves_and_one_at_a_time():
    play = Played()
    play.fleet.roll(play.now)
    assert play.does() == ["start 3"]
    assert play.fleet.members[3].slot == 0
    assert play.ready(3) == ["leave 1", "start 4"]
    assert play.ended(1, "ended with exit code 0") == []
    assert play.fleet.rolling == {2}
    assert play.ready(4) == ["leave 2"]
    assert play.ended(2, "ended with exit code 0") == []
    assert play.fleet.rolling == set()
    assert play.fleet.roll_failure is None
    assert sorted(play.fleet.members) == [3, 4]


def test_a_roll_whose_first_new_worker_fails_leaves_the_old_ones_in_peace():
    play = Played()
    play.fleet.roll(play.now)
    assert play.does() == ["start 3"]
    assert play.ended(3, "could not start: SyntaxError") == []
    assert play.fleet.roll_failure == "worker 1 could not start: SyntaxError"
    assert play.fleet.rolling == set()
    assert play.after(100) == []
    assert [member.state for member in play.fleet.members.values()] == [State.SERVING] * 2
    assert play.fleet.failure is None
    play.fleet.roll(play.now)  # and the next roll may do better
    assert play.does() == ["start 4"]


def test_a_worker_that_dies_while_its_successor_comes_up_is_replaced_by_that_one():
    play = Played()
    play.fleet.roll(play.now)
    assert play.does() == ["start 3"]
    assert play.ended(1) == []
    assert play.after(1) == []
    assert play.ready(3) == ["start 4"]  # for the second one; there is nobody to send away


def test_a_leaving_worker_is_hurried_at_its_deadline_and_then_killed():
    play = Played(drain=10.0, stop_timeout=5.0)
    play.fleet.roll(play.now)
    play.does()
    play.ready(3)
    assert play.after(9.9) == []
    assert play.after(0.1) == ["hurry 1"]
    assert play.after(4.9) == []
    assert play.after(0.1) == ["kill 1"]
    assert play.fleet.members[1].why == "did not leave within stop_timeout (5 s) and was killed"
    assert play.ended(1) == []  # planned: nobody takes its place again
    assert play.fleet.failure is None


@pytest.mark.parametrize(("requests", "is_replaced"), [(99, False), (100, True)])
def test_a_worker_is_replaced_by_number_of_requests(requests, is_replaced):
    play = Played(max_requests=100)
    assert play.report(1, requests=requests) == (["start 3"] if is_replaced else [])
    if is_replaced:
        assert play.report(1, requests=requests + 50) == []  # once
        assert play.ready(3) == ["leave 1"]
        assert play.fleet.members[1].why == "it answered 100 requests"


def test_the_jitter_spreads_the_limits_over_its_whole_range():
    play = Played(processes=200, max_requests=10, max_requests_jitter=3)
    limits = {member.max_requests for member in play.fleet.members.values()}
    assert limits == {10, 11, 12, 13}


@pytest.mark.parametrize(("memory", "is_replaced"), [(999, False), (1000, True)])
def test_a_worker_is_replaced_by_memory(memory, is_replaced):
    play = Played(max_memory=1000)
    assert play.report(2, memory=memory) == (["start 3"] if is_replaced else [])


def test_a_worker_is_replaced_by_lifetime_one_after_the_other():
    play = Played(max_lifetime=60.0)
    assert play.after(59.9) == []
    assert play.after(0.1) == ["start 3"]  # both are due
    assert play.ready(3) == ["leave 1", "start 4"]


def test_a_replacement_that_fails_is_tried_again_later():
    play = Played(max_requests=1)
    assert play.report(1, requests=1) == ["start 3"]
    assert play.ended(3, "could not start: no memory") == []
    assert play.after(fleet_module.LONGEST_BACKOFF_S - 0.1) == []
    assert play.after(0.1) == ["start 4"]
    assert play.fleet.failure is None


def test_a_stop_lets_everybody_leave_and_starts_nobody():
    play = Played(max_requests=1)
    play.ended(1)
    play.report(2, requests=1)
    (start, *_) = play.does() or play.after(0)
    play.fleet.stop(play.now)
    left = {f"leave {number}" for number in play.fleet.members}
    assert set(play.does()) - {start} == left
    assert play.after(1e6) == []  # the deadline is the caller's
    play.fleet.hurry(play.now)
    assert set(play.does()) == {action.replace("leave", "hurry") for action in left}
    assert {done.split()[0] for done in play.after(5)} == {"kill"}
    for number in list(play.fleet.members):
        assert play.ended(number) == []
    assert play.after(100) == []
    assert play.fleet.failure is None


def test_a_worker_that_leaves_by_itself_gets_a_successor():
    play = Played()
    play.fleet.leaving(1, play.now)
    assert play.does() == ["leave 1", "start 3"]
    assert play.ended(1, "ended with exit code 0") == []
    play.ready(3)
    assert play.fleet.failure is None


def test_the_next_event_is_the_earliest_thing_to_do():
    play = Played(started=False, start_timeout=30.0, max_lifetime=50.0)
    assert play.fleet.next_event() == play.now + 30
    play.does()
    play.ready(1)
    play.ready(2)
    assert play.fleet.next_event() == play.now + 50
    play.ended(1)
    assert play.fleet.next_event() == play.now
