"""JSON lines, one value a line, both ways (application/x-ndjson)."""

from __future__ import annotations

import importlib
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping, Sequence
from typing import Any

from millrace import _core
from millrace._core import Headers, Request, Response
from millrace.errors import MillraceError, from_code
from millrace.units import byte_count

__all__ = ["JSONLineReader", "JSONLines"]


class JSONLines(Response):
    """An answer of JSON values, one a line, each sent when it is there.

    Parameters
    ----------
    values:
        An iterable or an asynchronous one. In a plain function it is pulled where that ran.
    status, headers, content_type, background:
        As for `Response`.

    Examples
    --------
    >>> import millrace as mr, urllib.request
    >>> app = mr.App()
    >>> @app.get("/")
    ... def squares(request):
    ...     return mr.JSONLines({"n": n, "square": n * n} for n in range(3))
    >>> with mr.Server(app) as server, urllib.request.urlopen(server.url) as answer:
    ...     answer.headers["content-type"], answer.read().splitlines()[-1]
    ('application/x-ndjson', b'{"n":2,"square":4}')
    """

    def __init__(
        self,
        values: Iterable[Any] | AsyncIterable[Any],
        *,
        status: int = 200,
        headers: Mapping[str, str] | Sequence[tuple[str, str]] | Headers | None = None,
        content_type: str = "application/x-ndjson",
        background: Any = None,
    ) -> None:
        lines = _async_lines(values) if isinstance(values, AsyncIterable) else _lines(values)
        super().__init__(
            lines, status=status, headers=headers, content_type=content_type, background=background
        )


def _line(value: Any) -> bytes:
    return _core.encode_json(value) + b"\n"


def _lines(values: Iterable[Any]) -> Iterator[bytes]:
    for value in values:
        yield _line(value)


async def _async_lines(values: AsyncIterable[Any]) -> AsyncIterator[bytes]:
    async for value in values:
        yield _line(value)


class JSONLineReader:
    """The values of a body of JSON lines: ``for`` in plain functions, ``async for`` in coroutines.

    Empty lines are passed over. A line that is no JSON is 400, a longer one than the limit 413, if
    the handler does not catch `errors.RemoteProtocolError`.
    """

    def __init__(self, request: Request, line_bytes: int | str) -> None:
        self._request = request
        self._most = byte_count(line_bytes)
        self._rest = bytearray()
        self._number = 0

    def __iter__(self) -> Iterator[Any]:
        yield from self._take(self._request.body)
        yield from self._take_last()

    async def __aiter__(self) -> AsyncIterator[Any]:
        async for piece in self._request.stream():
            for value in self._take(piece):
                yield value
        for value in self._take_last():
            yield value

    def _take(self, piece: bytes) -> Iterator[Any]:
        *lines, rest = piece.split(b"\n")
        for line in lines:
            whole = bytes(self._rest) + line
            self._rest.clear()
            yield from self._read(whole)
        self._rest += rest
        self._check(len(self._rest))

    def _take_last(self) -> Iterator[Any]:
        yield from self._read(bytes(self._rest))

    def _read(self, line: bytes) -> Iterator[Any]:
        self._number += 1
        self._check(len(line))
        if line.isspace() or not line:
            return
        try:
            value = importlib.import_module("millrace._host").load_json(line)
        except ValueError as error:
            raise self._refusal("malformed_message", f"line {self._number}: {error}") from None
        yield value

    def _check(self, size: int) -> None:
        if size > self._most:
            raise self._refusal("body_too_large", f"a line is longer than line_bytes={self._most}")

    def _refusal(self, code: str, message: str) -> MillraceError:
        self._request._count_refusal()
        return from_code(code, message)
