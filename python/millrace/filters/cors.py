"""What pages of other origins may do."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from millrace.filters.filter import Filter, Settings
from millrace.units import seconds

__all__ = ["CORS"]

_ORIGIN = re.compile(r"null|[a-z][a-z0-9+.-]*://(\*\.)?(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:[0-9]+)?")
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")


@dataclass(frozen=True, kw_only=True)
class CORS(Filter):
    """Lets pages of other origins use what is served (WHATWG Fetch, "HTTP CORS protocol").

    Preflight requests are answered here, with 204, whether or not the path has a route for
    OPTIONS; from an origin that is not allowed with 403. Other requests go on, and their answers
    tell the browser who may read them: CORS keeps pages from reading answers, not requests from
    being made. Answers that depend on the origin say ``Vary: Origin``.

    Parameters
    ----------
    allow_origins:
        Such as ``"https://example.com"`` or ``"https://*.example.com"`` (all that lie below, not
        the domain itself); ``"*"`` alone allows all. No path, and no slash at the end.
    allow_methods:
        What other origins may send beside GET, HEAD and POST, which they always may; ``"*"``
        allows whatever is asked for.
    allow_headers:
        Fields they may send beside those that need no permission; ``"*"`` allows whatever is
        asked for.
    allow_credentials:
        Cookies and authorization come along, and the page may read what they give. Never with
        ``"*"`` as origin: every page of the web could act as the user.
    expose_headers:
        Fields of answers that the page may read beside those that need no permission.
    max_age:
        For how long browsers remember a preflight's answer: seconds, or a text such as
        ``"10min"``, the default, so that a change reaches everybody soon.

    Examples
    --------
    >>> import millrace as mr
    >>> app = mr.App()
    >>> app.filter(mr.filters.CORS(allow_origins=["https://example.com"], allow_methods=["PUT"]))
    """

    kind: ClassVar[str] = "cors"

    allow_origins: Sequence[str]
    allow_methods: Sequence[str] = ("GET", "HEAD", "POST")
    allow_headers: Sequence[str] = ()
    allow_credentials: bool = False
    expose_headers: Sequence[str] = ()
    max_age: float | str = 600

    def __post_init__(self) -> None:
        self._check_origins()
        for name in ("allow_methods", "allow_headers", "expose_headers"):
            words = getattr(self, name)
            if isinstance(words, str):
                raise ValueError(f"{name}: write a list, such as [{words!r}]")
            for word in words:
                if not _TOKEN.fullmatch(word):
                    raise ValueError(f"{name}: {word!r} cannot be sent in a field")
        if self.allow_credentials and "*" in self.expose_headers:
            raise ValueError("expose_headers: with credentials '*' is no wildcard; name them")
        seconds(self.max_age)

    def settings(self) -> Settings:
        """Return what the engine's filter wants to know, by its names."""
        return {
            "origins": [origin.lower() for origin in self.allow_origins],
            "any_origin": "*" in self.allow_origins,
            "credentials": self.allow_credentials,
            "methods": _all_or_list(self.allow_methods),
            "headers": _all_or_list(self.allow_headers),
            "exposed": ", ".join(self.expose_headers),
            "max_age": str(int(seconds(self.max_age))),
        }

    def _check_origins(self) -> None:
        if isinstance(self.allow_origins, str) or not self.allow_origins:
            raise ValueError("allow_origins: write a list with at least one, such as ['*']")
        for origin in self.allow_origins:
            if origin != "*" and not _ORIGIN.fullmatch(origin.lower()):
                raise ValueError(
                    f"allow_origins: {origin!r} is none; write scheme and host, and a port "
                    "where it is not the scheme's own, such as 'https://example.com'"
                )
        if "*" in self.allow_origins:
            if len(self.allow_origins) > 1:
                raise ValueError("allow_origins: '*' allows all; leave the others out")
            if self.allow_credentials:
                raise ValueError(
                    "allow_credentials: every page of the web could act as the user; name the "
                    "origins instead of '*'"
                )


def _all_or_list(words: Sequence[str]) -> str:
    return "*" if "*" in words else ", ".join(words)
