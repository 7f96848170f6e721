"""A name for each request."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

from millrace.filters.filter import Filter, Settings

__all__ = ["RequestId"]

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")


@dataclass(frozen=True, kw_only=True)
class RequestId(Filter):
    """Gives each request an id, for its handler, its answer and the access log.

    It is a UUID of version 7 (RFC 9562 5.7): ids sort by the time at which they were made. The
    handler finds it in ``request.headers``, the access log as ``%{x-request-id}i``, and the answer
    has it in the same field, unless the handler sets one.

    Parameters
    ----------
    header:
        The field's name.
    trust:
        An id that the request brings is kept, if it is 1 to 128 letters, digits or ``-_.~+/=:@``.
        Off, because then anyone can give two requests one id: switch it on behind a proxy that
        sets the field itself.

    Examples
    --------
    >>> import millrace as mr, urllib.request
    >>> app = mr.App()
    >>> app.filter(mr.filters.RequestId())
    >>> @app.get("/")
    ... def show(request):
    ...     return request.headers["x-request-id"]
    >>> with mr.Server(app) as server, urllib.request.urlopen(server.url) as answer:
    ...     answer.read().decode() == answer.headers["x-request-id"]
    True
    """

    kind: ClassVar[str] = "request_id"

    header: str = "X-Request-ID"
    trust: bool = False

    def __post_init__(self) -> None:
        if not _TOKEN.fullmatch(self.header):
            raise ValueError(f"header: {self.header!r} is no field's name")

    def settings(self) -> Settings:
        """Return what the engine's filter wants to know, by its names."""
        return {"header": self.header, "trusted": self.trust}
