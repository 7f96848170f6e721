"""Requests, responses and what they are made of."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlencode

from millrace._core import Headers, Request, RequestHeaders, Response

__all__ = [
    "BackgroundTask",
    "HTTPError",
    "Headers",
    "MultiItems",
    "QueryParams",
    "Request",
    "RequestHeaders",
    "Response",
    "reason_phrase",
]


ValueT = TypeVar("ValueT")


class MultiItems(Mapping[str, ValueT]):
    """Names and values in their order; a name may come several times. It cannot be changed."""

    __slots__ = ("_items", "_last")

    def __init__(self, items: Iterable[tuple[str, ValueT]]) -> None:
        self._items: tuple[tuple[str, ValueT], ...] = tuple(items)
        self._last = dict(self._items)

    def __getitem__(self, name: str) -> ValueT:
        return self._last[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._last)

    def __len__(self) -> int:
        return len(self._last)

    def get_list(self, name: str) -> list[ValueT]:
        """Return every value of a name, in their order; none gives an empty list."""
        return [value for key, value in self._items if key == name]

    def multi_items(self) -> list[tuple[str, ValueT]]:
        """Return every name and value, in their order."""
        return list(self._items)


class QueryParams(MultiItems[str]):
    """The query of a URL: names and values, decoded, in their order. It cannot be changed.

    A name may come several times: indexing gives its last value, `get_list` all of them.

    Parameters
    ----------
    query:
        A query string without its ``?``, a mapping, pairs, or another `QueryParams`. Strings are
        decoded as forms are sent: ``%41`` is ``A``, ``+`` a space, bytes are UTF-8.

    Examples
    --------
    >>> query = QueryParams("tag=new&tag=hot&q=caf%C3%A9+noir")
    >>> query["q"], query["tag"], query.get_list("tag"), query.get("page", "1")
    ('café noir', 'hot', ['new', 'hot'], '1')
    """

    __slots__ = ()

    def __init__(
        self, query: str | Mapping[str, object] | Sequence[tuple[str, object]] = ""
    ) -> None:
        super().__init__(_pairs(query))

    def __hash__(self) -> int:
        return hash(frozenset(self._items))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, QueryParams):
            return NotImplemented
        return sorted(self._items) == sorted(other._items)

    def __repr__(self) -> str:
        return f"QueryParams({str(self)!r})"

    def __str__(self) -> str:
        return urlencode(self._items)


def _pairs(
    query: str | Mapping[str, object] | Sequence[tuple[str, object]],
) -> Iterator[tuple[str, str]]:
    if isinstance(query, str):
        yield from parse_qsl(query, keep_blank_values=True)
    elif isinstance(query, QueryParams):
        yield from query.multi_items()
    else:
        items = query.items() if isinstance(query, Mapping) else query
        yield from ((str(name), str(value)) for name, value in items)


class HTTPError(Exception):
    """Raise it in a handler to answer with a status.

    Parameters
    ----------
    status:
        The status code, 400 to 599.
    detail:
        The body: text, or what goes into JSON. Without it, the status's reason phrase.
    headers:
        Further header fields.

    Examples
    --------
    >>> HTTPError(404, detail="no such user").as_response().status
    404
    """

    def __init__(
        self,
        status: int,
        detail: Any = None,
        *,
        headers: Mapping[str, str] | Sequence[tuple[str, str]] | None = None,
    ) -> None:
        if not 400 <= status <= 599:
            raise ValueError(f"status={status}: an HTTPError has a status from 400 to 599")
        self.status = status
        self.detail = reason_phrase(status) if detail is None else detail
        self.headers = headers
        super().__init__(status, self.detail)

    def __str__(self) -> str:
        return f"{self.status} {self.detail}"

    def as_response(self) -> Response:
        """Return the answer it stands for."""
        return Response(self.detail, status=self.status, headers=self.headers)


def server_timing_field(name: str, seconds: float | None, description: str | None) -> str:
    """Return a Server-Timing field's value (W3C Server Timing).

    Examples
    --------
    >>> server_timing_field("db", 0.0125, "users"), server_timing_field("hit", None, None)
    ('db;dur=12.5;desc="users"', 'hit')
    """
    if not _TOKEN.fullmatch(name):
        raise ValueError(
            f"{name!r}: a metric's name consists of letters, digits and !#$%&'*+-.^_`|~"
        )
    field = name
    if seconds is not None:
        field += f";dur={round(seconds * 1000, 3):g}"
    if description is not None:
        if not (description.isascii() and description.isprintable()):
            raise ValueError(f"description={description!r}: a field has printable ASCII only")
        quoted = description.replace("\\", "\\\\").replace('"', '\\"')
        field += f';desc="{quoted}"'
    return field


_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")


class BackgroundTask:
    """Work for after the answer: ``Response(background=BackgroundTask(function, argument))``.

    A coroutine function runs on the server's asyncio loop, a plain function on a thread. An error
    is logged. The server finishes such work, within its drain time, before it stops.

    Parameters
    ----------
    function:
        What to call once the answer is out; plain or a coroutine function.
    *args, **kwargs:
        What to call it with.

    Examples
    --------
    >>> BackgroundTask(print, "sent", flush=True)
    BackgroundTask(print)
    """

    def __init__(self, function: Callable[..., object], *args: object, **kwargs: object) -> None:
        if not callable(function):
            raise TypeError(f"{function!r} cannot be called: pass the function, then its arguments")
        self.function = function
        self.args = args
        self.kwargs = kwargs

    def __repr__(self) -> str:
        return f"BackgroundTask({getattr(self.function, '__name__', self.function)})"

    def __call__(self) -> object:
        """Call the function; a coroutine function gives its coroutine."""
        return self.function(*self.args, **self.kwargs)


def reason_phrase(status: int) -> str:
    """Return a status code's phrase (RFC 9110 15), or an empty text for an unknown one.

    Examples
    --------
    >>> reason_phrase(404), reason_phrase(299)
    ('Not Found', '')
    """
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
