"""Sends those who come without TLS to where there is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from millrace.filters.filter import Filter, Settings

__all__ = ["HTTPSRedirect"]


@dataclass(frozen=True, kw_only=True)
class HTTPSRedirect(Filter):
    """Redirects requests that came without TLS to the same URL with ``https``.

    Behind a proxy that ends TLS it needs `ProxyHeaders` before it: without knowing how the client
    came, it would redirect for ever.

    Parameters
    ----------
    status:
        308, or 307 where browsers must not remember it. Both keep method and body, unlike 301 and
        302 (RFC 9110 15.4.8, 15.4.9).
    port:
        Where HTTPS is served; 443 is not written. The request's own port is left out.

    Examples
    --------
    >>> import millrace as mr
    >>> app = mr.App()
    >>> app.filter(mr.filters.ProxyHeaders())
    >>> app.filter(mr.filters.HTTPSRedirect())
    """

    kind: ClassVar[str] = "https_redirect"

    status: Literal[307, 308] = 308
    port: int = 443

    def __post_init__(self) -> None:
        if self.status not in (307, 308):
            raise ValueError(f"status: {self.status}; 307 and 308 keep method and body, others not")
        if not 0 < self.port < 65536:
            raise ValueError(f"port: {self.port} is none; ports are from 1 to 65535")

    def settings(self) -> Settings:
        """Return what the engine's filter wants to know, by its names."""
        return {"status": self.status, "port": self.port}
