"""Which workers there should be: every decision of the supervisor, without processes or a clock."""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

__all__ = ["Action", "Fleet", "Member", "Policy", "State"]

# A worker that serves for so long is fine; until one does, each unplanned end counts as the next
# of a row.
SETTLED_S = 1.0

# How long a slot stays empty after the second unplanned end in a row; doubled with each one more.
# After the first, a worker is replaced at once.
FIRST_BACKOFF_S = 0.05
LONGEST_BACKOFF_S = 5.0


@dataclass(frozen=True, kw_only=True)
class Policy:
    """When workers are started, replaced and given up; durations in seconds."""

    processes: int
    start_timeout: float
    stop_timeout: float
    drain: float
    crash_limit: int
    max_requests: int | None = None
    max_requests_jitter: int = 0
    max_lifetime: float | None = None
    max_memory: int | None = None


class State(StrEnum):
    """Where a worker stands in its life."""

    STARTING = "starting"
    SERVING = "serving"
    LEAVING = "leaving"


@dataclass
class Member:
    """One worker process, as far as decisions need it."""

    number: int  # never used twice
    slot: int  # its place among `Policy.processes`; a successor takes the same
    started: float
    deadline: float  # of its present state
    max_requests: float
    max_lifetime: float
    state: State = State.STARTING
    serving_since: float = math.inf
    replaces: Member | None = None
    is_hurried: bool = False
    was_killed: bool = False
    why: str = ""  # it has to leave, or was killed

    @property
    def wears_out(self) -> float:
        """When it has lived long enough."""
        return self.serving_since + self.max_lifetime


@dataclass(frozen=True)
class Action:
    """What the supervisor is to do with a member."""

    what: Literal["start", "leave", "hurry", "kill"]
    member: Member


@dataclass
class Fleet:
    """The workers there are, and what has to be done about them.

    Events are told to it, with the time; what follows is in `take_actions`. One thread.
    """

    policy: Policy
    seed: int = 1
    members: dict[int, Member] = field(default_factory=dict)
    failure: str | None = None  # why the whole fleet has to be given up
    is_stopping: bool = False
    rolling: set[int] = field(default_factory=set)  # members that a roll is about to replace
    roll_failure: str | None = None
    _has_started: bool = False  # all workers of the start have been ready
    _crashes: int = 0  # unplanned ends in a row, with no settled worker
    _vacant: list[tuple[float, int]] = field(default_factory=list)  # when to fill which slot
    _worn: deque[Member] = field(default_factory=deque)  # wait for a successor, each with its `why`
    _successor: Member | None = None  # one at a time
    _postponed: float = 0.0  # no successor before this, as the last one failed
    _actions: list[Action] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=lambda: iter(range(1, 2**62)))

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    # --- what happens ---------------------------------------------------------------------------

    def start(self, now: float) -> None:
        """Begin with a worker in every slot."""
        for slot in range(self.policy.processes):
            self._launch(slot, now)

    def ready(self, number: int, now: float) -> None:
        """A worker accepts connections."""
        member = self.members.get(number)
        if member is None or member.state is not State.STARTING or member.was_killed:
            return
        member.state, member.serving_since, member.deadline = State.SERVING, now, math.inf
        if all(m.state is not State.STARTING for m in self.members.values()):
            self._has_started = True
        if member is self._successor:
            self._successor = None
            if member.replaces is not None:
                self._leave(member.replaces, now)
                member.replaces = None
        self._replace_next(now)

    def report(self, number: int, requests: int, memory: int, now: float) -> None:
        """A worker told how much it has done, and how many bytes of memory it has."""
        member, most = self.members.get(number), self.policy.max_memory
        if member is None or member.state is not State.SERVING or member.why:
            return
        if requests >= member.max_requests:
            self._wear_out(member, f"it answered {requests} requests", now)
        elif most is not None and memory >= most:
            self._wear_out(member, f"its memory grew to {memory} bytes", now)

    def leaving(self, number: int, now: float) -> None:
        """A worker leaves of its own accord, as one that got SIGTERM."""
        member = self.members.get(number)
        if member is not None and member.state is State.SERVING:
            member.why = member.why or "it was told to by a signal"
            self._leave(member, now)
            if not self.is_stopping and not self._has_successor(member):
                self._launch(member.slot, now)

    def ended(self, number: int, how: str, now: float) -> None:
        """A worker's process is gone."""
        member = self.members.pop(number, None)
        if member is None:
            return
        self.rolling.discard(number)
        if member.state is State.LEAVING or self.is_stopping:
            return
        what = f"worker {member.slot + 1} {member.why or how}"
        successor = self._successor
        if member is successor and member.replaces is not None:
            self._successor = None
            self._replacement_failed(member.replaces, what, now)
        elif not self._has_started:
            self.failure = self.failure or what
        elif self._has_successor(member) and successor is not None:
            successor.replaces = None  # it is on its way as it is
        else:
            self._crashed(member.slot, what, now)

    def roll(self, now: float) -> None:
        """Replace every worker there is by a new one, one after the other."""
        self.roll_failure = None
        for member in self.members.values():
            if member.state is State.LEAVING or member.number in self.rolling:
                continue
            self.rolling.add(member.number)
            member.why = member.why or "it was rolled"
            if member not in self._worn:
                self._worn.append(member)
        self._postponed = now
        self._replace_next(now)

    def stop(self, now: float) -> None:
        """Let all workers leave, without a deadline: `hurry` is up to the caller."""
        self.is_stopping = True
        self._worn.clear()
        self._vacant.clear()
        for member in self.members.values():
            if member.state is not State.LEAVING:
                self._leave(member, now)
            if not member.is_hurried:
                member.deadline = math.inf

    def hurry(self, now: float) -> None:
        """Cut off what keeps the leaving workers."""
        for member in self.members.values():
            if member.state is State.LEAVING and not member.is_hurried:
                self._hurry(member, now)

    def tick(self, now: float) -> None:
        """Time has passed."""
        for member in list(self.members.values()):
            if now >= member.deadline:
                self._overdue(member, now)
            if member.state is State.SERVING:
                if now >= member.serving_since + SETTLED_S:
                    self._crashes = 0
                if now >= member.wears_out and not member.why:
                    self._wear_out(member, f"it served for {self.policy.max_lifetime:g} s", now)
        for due, slot in [vacancy for vacancy in self._vacant if vacancy[0] <= now]:
            self._vacant.remove((due, slot))
            self._launch(slot, now)
        self._replace_next(now)

    # --- what follows ---------------------------------------------------------------------------

    @property
    def has_started(self) -> bool:
        """Whether every slot has had a worker that served."""
        return self._has_started

    def next_event(self) -> float:
        """Return when `tick` has something to do."""
        times = [self._postponed] if self._worn and self._successor is None else []
        times += [due for due, _ in self._vacant]
        for member in self.members.values():
            times.append(member.deadline)
            if member.state is State.SERVING and not member.why:
                times.append(member.wears_out)
        return min(times, default=math.inf)

    def take_actions(self) -> list[Action]:
        """Return what is to be done now, each thing once."""
        taken, self._actions = self._actions, []
        return taken

    def _launch(self, slot: int, now: float, replaces: Member | None = None) -> Member:
        policy = self.policy
        jitter = self._random.randint(0, policy.max_requests_jitter)
        member = Member(
            number=next(self._numbers),
            slot=slot,
            started=now,
            deadline=now + policy.start_timeout,
            max_requests=math.inf if policy.max_requests is None else policy.max_requests + jitter,
            max_lifetime=math.inf if policy.max_lifetime is None else policy.max_lifetime,
            replaces=replaces,
        )
        self.members[member.number] = member
        self._actions.append(Action("start", member))
        return member

    def _leave(self, member: Member, now: float) -> None:
        member.state, member.deadline = State.LEAVING, now + self.policy.drain
        self._actions.append(Action("leave", member))

    def _hurry(self, member: Member, now: float) -> None:
        member.is_hurried, member.deadline = True, now + self.policy.stop_timeout
        self._actions.append(Action("hurry", member))

    def _overdue(self, member: Member, now: float) -> None:
        """A worker that did not start, leave or end in time."""
        if member.state is State.LEAVING and not member.is_hurried:
            self._hurry(member, now)
            return
        limit = "start" if member.state is State.STARTING else "stop"
        seconds = getattr(self.policy, f"{limit}_timeout")
        done = "was not ready" if limit == "start" else "did not leave"
        member.why = f"{done} within {limit}_timeout ({seconds:g} s) and was killed"
        member.was_killed, member.deadline = True, math.inf
        self._actions.append(Action("kill", member))

    def _wear_out(self, member: Member, why: str, now: float) -> None:
        member.why = why
        self._worn.append(member)
        self._replace_next(now)

    def _replace_next(self, now: float) -> None:
        """Start one successor; who it replaces serves until it is ready."""
        if self._successor is not None or self.is_stopping or now < self._postponed:
            return
        for member in list(self._worn):
            if member.number not in self.members or member.state is State.LEAVING:
                self._worn.remove(member)
            elif member.state is State.SERVING:
                self._worn.remove(member)
                self._successor = self._launch(member.slot, now, replaces=member)
                return

    def _has_successor(self, member: Member) -> bool:
        return self._successor is not None and self._successor.replaces is member

    def _replacement_failed(self, member: Member, what: str, now: float) -> None:
        """A new worker did not come up beside the old one, which serves on."""
        if member.number in self.rolling:
            self.roll_failure = what
            for other in self._worn:
                if other.number in self.rolling:
                    other.why = ""
            self._worn = deque(m for m in self._worn if m.number not in self.rolling)
            self.rolling.clear()
            member.why = ""
        else:
            self._postponed = now + LONGEST_BACKOFF_S
            self._worn.append(member)

    def _crashed(self, slot: int, what: str, now: float) -> None:
        self._crashes += 1
        if self._crashes >= self.policy.crash_limit:
            self.failure = f"{what}, the end of {self._crashes} workers in a row (crash_limit)"
            return
        doublings = self._crashes - 2
        wait = 0.0 if doublings < 0 else min(LONGEST_BACKOFF_S, FIRST_BACKOFF_S * 2**doublings)
        self._vacant.append((now + wait, slot))
