"""From measurements to tables, which look the same at the terminal and on the page."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from suite.attack import ATTACKERS, AttackCost
from suite.attack import BOUND as ATTACK_BOUND
from suite.load_cost import BOUND as LOAD_BOUND
from suite.load_cost import LoadCost
from suite.measure import RowResult, Sample
from suite.memory import WAITING, WaitingMemory
from suite.multipart import CONTENTS, GROWTH_BOUND, RIVAL, SIZE, MultipartCost
from suite.rows import Bound
from suite.servers import SERVERS, Family, Server
from suite.table import Table
from suite.verdict import best_of, judge, median_cpu, median_ratio

BY_NAME = {server.name: server for server in SERVERS}

ROW_COLUMNS = ("server", "CPU us", "x raw loop", "p50 us", "p99 us", "req/s", "core busy")


@dataclass
class Results:
    """Everything a run found, filled while it goes on, so that Ctrl-C still shows what there is."""

    rows: list[RowResult] = field(default_factory=list)
    memory: list[WaitingMemory] = field(default_factory=list)
    attack: AttackCost | None = None
    multipart: list[MultipartCost] = field(default_factory=list)
    load: LoadCost | None = None
    unavailable: Mapping[str, str] = field(default_factory=dict)
    """By server name; the same mapping the fleet fills."""
    failures: dict[str, str] = field(default_factory=dict)
    """Why rows are missing that are not of requests."""

    def has_any(self) -> bool:
        return bool(self.rows or self.memory or self.attack or self.multipart or self.load)


def row_table(result: RowResult) -> Table:
    """One row: every server in it, cheapest first."""
    void = [f"{BY_NAME[name].label} void: {why}" for name, why in result.void.items()]
    table = Table(
        f"{result.row.name}: {result.row.title}",
        ROW_COLUMNS,
        note="; ".join(["Median (minimum-maximum) of the rounds", *void]) + ".",
    )
    for name, samples in sorted(result.samples.items(), key=lambda item: median_cpu(item[1])):
        table.add(BY_NAME[name].label, *_cells(samples))
    return table


def _cells(samples: Sequence[Sample]) -> list[str]:
    return [
        _with_range([sample.cpu_us for sample in samples]),
        _with_range([sample.ratio for sample in samples]),
        f"{statistics.median(sample.p50_us for sample in samples):.0f}",
        _p99_us(samples),
        f"{statistics.median(sample.requests_per_s for sample in samples):,.0f}",
        f"{100 * statistics.median(sample.busy for sample in samples):.0f} %",
    ]


def _p99_us(samples: Sequence[Sample]) -> str:
    return f"{statistics.median(sample.p99_us for sample in samples):.0f}"


def _ratio(samples: Sequence[Sample]) -> str:
    ratio = median_ratio(samples)
    return "-" if math.isnan(ratio) else f"{ratio:.2f}"


def _with_range(values: Sequence[float]) -> str:
    """Median, then minimum and maximum; a ratio to a raw loop that took no part is nothing."""
    if any(map(math.isnan, values)):
        return "-"
    return f"{statistics.median(values):.2f} ({min(values):.2f}-{max(values):.2f})"


def bounds_table(results: Results) -> Table:
    """millrace against every bound, one line each."""
    table = Table(
        "Bounds",
        ("row", "what ", "bound ", "millrace", "p99 us", "best Python ", "its figure", "verdict "),
        note="Figures are CPU time per request as a multiple of the raw loop's, where not said "
        "otherwise. Every row also asks to be ahead of every Python server.",
    )
    for result in results.rows:
        table.add(result.row.name, result.row.title, *_bound_cells(result), str(judge(result)))
    _add_memory(table, results)
    _add_attack(table, results)
    _add_multipart(table, results)
    _add_load(table, results)
    return table


def _bound_cells(result: RowResult) -> list[str]:
    ours = result.samples.get(result.row.ours)
    figures = [_ratio(ours), _p99_us(ours)] if ours else ["-", "-"]
    rival = best_of(result, Family.PYTHON)
    if rival is None:
        return [_bound_text(result.row.bound), *figures, "-", "-"]
    return [_bound_text(result.row.bound), *figures, rival[0], _ratio(result.samples[rival[0]])]


def _bound_text(bound: Bound) -> str:
    if bound.to_floor is not None:
        return f"{bound.to_floor:.2f}"
    if bound.above_plain_us is not None:
        return f"{bound.above_plain_us} us more"
    if bound.to_python is not None:
        return f"{bound.to_python} x best Python"
    return f"{bound.to_native} x nginx or Node"


def _add_memory(table: Table, results: Results) -> None:
    for waiting in WAITING:
        what, bound = f"user-space memory of {waiting.what}", f"{waiting.bound_bytes} bytes"
        ours = [one for one in results.memory if one.waiting is waiting and one.is_ours]
        if ours:
            cost = ours[0].private_dirty
            verdict = "met" if cost <= waiting.bound_bytes else "missed"
            table.add(waiting.name, what, bound, f"{cost:.0f}", "-", "-", "-", verdict)
        else:
            _add_failure(table, waiting.name, what, bound, results)


def _add_attack(table: Table, results: Results) -> None:
    what, bound = (
        f"CPU per request while {ATTACKERS:,} slow clients attack",
        f"{ATTACK_BOUND} x calm",
    )
    if results.attack is not None:
        ratio, verdict = statistics.median(results.attack.ratios), str(results.attack.judge())
        table.add("attack", what, bound, f"{ratio:.2f}", "-", "-", "-", verdict)
    else:
        _add_failure(table, "attack", what, bound, results)


def _add_multipart(table: Table, results: Results) -> None:
    bound = f"below {RIVAL}; memory + {GROWTH_BOUND / 1e6:.0f} MB"
    measured = {cost.content: cost for cost in results.multipart}
    for content in CONTENTS:
        what = f"a file of {SIZE // 1_000_000} MB in a form, {content}"
        if content in measured:
            cost = measured[content]
            figure = f"{statistics.median(cost.ratios):.2f}" if cost.ratios else "-"
            table.add("multipart", what, bound, figure, "-", RIVAL, "1.00", str(cost.judge()))
        else:
            _add_failure(table, "multipart", what, bound, results)


def _add_failure(table: Table, row: str, what: str, bound: str, results: Results) -> None:
    if row in results.failures:
        verdict = f"unknown: {results.failures[row]}"
        table.add(row, what, bound, "-", "-", "-", "-", verdict)


def _add_load(table: Table, results: Results) -> None:
    what, bound = "CPU per request of the load generator", f"{LOAD_BOUND} x wrk"
    if results.load is not None:
        ratio, verdict = statistics.median(results.load.ratios), str(results.load.judge())
        table.add("load", what, bound, f"{ratio:.2f}", "-", "-", "-", verdict)
    else:
        _add_failure(table, "load", what, bound, results)


def memory_table(results: Results) -> Table:
    table = Table(
        "Memory of connections that wait",
        ("server", "connection ", "connections", "private bytes each", "resident bytes each"),
        note="User space only.",
    )
    for one in results.memory:
        table.add(
            one.server.label,
            one.waiting.what,
            f"{one.connections:,}",
            f"{one.private_dirty:.0f}",
            f"{one.resident:.0f}",
        )
    return table


def attack_table(cost: AttackCost) -> Table:
    table = Table(
        f"Under attack by {ATTACKERS:,} slow clients",
        ("", "CPU us per served request"),
        note="A third each send a head, send a body, and read an answer of 10 MB, all once a "
        f"second. The server ended {cost.returned:,}, which came back at once. Without other load "
        f"they keep {100 * cost.alone_share:.1f} % of a core busy.",
    )
    for name, values in (
        ("calm", cost.calm_us),
        ("attacked", cost.attacked_us),
        ("ratio", cost.ratios),
    ):
        table.add(name, _with_range(values))
    return table


def multipart_table(costs: Sequence[MultipartCost]) -> Table:
    table = Table(
        f"multipart: a file of {SIZE // 1_000_000} MB in a form, taken by a coroutine",
        ("content", "server ", "CPU ms", "peak memory"),
        note="Both spool the file to the disk.",
    )
    for cost in costs:
        for name, one in cost.servers.items():
            grown = f"+ {one.grown / 1e6:.1f} MB"
            table.add(cost.content, BY_NAME[name].label, _with_range(one.cpu_ms), grown)
    return table


def load_table(cost: LoadCost) -> Table:
    table = Table("Load generator", ("generator", "CPU us per request"))
    for name, values in (("wrk", cost.wrk_us), ("millrace load", cost.millrace_us)):
        table.add(name, _with_range(values))
    return table


def unavailable_table(results: Results) -> Table:
    table = Table("Not measured", ("server", "reason "))
    for name, reason in results.unavailable.items():
        table.add(name, reason)
    for name, reason in results.failures.items():
        table.add(f"row {name}", reason)
    return table


def servers_table(servers: Sequence[Server], versions: Mapping[str, str]) -> Table:
    """Settings and versions; applications of one server share a line."""
    table = Table("Servers", ("server", "version", "setting "))
    for server in servers:
        if server.name == server.label:
            table.add(server.label, versions.get(server.label, "-"), server.setting)
    return table


def tables(results: Results) -> list[Table]:
    """All tables of a run, the summary first."""
    found = [bounds_table(results), *(row_table(result) for result in results.rows)]
    if results.memory:
        found.append(memory_table(results))
    if results.attack is not None:
        found.append(attack_table(results.attack))
    if results.multipart:
        found.append(multipart_table(results.multipart))
    if results.load is not None:
        found.append(load_table(results.load))
    if results.unavailable or results.failures:
        found.append(unavailable_table(results))
    return found


def spread(results: Results) -> tuple[float, str]:
    """The widest (max - min) / median of CPU time, and where: how far to trust the second digit."""
    widest = (0.0, "-")
    for result in results.rows:
        for name, samples in result.samples.items():
            costs = [sample.cpu_us for sample in samples]
            width = (max(costs) - min(costs)) / median_cpu(samples)
            widest = max(widest, (width, f"{BY_NAME[name].label}, {result.row.name}"))
    return widest
