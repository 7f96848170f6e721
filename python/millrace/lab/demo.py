"""``millrace demo``: compare the execution patterns on this machine, with the engine itself."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from millrace.lab import chart_style, charts, report_html
from millrace.lab.comparison_table import Entry, columns_for, entry, wakeup_entries
from millrace.lab.conclusions import conclusions
from millrace.lab.machine import Machine
from millrace.lab.pattern_comparison import CONNECTIONS, Cell, Comparison, cells, run
from millrace.lab.verdicts import Verdict
from millrace.lab.wakeups import compare_wakeups
from millrace.lab.work import WORKS

__all__ = ["compare", "main", "write_files"]

# 31 runs of this, with their warm-up and start, stay below two minutes. Shorter runs hold too few
# rounds of the 50 ms work to tell 10 % apart.
SECONDS = 2.4
QUICK_SECONDS = 0.8
_PLAIN_WIDTH = 110

_COLOURS = {
    Verdict.REPRODUCED: "green",
    Verdict.NOT_REPRODUCED: "red",
    Verdict.INCONCLUSIVE: "yellow",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return 0, or 2 where an argument is wrong, as argparse does.

    A prediction that is not reproduced is a result and no failure of the program.
    """
    options = _parser().parse_args(argv)
    console = _console()
    seconds = options.seconds or (QUICK_SECONDS if options.quick else SECONDS)
    folder = options.out or _usual_folder()
    comparison = compare(seconds=seconds, console=console)
    _show(comparison, console)
    for path in write_files(comparison, folder):
        console.print(f"  [bold]{escape(str(path))}[/bold]", soft_wrap=True, highlight=False)
    return 0


def compare(*, seconds: float, console: Console) -> Comparison:
    """Measure every cell, with a progress bar that names the one under way.

    Parameters
    ----------
    seconds:
        How long each cell is observed.
    """
    machine = Machine.here()
    comparison = Comparison(machine=machine, seconds=seconds, connections=CONNECTIONS)
    todo = list(cells(works=WORKS, cores=machine.cores))
    start = time.monotonic()
    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}"),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    ) as progress:
        task = progress.add_task("", total=len(todo))
        for contender, setup in todo:
            progress.update(
                task, description=f"{setup.work.title}, {setup.handler}: {setup.pattern}"
            )
            cell = run(contender, setup, seconds=seconds)
            comparison.cells.append(cell)
            progress.console.print(_line(cell))
            progress.advance(task)
        progress.update(task, description="who is woken for a new connection")
        comparison.wakeups = compare_wakeups()
    comparison.elapsed = time.monotonic() - start
    return comparison


def write_files(comparison: Comparison, folder: Path) -> list[Path]:
    """Write the report and, where matplotlib is installed, the charts; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    report = folder / "report.html"
    report.write_text(report_html.page(comparison), encoding="utf-8")
    written = [report]
    if chart_style.available():
        for work in dict.fromkeys(cell.setup.work.name for cell in comparison.cells):
            path = folder / f"{work}.png"
            path.write_bytes(charts.draw(comparison, work))
            written.append(path)
    return written


def _console() -> Console:
    # Into a file or a pipe rich would write 80 columns, which the tables do not fit.
    console = Console()
    return console if console.is_terminal else Console(width=_PLAIN_WIDTH)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="millrace demo",
        description="Compare the five execution patterns on this machine under three kinds of "
        "handler work, native and in Python, each value beside its closed-form prediction.",
        epilog="examples:\n  millrace demo\n  millrace demo --quick --out /tmp/patterns",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="folder for report and charts (build/demo in a checkout, else ./millrace-demo)",
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help=f"{QUICK_SECONDS:g} s instead of {SECONDS:g} s a run; more of them are inconclusive",
    )
    parser.add_argument(
        "--seconds", type=_positive, metavar="S", help="observe each run for so many seconds"
    )
    return parser


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds above 0")
    return value


def _usual_folder() -> Path:
    here = Path.cwd()
    in_checkout = (here / "pyproject.toml").is_file() and (here / "cpp" / "millrace").is_dir()
    return here / "build" / "demo" if in_checkout else here / "millrace-demo"


def _line(cell: Cell) -> Text:
    setup = cell.setup
    line = Text(f"{setup.work.name:5} {setup.handler:9} {setup.pattern:23} ")
    line.append(f"{cell.measured('capacity'):6,.0f}/s  ")
    line.append(f"p50 {cell.measured('p50') * 1e3:6.1f} ms  ")
    line.append(f"p99 {cell.measured('p99') * 1e3:6.1f} ms  ")
    line.append(cell.verdict.value, style=_COLOURS[cell.verdict])
    return line


def _show(comparison: Comparison, console: Console) -> None:
    machine = comparison.machine
    console.print(
        f"\n{machine.cores} cores of {machine.processor}, Linux {machine.kernel}, "
        f"{machine.python}; {comparison.connections} clients, {comparison.seconds:g} s a run. "
        "Predictions stand below what was measured, in brackets where they are "
        "no test.\n",
        highlight=False,
        markup=False,
    )
    for work in dict.fromkeys(cell.setup.work for cell in comparison.cells):
        for handler in dict.fromkeys(cell.setup.handler for cell in comparison.cells):
            if group := comparison.of(work.name, handler):
                console.print(_table(f"{handler} handler that {work.title}", group))
    console.print(_wakeup_table(comparison))
    verdicts = comparison.verdicts
    tally = ", ".join(
        f"{verdicts.count(verdict)} {verdict.value}" for verdict in Verdict if verdict in verdicts
    )
    console.print(f"{len(verdicts)} runs in {comparison.elapsed:.0f} s: {tally}.\n")
    for sentence in conclusions(comparison):
        console.print(f"• {sentence}", highlight=False, markup=False)
    console.print()


def _table(title: str, group: Sequence[Cell]) -> Table:
    columns = columns_for(group)
    table = _empty_table(title)
    table.add_column("pattern", no_wrap=True)
    for column in columns:
        table.add_column(column.brief, justify="right", no_wrap=True)
    table.add_column("verdict", min_width=len(Verdict.NOT_REPRODUCED.value))
    for cell in group:
        values = [_value(entry(cell, column)) for column in columns]
        verdict = Text(cell.verdict.value, style=_COLOURS[cell.verdict])
        if cell.reason:
            verdict.append(f"\n{cell.reason}", style="dim")
        placed = "·".join(map(str, cell.placed)) if len(cell.placed) > 1 else ""
        name = Text(cell.setup.pattern).append(f"\nclients {placed}" if placed else "", "dim")
        table.add_row(name, *values, verdict)
    return table


def _wakeup_table(comparison: Comparison) -> Table:
    table = _empty_table("who is woken for a new connection (shared_acceptors)")
    table.add_column("wake-up")
    table.add_column("sleeps\n/connection", justify="right")
    table.add_column("busiest\n%", justify="right")
    table.add_column("verdict", min_width=len(Verdict.NOT_REPRODUCED.value))
    for run_ in comparison.wakeups:
        sleeps, busiest = wakeup_entries(run_)
        verdict = Text(run_.verdict.value, style=_COLOURS[run_.verdict])
        table.add_row(run_.wakeup, _value(sleeps), _value(busiest), verdict)
    return table


def _empty_table(title: str) -> Table:
    return Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )


def _value(value: Entry | None) -> Text:
    if value is None:
        return Text("–", style="dim")
    bad = value.verdict in (Verdict.NOT_REPRODUCED, Verdict.INCONCLUSIVE)
    style = _COLOURS[value.verdict] if bad and value.verdict else "bold"
    return Text(value.measured, style=style).append(f"\n{value.predicted}", "dim")
