"""How the command line reads its options: errors name the option and the remedy."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import wraps
from typing import Any, NoReturn, TypeVar

from millrace import _core
from millrace.units import seconds

__all__ = [
    "Each",
    "Parser",
    "count",
    "descriptor",
    "duration",
    "log_format",
    "port_number",
    "rate",
    "reader",
]

T = TypeVar("T")


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line and where to read more; the exit code is 2."""

    def __init__(self, *, prog: str, description: str, epilog: str) -> None:
        super().__init__(
            prog=prog,
            description=description,
            epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n(see {self.prog} --help)\n")


class Each(argparse.Action):
    """An option that may be given several times; the first one replaces the default."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        """Add one value."""
        so_far = getattr(namespace, self.dest)
        setattr(namespace, self.dest, [*(so_far if so_far is not self.default else ()), values])


def reader(read: Callable[[str], T]) -> Callable[[str], T]:
    """Make a ValueError of a reader show as it is, behind the option's name."""

    @wraps(read)
    def read_text(text: str) -> T:
        try:
            return read(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return read_text


@reader
def port_number(text: str) -> int:
    """Read a TCP port, 0 included."""
    return _whole(text, 0, 65_535)


@reader
def descriptor(text: str) -> int:
    """Read the number of an open descriptor."""
    return _whole(text, 0, 2**31 - 1)


@reader
def count(text: str) -> int:
    """Read a whole number from 1."""
    return _whole(text, 1, 2**31 - 1)


@reader
def log_format(text: str) -> str:
    """Read a format of the access log."""
    _core.check_log_format(text)
    return text


@reader
def duration(text: str) -> float:
    """Read a duration in seconds, as `seconds` does."""
    return seconds(text)


@reader
def rate(text: str) -> float:
    """Read a number of requests per second."""
    try:
        number = float(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a number of requests per second") from None
    if not 0 < number < float("inf"):
        raise ValueError(f"{text} requests per second cannot be sent; write more than 0")
    return number


def _whole(text: str, least: int, most: int) -> int:
    try:
        number = int(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a whole number") from None
    if not least <= number <= most:
        raise ValueError(f"{number} is not from {least} to {most}")
    return number
