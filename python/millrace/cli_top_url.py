"""What ``millrace top`` knows of a server that it sees by its metrics route alone."""

from __future__ import annotations

import argparse
import http.client
import time
from collections.abc import Iterator
from itertools import accumulate
from typing import Any
from urllib.parse import SplitResult, urlsplit

from millrace import human
from millrace.metrics import Family, Metrics, Sample
from millrace.prometheus_text import parse

__all__ = ["NoMetrics", "Route", "check_url", "snapshot"]

# How long a server may take to answer.
_PATIENCE_S = 10

# Of an answer; a server with every series that it may have (2,000 routes and statuses per loop)
# stays below.
_MOST_BYTES = 64 << 20

# What a snapshot has under the names of the server's gauges.
_PRESENT = ("requests_waiting", "bodies_waiting", "body_bytes_held")

# Where a route is that the URL does not name: the default of `App.metrics`.
_DEFAULT_PATH = "/metrics"


class NoMetrics(Exception):
    """What the URL answers is nothing that a server's metrics route does."""


def check_url(text: str) -> str:
    """Return a URL as it is, for argparse.

    Raises
    ------
    argparse.ArgumentTypeError
        It is none that can be asked.
    """
    try:
        url = urlsplit(text)
        has_host = bool(url.hostname) and url.port != 0
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text}: {error}") from None
    if url.scheme == "https":
        raise argparse.ArgumentTypeError(
            f"{text}: TLS is not available in this version; name the http:// URL of the metrics "
            "route behind the proxy, or the path of the server's --monitor socket"
        )
    if url.scheme != "http" or not has_host or url.username is not None:
        raise argparse.ArgumentTypeError(f"{text}: write http://HOST:PORT/PATH")
    return text


class Route:
    """A server's metrics route. Each look is a request on a connection of its own.

    Parameters
    ----------
    text:
        Its URL; without a path, ``/metrics`` is asked.
    """

    def __init__(self, text: str) -> None:
        url = urlsplit(text)
        self.url = (url if url.path else url._replace(path=_DEFAULT_PATH)).geturl()

    def __call__(self) -> dict[str, Any]:
        """Return a snapshot.

        Raises
        ------
        NoMetrics
            The answer is not that of a metrics route of ours.
        OSError
            Nobody answers there.
        """
        try:
            found = parse(_get(urlsplit(self.url)))
        except http.client.HTTPException as error:
            raise NoMetrics(f"this is no HTTP server: {error!r}") from None
        except ValueError as error:
            raise NoMetrics(f"these are no metrics of millrace: {error}") from None
        if "millrace_requests_total" not in found:
            raise NoMetrics("these are no metrics of millrace: millrace_requests_total is missing")
        return snapshot(self.url, found, time.monotonic())


def _get(url: SplitResult) -> str:
    assert url.hostname is not None
    connection = http.client.HTTPConnection(url.hostname, url.port or 80, timeout=_PATIENCE_S)
    try:
        target = url.path + (f"?{url.query}" if url.query else "")
        connection.request("GET", target, headers={"Connection": "close"})
        answer = connection.getresponse()
        body = answer.read(_MOST_BYTES + 1)
    finally:
        connection.close()
    if answer.status != 200:
        remedy = f"app.metrics({url.path!r}) makes such a route" if answer.status == 404 else ""
        said = remedy or body[:200].decode("utf-8", "replace").strip()
        raise NoMetrics(f"GET {url.path} was answered {answer.status} {answer.reason}: {said}")
    if len(body) > _MOST_BYTES:
        raise NoMetrics(f"the answer is longer than {human.size(_MOST_BYTES)}")
    return body.decode()


def snapshot(url: str, found: Metrics, now: float) -> dict[str, Any]:
    """Return as much of `millrace.monitor.snapshot` as metrics tell; what they do not is None."""
    queue, stages = _queue(found), list(_stages(found))
    missing = ["process id", "pattern", "lines of the logs"]
    missing += ["longest queue"] if queue else []
    missing += ["largest times (p50 and p99 are estimates)"] if stages else ["stages"]
    return {
        "pid": None,
        "time": now,
        "urls": [url],
        "pattern": None,
        "connections": int(found["millrace_connections_open"].total),
        "in_flight": _total(found, "http_server_active_requests"),
        **{name: _total(found, f"millrace_{name}") for name in _PRESENT},
        "loops": _loops(found),
        "queue": queue,
        "logs": {},
        "stages": stages,
        "missing": missing,
    }


def _total(found: Metrics, name: str) -> int | None:
    family = found.get(name)
    return None if family is None else int(family.total)


def _loops(found: Metrics) -> list[dict[str, float]]:
    loops: dict[str, dict[str, float]] = {}
    for name, family in found.items():
        for sample in family.samples:
            if name.startswith("millrace_") and "loop" in sample.labels:
                short = name.removeprefix("millrace_").removesuffix("_total")
                loops.setdefault(sample.labels["loop"], {})[short] = sample.value
    for loop in loops.values():
        if (waited := loop.pop("gil_wait_seconds", None)) is not None:
            loop["gil_wait_ns"] = waited * 1e9
    return [loops[number] for number in sorted(loops, key=int)]


def _queue(found: Metrics) -> dict[str, Any] | None:
    names = {"depth": "depth", "capacity": "capacity", "workers": "workers",
             "refused": "refused_total"}  # fmt: skip
    families = {name: found.get(f"millrace_queue_{end}") for name, end in names.items()}
    if not all(family is not None and family.samples for family in families.values()):
        return None
    queue = {name: int(family.total) for name, family in families.items() if family is not None}
    return queue | {"depth_max": None}


def _stages(found: Metrics) -> Iterator[dict[str, Any]]:
    family = found.get("millrace_stage_duration_seconds")
    for sample in family.samples if family is not None else ():
        if family is not None and sample.count:
            yield {
                "name": sample.labels.get("stage", ""),
                "count": sample.count,
                "p50": quantile(family, sample, 0.5),
                "p99": quantile(family, sample, 0.99),
                "max": None,
            }


def quantile(family: Family, sample: Sample, share: float) -> float:
    """Estimate a quantile of a histogram: evenly within its bucket, as Prometheus does.

    What lies in the last bucket is at least the bound below it, which is returned then.

    Examples
    --------
    >>> family = Family("t", "", "histogram", bounds=(1.0, 2.0))
    >>> quantile(family, Sample(buckets=(0, 4, 0)), 0.5)
    1.5
    """
    rank = share * sample.count
    below, lower = 0, 0.0
    for upper, up_to in zip(family.bounds, accumulate(sample.buckets), strict=False):
        if up_to >= rank and up_to > below:
            return lower + (upper - lower) * (rank - below) / (up_to - below)
        below, lower = up_to, upper
    return lower
