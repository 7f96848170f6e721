"""Cookies: what browsers send, and how they are told to (RFC 6265bis)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Literal

from millrace.http import MultiItems

__all__ = ["Cookies", "SameSite", "cookie_field"]

SameSite = Literal["lax", "strict", "none"]

_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE = re.compile(r"[!#-+\--:<-\[\]-~]*")  # RFC 6265bis 4.1.1, "cookie-octet"
_PATH = re.compile(r"/[ -:<-~]*")  # "av-octet"
_DOMAIN = re.compile(r"\.?[0-9A-Za-z](?:[0-9A-Za-z.-]*[0-9A-Za-z])?")

# Browsers drop what is longer (RFC 6265bis 5.6, 5.7).
_PAIR_BYTES = 4096
_ATTRIBUTE_BYTES = 1024


class Cookies(MultiItems[str]):
    """The cookies of a request. It cannot be changed.

    Browsers send the one with the longest path first, so indexing gives a name's first value;
    `get_list` gives all of them. Values are as they were sent, without quotes around them.

    Examples
    --------
    >>> cookies = Cookies([("theme", "dark"), ("theme", "light")])
    >>> cookies["theme"], cookies.get_list("theme"), cookies.get("session")
    ('dark', ['dark', 'light'], None)
    """

    __slots__ = ()

    def __init__(self, items: Iterable[tuple[str, str]] = ()) -> None:
        super().__init__(items)
        self._last = dict(reversed(self._items))

    def __repr__(self) -> str:
        return f"Cookies({self.multi_items()!r})"


def cookie_field(
    name: str,
    value: str,
    *,
    max_age: int | timedelta | None = None,
    expires: datetime | None = None,
    path: str | None = "/",
    domain: str | None = None,
    secure: bool = False,
    http_only: bool = True,
    same_site: SameSite | None = "lax",
    partitioned: bool = False,
) -> str:
    """Return the value of a Set-Cookie field; `Response.set_cookie` says what each means.

    Examples
    --------
    >>> cookie_field("theme", "dark", max_age=3600)
    'theme=dark; Max-Age=3600; Path=/; HttpOnly; SameSite=Lax'
    >>> cookie_field("__Host-id", "7", secure=True, same_site="strict")
    '__Host-id=7; Path=/; Secure; HttpOnly; SameSite=Strict'
    >>> cookie_field("__Host-id", "7")
    Traceback (most recent call last):
        ...
    ValueError: cookie '__Host-id': the prefix __Host- wants secure=True (RFC 6265bis 4.1.3)
    """
    _check_pair(name, value)
    _check_place(name, path, domain)
    _check_prefix(name, path, domain, secure)
    if not secure and same_site == "none":
        raise ValueError(f"cookie {name!r}: browsers drop same_site='none' without secure=True")
    if not secure and partitioned:
        raise ValueError(f"cookie {name!r}: browsers drop partitioned=True without secure=True")
    parts = [f"{name}={value}"]
    if max_age is not None:
        seconds = max_age.total_seconds() if isinstance(max_age, timedelta) else max_age
        parts.append(f"Max-Age={int(seconds)}")
    if expires is not None:
        parts.append(f"Expires={_date(name, expires)}")
    if domain is not None:
        parts.append(f"Domain={domain}")
    if path is not None:
        parts.append(f"Path={path}")
    parts += ["Secure"] * secure + ["HttpOnly"] * http_only
    if same_site is not None:
        if same_site not in ("lax", "strict", "none"):
            raise ValueError(f"same_site={same_site!r}: it is 'lax', 'strict', 'none' or None")
        parts.append(f"SameSite={same_site.capitalize()}")
    parts += ["Partitioned"] * partitioned
    return "; ".join(parts)


def _check_pair(name: str, value: str) -> None:
    if not _NAME.fullmatch(name):
        raise ValueError(f"cookie {name!r}: a name consists of letters, digits and !#$%&'*+-.^_`|~")
    if not _VALUE.fullmatch(value):
        raise ValueError(
            f"cookie {name!r}: its value has a character that no cookie may have (blanks, quotes, "
            "commas, semicolons, backslashes, what is not ASCII): encode it, with "
            "urllib.parse.quote for example"
        )
    if len(name) + len(value) > _PAIR_BYTES:
        raise ValueError(f"cookie {name!r}: browsers drop what is longer than {_PAIR_BYTES} bytes")


def _check_place(name: str, path: str | None, domain: str | None) -> None:
    for option, text, pattern in (("path", path, _PATH), ("domain", domain, _DOMAIN)):
        if text is None:
            continue
        if not pattern.fullmatch(text) or len(text) > _ATTRIBUTE_BYTES:
            raise ValueError(f"cookie {name!r}: {option}={text!r} is none, or browsers drop it")


def _check_prefix(name: str, path: str | None, domain: str | None, secure: bool) -> None:
    prefix = next((p for p in ("__Secure-", "__Host-") if name.lower().startswith(p.lower())), None)
    wants = ""
    if prefix and not secure:
        wants = "secure=True"
    elif prefix == "__Host-" and path != "/":
        wants = "path='/'"
    elif prefix == "__Host-" and domain is not None:
        wants = "no domain"
    if wants:
        raise ValueError(f"cookie {name!r}: the prefix {prefix} wants {wants} (RFC 6265bis 4.1.3)")


def _date(name: str, moment: datetime) -> str:
    if moment.tzinfo is None:
        raise ValueError(
            f"cookie {name!r}: expires={moment!r} has no time zone: use datetime.now(timezone.utc)"
        )
    return format_datetime(moment.astimezone(UTC), usegmt=True)
