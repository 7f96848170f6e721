"""Every limit in one table, with its default, or with what a running server uses of it."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from operator import attrgetter
from typing import Any

import millrace
from millrace.limit_rows import LIMIT_ROWS, OTHER_LIMIT_ROWS, LimitRow
from millrace.limits import OFF_AT_ZERO, Limits
from millrace.tables import TextTable

__all__ = ["as_markdown", "as_table", "default_of", "shown"]


def shown(row: LimitRow, value: float | str) -> str:
    """Return a limit's value as people write it.

    Examples
    --------
    >>> rows = {row.name: row for row in LIMIT_ROWS}
    >>> shown(rows["head_bytes"], 32768), shown(rows["idle_timeout"], 75.0)
    ('32 KiB', '75 s')
    >>> shown(rows["queue_requests"], 0), shown(rows["min_body_rate"], 240)
    ('off', '240 B/s')
    >>> shown(rows["body_memory_high_water"], 0.5)
    '50%'
    """
    if isinstance(value, str):
        return value
    if value == 0:
        return "off" if row.name.rpartition(".")[2] in OFF_AT_ZERO else "0"
    if row.unit == "seconds":
        return "1 h" if value == 3600 else f"{value:g} s"
    if row.unit == "share":
        return f"{value:.0%}"
    if row.unit == "count":
        return f"{value:,.0f}"
    return _size(int(value)) + ("/s" if row.unit == "rate" else "")


def _size(value: int) -> str:
    power = min(int(math.log(value, 1024)), 3) if value % 1024 == 0 else 0
    while power and value % 1024**power:
        power -= 1
    return f"{value // 1024**power:,} {('B', 'KiB', 'MiB', 'GiB')[power]}"


def default_of(row: LimitRow) -> str:
    """Return a limit's default as people write it."""
    if row in LIMIT_ROWS:
        return shown(row, attrgetter(row.name)(Limits()))
    function, _, argument = row.name.rpartition(".")
    parameters = inspect.signature(attrgetter(function)(millrace)).parameters
    return shown(row, parameters[argument].default)


def as_markdown(rows: Sequence[LimitRow]) -> str:
    """Return a table of the documentation, with the defaults."""
    lines = ["| limit | default | why | past it | counter |", "|---|---|---|---|---|"]
    for row in rows:
        counter = f"`{row.counter}`" if row.counter else "-"
        lines.append(f"| `{row.name}` | {default_of(row)} | {row.why} | {row.past} | {counter} |")
    return "\n".join(lines) + "\n"


def as_table(seen: Mapping[str, Any] | None = None) -> TextTable:
    """Return the limits, and of a running server what it uses and has counted.

    Parameters
    ----------
    seen:
        A snapshot of the server (`millrace.monitor.snapshot`); None for the defaults alone.
    """
    if seen is None:
        return _defaults()
    headings = ("limit", "past it", "counter", "value", "used", "times")
    table = TextTable("limits", headings, labels=3)
    given = dict(seen.get("limits") or asdict(Limits()))
    given |= {f"form.{name}": value for name, value in given.pop("form").items()}
    if not seen.get("limits"):
        table.notes.append("values are the defaults: metrics do not tell them, a monitor does")
    for row in LIMIT_ROWS:
        value = shown(row, given[row.name])
        table.add(row.name, _plain(row.past), row.counter or "-", value, _used(row, seen),
                  _times(row, seen))  # fmt: skip
    return table


def _defaults() -> TextTable:
    table = TextTable("limits", ("limit", "default", "past it", "counter", "why"), labels=5)
    for row in (*LIMIT_ROWS, *OTHER_LIMIT_ROWS):
        past, why = _plain(row.past), _plain(row.why)
        table.add(row.name, default_of(row), past, row.counter or "-", why)
    return table


def _plain(markdown: str) -> str:
    return markdown.replace("`", "")


def _times(row: LimitRow, seen: Mapping[str, Any]) -> str:
    if not row.counter:
        return "-"
    counts = [loop.get(row.counter) for loop in seen["loops"]]
    return "?" if None in counts else f"{sum(counts):,.0f}"


def _used(row: LimitRow, seen: Mapping[str, Any]) -> str:
    if not row.use:
        return "-"
    value = seen.get(row.use)
    if value is None:
        return "?"
    return shown(row, value) if row.unit == "bytes" and value else f"{value:,.0f}"
