"""Runs the benchmark suite: CPU time per request of millrace and its peers, beside every bound.

usage: run.py [--rounds 3] [--seconds 3] [--only millrace,nginx] [--rows constant,json] [--quick]
              [--markdown docs/benchmarks.md]

`--quick` is one round of one second: whether everything runs, not how fast. Rows are those of
`suite/rows.py` and `memory`, `half-head`, `attack`, `multipart`, `load`; servers those of
`suite/servers.py`, each by how its name begins ("granian" is all three); the raw loop always takes
part. Ctrl-C prints what there is so far.
"""

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from suite import report
from suite.attack import measure_attack
from suite.cores import TooFewCores, choose_cores
from suite.fleet import Fleet
from suite.load_cost import measure_load_cost
from suite.machine import describe_machine
from suite.measure import Plan, RowResult, measure_row
from suite.memory import WAITING, Waiting, measure_waiting
from suite.multipart import CONTENTS, measure_multipart
from suite.page import write_page
from suite.rows import ROWS
from suite.servers import SERVERS, Family, Server
from suite.table import show
from suite.tools import BUILD, Tools, Unavailable
from suite.versions import server_versions

EXTRA_ROWS = (*(waiting.name for waiting in WAITING), "attack", "multipart", "load")
ROW_NAMES = (*(row.name for row in ROWS), *EXTRA_ROWS)


def main(arguments: Sequence[str]) -> int:
    options = parse(arguments)
    signal.signal(signal.SIGTERM, _interrupt)
    tools = Tools(options.build.resolve(), use_latest=options.latest)
    try:
        plan = Plan(options.rounds, options.seconds, tools, choose_cores())
        tools.program("wrk")
        tools.raw_loop()
    except (TooFewCores, Unavailable) as error:
        print(f"the benchmark cannot run: {error}", file=sys.stderr)
        return 1
    servers = chosen_servers(options.only)
    results = report.Results()
    try:
        if any(server.family is Family.PYTHON for server in servers):
            tools.install_peers()
        os.sched_setaffinity(0, {plan.cores.load})
        measure(servers, options.rows, plan, results)
    except KeyboardInterrupt:
        print("interrupted; what was measured so far:", file=sys.stderr)
    present(results, plan, options.markdown, arguments)
    return 0 if results.has_any() else 1


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="CPU time per request of millrace and its peers.",
        epilog=f"rows: {', '.join(ROW_NAMES)}",
    )
    parser.add_argument("--rounds", type=_positive, default=3)
    parser.add_argument("--seconds", type=_positive, default=3, help="of each run")
    parser.add_argument("--only", type=_names, default=(), help="servers, separated by commas")
    parser.add_argument("--rows", type=_rows, default=ROW_NAMES, help="separated by commas")
    parser.add_argument("--quick", action="store_true", help="one round of one second")
    parser.add_argument("--latest", action="store_true", help="newest peers, ignoring the pins")
    parser.add_argument("--markdown", type=Path, help="write the page of results")
    parser.add_argument("--build", type=Path, default=BUILD)
    options = parser.parse_args(arguments)
    if options.quick:
        options.rounds = options.seconds = 1
    unknown = [name for name in options.only if not any(_is_named(s, name) for s in SERVERS)]
    if unknown:
        known = ", ".join(dict.fromkeys(server.label for server in SERVERS))
        parser.error(f"--only: no server named {unknown[0]}; there are {known}")
    return options


def chosen_servers(only: Sequence[str]) -> list[Server]:
    return [
        server
        for server in SERVERS
        if not only
        or server.family is Family.FLOOR
        or any(_is_named(server, name) for name in only)
    ]


def measure(
    servers: Sequence[Server], rows: Sequence[str], plan: Plan, results: report.Results
) -> None:
    """Fill `results` row by row."""
    with Fleet(plan.tools, plan.cores.server) as fleet:
        results.unavailable = fleet.unavailable
        for row in ROWS:
            if row.name in rows:
                result = RowResult(row)
                results.rows.append(result)
                try:
                    measure_row(result, servers, fleet, plan)
                finally:
                    show(report.row_table(result))
    for waiting in WAITING:
        if waiting.name in rows:
            measure_memory(waiting, servers, plan, results)
    if "attack" in rows and any(server.name == "millrace" for server in servers):
        try:
            results.attack = measure_attack(plan)
        except Unavailable as error:
            results.failures["attack"] = str(error)
    if "multipart" in rows:
        try:
            for content in CONTENTS:
                results.multipart.append(measure_multipart(content, servers, plan))
        except Unavailable as error:
            results.failures["multipart"] = str(error)
    if "load" in rows:
        try:
            results.load = measure_load_cost(plan)
        except Unavailable as error:
            results.failures["load"] = str(error)


def measure_memory(
    waiting: Waiting, servers: Sequence[Server], plan: Plan, results: report.Results
) -> None:
    for name in waiting.servers:
        if name not in {server.name for server in servers}:
            continue
        try:
            results.memory.append(measure_waiting(waiting, name, plan))
        except Unavailable as error:
            key = f"{waiting.name}, nginx" if name == "nginx" else waiting.name
            results.failures[key] = str(error)


def present(
    results: report.Results, plan: Plan, page: Path | None, arguments: Sequence[str]
) -> None:
    """Rows were shown as they were measured; here the rest, and the page."""
    extra = report.tables(results)[1 + len(results.rows) :]
    for table in [*extra, report.bounds_table(results)]:
        show(table)
    if page is not None:
        command = " ".join(["python", "tests/bench/run.py", *arguments])
        write_page(
            page, results, describe_machine(), plan.cores, server_versions(plan.tools), command
        )
        print(f"wrote {page}", file=sys.stderr)


def _is_named(server: Server, name: str) -> bool:
    return server.label.lower().startswith(name.lower())


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _rows(text: str) -> tuple[str, ...]:
    names = _names(text)
    for name in names:
        if name not in ROW_NAMES:
            raise argparse.ArgumentTypeError(
                f"no row named {name}; there are {', '.join(ROW_NAMES)}"
            )
    return names


def _interrupt(number: int, frame: FrameType | None) -> None:
    """SIGTERM ends the run as Ctrl-C does, so that the servers are ended too."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
