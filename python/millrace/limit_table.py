"""Every limit of a server in one table: its reason, what happens past it, what counts that."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from operator import attrgetter
from typing import Any, Literal

from millrace.limits import OFF_AT_ZERO, Limits
from millrace.tables import TextTable

__all__ = ["LIMIT_ROWS", "LimitRow", "as_markdown", "as_table", "shown"]

Unit = Literal["bytes", "seconds", "rate", "count", "share"]


@dataclass(frozen=True)
class LimitRow:
    """One limit.

    Attributes
    ----------
    name:
        The field of `millrace.Limits`, or ``form.`` and that of `millrace.FormLimits`.
    unit:
        What its number means; a rate is bytes per second.
    why:
        Why the default is what it is, and what it protects.
    past:
        What happens one past it.
    counter:
        What counts that in `Server.stats`; others may count there too. Empty where nothing does.
    use:
        What of a snapshot shows how much of it is used now; empty where it holds for each
        connection by itself.
    """

    name: str
    unit: Unit
    why: str
    past: str
    counter: str
    use: str = ""


LIMIT_ROWS = (
    LimitRow("target_bytes", "bytes", "RFC 9112 3 asks for at least 8,000; memory per connection",
             "414, closed", "heads_too_large"),
    LimitRow("head_bytes", "bytes", "cookies of several kB are common; memory per connection",
             "431, closed", "heads_too_large"),
    LimitRow("field_count", "count", "browsers send 10 to 20; time to look through them",
             "431, closed", "heads_too_large"),
    LimitRow("body_bytes", "bytes", "a body that is read as a whole lies in memory; streamed ones "
             "are their reader's", "413, closed", "bodies_too_large"),
    LimitRow("body_memory", "bytes", "all whole bodies together, as far as they have come, and the "
             "windows of decoders: 64 of the largest", "503", "bodies_refused", "body_bytes_held"),
    LimitRow("body_memory_high_water", "share", "of `body_memory`: bodies that have begun find as "
             "much again to end in", "a body not begun waits unread, `queue_timeout` at most",
             "bodies_paused", "bodies_waiting"),
    LimitRow("body_codings", "count", "`gzip, br` has no use, and multiplies what a few bytes can "
             "become", "415", "codings_refused"),
    LimitRow("body_ratio", "count", "text becomes 3 to 20 times larger, zeros 1,000 times",
             "413", "bodies_over_ratio"),
    LimitRow("body_ratio_from_bytes", "bytes", "a decoded body this small hurts nobody",
             "`body_ratio` counts", "bodies_over_ratio"),
    LimitRow("chunk_line_bytes", "bytes", "a size needs 16; extensions mean nothing to us",
             "400, closed", "protocol_errors"),
    LimitRow("trailer_bytes", "bytes", "a few fields; memory per connection",
             "431, closed", "heads_too_large"),
    LimitRow("discard_bytes", "bytes", "of a body that nobody reads: to swallow it costs less than "
             "a new connection", "closed after the answer", "connections_lingered"),
    LimitRow("header_timeout", "seconds", "from a head's first byte to its last, however it "
             "trickles", "408, closed", "header_timeouts"),
    LimitRow("body_timeout", "seconds", "a silence while somebody waits for the body; phones "
             "change cells", "408, closed", "body_timeouts"),
    LimitRow("min_body_rate", "rate", "as Kestrel's: below any modem's, so that only who drips on "
             "purpose is caught", "408, closed, once `body_timeout` is used up", "body_timeouts"),
    LimitRow("idle_timeout", "seconds", "above the 60 s of common load balancers, so that they "
             "close first", "closed", "idle_timeouts"),
    LimitRow("write_timeout", "seconds", "a client that takes nothing of its answer",
             "cut off", "write_timeouts"),
    LimitRow("min_response_rate", "rate", "as `min_body_rate`, for who takes its answer drop by "
             "drop", "cut off, once `write_timeout` is used up", "write_timeouts"),
    LimitRow("linger_timeout", "seconds", "a refused client that still sends reads why, before a "
             "reset could destroy it (RFC 9112 9.6)", "closed", "connections_lingered"),
    LimitRow("max_connections", "count", "each costs a descriptor and about 2 kB",
             "503, closed", "connections_refused", "connections"),
    LimitRow("max_connections_per_address", "count", "off: behind a proxy all clients have the "
             "proxy's address", "503, closed", "connections_refused_address"),
    LimitRow("max_requests_per_connection", "count", "off: what a connection holds does not grow "
             "with them", "the last answer says `Connection: close`", "connections_used_up"),
    LimitRow("max_connection_age", "seconds", "clients find new addresses and workers within the "
             "hour", "the next answer says `Connection: close`", "connections_aged"),
    LimitRow("max_in_flight", "count", "bounds memory; far above what a machine answers well at "
             "once", "waits, or 503", "requests_refused", "in_flight"),
    LimitRow("queue_requests", "count", "off: to wait behind 10,000 helps nobody; set it with a "
             "small `max_in_flight`", "503", "requests_refused", "requests_waiting"),
    LimitRow("queue_timeout", "seconds", "who asks again is better served than who hears late",
             "503", "requests_waited_in_vain"),
    LimitRow("high_water_bytes", "bytes", "of an answer in pieces: a slow client costs this in its "
             "connection, as much again from its handler, and no more", "its handler is paused",
             "outputs_held_back"),
    LimitRow("handler_stuck", "seconds", "nobody waits that long; the line in the log costs "
             "nothing otherwise", "named in the log, with its stack", "handlers_stuck"),
    LimitRow("form.parts", "count", "pages with as many inputs exist; each costs some 200 bytes",
             "413", "protocol_errors"),
    LimitRow("form.part_head_bytes", "bytes", "browsers send some 150 bytes",
             "413", "protocol_errors"),
    LimitRow("form.name_bytes", "bytes", "of a field's name and of a file's: four times what file "
             "systems take", "413", "protocol_errors"),
    LimitRow("form.field_bytes", "bytes", "a field is held in memory", "413", "protocol_errors"),
    LimitRow("form.memory_bytes", "bytes", "heads, fields and small files of one form together",
             "a file goes to the disk; else 413", "protocol_errors"),
    LimitRow("form.spool_bytes", "bytes", "most pictures are larger; smaller files cost no "
             "descriptor", "the file goes to the disk", ""),
    LimitRow("form.disk_bytes", "bytes", "of one form", "413", "protocol_errors"),
    LimitRow("form.total_bytes", "bytes", "a multipart body; one that declares more is refused "
             "before it is sent", "413", "protocol_errors"),
    LimitRow("form.pairs", "count", "as `form.parts`, of an urlencoded form", "413",
             "protocol_errors"),
    LimitRow("form.urlencoded_bytes", "bytes", "an urlencoded form has no files, so it is short",
             "413", "protocol_errors"),
)  # fmt: skip


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
        return "off" if row.name in OFF_AT_ZERO else "0"
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


def as_markdown() -> str:
    """Return the table of the documentation, with the defaults."""
    defaults = Limits()
    lines = ["| limit | default | why | past it | counter |", "|---|---|---|---|---|"]
    for row in LIMIT_ROWS:
        default = shown(row, attrgetter(row.name)(defaults))
        counter = f"`{row.counter}`" if row.counter else "-"
        lines.append(f"| `{row.name}` | {default} | {row.why} | {row.past} | {counter} |")
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
    for row in LIMIT_ROWS:
        default = shown(row, attrgetter(row.name)(Limits()))
        table.add(row.name, default, _plain(row.past), row.counter or "-", _plain(row.why))
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
