"""The comparison as one HTML file that needs nothing else: style, drawings and charts inside."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from millrace.lab import chart_style, charts, predictions
from millrace.lab.comparison_table import Column, columns_for, entry, wakeup_entries
from millrace.lab.conclusions import conclusions
from millrace.lab.html_page import document, pill, themed_chart, value_cell
from millrace.lab.pattern_comparison import Cell, Comparison
from millrace.lab.pattern_pictures import EXPLANATIONS, picture
from millrace.lab.verdicts import Verdict

__all__ = ["page"]

# What each kind of work teaches, ahead of its numbers.
_LESSONS = {
    "cpu": "Each request computes for 5 ms of its thread's processor time. Threads beyond the "
    "cores add nothing, and in Python one thread at a time may compute, whatever the pattern.",
    "wait": "Each request sleeps for 50 ms, as if for a database. It needs no core, but a plain "
    "function holds its thread meanwhile, so capacity is the number of threads over 50 ms. A "
    "coroutine gives the thread back, and only the clients limit it.",
    "skew": "Each request sleeps for 5 ms, and exactly one in each hundred for 100 ms. An answer "
    "is late when it took more than 90 ms. How many answers one slow request makes late is "
    "what sets the patterns apart. p99 lies right on the edge between the usual and the slow "
    "answers where nobody else is held up; there it is no test, and says so.",
}

# Formula, when it holds, where it is from.
_FORMULAS = (
    (
        "R = N / X",
        "Mean response time of N clients that do not think, at throughput X. Always.",
        "Little 1961; Denning & Buzen 1978, interactive response time law",
    ),
    (
        "X = min(threads, N) / (cpu + wait)",
        "Blocking threads: each finishes one request per service time.",
        "Denning & Buzen 1978, asymptotic bounds",
    ),
    (
        "X ≤ cores / cpu,  with a GIL  X ≤ 1 / cpu",
        "Work that computes; the smaller bound holds, and with fixed service times it is reached.",
        "Denning & Buzen 1978, asymptotic bounds",
    ),
    (
        "X = N / wait",
        "Coroutines that wait: nobody queues.",
        "Denning & Buzen 1978, asymptotic bounds",
    ),
    (
        "T = n·s,  late = 1 − (1 − f)ⁿ",
        "A loop with n clients, first come first served; a share f of the requests is slow.",
        "Feller 1968, binomial distribution",
    ),
    (
        "T = (n − 1)·s or 2(n − 1)·s,  T ≤ (2n − 1)·s",
        "The same loop when the client that a turn serves last misses the next turn: one answer in "
        "n − 1 takes twice as long. Which of the two it is depends on a race between loop and "
        "client, so predictions of p50 and p99 span both.",
        "Takagi 1986, gated service",
    ),
    (
        "late = f + (N − w)·qʷ·E / S,  q = f·S / E",
        "One queue and w workers; E is the mean service, S a slow one: the rest is late only when "
        "all workers are stuck at once.",
        "Feller 1968, renewal reward; Little 1961",
    ),
    (
        "P(max ≤ m) = N! / kᴺ · [xᴺ] (Σ xʲ/j!, j ≤ m)ᵏ",
        "Connections on the fullest of k loops when a hash places each of N.",
        "Feller 1968, occupancy and multinomial distribution",
    ),
    (
        "quantile at q ± 2·√(q(1 − q) / n)",
        "How far chance alone may move a quantile of n answers.",
        "David & Nagaraja 2003, order statistics",
    ),
)


def page(comparison: Comparison) -> str:
    """Return the whole page; charts are in it where matplotlib is installed."""
    works = list(dict.fromkeys(cell.setup.work for cell in comparison.cells))
    sections = [_head(comparison), _patterns(comparison)]
    sections += [_work(comparison, work.name, work.title) for work in works]
    sections += [_wakeups(comparison), _formulas(), _method(comparison)]
    return document("Execution patterns, measured", "".join(sections))


def _head(comparison: Comparison) -> str:
    machine = comparison.machine
    verdicts = comparison.verdicts
    tally = "".join(
        f"<li>{pill(verdict, f'{verdicts.count(verdict)} {verdict.value}')}</li>"
        for verdict in Verdict
        if verdict in verdicts
    )
    sentences = "".join(f"<li>{escape(text)}</li>" for text in conclusions(comparison))
    return (
        "<h1>Execution patterns, measured</h1>"
        f'<p class="quiet">{machine.cores} cores of {escape(machine.processor)}, Linux '
        f"{escape(machine.kernel)}, {escape(machine.python)}. {len(comparison.cells)} runs of "
        f"{comparison.seconds:g} s, {comparison.connections} clients each, server and load "
        f"generator on the same machine, {comparison.elapsed:.0f} s in all.</p>"
        f'<ol class="conclusions">{sentences}</ol>'
        "<p>Every value stands beside what a closed form predicts for it. A run is "
        "<em>reproduced</em> when all of its values lie within the tolerances named below, "
        "<em>inconclusive</em> when one does not and the run was no fair test.</p>"
        f'<ul class="tally">{tally}</ul>'
    )


def _patterns(comparison: Comparison) -> str:
    cards = "".join(
        f'<div class="card"><h3>{name}</h3>{picture(name)}'
        f'<p>{escape(what)}</p><p class="quiet">{escape(when)}</p></div>'
        for name, (what, when) in EXPLANATIONS.items()
        if any(cell.setup.pattern == name for cell in comparison.cells)
    )
    return (
        "<h2>The patterns</h2><p>A pattern is three answers: who accepts a connection, who owns "
        f'it, who runs its handlers. Boxes in colour are threads.</p><div class="cards">{cards}'
        "</div>"
    )


def _work(comparison: Comparison, name: str, title: str) -> str:
    cells = [cell for cell in comparison.cells if cell.setup.work.name == name]
    columns = columns_for(cells)
    heads = "".join(
        f'<th>{column.heading}<span class="unit">{column.unit}</span></th>' for column in columns
    )
    rows = []
    for handler in dict.fromkeys(cell.setup.handler for cell in cells):
        span = len(columns) + 2
        rows.append(f'<tr class="handler"><th colspan="{span}">{handler} handler</th></tr>')
        rows += [_row(cell, columns) for cell in cells if cell.setup.handler == handler]
    return (
        f"<h2>A handler that {escape(title)}</h2><p>{_LESSONS.get(name, '')}</p>"
        f"{_chart(comparison, name, title)}"
        '<div class="scroll"><table><thead><tr><th>pattern</th>'
        f'{heads}<th class="words">verdict</th></tr></thead><tbody>{"".join(rows)}</tbody></table>'
        '</div><p class="quiet small">Large: measured. Small: predicted; in brackets where '
        "it is no test; the reason shows when pointed at.</p>"
    )


def _wakeups(comparison: Comparison) -> str:
    rows = ""
    for run in comparison.wakeups:
        sleeps, busiest = wakeup_entries(run)
        rows += (
            f"<tr><td><code>{run.wakeup}</code></td>{value_cell(sleeps)}{value_cell(busiest)}"
            f'<td class="words">{_joined(f"{share:.0%}" for share in run.shares)}</td>'
            f'<td class="words">{pill(run.verdict)}</td></tr>'
        )
    return (
        "<h2>Who is woken for a new connection</h2>"
        "<p>Under <code>shared_acceptors</code> several threads wait for the same connections. "
        "Here connections come one at a time and leave without a request, so that each wake-up "
        "can be counted. Plain <code>epoll</code> wakes every thread for each of them; "
        "<code>EPOLLEXCLUSIVE</code> wakes one, and always the same one first; threads that block "
        "in <code>accept</code> are served in turn.</p>"
        '<div class="scroll"><table><thead><tr><th>wake-up</th>'
        '<th>sleeps<span class="unit">switches/connection</span></th>'
        '<th>busiest loop<span class="unit">% of connections</span></th>'
        '<th class="words">shares</th><th class="words">verdict</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _row(cell: Cell, columns: Sequence[Column]) -> str:
    values = "".join(_value(cell, column) for column in columns)
    why = f'<span class="why">{escape(cell.reason)}</span>' if cell.reason else ""
    placed = ""
    if len(cell.placed) > 1:
        placed = f'<span class="predicted">loops own {_joined(cell.placed)} clients</span>'
    return (
        f"<tr><td><code>{cell.setup.pattern}</code>{placed}</td>{values}"
        f'<td class="words">{pill(cell.verdict)}{why}</td></tr>'
    )


def _value(cell: Cell, column: Column) -> str:
    value = entry(cell, column)
    return '<td class="quiet">–</td>' if value is None else value_cell(value)


def _chart(comparison: Comparison, name: str, title: str) -> str:
    if not chart_style.available():
        return ""
    alternative = f"Capacity and response times of each pattern, handler {title}"
    return themed_chart(lambda theme: charts.draw(comparison, name, theme), alternative)


def _formulas() -> str:
    rows = "".join(
        f'<tr><td><code>{escape(formula)}</code></td><td class="words">{escape(holds)}</td>'
        f'<td class="words quiet">{escape(source)}</td></tr>'
        for formula, holds, source in _FORMULAS
    )
    return (
        "<h2>The formulas</h2>"
        "<p>N clients send the next request as soon as they have the last answer, so the number "
        "of requests in the system never changes: a closed system.</p>"
        '<div class="scroll"><table><thead><tr><th>formula</th><th class="words">holds for</th>'
        f'<th class="words">source</th></tr></thead><tbody>{rows}</tbody></table></div>'
    )


def _method(comparison: Comparison) -> str:
    off = [abs(cell.in_system / comparison.connections - 1) for cell in comparison.cells]
    facts = (
        (
            "capacity",
            "requests the server finished between two looks at its counters, over the time "
            f"between them. May be off by {predictions.CAPACITY_TOLERANCE:.0%}: engine, loopback "
            "and timers take up to 4 % of the shortest service, the ends of a run a few percent.",
        ),
        (
            "mean, p50, p99",
            "response time, from the load generator's histogram of every answer. May be off by "
            f"{predictions.RESPONSE_TOLERANCE:.0%} and {predictions.RESPONSE_SLACK_S * 1e3:.0f} ms "
            "for a late timer; where threads share a core or the GIL, also by their turns of "
            f"{predictions.CORE_SLICE_S * 1e3:.0f} and {predictions.GIL_SLICE_S * 1e3:.0f} ms.",
        ),
        (
            "late",
            "share of answers that took more than nine tenths of a slow request. May be off by "
            f"{predictions.LATE_TOLERANCE:.0%} by about one slow request, and by who "
            "happened to get them.",
        ),
        (
            "busiest thread",
            "largest share of the requests that one loop or worker served. May be off by "
            f"{predictions.SHARE_TOLERANCE:.0%}, and {predictions.SHARED_CORE_TOLERANCE:.0%} where "
            "threads compete for cores.",
        ),
        (
            "fullest loop",
            "connections on the loop that got most. All else is predicted from where the "
            "connections really landed.",
        ),
        (
            "sleeps",
            "voluntary context switches of the server's threads per request. May be off by "
            f"{predictions.SLEEPS_SLACK:g}.",
        ),
        (
            "a fair test",
            "other programs and the hypervisor together left the cores alone but for 5 %, and the "
            "run held at least 20 rounds of requests. If not, a value outside its tolerance is "
            "inconclusive and not a contradiction.",
        ),
        (
            "Little's law",
            "measured throughput times measured mean response time has to give the number of "
            f"clients. Over all runs it was at most {max(off, default=0.0):.1%} off.",
        ),
    )
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in facts)
    return f"<h2>How it was measured</h2><dl>{rows}</dl>"


def _joined(values: Iterable[object]) -> str:
    return " · ".join(map(str, values))
