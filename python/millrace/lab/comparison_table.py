"""The comparison as rows of text: the same for a terminal and for a page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from millrace.lab.pattern_comparison import Cell
from millrace.lab.verdicts import Finding, Prediction, Verdict
from millrace.lab.wakeups import WakeupRun

__all__ = ["COLUMNS", "Column", "Entry", "columns_for", "entry", "predicted_text", "wakeup_entries"]


@dataclass(frozen=True)
class Column:
    """One quantity: its name in `Cell.findings`, its heading and unit, how it is written.

    ``brief`` is what stands above the column where room is short.
    """

    name: str
    heading: str
    unit: str
    brief: str
    write: Callable[[float], str]


@dataclass(frozen=True)
class Entry:
    """One value as text, what was predicted as text, and the verdict on it."""

    measured: str
    predicted: str
    verdict: Verdict | None
    formula: str
    reason: str


def _milliseconds(seconds: float) -> str:
    value = seconds * 1e3
    return f"{value:,.0f}" if value >= 99.5 else f"{value:.1f}"


def _percent(share: float) -> str:
    return f"{share * 100:.1f}"


def _rate(value: float) -> str:
    return f"{value:,.0f}"


COLUMNS = (
    Column("capacity", "capacity", "requests/s", "capacity\nper s", _rate),
    Column("mean", "mean", "ms", "mean\nms", _milliseconds),
    Column("p50", "p50", "ms", "p50\nms", _milliseconds),
    Column("p99", "p99", "ms", "p99\nms", _milliseconds),
    Column("late", "late", "% of requests", "late\n%", _percent),
    Column(
        "busiest",
        "busiest thread",
        "% of requests",
        "busiest\n%",
        lambda share: f"{share * 100:.0f}",
    ),
    Column("fullest", "fullest loop", "connections", "fullest\nloop", lambda count: f"{count:.0f}"),
    Column(
        "sleeps", "sleeps", "switches/request", "sleeps\n/request", lambda count: f"{count:.2f}"
    ),
)


def columns_for(cells: Sequence[Cell]) -> list[Column]:
    """Return the columns that at least one of the cells has a value for."""
    return [column for column in COLUMNS if any(column.name in cell.findings for cell in cells)]


def entry(cell: Cell, column: Column) -> Entry | None:
    """Return one cell's value of one column; None where the pattern has no such thing."""
    finding = cell.findings.get(column.name)
    return None if finding is None else _entry(finding, column.write)


def wakeup_entries(run: WakeupRun) -> tuple[Entry, Entry]:
    """Return sleeps per connection, and the busiest loop's share."""
    return (
        _entry(run.sleeps, lambda count: f"{count:.2f}"),
        _entry(run.busiest, lambda share: f"{share * 100:.0f}"),
    )


def _entry(finding: Finding, write: Callable[[float], str]) -> Entry:
    prediction = finding.prediction
    return Entry(
        measured=write(finding.measured),
        predicted=predicted_text(prediction, write),
        verdict=finding.verdict,
        formula=prediction.formula if prediction else "no closed form",
        reason=finding.reason,
    )


def predicted_text(prediction: Prediction | None, write: Callable[[float], str]) -> str:
    """Write a prediction as one number, or as a band; a dash where there is none.

    In brackets where no measurement could contradict it.
    """
    if prediction is None:
        return "–"
    # A tenth of a millisecond matters in a measured value, not in what it is compared with.
    low, high = (write(bound).removesuffix(".0") for bound in (prediction.low, prediction.high))
    text = low if low == high else f"{low}–{high}"
    return f"({text})" if prediction.no_test else text
