"""Entity tags for answers that have none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from millrace.filters.filter import Filter, Settings
from millrace.units import byte_count

__all__ = ["ETag"]


@dataclass(frozen=True, kw_only=True)
class ETag(Filter):
    """Gives whole answers to GET and HEAD a tag, and 304 to clients that have them already.

    The handler runs as before: what is saved is the sending (RFC 9110 13.1.2, 15.4.5). Answers of
    status 200 get the tag; one that the handler set stays, and is compared as well. Answers in
    pieces, and files, which have tags of their own, pass through. The tag is a 64-bit SipHash of
    the body and its length, the same in all workers; two states of a resource have the same one by
    chance in one of 10^19 cases, and who writes the content could at most make two of their own
    collide.

    Parameters
    ----------
    weak:
        Mark tags as weak: for answers that are equivalent without being the same byte for byte.
    max_bytes:
        Larger bodies get no tag: reading them costs about a millisecond for each MB, on the loop.

    Examples
    --------
    >>> import millrace as mr, urllib.request
    >>> app = mr.App()
    >>> app.filter(mr.filters.ETag())
    >>> app.respond("/", "hello")
    >>> with mr.Server(app) as server, urllib.request.urlopen(server.url) as answer:
    ...     print(answer.headers["etag"])
    "8cc15d5db2f752b9-5"
    """

    kind: ClassVar[str] = "etag"

    weak: bool = False
    max_bytes: int | str = "1MB"

    def __post_init__(self) -> None:
        byte_count(self.max_bytes)

    def settings(self) -> Settings:
        """Return what the engine's filter wants to know, by its names."""
        return {"weak": self.weak, "bytes": byte_count(self.max_bytes)}
