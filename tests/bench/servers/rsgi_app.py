"""The suite's handlers in RSGI, Granian's own interface."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from payload import BODY, EXTRA_HEADERS, HELLO

Handler = Callable[[Any, Any], Awaitable[None]]

TEXT = [("content-type", "text/plain")]
OCTETS = [("content-type", "application/octet-stream")]


async def hello(scope: Any, protocol: Any) -> None:
    protocol.response_bytes(200, TEXT, HELLO)


async def user(scope: Any, protocol: Any) -> None:
    answer = {
        "id": int(scope.path[len("/users/") :]),
        "agent": scope.headers.get("user-agent", ""),
    }
    protocol.response_str(200, [("content-type", "application/json")], json.dumps(answer))


async def sleep(scope: Any, protocol: Any) -> None:
    await asyncio.sleep(0)
    protocol.response_bytes(200, TEXT, HELLO)


async def big_body(scope: Any, protocol: Any) -> None:
    protocol.response_bytes(200, OCTETS, BODY)


async def echo(scope: Any, protocol: Any) -> None:
    protocol.response_bytes(200, OCTETS, await protocol())


async def upload(scope: Any, protocol: Any) -> None:
    size = 0
    async for piece in protocol:
        size += len(piece)
    protocol.response_str(200, TEXT, str(size))


async def hello_with_headers(scope: Any, protocol: Any) -> None:
    protocol.response_bytes(200, [*TEXT, *EXTRA_HEADERS], HELLO)


def middleware(inner: Handler) -> Handler:
    """One layer around a handler that passes everything on, the least a middleware can do."""

    async def around(scope: Any, protocol: Any) -> None:
        await inner(scope, protocol)

    return around


HANDLERS: dict[str, Handler] = {
    "/": hello,
    "/plain": hello,
    "/co": hello,
    "/sleep": sleep,
    "/body": big_body,
    "/echo": echo,
    "/upload": upload,
    "/middleware": middleware(hello_with_headers),
}


async def app(scope: Any, protocol: Any) -> None:
    await HANDLERS.get(scope.path, user)(scope, protocol)
