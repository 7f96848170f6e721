"""Who asks: middleware that wants credentials before it lets a request go on.

Middleware, because checking credentials is Python code. So it stands before handlers only, and an
app that has it beside constant routes, files or metrics is refused unless these are said to be
public, or guarded by the filter `Credentials`. Answers of 404 and 405 never enter Python either:
they tell which paths there are.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Awaitable, Callable
from typing import Any

from millrace._core import Request, Response
from millrace.chain import is_async, takes

__all__ = ["Guard", "basic_auth", "bearer_auth", "quoted", "same_secret"]

_CREDENTIALS = re.compile(r"([!#$%&'*+\-.^_`|~0-9A-Za-z]+) +([A-Za-z0-9\-._~+/]+=*) *")


class _NotGiven(Exception):
    """There are no credentials of the wanted scheme."""


class _Malformed(Exception):
    """There are some, and they cannot be read."""


class Guard:
    """Middleware that lets no request go on without credentials.

    Parameters
    ----------
    check:
        Called with what `read` returns; whether it is a coroutine function is known.
    read:
        Takes the credentials out of a request.
    refusal:
        Answers for `read`'s error, or None where the check says no.
    """

    def __init__(
        self,
        check: Callable[..., Any],
        read: Callable[[Request], tuple[str, ...]],
        refusal: Callable[[Exception | None], Response],
    ) -> None:
        self._check, self._read, self._refusal = check, read, refusal

    def _take(self, request: Request, user: Any, first: str) -> Response | None:
        if not user:
            return self._refusal(None)
        request.state.user = first if user is True else user
        return None


class _Plain(Guard):
    def __call__(self, request: Request, call_next: Callable[[Request], Response]) -> Response:
        try:
            given = self._read(request)
        except (_NotGiven, _Malformed) as error:
            return self._refusal(error)
        return self._take(request, self._check(*given), given[0]) or call_next(request)


class _Awaited(Guard):
    async def __call__(
        self, request: Request, call_next: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        try:
            given = self._read(request)
        except (_NotGiven, _Malformed) as error:
            return self._refusal(error)
        return self._take(request, await self._check(*given), given[0]) or await call_next(request)


def basic_auth(check: Callable[[str, str], Any], *, realm: str = "private") -> Guard:
    """Return middleware that wants a user's name and password (RFC 7617).

    Passwords travel as they are: only over TLS.

    Parameters
    ----------
    check:
        Called with name and password; a plain or a coroutine function. What it returns, if true,
        is ``request.state.user``; True stands for the name. Compare secrets with `same_secret`.
    realm:
        What browsers show, and where they send the same credentials again.

    Examples
    --------
    >>> import millrace as mr
    >>> app = mr.App()
    >>> def check(name, password):
    ...     return name == "ada" and mr.filters.same_secret(password, "difference")
    >>> _ = app.middleware(mr.filters.basic_auth(check, realm="engine room"))
    """
    takes(check, "name", "password")
    challenge = f'Basic realm="{quoted(realm)}", charset="UTF-8"'

    def credentials(request: Request) -> tuple[str, str]:
        return _name_and_password(_credentials(request, "basic"))

    def refusal(error: Exception | None) -> Response:
        return _refusal(401, challenge)

    return (_Awaited if is_async(check) else _Plain)(check, credentials, refusal)


def bearer_auth(check: Callable[[str], Any], *, realm: str = "private") -> Guard:
    """Return middleware that wants a token (RFC 6750).

    A token that the check does not take is 401 with ``error="invalid_token"``; a field that cannot
    be read is 400 with ``error="invalid_request"``. Tokens travel as they are: only over TLS.

    Parameters
    ----------
    check:
        Called with the token; a plain or a coroutine function. What it returns, if true, is
        ``request.state.user``; True stands for the token.
    realm:
        A name for what is protected.

    Examples
    --------
    >>> import millrace as mr
    >>> app = mr.App()
    >>> users = {"d1ff3r3nc3": "ada"}
    >>> _ = app.middleware(mr.filters.bearer_auth(users.get))
    """
    takes(check, "token")
    challenge = f'Bearer realm="{quoted(realm)}"'

    def credentials(request: Request) -> tuple[str]:
        return (_credentials(request, "bearer"),)

    def refusal(error: Exception | None) -> Response:
        if isinstance(error, _NotGiven):
            return _refusal(401, challenge)  # RFC 6750 3.1: no error code
        if isinstance(error, _Malformed):
            return _refusal(400, challenge + ', error="invalid_request"')
        return _refusal(401, challenge + ', error="invalid_token"')

    return (_Awaited if is_async(check) else _Plain)(check, credentials, refusal)


def same_secret(given: str, expected: str) -> bool:
    """Whether two texts are the same, in a time that does not tell where they differ.

    Examples
    --------
    >>> same_secret("difference", "difference"), same_secret("differing", "difference")
    (True, False)
    """
    return hmac.compare_digest(given.encode(), expected.encode())


def _credentials(request: Request, scheme: str) -> str:
    """Return what follows a scheme in Authorization (RFC 9110 11.6.2)."""
    fields = request.headers.get_list("authorization")
    if not fields or not fields[0].lower().startswith(scheme):
        raise _NotGiven
    match = _CREDENTIALS.fullmatch(fields[0])
    if len(fields) > 1 or match is None:
        raise _Malformed
    if match[1].lower() != scheme:
        raise _NotGiven
    return match[2]


def _name_and_password(credentials: str) -> tuple[str, str]:
    try:
        text = base64.b64decode(credentials, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise _Malformed from None
    name, colon, password = text.partition(":")
    # RFC 7617 2: no control characters.
    if not colon or any(ord(c) < 32 or ord(c) == 127 for c in text):
        raise _Malformed
    return name, password


def quoted(realm: str) -> str:
    """Return a realm as it stands between quotes; ValueError where it cannot."""
    if not realm.isascii() or not realm.isprintable():
        raise ValueError(f"realm: {realm!r} cannot be sent in a field")
    return realm.replace("\\", "\\\\").replace('"', '\\"')


def _refusal(status: int, challenge: str) -> Response:
    text = "Unauthorized" if status == 401 else "Bad Request"
    return Response(text, status=status, headers={"www-authenticate": challenge})
