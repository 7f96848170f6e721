"""What all workers counted together, those that are gone included."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from millrace import _core

__all__ = [
    "NOTHING",
    "JourneySum",
    "StageSum",
    "add_stats",
    "join_stats",
    "join_under_way",
    "journey_message",
    "settled",
]

Stats = dict[str, Any]

# What is now, not since the start: nothing of it is left of a worker that ended.
_PRESENT = {
    "connections",
    "in_flight",
    "connections_open",
    "depth",
    "waiting",
    "requests_waiting",
    "requests_at_once",
    "bodies_waiting",
    "body_bytes_held",
}
# Of these the largest counts, not the sum.
_LARGEST = {"depth_max"}


# Before any worker has told anything.
NOTHING: Stats = {
    "loops": [],
    "queue": None,
    "connections": 0,
    "in_flight": 0,
    "threads": {},
    "asyncio": None,
}


def add_stats(one: Stats, other: Stats) -> Stats:
    """Add up two workers that had the same place: their first loops, their second loops, ..."""
    total: Stats = _combined(one, other, side_by_side=False)
    return total


def join_stats(one: Stats, other: Stats) -> Stats:
    """Add up two workers of different places: their loops stand side by side."""
    total: Stats = _combined(one, other, side_by_side=True)
    return total


def join_under_way(
    told: Iterable[tuple[list[tuple[str, float]], int]], most: int, silent: int
) -> tuple[list[tuple[str, float]], int]:
    """Put together what engines are working on, and how many loops did not say so in time.

    ``silent`` who answered nothing at all have at least a silent loop each.
    """
    rows: list[tuple[str, float]] = []
    for some, silent_loops in told:
        rows += [(what, since) for what, since in some]
        silent += silent_loops
    return sorted(rows, key=lambda row: row[1])[:most], silent


def settled(stats: Stats) -> Stats:
    """Return what remains of a worker's counters when it has ended."""
    kept: Stats = {}
    for name, value in stats.items():
        if name == "threads":
            continue
        if isinstance(value, Mapping):
            kept[name] = settled(dict(value))
        elif isinstance(value, list):
            kept[name] = [settled(dict(v)) if isinstance(v, Mapping) else v for v in value]
        else:
            kept[name] = 0 if name in _PRESENT else value
    return kept


def _combined(one: Any, other: Any, *, side_by_side: bool, name: str = "") -> Any:
    if one is None or other is None:
        return other if one is None else one
    if isinstance(one, Mapping):
        return {
            key: _combined(
                one.get(key), other.get(key), side_by_side=side_by_side or name == "threads",
                name=key if name != "threads" else name,
            )
            for key in (one | other)
        }  # fmt: skip
    if isinstance(one, list):
        if side_by_side:
            return [*one, *other]
        longest = max(len(one), len(other))
        pairs = zip(_padded(one, longest), _padded(other, longest), strict=True)
        return [_combined(a, b, side_by_side=False) for a, b in pairs]
    if isinstance(one, str | bool):
        return one
    return max(one, other) if name in _LARGEST else one + other


def _padded(values: list[Any], length: int) -> list[Any]:
    return [*values, *[None] * (length - len(values))]


# --- the journey ----------------------------------------------------------------------------------


@dataclass
class StageSum:
    """One stage, over all processes; reads as the engine's own snapshot does."""

    name: str
    meaning: str
    histogram: _core.Histogram


@dataclass
class JourneySum:
    """A journey over all processes; exact, as every process counts into the same buckets."""

    enabled: bool = False
    requests: int = 0
    stages: list[StageSum] = field(default_factory=list)

    def add(self, message: Mapping[str, Any]) -> None:
        """Add what `journey_message` made in another process."""
        self.enabled = self.enabled or message["enabled"]
        self.requests += message["requests"]
        if not self.stages:
            self.stages = [StageSum(n, m, _core.Histogram()) for n, m, _ in message["stages"]]
        for stage, (_, _, buckets) in zip(self.stages, message["stages"], strict=True):
            for lowest, count in buckets:
                stage.histogram.record(lowest, count)

    @classmethod
    def of(cls, messages: Iterable[Mapping[str, Any]]) -> JourneySum:
        """Add up several."""
        total = cls()
        for message in messages:
            total.add(message)
        return total


def journey_message(journey: _core.JourneySnapshot | JourneySum) -> dict[str, Any]:
    """Return a journey as what JSON can say: per stage the lowest value of each bucket, and how
    many it holds."""
    return {
        "enabled": journey.enabled,
        "requests": journey.requests,
        "stages": [
            [stage.name, stage.meaning, [[low, n] for low, _, n in stage.histogram.buckets()]]
            for stage in journey.stages
        ],
    }
