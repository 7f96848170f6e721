"""A load generator: closed loop or open loop, with latency from when requests were due."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from millrace import _core, human
from millrace.observe import Durations
from millrace.tables import ShownAsTable, TextTable, optional_module
from millrace.units import seconds

if TYPE_CHECKING:
    import pandas
    from matplotlib.axes import Axes

__all__ = ["Load", "load"]

# How long a Ctrl-C may go unnoticed, and how often progress is shown.
_GLANCE_S = 0.1


@dataclass(frozen=True, repr=False)
class Load(ShownAsTable):
    """What a load run has seen. Times are in seconds.

    A request that failed is counted in `error_kinds` and not in any histogram.

    Attributes
    ----------
    url, connections, threads:
        What was asked for.
    rate, arrivals:
        Requests per second that were asked for, and how they were spaced; ``None`` for a closed
        loop.
    requests:
        Requests that were answered, whatever the status.
    error_kinds:
        Requests that were not, by what went wrong, such as ``"connection_reset"`` or
        ``"unexpected_body"``.
    statuses:
        Answers by status code; interim (1xx) ones are counted here only.
    unsent:
        Open loop: requests that were due and never sent, because no connection was free until the
        end. Not in any histogram.
    reconnects:
        Connections made anew after the server had closed one.
    bytes_in, bytes_out:
        What went over the sockets, heads included.
    elapsed:
        From the end of the warm-up to the last answer, or to the end of the schedule.
    cpu:
        Processor time of the load generator's own threads.
    latency:
        From the moment a request was sent to the end of its answer.
    intended:
        From the moment it was *due* to the end of its answer: what a user sees who does not wait
        for others. Open loop only, else empty.
    ttfb:
        From the send to the head of the answer.
    connect:
        Of every connection made, those before the first request included.
    started:
        When it began, in seconds since 1970.

    Examples
    --------
    >>> import millrace as mr
    >>> app = mr.App()
    >>> app.respond("/", "ok")
    >>> with mr.Server(app) as server:
    ...     result = mr.lab.load(server.url, connections=2, requests=100)
    >>> result.requests, result.errors, result.statuses
    (100, 0, {200: 100})
    >>> 0 < result.p50 <= result.p99
    True
    """

    url: str
    connections: int
    threads: int
    rate: float | None
    arrivals: str | None
    requests: int
    error_kinds: dict[str, int]
    statuses: dict[int, int]
    unsent: int
    reconnects: int
    bytes_in: int
    bytes_out: int
    elapsed: float
    cpu: float
    latency: Durations
    intended: Durations
    ttfb: Durations
    connect: Durations
    started: float

    @property
    def errors(self) -> int:
        """Requests that failed, of any kind."""
        return sum(self.error_kinds.values())

    @property
    def throughput(self) -> float:
        """Answers per second."""
        return self.requests / self.elapsed if self.elapsed else 0.0

    @property
    def p50(self) -> float:
        """Half of the answers took no longer, from the send."""
        return self.latency.p50

    @property
    def p90(self) -> float:
        """9 in 10 answers took no longer, from the send."""
        return self.latency.p90

    @property
    def p99(self) -> float:
        """99 in 100 answers took no longer, from the send."""
        return self.latency.p99

    @property
    def p999(self) -> float:
        """999 in 1,000 answers took no longer, from the send."""
        return self.latency.p999

    @property
    def mean(self) -> float:
        """The average time of an answer, from the send."""
        return self.latency.mean

    @property
    def max(self) -> float:
        """The longest time of an answer, from the send."""
        return self.latency.max

    @property
    def _series(self) -> dict[str, Durations]:
        """The histograms by name; what a closed loop cannot know is left out."""
        named = {
            "intended": self.intended,
            "latency": self.latency,
            "ttfb": self.ttfb,
            "connect": self.connect,
        }
        return {name: times for name, times in named.items() if times.count}

    def _table(self) -> TextTable:
        meanings = {
            "intended": "due -> end",
            "latency": "sent -> end",
            "ttfb": "sent -> head",
            "connect": "connecting",
        }
        table = TextTable(
            f"{human.count(self.requests)} requests in {human.duration(self.elapsed)}, "
            f"{human.count(self.throughput)} per second",
            ("time", "from -> to", "count", "p50", "p90", "p99", "p99.9", "max"),
            labels=2,
        )
        for name, times in self._series.items():
            values = (times.p50, times.p90, times.p99, times.p999, times.max)
            table.add(name, meanings[name], human.count(times.count), *map(human.duration, values))
        table.notes.extend(self._notes())
        return table

    def _notes(self) -> list[str]:
        many = f"{self.connections} connection{'' if self.connections == 1 else 's'}"
        if self.rate is None:
            loop = f"closed loop, {many}: a slow answer also delays the requests behind it"
        else:
            loop = f"open loop, {human.count(self.rate)} per second ({self.arrivals}), {many}"
        statuses = ", ".join(f"{code}: {human.count(n)}" for code, n in self.statuses.items())
        kinds = ", ".join(f"{name} {human.count(n)}" for name, n in self.error_kinds.items())
        traffic = f"{human.size(self.bytes_in)} in, {human.size(self.bytes_out)} out"
        notes = [loop, f"errors: {kinds or 'none'}; statuses: {statuses or 'none'}; {traffic}"]
        if self.unsent:
            notes.append(
                f"{human.count(self.unsent)} requests were due and never sent: no connection was "
                "free. The times leave them out, so the truth is worse"
            )
        if self.reconnects:
            notes.append(f"{human.count(self.reconnects)} reconnects after the server had closed")
        return notes

    def to_pandas(self) -> pandas.DataFrame:
        """Return one row per histogram: count, then seconds.

        Raises
        ------
        ImportError
            pandas is not installed: ``pip install "millrace[lab]"``.
        """
        frames = optional_module("pandas", "Load.to_pandas()")
        rows = [
            {
                "time": name,
                "count": times.count,
                "min": times.min,
                "p50": times.p50,
                "p90": times.p90,
                "p99": times.p99,
                "p999": times.p999,
                "max": times.max,
                "mean": times.mean,
            }
            for name, times in self._series.items()
        ]
        frame: pandas.DataFrame = frames.DataFrame(rows).set_index("time")
        return frame

    def plot(self, axes: Axes | None = None) -> Axes:
        """Draw latency by percentile, the tail stretched as HdrHistogram's plotters do it.

        Raises
        ------
        ImportError
            matplotlib is not installed: ``pip install "millrace[lab]"``.
        """
        if axes is None:
            pyplot = optional_module("matplotlib.pyplot", "Load.plot()")
            _, axes = pyplot.subplots(figsize=(8, 4), layout="constrained")
            assert axes is not None
        labels = {"intended": "from when it was due", "latency": "from when it was sent"}
        for name, label in labels.items():
            if name not in self._series:
                continue
            times = self._series[name]
            seen, one_in, milliseconds = 0, [], []
            for _, highest, count in times.buckets():
                # Each step at the middle of its rank, so that the last is not at infinity.
                rank = (seen + count - 0.5) / times.count
                one_in.append(1 / (1 - rank))
                milliseconds.append(highest * 1e-6)
                seen += count
            axes.plot(one_in, milliseconds, label=label, drawstyle="steps-post")
        ticks = [2, 10, 100, 1_000, 10_000, 100_000, 1_000_000]
        ticks = [tick for tick in ticks if tick <= max(2, self.requests * 2)]
        axes.set_xscale("log")
        axes.set_xticks(ticks, [f"{100 - 100 / tick:.6g} %" for tick in ticks])
        axes.minorticks_off()
        axes.set_ylim(bottom=0)
        axes.set_xlabel("share of requests that took no longer")
        axes.set_ylabel("ms")
        axes.set_title(f"Latency of {human.count(self.requests)} requests to {self.url}")
        axes.legend()
        return axes

    def to_hlog(self, path: str | Path) -> None:
        """Write the histograms as an HdrHistogram log (version 1.3), one tagged line each.

        HdrHistogram's own tools plot it, whatever language they are written in; values are
        nanoseconds, the column of maxima is in milliseconds.
        """
        begin = datetime.fromtimestamp(self.started, UTC)
        lines = [
            "#[Histogram log format version 1.3]",
            f"#[Load on {self.url}]",
            f"#[StartTime: {self.started:.3f} (seconds since epoch), {begin:%Y-%m-%dT%H:%M:%SZ}]",
            '"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"',
        ]
        for name, times in self._series.items():
            shown = f"0.000,{self.elapsed:.3f},{times.max * 1e3:.3f}"
            lines.append(f"Tag={name},{shown},{times.to_hdr()}")
        Path(path).write_text("\n".join(lines) + "\n", encoding="ascii")


def load(
    url: str,
    *,
    connections: int = 64,
    duration: float | str | None = None,
    rate: float | None = None,
    arrivals: Literal["constant", "poisson"] = "constant",
    requests: int | None = None,
    warmup: float | str = 0,
    timeout: float | str = 10,
    threads: int = 1,
    method: str = "GET",
    headers: Mapping[str, str] | Sequence[tuple[str, str]] = (),
    body: bytes | str = b"",
    expect_body: bytes | str | None = None,
    seed: int = 1,
    progress: bool = False,
) -> Load:
    """Put load on a server and measure its answers, on threads of the engine.

    Without ``rate`` it is a closed loop: each connection sends its next request when the answer to
    the last one is whole, so a server that stalls is spared, and the stall shows in as many answers
    as there are connections. With ``rate`` it is an open loop: requests are due at their moments,
    whatever became of those before, and `Load.intended` counts from then.

    Parameters
    ----------
    url:
        ``http://host:port/path``.
    connections:
        Connections that are kept open. In an open loop a request waits until one is free.
    duration:
        Seconds, or text such as ``"10s"``, during which requests are sent; those under way are
        waited for. 5 seconds if neither it nor ``requests`` is given; no limit if only ``requests``
        is.
    rate:
        Requests per second over all connections (open loop).
    arrivals:
        ``"constant"`` gaps, or those of a ``"poisson"`` process, as independent users make them.
    requests:
        Stop after so many.
    warmup:
        Seconds before all that, in which requests are sent and not recorded.
    timeout:
        Seconds for a connect, and from a request to the end of its answer.
    threads:
        Threads that share the work. One makes some 100,000 requests per second.
    method, headers, body:
        What is sent. ``Host`` and the body's length are seen to.
    expect_body:
        The body that every 2xx answer must have; others count as the error ``unexpected_body``.
    seed:
        Of the random gaps.
    progress:
        Show how it goes while it runs.

    Raises
    ------
    InvalidOption
        An option or the URL cannot be used.
    ConnectError, ConnectTimeout
        No connection could be made at all. Safe to retry.
    KeyboardInterrupt
        Ctrl-C; the run is over then.

    Examples
    --------
    >>> import millrace as mr
    >>> app = mr.App()
    >>> app.respond("/", "ok")
    >>> with mr.Server(app) as server:
    ...     result = mr.lab.load(server.url, rate=1000, requests=50, connections=4)
    >>> result.requests, result.intended.count, result.intended.p50 >= result.latency.min
    (50, 50, True)
    """
    options = _core.LoadOptions()
    options.connections = _at_least_one("connections", connections)
    options.threads = _at_least_one("threads", threads)
    options.rate = 0 if rate is None else _positive_rate(rate)
    options.arrivals = arrivals
    options.requests = 0 if requests is None else _at_least_one("requests", requests)
    if duration is not None or requests is not None:
        options.duration = 0 if duration is None else seconds(duration)
    options.warmup = seconds(warmup)
    options.timeout = seconds(timeout)
    options.seed = seed
    options.method = method
    options.headers = list(headers.items() if isinstance(headers, Mapping) else headers)
    options.body = _octets(body)
    options.expect_body = None if expect_body is None else _octets(expect_body)

    started = time.time()
    run = _core.LoadRun(url, options)
    run.start()
    try:
        _follow(run, options, progress)
    except BaseException:
        run.stop()
        raise
    return _as_load(run.result(), url, options, started)


def _positive_rate(rate: float) -> float:
    # 0 means "closed loop" to the engine; here that is None, and 0 is a mistake.
    if rate <= 0:
        raise ValueError("rate is above 0 requests per second; leave it out for a closed loop")
    return rate


def _at_least_one(name: str, number: int) -> int:
    if number < 1:
        raise ValueError(f"{name} is 1 or more, not {number}")
    return number


def _octets(body: bytes | str) -> bytes:
    return body.encode() if isinstance(body, str) else body


def _as_load(
    counted: Mapping[str, Any], url: str, options: _core.LoadOptions, started: float
) -> Load:
    is_open = counted["open_loop"]
    return Load(
        url=url,
        connections=options.connections,
        threads=options.threads,
        rate=options.rate if is_open else None,
        arrivals=options.arrivals if is_open else None,
        requests=counted["requests"],
        error_kinds=counted["errors"],
        statuses=counted["statuses"],
        unsent=counted["unsent"],
        reconnects=counted["reconnects"],
        bytes_in=counted["bytes_in"],
        bytes_out=counted["bytes_out"],
        elapsed=counted["elapsed"],
        cpu=counted["cpu"],
        latency=Durations(counted["latency"]),
        intended=Durations(counted["intended"]),
        ttfb=Durations(counted["ttfb"]),
        connect=Durations(counted["connect"]),
        started=started,
    )


def _follow(run: _core.LoadRun, options: _core.LoadOptions, progress: bool) -> None:
    """Wait for the end; in steps, since a Ctrl-C is only noticed between two of them."""
    if not progress:
        while not run.wait(_GLANCE_S):
            pass
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (BarColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    # What is printed on standard output stays the result alone.
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("connecting", total=1.0)
        before, requests_before = 0.0, 0.0
        while not run.wait(_GLANCE_S):
            seen = run.progress()
            speed = (seen["requests"] - requests_before) / max(seen["elapsed"] - before, 1e-9)
            before, requests_before = seen["elapsed"], seen["requests"]
            text = (
                f"{human.count(seen['requests'])} requests, {human.count(round(speed))}/s, "
                f"{human.count(seen['in_flight'])} in flight, {human.count(seen['errors'])} errors"
            )
            bar.update(task, completed=_share_done(seen, options), description=text)


def _share_done(seen: Mapping[str, float], options: _core.LoadOptions) -> float:
    by_time = seen["elapsed"] / (options.warmup + options.duration) if options.duration else 0
    by_count = seen["requests"] / options.requests if options.requests else 0
    return min(1.0, max(by_time, by_count))
