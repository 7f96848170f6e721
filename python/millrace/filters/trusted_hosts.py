"""Which hosts a server answers for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from millrace.filters.filter import Filter, Settings

__all__ = ["TrustedHosts"]

_HOST = re.compile(r"\*|(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\]")


@dataclass(frozen=True)
class TrustedHosts(Filter):
    """Answers 421 to requests for other hosts than these (RFC 9110 7.4, 15.5.20).

    So that nobody can have a page made with links to a host of their choice, or read a server of
    the local network through a name of their own (DNS rebinding). The port does not count.

    Parameters
    ----------
    hosts:
        Names or addresses without ports, such as ``"example.com"``, ``"[::1]"``, or
        ``"*.example.com"`` for all that lie below (not the domain itself); ``"*"`` alone for all.

    Examples
    --------
    >>> import millrace as mr
    >>> app = mr.App()
    >>> app.filter(mr.filters.TrustedHosts(["example.com", "*.example.com"]))
    """

    kind: ClassVar[str] = "trusted_hosts"

    hosts: Sequence[str]

    def __post_init__(self) -> None:
        if isinstance(self.hosts, str) or not self.hosts:
            raise ValueError("hosts: write a list with at least one, such as ['example.com']")
        for host in self.hosts:
            if not _HOST.fullmatch(host.lower()):
                raise ValueError(
                    f"hosts: {host!r} is none; write it without scheme and port, such as "
                    "'example.com', '*.example.com' or '[::1]'"
                )

    def settings(self) -> Settings:
        """Return what the engine's filter wants to know, by its names."""
        return {"hosts": [host.lower() for host in self.hosts]}
