"""How a stream of bytes is cut into messages; the same on both sides of a connection.

Examples
--------
>>> import millrace as mr
>>> mr.framing.lines(max_bytes="8kB").max_bytes
8000
"""

from __future__ import annotations

from millrace import _core
from millrace._core import Framing
from millrace.units import byte_count

__all__ = ["Framing", "length_prefixed", "lines"]

# The engine has the defaults.
_DEFAULT = _core.Framing()


def lines(*, max_bytes: int | str = _DEFAULT.max_bytes) -> Framing:
    r"""Messages are lines: they end with LF, or with CR LF; what is sent gets an LF.

    Parameters
    ----------
    max_bytes:
        Of a line without its end; a longer one ends the connection.

    Raises
    ------
    InvalidOption
        ``max_bytes`` is 0.

    Examples
    --------
    >>> lines().max_bytes
    65536
    """
    return _core.Framing.lines(max_bytes=byte_count(max_bytes))


def length_prefixed(
    *, bytes: int = _DEFAULT.prefix_bytes, max_bytes: int | str = _DEFAULT.max_bytes
) -> Framing:
    """Messages have their length before them, as a big-endian number.

    Parameters
    ----------
    bytes:
        Of the length: 1, 2, 4 or 8.
    max_bytes:
        Of a message without its length; a longer one ends the connection.

    Raises
    ------
    InvalidOption
        The length has another size, or cannot say ``max_bytes``.

    Examples
    --------
    >>> length_prefixed(bytes=2, max_bytes="4kB").prefix_bytes
    2
    """
    return _core.Framing.length_prefixed(bytes=bytes, max_bytes=byte_count(max_bytes))
