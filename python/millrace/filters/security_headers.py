"""Fields that tell browsers what a page must not be used for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from millrace.filters.filter import Filter, Settings
from millrace.units import seconds

__all__ = ["SecurityHeaders"]


@dataclass(frozen=True, kw_only=True)
class SecurityHeaders(Filter):
    """Puts fields on every answer that tell browsers to be careful with it.

    A field that the answer has already stays as it is; None leaves a field out. The defaults are
    what does no harm to a page that knows nothing of them: no guessing of content types, no
    framing by other sites, no paths in Referer for other sites.

    Parameters
    ----------
    content_type_options:
        X-Content-Type-Options (WHATWG Fetch): browsers do not guess what a body is.
    frame_options:
        X-Frame-Options (RFC 7034): who may show the page in a frame.
    referrer_policy:
        Referrer-Policy (W3C): what other sites learn of the page's URL.
    opener_policy:
        Cross-Origin-Opener-Policy (WHATWG HTML): what pages in other windows can reach.
    content_security_policy, permissions_policy:
        The fields of these names; what they allow is the page's to know.
    transport_security:
        For how long browsers use nothing but HTTPS for the host: seconds, or a text such as
        ``"365d"`` (RFC 6797). It is sent over TLS only, also where a trusted proxy has ended it.
    other:
        More fields of this kind.

    Examples
    --------
    >>> import millrace as mr, urllib.request
    >>> app = mr.App()
    >>> app.respond("/", "hello")
    >>> app.filter(mr.filters.SecurityHeaders(frame_options="SAMEORIGIN"))
    >>> with mr.Server(app) as server, urllib.request.urlopen(server.url) as answer:
    ...     print(answer.headers["x-frame-options"], answer.headers["x-content-type-options"])
    SAMEORIGIN nosniff
    """

    kind: ClassVar[str] = "security_headers"

    content_type_options: Literal["nosniff"] | None = "nosniff"
    frame_options: Literal["DENY", "SAMEORIGIN"] | None = "DENY"
    referrer_policy: str | None = "strict-origin-when-cross-origin"
    opener_policy: str | None = "same-origin"
    content_security_policy: str | None = None
    permissions_policy: str | None = None
    transport_security: float | str | None = None
    other: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, value in self._fields():
            if not value.isprintable():
                raise ValueError(f"{name}: {value!r} cannot be sent in a field")
        self._secure_fields()

    def settings(self) -> Settings:
        """Return what the engine's filter wants to know, by its names."""
        always, secure = dict(self._fields()), self._secure_fields()
        return {
            "names": list(always),
            "values": list(always.values()),
            "secure_names": list(secure),
            "secure_values": list(secure.values()),
        }

    def _fields(self) -> Iterator[tuple[str, str]]:
        named = {
            "X-Content-Type-Options": self.content_type_options,
            "X-Frame-Options": self.frame_options,
            "Referrer-Policy": self.referrer_policy,
            "Cross-Origin-Opener-Policy": self.opener_policy,
            "Content-Security-Policy": self.content_security_policy,
            "Permissions-Policy": self.permissions_policy,
        }
        yield from ((name, value) for name, value in named.items() if value is not None)
        yield from self.other.items()

    def _secure_fields(self) -> dict[str, str]:
        if self.transport_security is None:
            return {}
        return {"Strict-Transport-Security": f"max-age={int(seconds(self.transport_security))}"}
