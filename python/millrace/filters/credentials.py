"""Who may come in, where the server knows all of them."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from millrace.filters.auth import quoted
from millrace.filters.filter import Filter, Settings

__all__ = ["Credentials"]

_TOKEN = re.compile(r"[A-Za-z0-9\-._~+/]+=*")  # token68, RFC 9110 11.2


@dataclass(frozen=True, kw_only=True)
class Credentials(Filter):
    """Answers 401 to whoever does not bring one of these credentials (RFC 7617, RFC 6750).

    It guards all at and below its prefix, constant routes, files, metrics and answers of 404
    included. Where checking takes code of yours, or handlers have to know who asks, use
    `basic_auth` or `bearer_auth`. What is given is compared with all of them, in a time that does
    not tell where it differs. Passwords and tokens travel as they are: only over TLS.

    Parameters
    ----------
    users:
        Passwords by name, for Basic.
    tokens:
        Or tokens, for Bearer.
    realm:
        What browsers show, and where they send the same credentials again.

    Raises
    ------
    ValueError
        There are none, of both kinds, or one that cannot be sent.

    Examples
    --------
    >>> import millrace as mr
    >>> app = mr.App()
    >>> app.metrics("/metrics")
    >>> app.filter(mr.filters.Credentials(users={"ada": "difference"}), prefix="/metrics")
    """

    kind: ClassVar[str] = "credentials"

    users: Mapping[str, str] = field(default_factory=dict, repr=False)
    tokens: Sequence[str] = field(default=(), repr=False)
    realm: str = "private"

    def __post_init__(self) -> None:
        if isinstance(self.tokens, str):
            raise ValueError("tokens: write a list with at least one")
        if bool(self.users) == bool(self.tokens):
            raise ValueError("write users or tokens, one of them and not empty")
        for name, password in self.users.items():
            if ":" in name or not (name + password).isprintable():
                raise ValueError(f"users: {name!r} or its password has a colon or a control")
        if not all(_TOKEN.fullmatch(token) for token in self.tokens):
            raise ValueError("tokens: one has other than letters, digits and -._~+/, or is empty")
        quoted(self.realm)

    def settings(self) -> Settings:
        """Return what the engine's filter wants to know, by its names."""
        pairs = (f"{name}:{password}".encode() for name, password in self.users.items())
        realm = f'realm="{quoted(self.realm)}"'
        basic, bearer = f'Basic {realm}, charset="UTF-8"', f"Bearer {realm}"
        return {
            "scheme": "basic" if self.users else "bearer",
            "accepted": [base64.b64encode(pair).decode() for pair in pairs] or list(self.tokens),
            "challenge": basic if self.users else bearer,
            "challenge_again": basic if self.users else f'{bearer}, error="invalid_token"',
        }
