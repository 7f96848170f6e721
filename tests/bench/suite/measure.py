"""The method: CPU time of a server's process tree per request, in rounds that visit all in turn.

CPU time barely moves when the machine is noisy, while requests per second swing by a factor of two.
Interleaved rounds let a slow minute of the machine hit every server alike, and each ratio is taken
to the raw loop of its own round.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

from suite import process_tree, wrk
from suite.answers import WrongAnswer, check_answer
from suite.cores import Cores
from suite.fleet import Fleet
from suite.rows import Row
from suite.servers import Family, Server
from suite.tools import Tools

WARM_UP_S = 1


@dataclass(frozen=True)
class Plan:
    rounds: int
    seconds: int
    tools: Tools
    cores: Cores


@dataclass(frozen=True)
class Sample:
    """One server, one round."""

    cpu_us: float
    """Per request, over every thread of the tree."""
    ratio: float
    """To the raw loop of the same round."""
    p50_us: float
    p99_us: float
    requests_per_s: float
    busy: float
    """Share of its core that the server used; below 1 the load generator was the limit."""


@dataclass
class RowResult:
    row: Row
    samples: dict[str, list[Sample]] = field(default_factory=dict)
    """By server name, in the order of the table."""
    void: dict[str, str] = field(default_factory=dict)
    """Servers that answered wrongly or with errors, and how: their samples are thrown away."""


def measure_row(result: RowResult, servers: Sequence[Server], fleet: Fleet, plan: Plan) -> None:
    """All rounds of one row, into `result`. `fleet.unavailable` has the servers that cannot run."""
    row = result.row
    present = [server for server in _floor_first(row, servers) if fleet.has(server)]
    for server in present:
        _visit(row, server, fleet, plan, result, WARM_UP_S)
    for number in range(1, plan.rounds + 1):
        floor_us = 0.0
        for server in present:
            if server.name in result.void:
                continue
            measured = _visit(row, server, fleet, plan, result, plan.seconds)
            if measured is None:
                continue
            load, cpu_us = measured
            if server.family is Family.FLOOR:
                floor_us = cpu_us
            sample = _sample(load, cpu_us, floor_us)
            result.samples.setdefault(server.name, []).append(sample)
            _progress(f"{row.name} {number}/{plan.rounds}  {server.label:16} {cpu_us:7.2f} us")


def _floor_first(row: Row, servers: Sequence[Server]) -> list[Server]:
    taking_part = [server for server in servers if row.name in server.rows]
    return sorted(taking_part, key=lambda server: server.name != row.floor)


def _visit(
    row: Row, server: Server, fleet: Fleet, plan: Plan, result: RowResult, seconds: int
) -> tuple[wrk.Load, float] | None:
    """One run against one server: the load and the CPU us per request; None if it is void."""
    with fleet.turn_of(server) as running:
        try:
            is_floor = server.family is Family.FLOOR
            check_answer(row, running.port, body_matters=not is_floor)
            tree = running.tree()
            before = process_tree.cpu_time_ns(tree)
            load = wrk.run(plan.tools, row.request, running.port, seconds, plan.cores.load)
            spent = process_tree.cpu_time_ns(running.tree()) - before
        except (WrongAnswer, wrk.LoadFailed) as error:
            result.void[server.name] = str(error)
            result.samples.pop(server.name, None)
            _progress(f"{row.name}  {server.label:16} void: {error}")
            return None
    return load, spent / 1000 / load.requests


def _sample(load: wrk.Load, cpu_us: float, floor_us: float) -> Sample:
    per_second = load.requests / load.seconds
    return Sample(
        cpu_us=cpu_us,
        ratio=cpu_us / floor_us if floor_us else float("nan"),
        p50_us=load.p50_us,
        p99_us=load.p99_us,
        requests_per_s=per_second,
        busy=cpu_us * per_second / 1e6,
    )


def _progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
