"""``millrace top``: what a running server is doing, live."""

from __future__ import annotations

import argparse
import json
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from millrace import human
from millrace.cli_options import Parser, duration
from millrace.cli_top_url import NoMetrics, Route, check_url
from millrace.monitor import default_path
from millrace.tables import TextTable

if TYPE_CHECKING:
    from rich.console import Group

__all__ = ["look", "main", "why_not"]

Snapshot = dict[str, Any]
Ask = Callable[[], Snapshot]

_EXAMPLES = """\
A server is looked at through the Unix socket it was given with `--monitor`, or
Server(monitor=...); only its user may open it. Or by the URL of its metrics route,
App.metrics("/metrics"), which tells less: what is not in it is named.

examples:
  millrace serve hello:app --monitor /run/hello.top
  millrace top /run/hello.top
  millrace serve hello:app --monitor
  millrace top 4711              the process's id, where --monitor names no path
  millrace top 4711 --once --json
  millrace top http://127.0.0.1:8000/metrics
  millrace top http://127.0.0.1:8000      the same: /metrics is asked
"""

# How long a server may take to say something.
_PATIENCE_S = 10


def main(argv: Sequence[str]) -> int:
    """Run ``millrace top`` and return its exit code."""
    parser = _parser()
    options = parser.parse_args(argv)
    try:
        with _asking(options.target) as ask:
            if options.once:
                _show_once(ask(), as_json=options.json)
            else:
                _watch(ask, options.interval)
    except (EOFError, NoMetrics) as ended:
        print(f"millrace top: {options.target}: {ended}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"millrace top: {options.target}: {why_not(options.target, error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0
    return 0


def _parser() -> Parser:
    parser = Parser(
        prog="millrace top", description="Show what a running server is doing.", epilog=_EXAMPLES
    )
    add = parser.add_argument
    add("target", metavar="PATH|PID|URL", type=_target,
        help="the server's socket, its process id, or the URL of its metrics route")  # fmt: skip
    add("--interval", type=duration, default=1.0, metavar="TIME", help="between two looks (1s)")
    add("--once", action="store_true", help="print one snapshot and leave")
    add("--json", action="store_true", help="with --once: as JSON")
    return parser


def look(target: str) -> Snapshot:
    """Return one snapshot of a server, named by its socket, its process's id or a URL.

    Raises
    ------
    OSError, EOFError
        Nobody tells anything there.
    ValueError
        A URL that cannot be asked, or an answer that is none of a server of ours.
    """
    try:
        with _asking(_target(target)) as ask:
            return ask()
    except (argparse.ArgumentTypeError, NoMetrics) as error:
        raise ValueError(str(error)) from None


def why_not(target: str, error: OSError) -> str:
    """Say why nobody tells anything there, and what helps."""
    said = error.strerror or str(error)
    if _is_url(target):
        return f"{said}: is a server running there?"
    if not target.isdecimal():
        return f"{said}: is a server running with --monitor there?"
    if not Path("/proc", target).exists():
        return "there is no such process: name that of a server started with --monitor"
    return (
        f"{_path(target)}: {said}: start the server with --monitor, or name its socket where "
        "--monitor was given a path, or the URL of its metrics route, such as "
        "http://127.0.0.1:8000/metrics"
    )


def _target(text: str) -> str:
    return check_url(text) if _is_url(text) else text


def _is_url(target: str) -> bool:
    return "://" in target


@contextmanager
def _asking(target: str) -> Iterator[Ask]:
    if _is_url(target):
        yield Route(target)
        return
    with _connected(_path(target)) as ask:
        yield ask


def _path(target: str) -> str:
    return str(default_path(int(target))) if target.isdecimal() else target.removeprefix("unix:")


class _Asking:
    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._lines = connection.makefile("rb")

    def __call__(self) -> Snapshot:
        line = b""
        with suppress(BrokenPipeError, ConnectionResetError):
            self._connection.sendall(b"\n")
            line = self._lines.readline()
        if not line.endswith(b"\n"):  # nothing, or as much as it said before it ended
            raise EOFError("the server has stopped, or has too many who look at it")
        seen: Snapshot = json.loads(line)
        return seen


@contextmanager
def _connected(path: str) -> Iterator[_Asking]:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_PATIENCE_S)
        connection.connect(path)
        yield _Asking(connection)


def _show_once(seen: Snapshot, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(seen, indent=2))
        return
    print(*(table.to_text() for table in tables(seen, None)), sep="\n\n")


def _watch(ask: Ask, interval_s: float) -> None:
    from rich.live import Live

    is_terminal = sys.stdout.isatty()
    before: Snapshot | None = None
    with Live(auto_refresh=False, screen=True) if is_terminal else nullcontext() as live:
        while True:
            seen = ask()
            shown = tables(seen, before)
            if live is None:
                print(*(table.to_text() for table in shown), sep="\n\n", end="\n\n", flush=True)
            else:
                live.update(_screen(shown), refresh=True)
            before = seen
            time.sleep(interval_s)


def _screen(shown: list[TextTable]) -> Group:
    from rich.console import Group

    return Group(*(table.to_rich() for table in shown))


def tables(seen: Snapshot, before: Snapshot | None) -> list[TextTable]:
    """Return what is shown: rates since the snapshot before, or counts where there is none."""
    has_restarted = before is not None and _requests(seen) < _requests(before)
    shown = [_loops(seen, None if has_restarted else before)]
    if has_restarted:
        shown[0].notes.append("The counts begin anew: the server has been restarted.")
    if seen["stages"]:
        shown.append(_stages(seen))
    if missing := seen.get("missing"):
        shown[-1].notes.append(f"Not in the metrics, so not shown: {', '.join(missing)}.")
    return shown


def _requests(seen: Snapshot) -> float:
    total: float = sum(loop.get("requests", 0) for loop in seen["loops"])
    return total


def _loops(seen: Snapshot, before: Snapshot | None) -> TextTable:
    per = "" if before is None else "/s"
    process = [] if seen["pid"] is None else [f"pid {seen['pid']}"]
    pattern = [] if seen["pattern"] is None else [seen["pattern"]]
    table = TextTable(
        "  ".join([", ".join(seen["urls"]), *process, *pattern]),
        ("loop", "connections", f"requests{per}", f"native{per}", f"failed{per}", f"in{per}",
         f"out{per}", f"wakeups{per}", f"GIL wait{per}"),
    )  # fmt: skip
    old = before["loops"] if before else [{}] * len(seen["loops"])
    elapsed = seen["time"] - before["time"] if before else 1.0
    for number, (now, then) in enumerate(zip(seen["loops"], old, strict=False)):
        rate = {name: (value - then.get(name, 0)) / elapsed for name, value in now.items()}
        table.add(
            str(number),
            _shown(human.count, now.get("connections_open")),
            _shown(human.count, rate.get("requests")),
            _shown(human.count, rate.get("requests_native")),
            _shown(human.count, rate.get("requests_failed")),
            _shown(human.size, rate.get("bytes_in")),
            _shown(human.size, rate.get("bytes_out")),
            _shown(human.count, rate.get("wakeups")),
            _shown(lambda ns: human.duration(ns * 1e-9), rate.get("gil_wait_ns")),
        )
    in_flight = _shown(str, seen["in_flight"])
    table.notes.append(f"connections {seen['connections']}, in flight {in_flight}")
    if queue := seen["queue"]:
        table.notes.append(_queue_line(queue))
    for name, log in seen["logs"].items():
        table.notes.append(f"{name}: lines {human.count(log['lines'])}, dropped {log['dropped']}")
    return table


def _queue_line(queue: dict[str, Any]) -> str:
    workers = queue["workers"]
    longest = "" if queue["depth_max"] is None else f", longest {queue['depth_max']}"
    return (
        f"queue: {queue['depth']} of {queue['capacity']} wait for "
        f"{workers if isinstance(workers, int) else len(workers)} workers{longest}, "
        f"refused {human.count(queue['refused'])}"
    )


def _stages(seen: Snapshot) -> TextTable:
    table = TextTable("Stages, since the start", ("stage", "count", "p50", "p99", "max"))
    for stage in seen["stages"]:
        table.add(
            stage["name"],
            human.count(stage["count"]),
            *(_shown(human.duration, stage[name]) for name in ("p50", "p99", "max")),
        )
    return table


def _shown(write: Callable[[Any], str], value: Any) -> str:
    """What is not known is no zero."""
    return "-" if value is None else write(value)
