"""How often each client may ask."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

from millrace.filters.filter import Filter, Settings

__all__ = ["RateLimit"]

_HEADER_KEY = re.compile(r"header:[!#$%&'*+\-.^_`|~0-9A-Za-z]+")


@dataclass(frozen=True, kw_only=True)
class RateLimit(Filter):
    """Answers 429 with Retry-After to clients that ask too often (RFC 6585 4).

    Each key has a bucket of ``burst`` tokens that gets ``rate`` of them back each second; a request
    takes one. Loops share the buckets. Each worker process has its own, so that with four workers
    a client whose connections reach all of them gets up to four times as much.

    Parameters
    ----------
    rate:
        Requests a second, in the long run; ``1 / 60`` is one a minute.
    burst:
        Requests at once, after a pause.
    key:
        Who shares a bucket: ``"client"``, by address (of IPv6 the /64, which is what one customer
        gets; behind proxies put `ProxyHeaders` first), ``"everyone"``, or ``"header:X-API-Key"``,
        by the value of a field. Use a field only where something before this checks it: who can
        make values up has a full bucket for each. Requests without it go by address.
    max_keys:
        Keys that are known at a time, 16 bytes each. When they are more, those with the fullest
        buckets are forgotten. The default holds more clients than ask within a burst's time.
    fields:
        Send RateLimit and RateLimit-Policy (draft-ietf-httpapi-ratelimit-headers-10). Off, until
        it is a standard.

    Examples
    --------
    >>> import millrace as mr
    >>> app = mr.App()
    >>> app.filter(mr.filters.RateLimit(rate=10, burst=20), prefix="/api")
    """

    kind: ClassVar[str] = "rate_limit"

    rate: float
    burst: int
    key: str = "client"
    max_keys: int = 65_536
    fields: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.rate <= 1e9:
            raise ValueError(f"rate: {self.rate!r}; write how many requests a second, such as 10")
        if self.burst < 1:
            raise ValueError(f"burst: {self.burst!r}; at least one request has to get through")
        if self.burst / self.rate > 366 * 86_400:
            raise ValueError("burst: it would take more than a year to fill; raise the rate")
        if self.max_keys < 1:
            raise ValueError(f"max_keys: {self.max_keys!r}; at least one")
        if self.key not in ("client", "everyone") and not _HEADER_KEY.fullmatch(self.key):
            raise ValueError(
                f"key: {self.key!r}; write 'client', 'everyone' or a field as 'header:X-API-Key'"
            )

    def settings(self) -> Settings:
        """Return what the engine's filter wants to know, by its names."""
        return {
            "rate": float(self.rate),
            "burst": self.burst,
            "key": self.key,
            "keys": self.max_keys,
            "fields": self.fields,
        }
