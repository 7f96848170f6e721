"""``millrace top``: what a running server is doing, live."""

from __future__ import annotations

import argparse
import json
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING, Any

from millrace import human
from millrace.cli_options import Parser, duration
from millrace.monitor import default_path
from millrace.tables import TextTable

if TYPE_CHECKING:
    from rich.console import Group

__all__ = ["main"]

Snapshot = dict[str, Any]

_EXAMPLES = """\
A server is looked at through the Unix socket it was given with `--monitor`, or
Server(monitor=...); only its user may open it.

examples:
  millrace serve hello:app --monitor /run/hello.top
  millrace top /run/hello.top
  millrace serve hello:app --monitor
  millrace top 4711              the process's id, where --monitor names no path
  millrace top 4711 --once --json
"""

# How long a server may take to say something.
_PATIENCE_S = 10


def main(argv: Sequence[str]) -> int:
    """Run ``millrace top`` and return its exit code."""
    parser = _parser()
    options = parser.parse_args(argv)
    try:
        with _connected(_path(options.target)) as ask:
            if options.once:
                _show_once(ask(), as_json=options.json)
            else:
                _watch(ask, options.interval)
    except EOFError as ended:
        print(f"millrace top: {options.target}: {ended}", file=sys.stderr)
        return 1
    except OSError as error:
        why = f"{error.strerror or error}: is a server running with --monitor there?"
        print(f"millrace top: {options.target}: {why}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0
    return 0


def _parser() -> Parser:
    parser = Parser(
        prog="millrace top", description="Show what a running server is doing.", epilog=_EXAMPLES
    )
    add = parser.add_argument
    add("target", metavar="PATH|PID", type=_target, help="the server's socket, or its process id")
    add("--interval", type=duration, default=1.0, metavar="TIME", help="between two looks (1s)")
    add("--once", action="store_true", help="print one snapshot and leave")
    add("--json", action="store_true", help="with --once: as JSON")
    return parser


def _target(text: str) -> str:
    if "://" in text:
        raise argparse.ArgumentTypeError(
            f"{text} is a URL; name the path of the server's --monitor socket, or its process id"
        )
    return text


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


def _watch(ask: _Asking, interval_s: float) -> None:
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
    shown = [_loops(seen, before)]
    if seen["stages"]:
        shown.append(_stages(seen))
    return shown


def _loops(seen: Snapshot, before: Snapshot | None) -> TextTable:
    per = "" if before is None else "/s"
    table = TextTable(
        f"{', '.join(seen['urls'])}  pid {seen['pid']}  {seen['pattern']}",
        ("loop", "connections", f"requests{per}", f"native{per}", f"failed{per}", f"in{per}",
         f"out{per}", f"wakeups{per}", f"GIL wait{per}"),
    )  # fmt: skip
    old = before["loops"] if before else [{}] * len(seen["loops"])
    elapsed = seen["time"] - before["time"] if before else 1.0
    for number, (now, then) in enumerate(zip(seen["loops"], old, strict=False)):
        rate = {name: (value - then.get(name, 0)) / elapsed for name, value in now.items()}
        table.add(
            str(number),
            human.count(now["connections_open"]),
            human.count(rate["requests"]),
            human.count(rate["requests_native"]),
            human.count(rate["requests_failed"]),
            human.size(rate["bytes_in"]),
            human.size(rate["bytes_out"]),
            human.count(rate["wakeups"]),
            human.duration(rate["gil_wait_ns"] * 1e-9),
        )
    table.notes.append(f"connections {seen['connections']}, in flight {seen['in_flight']}")
    if queue := seen["queue"]:
        table.notes.append(
            f"queue: {queue['depth']} of {queue['capacity']} wait for {len(queue['workers'])} "
            f"workers, longest {queue['depth_max']}, refused {human.count(queue['refused'])}"
        )
    for name, log in seen["logs"].items():
        table.notes.append(f"{name}: lines {human.count(log['lines'])}, dropped {log['dropped']}")
    return table


def _stages(seen: Snapshot) -> TextTable:
    table = TextTable("Stages, since the start", ("stage", "count", "p50", "p99", "max"))
    for stage in seen["stages"]:
        table.add(
            stage["name"],
            human.count(stage["count"]),
            *(human.duration(stage[name]) for name in ("p50", "p99", "max")),
        )
    return table
