"""Was a bound met? Pure functions from samples to a verdict with its reasons."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from suite.measure import RowResult, Sample
from suite.servers import SERVERS, Family

FAMILIES = {server.name: server.family for server in SERVERS}


@dataclass(frozen=True)
class Verdict:
    is_met: bool | None
    """None: could not be judged."""
    why: str

    def __str__(self) -> str:
        word = {True: "met", False: "missed", None: "unknown"}[self.is_met]
        return f"{word}: {self.why}" if self.why else word


def median_cpu(samples: Sequence[Sample]) -> float:
    return statistics.median(sample.cpu_us for sample in samples)


def median_ratio(samples: Sequence[Sample]) -> float:
    return statistics.median(sample.ratio for sample in samples)


def best_of(result: RowResult, family: Family) -> tuple[str, float] | None:
    """The cheapest server of a family in this row and its median CPU time."""
    costs = [
        (median_cpu(samples), name)
        for name, samples in result.samples.items()
        if FAMILIES[name] is family
    ]
    return (min(costs)[1], min(costs)[0]) if costs else None


def judge(result: RowResult) -> Verdict:
    """Each of the row's limits in turn; all that are missed are named."""
    ours = result.samples.get(result.row.ours)
    if not ours:
        return Verdict(None, result.void.get(result.row.ours, "millrace was not measured"))
    cost, ratio, bound = median_cpu(ours), median_ratio(ours), result.row.bound
    missed, unknown = [], []
    if bound.to_floor is not None:
        if math.isnan(ratio):
            unknown.append("no raw loop in this run")
        elif ratio > bound.to_floor:
            missed.append(f"{ratio:.2f} times the raw loop")
    if bound.to_native is not None:
        native = best_of(result, Family.NATIVE)
        if native is None:
            unknown.append("neither nginx nor Node in this run")
        elif cost > bound.to_native * native[1]:
            missed.append(f"{cost / native[1]:.2f} times {native[0]}")
    if bound.above_plain_us is not None:
        plain = result.samples.get("millrace")
        if not plain:
            unknown.append("plain millrace was not measured")
        elif (more := cost - median_cpu(plain)) > bound.above_plain_us:
            missed.append(f"{more:.2f} us more than without")
    rival = best_of(result, Family.PYTHON)
    if rival is not None and cost >= rival[1]:
        missed.append(f"behind {rival[0]}")
    if bound.to_python is not None:
        if rival is None:
            unknown.append("no Python server in this run")
        elif cost > bound.to_python * rival[1]:
            missed.append(f"{cost / rival[1]:.2f} times {rival[0]}")
    if missed:
        return Verdict(False, "; ".join(missed))
    return Verdict(None if unknown else True, "; ".join(unknown))
