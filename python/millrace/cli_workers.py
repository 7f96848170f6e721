"""The options of ``millrace serve`` about worker processes."""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from millrace.cli_options import count, duration
from millrace.patterns import MultiProcess, Pattern, multi_process, single_thread

__all__ = ["add_options", "chosen_pattern"]

# What means something only where there are workers.
_LIMITS = {
    "limit_max_requests": "max_requests",
    "limit_max_requests_jitter": "max_requests_jitter",
    "workers_lifetime": "max_lifetime",
    "workers_max_rss": "max_memory",
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add = parser.add_argument
    add("--workers", type=count, metavar="N", help="worker processes, each with the --pattern; "
        "also WEB_CONCURRENCY (1: this process serves)")  # fmt: skip
    add("--limit-max-requests", type=count, metavar="N",
        help="replace a worker process that has answered so many")  # fmt: skip
    add("--limit-max-requests-jitter", type=count, metavar="N",
        help="and up to so many more, drawn for each worker")  # fmt: skip
    add("--workers-lifetime", type=duration, metavar="TIME",
        help="replace a worker process that has served so long")  # fmt: skip
    add("--workers-max-rss", metavar="SIZE",
        help="replace a worker process with so much resident memory; 500MB")  # fmt: skip


def chosen_pattern(
    options: argparse.Namespace, environment: Mapping[str, str]
) -> Pattern | MultiProcess | None:
    """Return the pattern that the options name, with workers around it where they ask for some.

    Raises
    ------
    ValueError
        The options contradict each other.
    """
    pattern: Pattern | MultiProcess | None = options.pattern
    given = {
        name: value
        for flag, name in _LIMITS.items()
        if (value := getattr(options, flag)) is not None
    }
    if isinstance(pattern, MultiProcess):
        flags = [flag for flag, name in _LIMITS.items() if name in given]
        if options.workers is not None:
            flags.insert(0, "workers")
        if flags:
            flag = flags[0].replace("_", "-")
            raise ValueError(f"--{flag} and --pattern multi_process exclude each other: leave "
                             "one out")  # fmt: skip
        return pattern
    workers = options.workers or _web_concurrency(environment)
    if workers == 1 and not given:
        return pattern
    return multi_process(workers, inner=pattern or single_thread(), **given)


def _web_concurrency(environment: Mapping[str, str]) -> int:
    text = environment.get("WEB_CONCURRENCY") or "1"
    try:
        return count(text)
    except argparse.ArgumentTypeError as error:
        raise ValueError(f"WEB_CONCURRENCY={text!r}: {error}") from None
