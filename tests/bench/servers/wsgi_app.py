"""The suite's handlers as a WSGI application (PEP 3333)."""

import json
from collections.abc import Callable
from typing import Any

from payload import BODY, EXTRA_HEADERS, HELLO

Environ = dict[str, Any]
StartResponse = Callable[[str, list[tuple[str, str]]], Any]
Application = Callable[[Environ, StartResponse], list[bytes]]

TEXT = ("Content-Type", "text/plain")
JSON = ("Content-Type", "application/json")
OCTETS = ("Content-Type", "application/octet-stream")


def hello(environ: Environ, start_response: StartResponse) -> list[bytes]:
    start_response("200 OK", [TEXT, ("Content-Length", "13")])
    return [HELLO]


def user(environ: Environ, start_response: StartResponse) -> list[bytes]:
    answer = {
        "id": int(environ["PATH_INFO"][len("/users/") :]),
        "agent": environ.get("HTTP_USER_AGENT", ""),
    }
    body = json.dumps(answer).encode()
    start_response("200 OK", [JSON, ("Content-Length", str(len(body)))])
    return [body]


def big_body(environ: Environ, start_response: StartResponse) -> list[bytes]:
    start_response("200 OK", [OCTETS, ("Content-Length", "10240")])
    return [BODY]


def echo(environ: Environ, start_response: StartResponse) -> list[bytes]:
    body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
    start_response("200 OK", [OCTETS, ("Content-Length", str(len(body)))])
    return [body]


def hello_with_headers(environ: Environ, start_response: StartResponse) -> list[bytes]:
    start_response("200 OK", [TEXT, ("Content-Length", "13"), *EXTRA_HEADERS])
    return [HELLO]


def middleware(inner: Application) -> Application:
    """One layer around a handler that passes everything on, the least a middleware can do."""

    def around(environ: Environ, start_response: StartResponse) -> list[bytes]:
        return inner(environ, start_response)

    return around


HANDLERS: dict[str, Application] = {
    "/": hello,
    "/plain": hello,
    "/body": big_body,
    "/echo": echo,
    "/middleware": middleware(hello_with_headers),
}


def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
    handler = HANDLERS.get(environ["PATH_INFO"], user)
    return handler(environ, start_response)
