"""The suite's handlers as a bare ASGI 3 callable: no framework, so the server alone is measured."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from payload import BODY, EXTRA_HEADERS, HELLO, RECORDS

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

TEXT = (b"content-type", b"text/plain")
HELLO_HEADERS: Headers = [TEXT, (b"content-length", b"13")]
EXTRA = [(name.encode(), value.encode()) for name, value in EXTRA_HEADERS]
BODY_HEADERS: Headers = [
    (b"content-type", b"application/octet-stream"),
    (b"content-length", b"10240"),
]


async def answer(send: Send, headers: Headers, body: bytes) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    await answer(send, HELLO_HEADERS, HELLO)


async def user(scope: Scope, receive: Receive, send: Send) -> None:
    agent = next((value for name, value in scope["headers"] if name == b"user-agent"), b"")
    user_id = int(scope["path"][len("/users/") :])
    body = json.dumps({"id": user_id, "agent": agent.decode("latin-1")}).encode()
    length = str(len(body)).encode()
    await answer(send, [(b"content-type", b"application/json"), (b"content-length", length)], body)


async def sleep(scope: Scope, receive: Receive, send: Send) -> None:
    await asyncio.sleep(0)
    await answer(send, HELLO_HEADERS, HELLO)


async def big_body(scope: Scope, receive: Receive, send: Send) -> None:
    await answer(send, BODY_HEADERS, BODY)


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    message = await receive()
    body = bytes(message.get("body", b""))  # some servers hand out a memoryview
    while message.get("more_body", False):
        message = await receive()
        body += message.get("body", b"")
    await answer(send, BODY_HEADERS, body)


async def upload(scope: Scope, receive: Receive, send: Send) -> None:
    size, more = 0, True
    while more:
        message = await receive()
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
    body = str(size).encode()
    await answer(send, [TEXT, (b"content-length", str(len(body)).encode())], body)


async def hello_with_headers(scope: Scope, receive: Receive, send: Send) -> None:
    await answer(send, HELLO_HEADERS + EXTRA, HELLO)


def middleware(inner: Application) -> Application:
    """One layer around a handler that passes everything on, the least a middleware can do."""

    async def around(scope: Scope, receive: Receive, send: Send) -> None:
        await inner(scope, receive, send)

    return around


async def records(scope: Scope, receive: Receive, send: Send) -> None:
    length = str(len(RECORDS)).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", length)]
    await answer(send, headers, RECORDS)


HANDLERS: dict[str, Application] = {
    "/": hello,
    "/plain": hello,
    "/co": hello,
    "/sleep": sleep,
    "/body": big_body,
    "/echo": echo,
    "/upload": upload,
    "/records": records,
    "/middleware": middleware(hello_with_headers),
}


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] != "http":
        # Servers take this refusal as "no lifespan", as the specification has it.
        raise NotImplementedError(scope["type"])
    await HANDLERS.get(scope["path"], user)(scope, receive, send)
