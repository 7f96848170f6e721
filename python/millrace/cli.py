"""The command ``millrace``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

__all__ = ["main"]

_HELP = """\
usage: millrace COMMAND [OPTION...]

An HTTP engine, driven from Python.

commands:
  serve MODULE:APP   serve an app until Ctrl-C
  top PATH|PID       show what a running server is doing, live
  load URL           put load on a server and report latency
  demo               compare the execution patterns on this machine, in two minutes
  doctor             show what this machine offers, what is missing, and the remedy
  lab run NAME       run an experiment: prediction, measurement, verdict; `lab list` shows them

  COMMAND --help shows a command's options; --version the version.

examples:
  millrace serve hello:app --port 8000
  millrace serve hello:app --pattern acceptor_queue_workers:workers=8
  millrace load http://127.0.0.1:8000/ --connections 64 --duration 10s
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    0 is success, 1 a failure, 2 a wrong use, and 3 a server that could not start.

    Examples
    --------
    >>> main(["--version"]) # doctest: +ELLIPSIS
    millrace ...
    0
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    first = arguments[0] if arguments else None
    if first in ("-h", "--help", "help"):
        print(_HELP, end="")
        return 0
    if first == "--version":
        from millrace import __version__

        print(f"millrace {__version__}")
        return 0
    if first not in _COMMANDS:
        wrong = "no command was given" if first is None else f"{first!r} is no command"
        print(f"millrace: {wrong}; use one of {', '.join(_COMMANDS)}, or --help", file=sys.stderr)
        return 2
    return _COMMANDS[first](arguments[1:])


# Each command is imported when it is used: a server has no need for the laboratory.


def _serve(argv: Sequence[str]) -> int:
    from millrace.cli_serve import main

    return main(argv)


def _top(argv: Sequence[str]) -> int:
    from millrace.cli_top import main

    return main(argv)


def _load(argv: Sequence[str]) -> int:
    from millrace.cli_load import main

    return main(argv)


def _demo(argv: Sequence[str]) -> int:
    from millrace.lab.demo import main

    return main(argv)


def _lab(argv: Sequence[str]) -> int:
    from millrace.cli_lab import main

    return main(argv)


def _doctor(argv: Sequence[str]) -> int:
    from millrace.doctor import main

    return main(argv)


_COMMANDS: dict[str, Callable[[Sequence[str]], int]] = {
    "serve": _serve,
    "top": _top,
    "load": _load,
    "demo": _demo,
    "doctor": _doctor,
    "lab": _lab,
}
