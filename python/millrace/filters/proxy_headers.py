"""Who the client behind trusted proxies is."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from millrace.filters.filter import Filter, Settings

__all__ = ["ProxyHeaders"]


@dataclass(frozen=True, kw_only=True)
class ProxyHeaders(Filter):
    """Believes what trusted proxies say of their client: its address, and whether it used TLS.

    ``request.client``, ``request.scheme``, the access log, `RateLimit`, `HTTPSRedirect` and
    `SecurityHeaders` go by it; put it first. The lists that proxies add to are read from the right,
    from hop to hop as long as the one who speaks is trusted, so what a client has written itself
    is never reached. The fields stay on the request as they came, from others too: read
    ``request.client``, not them.

    What cannot be read is ignored, from there on, and counted (``forwarded_malformed``).

    Parameters
    ----------
    trusted:
        Addresses and networks of proxies, such as ``"10.0.0.0/8"``; ``"unix"`` for whoever comes
        through a Unix socket; ``"*"`` for everybody, which is right only where nobody but the
        proxy can connect. The default is the same machine.
    fields:
        What the proxies send: ``"x-forwarded"`` for X-Forwarded-For and X-Forwarded-Proto,
        ``"forwarded"`` for Forwarded (RFC 7239). The other is not looked at: a proxy passes on
        what it does not know, so that a client could have written it.
    host:
        The host that they name (X-Forwarded-Host, ``host=``) counts for `TrustedHosts` and
        `HTTPSRedirect`. Off, because many proxies pass on what the client wrote there.
        ``request.headers["host"]`` stays what the proxy sent.

    Examples
    --------
    >>> import millrace as mr, urllib.request
    >>> app = mr.App()
    >>> app.filter(mr.filters.ProxyHeaders(trusted=["127.0.0.1"]))
    >>> @app.get("/")
    ... def show(request):
    ...     return f"{request.client[0]} {request.scheme}"
    >>> fields = {"X-Forwarded-For": "203.0.113.7", "X-Forwarded-Proto": "https"}
    >>> with mr.Server(app) as server:
    ...     request = urllib.request.Request(server.url, headers=fields)
    ...     urllib.request.urlopen(request).read()
    b'203.0.113.7 https'
    """

    kind: ClassVar[str] = "proxy_headers"

    trusted: Sequence[str] = ("127.0.0.1", "::1", "unix")
    fields: Literal["x-forwarded", "forwarded"] = "x-forwarded"
    host: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.trusted, str):
            raise ValueError(f"trusted: write a list, such as [{self.trusted!r}]")
        for name in self.trusted:
            if name not in ("*", "unix"):
                try:
                    ipaddress.ip_network(name)
                except ValueError as error:
                    raise ValueError(
                        f"trusted: {error}; write an address, a network such as '10.0.0.0/8', "
                        "'unix' or '*'"
                    ) from None
        if self.fields not in ("x-forwarded", "forwarded"):
            raise ValueError(f"fields: {self.fields!r}; write 'x-forwarded' or 'forwarded'")

    def settings(self) -> Settings:
        """Return what the engine's filter wants to know, by its names."""
        return {
            "trusted": list(self.trusted),
            "forwarded": self.fields == "forwarded",
            "host": self.host,
        }
