"""Numbers as people read them: ``"1.23 ms"``, ``"12,345"``, ``"1.5 MB"``."""

from __future__ import annotations

__all__ = ["count", "duration", "size"]

_DURATIONS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))
_SIZES = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1, "B"))


def duration(seconds: float) -> str:
    """Return a duration with three digits and the unit that fits.

    Examples
    --------
    >>> duration(0.0001234), duration(12.3456), duration(5e-9), duration(0)
    ('123 µs', '12.3 s', '5 ns', '0 s')
    """
    for unit, name in _DURATIONS:
        # What would be written as 1,000 of a unit is 1 of the next.
        if abs(seconds) >= unit * 0.9995:
            return f"{_three_digits(seconds / unit)} {name}"
    return "0 s" if seconds == 0 else f"{_three_digits(seconds / 1e-9)} ns"


def size(byte_count: float) -> str:
    """Return a number of bytes with three digits and a unit in thousands.

    Examples
    --------
    >>> size(80), size(1536), size(25_249_952)
    ('80 B', '1.54 kB', '25.2 MB')
    """
    for unit, name in _SIZES:
        if abs(byte_count) >= unit * 0.9995:
            return f"{_three_digits(byte_count / unit)} {name}"
    return "0 B"


def count(number: float) -> str:
    """Return a number with its thousands apart, whole from 1,000 on.

    Examples
    --------
    >>> count(1234567), count(4999.6), count(12.345), count(0)
    ('1,234,567', '5,000', '12.3', '0')
    """
    return f"{number:,.0f}" if number == int(number) or number >= 999.5 else _three_digits(number)


def _three_digits(number: float) -> str:
    if abs(number) >= 99.95:
        return f"{number:.0f}"
    text = f"{number:.1f}" if abs(number) >= 9.995 else f"{number:.2f}"
    return text.rstrip("0").rstrip(".")
