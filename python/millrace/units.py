"""Durations and sizes as people write them: ``"50ms"``, ``"64kB"``."""

from __future__ import annotations

import re

__all__ = ["byte_count", "seconds"]

_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86_400.0}

# SI prefixes count in thousands, IEC ones in 1,024s.
_BYTES = {
    "b": 1,
    "kb": 1000,
    "mb": 1000**2,
    "gb": 1000**3,
    "kib": 1024,
    "mib": 1024**2,
    "gib": 1024**3,
}

_NUMBER_AND_UNIT = re.compile(r"\s*([0-9]*\.?[0-9]+)\s*([a-zA-Zµ]*)\s*")


def seconds(duration: float | str) -> float:
    """Return a duration in seconds.

    Parameters
    ----------
    duration:
        A number of seconds, or a number with one of the units us, ms, s, min and h.

    Raises
    ------
    ValueError
        The text is no duration, or it is negative or not finite.

    Examples
    --------
    >>> seconds("50ms"), seconds("1.5 s"), seconds("2min"), seconds(3)
    (0.05, 1.5, 120.0, 3.0)
    """
    if isinstance(duration, str):
        number, unit = _split(duration, "duration", "'50ms', '10s' or a number of seconds")
        scale = _SECONDS.get("us" if unit == "µs" else unit or "s")
        if scale is None:
            raise ValueError(f"{duration!r}: unknown unit {unit!r}; use us, ms, s, min, h or d")
        # Through whole microseconds, so that "50ms" is 0.05 and not its neighbour.
        return round(number * scale * 1e6) / 1e6
    value = float(duration)
    if not 0 <= value < float("inf"):
        raise ValueError(f"{duration!r} is no duration; write zero or more seconds, such as '50ms'")
    return value


def byte_count(size: int | str) -> int:
    """Return a size in bytes.

    Parameters
    ----------
    size:
        A number of bytes, or a number with one of the units B, kB, MB, GB (thousands) and KiB,
        MiB, GiB (1,024s), in any letter case.

    Raises
    ------
    ValueError
        The text is no size, or it is negative or not whole.

    Examples
    --------
    >>> byte_count("64kB"), byte_count("64KiB"), byte_count("1.5MB"), byte_count(80)
    (64000, 65536, 1500000, 80)
    """
    if isinstance(size, str):
        number, unit = _split(size, "size", "'64kB', '16MiB' or a number of bytes")
        scale = _BYTES.get(unit.lower() or "b")
        if scale is None:
            raise ValueError(f"{size!r}: unknown unit {unit!r}; use B, kB, MB, GB, KiB, MiB or GiB")
        value = number * scale
    else:
        value = size
    if value < 0 or value != int(value):
        raise ValueError(f"{size!r} is no size; write zero or more whole bytes, such as '64kB'")
    return int(value)


def _split(text: str, what: str, remedy: str) -> tuple[float, str]:
    match = _NUMBER_AND_UNIT.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no {what}; write {remedy}")
    return float(match[1]), match[2]
