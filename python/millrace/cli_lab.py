"""``millrace lab``: experiments from the command line."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from rich.console import Console

from millrace.cli_options import Parser, count
from millrace.lab.experiment_files import as_dict
from millrace.lab.experiment_result import Result
from millrace.lab.experiments import NAMES, find
from millrace.lab.verdicts import Verdict

__all__ = ["main"]

_EXAMPLES = """\
The exit code of `run` is 0 when all claims were reproduced, 1 when one was not, 2 when one is
inconclusive, such as on a busy machine. `check` also takes each experiment's cause away and
expects a claim to fail: 0 when all of that came out, 1 when something did not, 2 when undecided.
A wrong use is 64.

examples:
  millrace lab list
  millrace lab run who-accepts
  millrace lab run who-accepts --remove-cause
  millrace lab run nagle --quick --json
  millrace lab check --all
"""
# Wide enough for the tables, where the output is a file or a pipe.
_PLAIN_WIDTH = 120
# 2 means inconclusive here, so wrong use is EX_USAGE of sysexits.h(3head).
_EX_USAGE = 64


class _Parser(Parser):
    def error(self, message: str) -> NoReturn:
        self.exit(_EX_USAGE, f"{self.prog}: {message}\n(see millrace lab --help)\n")


def main(argv: Sequence[str]) -> int:
    """Run ``millrace lab`` and return its exit code."""
    options = _parser().parse_args(argv)
    command: Callable[[argparse.Namespace], int] = options.command
    try:
        return command(options)
    except KeyboardInterrupt:
        print("millrace lab: interrupted", file=sys.stderr)
        return 130


def _parser() -> Parser:
    parser = _Parser(prog="millrace lab", description="Run experiments.", epilog=_EXAMPLES)
    commands = parser.add_subparsers(metavar="list|run|check", required=True)

    def command(name: str, run: Callable[[argparse.Namespace], int], about: str) -> Any:
        made = commands.add_parser(name, prog=f"millrace lab {name}", description=about, epilog="")
        made.set_defaults(command=run)
        made.add_argument("--json", action="store_true", help="machine-readable output")
        return made.add_argument

    command("list", _list, "Show the experiments there are.")
    add = command("run", _run, "Run one experiment and write its report.")
    add("name", choices=NAMES, metavar="NAME", help=", ".join(NAMES))
    add("--quick", action="store_true", help="few rounds; more of it is inconclusive")
    add("--rounds", type=count, metavar="N", help="how often each arm measures")
    add("--seed", type=count, default=1, metavar="N", help="draws the order of the arms (1)")
    add("--remove-cause", action="store_true", help="take the cause away: a claim has to fail")
    add("--out", type=Path, default=Path("millrace-runs"), metavar="DIR", help="(%(default)s)")
    add = command("check", _check, "Run experiments quickly, with and without their causes.")
    add("names", nargs="*", metavar="NAME", help="one or several; or --all")
    add("--all", action="store_true", help="every experiment")
    add("--rounds", type=count, metavar="N", help="how often each arm measures")
    return parser


def _list(options: argparse.Namespace) -> int:
    experiments = [find(name) for name in NAMES]
    if options.json:
        rows = [{"name": one.name, "question": one.question} for one in experiments]
        print(json.dumps(rows, indent=2))
        return 0
    width = max(map(len, NAMES))
    for one in experiments:
        print(f"{one.name:<{width}}  {one.question}")
    return 0


def _run(options: argparse.Namespace) -> int:
    result = find(options.name).run(
        rounds=options.rounds,
        quick=options.quick,
        seed=options.seed,
        without_cause=options.remove_cause,
        progress=_progress(options),
    )
    _clear(options)
    run = result.save(options.out)
    if options.json:
        print(json.dumps(as_dict(result), indent=2, allow_nan=False))
    else:
        _console().print(result)
        print(run / "report.html")
    return result.exit_code


def _check(options: argparse.Namespace) -> int:
    names = NAMES if options.all else options.names
    unknown = [name for name in names if name not in NAMES]
    if not names or unknown:
        wrong = f"no experiment {unknown[0]!r}" if unknown else "name an experiment, or --all"
        print(f"millrace lab check: {wrong}; there are {', '.join(NAMES)}", file=sys.stderr)
        return _EX_USAGE
    rows = [_checked(name, options) for name in names]
    if options.json:
        print(json.dumps(rows, indent=2))
    codes = {row["exit_code"] for row in rows}
    return next((code for code in (1, 2) if code in codes), 0)


def _checked(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Run one experiment both ways, and print a line unless the output is JSON."""
    with_cause, without = (
        find(name).run(
            quick=True,
            rounds=options.rounds,
            without_cause=without_cause,
            progress=_progress(options),
        )
        for without_cause in (False, True)
    )
    _clear(options)
    code = _check_code(with_cause, without)
    row = {
        "name": name,
        "with_cause": with_cause.verdict.value,
        "without_cause": without.verdict.value,
        "exit_code": code,
        "skipped": with_cause.skipped,
    }
    if not options.json:
        word = ("ok", "FAILED", "undecided")[code]
        reason = f" ({with_cause.skipped})" if with_cause.skipped else ""
        print(
            f"{word:<9}  {name:<{max(map(len, NAMES))}}  {row['with_cause']}; without its cause "
            f"{row['without_cause']}{reason}"
        )
    return row


def _check_code(with_cause: Result, without: Result) -> int:
    if with_cause.verdict == Verdict.NOT_REPRODUCED or without.verdict == Verdict.REPRODUCED:
        return 1
    undecided = Verdict.INCONCLUSIVE in (with_cause.verdict, without.verdict)
    return 2 if undecided else 0


def _console() -> Console:
    console = Console()
    return console if console.is_terminal else Console(width=_PLAIN_WIDTH)


def _progress(options: argparse.Namespace) -> Callable[[str], None]:
    if options.json or not sys.stderr.isatty():
        return lambda arm: None
    return lambda arm: print(f"\r\x1b[K{arm} ...", end="", file=sys.stderr, flush=True)


def _clear(options: argparse.Namespace) -> None:
    if not options.json and sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)
