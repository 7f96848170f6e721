"""How much of a body requests may bring."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from millrace.filters.filter import Filter, Settings
from millrace.units import byte_count

__all__ = ["BodyLimit"]


@dataclass(frozen=True)
class BodyLimit(Filter):
    """Answers 413 to requests whose body is larger (RFC 9110 15.5.14).

    A length that is declared is refused before the body is read, and before ``100 Continue``. A
    chunked body is refused once it grows beyond; where a coroutine streams it, ``request.read()``
    and ``request.stream()`` raise `millrace.errors.MessageTooLarge`, which is a 413 if nobody
    catches it. It stands in place of ``Limits.body_bytes``, and may be above it; of several filters
    that see a request the last one counts, so that one for a prefix can allow more.

    Parameters
    ----------
    body_bytes:
        The most that is taken: a number of bytes, or a text such as ``"100MB"``. Zero: no body.

    Examples
    --------
    >>> import millrace as mr
    >>> app = mr.App()
    >>> app.filter(mr.filters.BodyLimit("64kB"))
    >>> app.filter(mr.filters.BodyLimit("1GB"), prefix="/upload")
    """

    kind: ClassVar[str] = "body_limit"

    body_bytes: int | str

    def __post_init__(self) -> None:
        self.settings()

    def settings(self) -> Settings:
        """Return what the engine's filter wants to know, by its names."""
        return {"bytes": byte_count(self.body_bytes)}
