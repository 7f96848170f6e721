"""``millrace load``: the load generator from the command line."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from millrace.cli_options import Parser, count, duration, rate, reader
from millrace.errors import MillraceError
from millrace.lab.load import Load, load
from millrace.observe import Durations

__all__ = ["main"]

_EXAMPLES = """\
The exit code is 1 where a request failed, so that scripts notice.

examples:
  millrace load http://127.0.0.1:8000/
  millrace load http://127.0.0.1:8000/ --rate 2000 --poisson --duration 30s --warmup 2s
  millrace load http://127.0.0.1:8000/users --method POST --data '{"name": "Ada"}' \\
      --header 'Content-Type: application/json' --requests 1000 --json
"""


def main(argv: Sequence[str]) -> int:
    """Run ``millrace load`` and return its exit code."""
    parser = _parser()
    options = parser.parse_args(argv)
    if options.poisson and options.rate is None:
        parser.error("--poisson spaces the requests of an open loop: add --rate")
    try:
        result = _run(options)
    except ValueError as error:
        parser.error(str(error))
    except (MillraceError, OSError) as error:
        print(f"millrace load: {error}: is a server listening there?", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("millrace load: interrupted", file=sys.stderr)
        return 130
    if options.hlog is not None:
        result.to_hlog(options.hlog)
    print(json.dumps(_as_dict(result), indent=2) if options.json else result)
    return 1 if result.errors else 0


def _parser() -> Parser:
    parser = Parser(
        prog="millrace load",
        description="Put load on a server and report latency.",
        epilog=_EXAMPLES,
    )
    add = parser.add_argument
    add("url", metavar="URL", help="http://host:port/path")
    add("--connections", type=count, default=64, metavar="N", help="kept open (64)")
    add("--rate", type=rate, metavar="N", help="requests per second; without it, a closed loop")
    add("--poisson", action="store_true", help="random gaps, as independent users make them")
    add("--duration", type=duration, metavar="TIME", help="30 or 30s (5s, or until --requests)")
    add("--requests", type=count, metavar="N", help="stop after so many")
    add("--warmup", type=duration, default=0.0, metavar="TIME", help="before it counts (0)")
    add("--timeout", type=duration, default=10.0, metavar="TIME", help="for one answer (10s)")
    add("--threads", type=count, default=1, metavar="N", help="that share the work (1)")
    add("--method", default="GET", help="(%(default)s)")
    add("--header", type=reader(_field), action="append", default=[], metavar="'NAME: VALUE'",
        help="may come several times")  # fmt: skip
    add("--data", type=reader(_data), default=b"", metavar="TEXT|@FILE", help="the body")
    add("--json", action="store_true", help="machine-readable result")
    add("--hlog", metavar="FILE", help="write the histograms as an HdrHistogram log")
    return parser


def _run(options: argparse.Namespace) -> Load:
    return load(
        options.url,
        connections=options.connections,
        duration=options.duration,
        rate=options.rate,
        arrivals="poisson" if options.poisson else "constant",
        requests=options.requests,
        warmup=options.warmup,
        timeout=options.timeout,
        threads=options.threads,
        method=options.method,
        headers=options.header,
        body=options.data,
        progress=not options.json and sys.stderr.isatty(),
    )


def _field(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise ValueError(f"{text!r} is no header: write 'Name: value'")
    return name.strip(), value.strip()


def _data(text: str) -> bytes:
    if not text.startswith("@"):
        return text.encode()
    try:
        return Path(text[1:]).read_bytes()
    except OSError as error:
        raise ValueError(f"{text[1:]}: {error.strerror}") from None


def _as_dict(result: Load) -> dict[str, Any]:
    return {
        "url": result.url,
        "connections": result.connections,
        "threads": result.threads,
        "rate": result.rate,
        "arrivals": result.arrivals,
        "requests": result.requests,
        "errors": result.errors,
        "error_kinds": result.error_kinds,
        "statuses": result.statuses,
        "unsent": result.unsent,
        "reconnects": result.reconnects,
        "bytes_in": result.bytes_in,
        "bytes_out": result.bytes_out,
        "elapsed_s": result.elapsed,
        "cpu_s": result.cpu,
        "requests_per_s": result.throughput,
        "latency_s": _percentiles(result.latency),
        "intended_s": _percentiles(result.intended),
        "ttfb_s": _percentiles(result.ttfb),
        "connect_s": _percentiles(result.connect),
    }


def _percentiles(times: Durations) -> dict[str, float] | None:
    """The usual ones; None for what did not occur, which is not the same as zero."""
    if not times.count:
        return None
    return {
        "count": times.count,
        "min": times.min,
        "mean": times.mean,
        "p50": times.p50,
        "p90": times.p90,
        "p99": times.p99,
        "p999": times.p999,
        "max": times.max,
    }
