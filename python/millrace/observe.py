"""Where the time goes: the journey of requests through a server, and what its loops counted."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from millrace import _core, human
from millrace.tables import ShownAsTable, TextTable, optional_module

if TYPE_CHECKING:
    import pandas
    from matplotlib.axes import Axes

    from millrace.supervisor.totals import JourneySum

__all__ = ["Durations", "Journey", "Stage", "Stats"]

# The cookie of HdrHistogram's compressed form: version 2, word size 1.
_HDR_COMPRESSED = 0x1C849304 | 0x10


class Durations:
    """Many durations, counted: how many, and how long the longest of each share took.

    Durations are in seconds, and at most 1.6 % above what was measured: they are counted in
    buckets, 64 to each power of two. All are 0 where nothing was counted.

    Examples
    --------
    >>> times = Durations.of([0.001] * 99 + [0.2])
    >>> times.count, round(times.p50, 3), round(times.p999, 1)
    (100, 0.001, 0.2)
    """

    def __init__(self, histogram: _core.Histogram) -> None:
        self._histogram = histogram

    @classmethod
    def of(cls, seconds: list[float]) -> Durations:
        """Count some durations."""
        histogram = _core.Histogram()
        for one in seconds:
            histogram.record(round(one * 1e9))
        return cls(histogram)

    @property
    def count(self) -> int:
        """How many there are."""
        return self._histogram.count

    @property
    def min(self) -> float:
        """The shortest."""
        return self._histogram.min * 1e-9

    @property
    def max(self) -> float:
        """The longest."""
        return self._histogram.max * 1e-9

    @property
    def mean(self) -> float:
        """The average."""
        return self._histogram.mean * 1e-9

    @property
    def p50(self) -> float:
        """Half of them took no longer."""
        return self.percentile(50)

    @property
    def p90(self) -> float:
        """9 in 10 took no longer."""
        return self.percentile(90)

    @property
    def p99(self) -> float:
        """99 in 100 took no longer."""
        return self.percentile(99)

    @property
    def p999(self) -> float:
        """999 in 1,000 took no longer."""
        return self.percentile(99.9)

    def percentile(self, percent: float) -> float:
        """Return the duration that so many per cent of all do not exceed."""
        return self._histogram.percentile(percent) * 1e-9

    def count_above(self, seconds: float) -> int:
        """Return how many took longer, give or take those that are within 1.6 % of the limit."""
        return self._histogram.count_above(round(seconds * 1e9))

    def buckets(self) -> list[tuple[int, int, int]]:
        """Return what was counted: lowest and highest *nanoseconds* of a bucket, and its count."""
        return self._histogram.buckets()

    def to_hdr(self) -> str:
        """Return the counts in HdrHistogram's V2 encoding, compressed and in base64.

        Its decoders in Java, Python, Go and JavaScript read it; the unit is nanoseconds.
        """
        packed = zlib.compress(self._histogram.to_hdr())
        framed = struct.pack(">II", _HDR_COMPRESSED, len(packed)) + packed
        return base64.b64encode(framed).decode("ascii")

    def __repr__(self) -> str:
        if not self.count:
            return "Durations(none)"
        shown = (("p50", self.p50), ("p99", self.p99), ("max", self.max))
        text = ", ".join(f"{name} {human.duration(value)}" for name, value in shown)
        return f"Durations({human.count(self.count)}: {text})"


@dataclass(frozen=True)
class Stage:
    """One stage of the journey.

    Attributes
    ----------
    name:
        Its name, such as ``"parse"``.
    meaning:
        The two moments that it lies between.
    times:
        How long it took.
    """

    name: str
    meaning: str
    times: Durations

    @property
    def occurred(self) -> bool:
        """Whether any request went through it; there is no decryption without TLS, for one."""
        return self.times.count > 0


class Journey(ShownAsTable, Mapping[str, Stage]):
    """Where the time of a server's requests went: a table of stages, looked up by name.

    The rows of one request add up to less than its total: between two stages it may have to wait
    for other requests of the same loop. ``accept`` is counted per connection, the rest per request.

    Examples
    --------
    >>> import urllib.request
    >>> import millrace as mr
    >>> app = mr.App()
    >>> app.respond("/", "ok")
    >>> with mr.Server(app) as server:
    ...     _ = urllib.request.urlopen(server.url).read()
    >>> journey = server.journey()
    >>> journey["parse"].occurred, journey["decrypt"].occurred
    (True, False)
    """

    def __init__(self, snapshot: _core.JourneySnapshot | JourneySum) -> None:
        self._requests = snapshot.requests
        self._is_enabled = snapshot.enabled
        self._stages = {
            stage.name: Stage(stage.name, stage.meaning, Durations(stage.histogram))
            for stage in snapshot.stages
        }

    @property
    def requests(self) -> int:
        """Requests whose answer has left to its last byte."""
        return self._requests

    @property
    def is_enabled(self) -> bool:
        """Whether the server records it."""
        return self._is_enabled

    @property
    def stages(self) -> list[Stage]:
        """All stages, in the order in which a request goes through them, and its total."""
        return list(self._stages.values())

    def __getitem__(self, name: str) -> Stage:
        return self._stages[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._stages)

    def __len__(self) -> int:
        return len(self._stages)

    def _table(self) -> TextTable:
        table = TextTable(
            f"Journey of {human.count(self._requests)} requests",
            ("stage", "from -> to", "count", "p50", "p99", "p99.9", "max"),
            labels=2,
        )
        if not self._is_enabled:
            table.notes.append("Nothing was recorded: the server runs with journey=False.")
        for stage in self.stages:
            if stage.occurred:
                times = stage.times
                shown = (times.p50, times.p99, times.p999, times.max)
                table.add(
                    stage.name,
                    stage.meaning,
                    human.count(times.count),
                    *map(human.duration, shown),
                )
            else:
                table.add(stage.name, "did not occur")
        return table

    def to_pandas(self) -> pandas.DataFrame:
        """Return one row per stage: count, then seconds; a stage that did not occur has NaN.

        Raises
        ------
        ImportError
            pandas is not installed: ``pip install "millrace[lab]"``.
        """
        frames = optional_module("pandas", "Journey.to_pandas()")
        rows = []
        for stage in self.stages:
            times = stage.times
            values = {
                "min": times.min,
                "p50": times.p50,
                "p90": times.p90,
                "p99": times.p99,
                "p999": times.p999,
                "max": times.max,
                "mean": times.mean,
            }
            missing = dict.fromkeys(values, float("nan"))
            row = values if stage.occurred else missing
            rows.append({"stage": stage.name, "count": times.count, **row})
        frame: pandas.DataFrame = frames.DataFrame(rows).set_index("stage")
        return frame

    def plot(self, axes: Axes | None = None) -> Axes:
        """Draw each stage from p50 to p99, with a mark at the longest, on a logarithmic scale.

        Raises
        ------
        ImportError
            matplotlib is not installed: ``pip install "millrace[lab]"``.
        """
        if axes is None:
            pyplot = optional_module("matplotlib.pyplot", "Journey.plot()")
            _, axes = pyplot.subplots(figsize=(8, 3.5), layout="constrained")
            assert axes is not None
        stages = self.stages[::-1]
        for row, stage in enumerate(stages):
            times = stage.times
            if not stage.occurred:
                axes.annotate(
                    "did not occur",
                    (0.01, row),
                    xycoords=("axes fraction", "data"),
                    va="center",
                    color="grey",
                    fontsize="small",
                )
                continue
            low, high, top = (max(value, 1e-9) * 1e6 for value in (times.p50, times.p99, times.max))
            axes.plot([low, high], [row, row], linewidth=6, color="tab:blue", solid_capstyle="butt")
            axes.plot([low], [row], marker="|", markersize=14, color="black")
            axes.plot([top], [row], marker="x", color="tab:red")
        axes.set_xscale("log")
        axes.set_yticks(range(len(stages)), [stage.name for stage in stages])
        axes.set_ylim(-0.7, len(stages) - 0.3)
        axes.set_xlabel("µs; bar: p50 to p99, cross: longest")
        axes.set_title(f"Journey of {human.count(self._requests)} requests")
        return axes


class Stats(ShownAsTable, Mapping[str, Any]):
    """What a server counted, as a mapping; shown as a table with a column per loop.

    Counts go up from the server's start; what changes both ways (``connections_open``) is the
    present state. Names that end in ``_ns`` are nanoseconds.

    Examples
    --------
    >>> stats = Stats({"connections": 1, "loops": [{"requests": 3}, {"requests": 4}]})
    >>> stats["connections"], stats.total("requests")
    (1, 7)
    """

    def __init__(self, counted: Mapping[str, Any]) -> None:
        self._counted = dict(counted)

    def __getitem__(self, name: str) -> Any:
        return self._counted[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._counted)

    def __len__(self) -> int:
        return len(self._counted)

    @property
    def loops(self) -> list[dict[str, Any]]:
        """One dict of counters per loop."""
        return list(self._counted.get("loops", []))

    @property
    def queue(self) -> dict[str, Any] | None:
        """The counters of the worker queue; None where handlers run on the loops."""
        queue: dict[str, Any] | None = self._counted.get("queue")
        return queue

    def total(self, counter: str) -> int:
        """Return the sum of one counter over all loops.

        Raises
        ------
        KeyError
            No loop has a counter of this name.
        """
        return sum(loop[counter] for loop in self.loops) if self.loops else 0

    def _table(self) -> TextTable:
        loops = self.loops
        table = TextTable(
            f"Server with {len(loops)} loop{'' if len(loops) == 1 else 's'}",
            ("counter", "total", *(f"loop {i}" for i in range(len(loops)))),
        )
        quiet = []
        for name in loops[0] if loops else ():
            values = [loop.get(name, 0) for loop in loops]
            if not all(isinstance(value, int | float) for value in values):
                continue
            if any(values):
                shown = (_written(name, value) for value in (sum(values), *values))
                table.add(name.removesuffix("_ns"), *shown)
            else:
                quiet.append(name.removesuffix("_ns"))
        table.notes.extend(self._notes())
        if quiet:
            table.notes.append(f"zero: {', '.join(quiet)}")
        return table

    def _notes(self) -> Iterator[str]:
        """What was counted for the server as a whole: one line per group."""
        plain = {k: v for k, v in self._counted.items() if isinstance(v, int | float)}
        if plain:
            yield _line(plain)
        for name, group in self._counted.items():
            if isinstance(group, Mapping):
                numbers = {k: v for k, v in group.items() if isinstance(v, int | float)}
                if numbers:
                    yield f"{name}: {_line(numbers)}"

    def to_pandas(self) -> pandas.DataFrame:
        """Return one row per loop and one column per counter.

        Raises
        ------
        ImportError
            pandas is not installed: ``pip install "millrace[lab]"``.
        """
        frames = optional_module("pandas", "Stats.to_pandas()")
        frame: pandas.DataFrame = frames.DataFrame(self.loops).rename_axis("loop")
        return frame


def _written(name: str, value: float) -> str:
    if name.endswith("_ns"):
        return human.duration(value * 1e-9)
    return human.size(value) if name.startswith("bytes_") else human.count(value)


def _line(counted: Mapping[str, float]) -> str:
    return ", ".join(
        f"{name.removesuffix('_ns')} {_written(name, value)}" for name, value in counted.items()
    )
