"""Does a server answer a row's request as it should? Asked before every measurement."""

import gzip
import http.client
import json
import socket

import zstandard

from suite.rows import Message, Row

TIMEOUT_S = 5


class WrongAnswer(RuntimeError):
    """A server that answers something else is not measured."""


def check_answer(row: Row, port: int, *, body_matters: bool = True) -> None:
    """Send the row's request once.

    The raw loop says the same to everything: of it only the status is asked.

    Raises
    ------
    WrongAnswer
        Status, body or headers differ from the row's, or no answer came.
    """
    if isinstance(row.request, Message):
        _check_echo(row.request, port)
        return
    headers = dict(line.split(": ", 1) for line in row.request.headers)
    body = b"x" * row.request.body_bytes or None
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
    try:
        connection.request(row.request.method, row.request.path, body, headers)
        response = connection.getresponse()
        received = response.read()
    except (OSError, http.client.HTTPException) as error:
        raise WrongAnswer(f"no answer to {row.request.path}: {error!r}") from error
    finally:
        connection.close()
    if response.status != 200:
        raise WrongAnswer(f"status {response.status} for {row.request.path}")
    if not body_matters:
        return
    received = _decoded(received, response.getheader("content-encoding"))
    if not _is_expected(received, row.answer.body):
        raise WrongAnswer(f"wrong body for {row.request.path}: {received[:60]!r}")
    for name, value in row.answer.headers:
        if response.getheader(name) != value:
            raise WrongAnswer(f"header {name} is {response.getheader(name)!r}, not {value!r}")


def _decoded(body: bytes, coding: str | None) -> bytes:
    try:
        if coding == "gzip":
            return gzip.decompress(body)
        if coding == "zstd":
            return zstandard.ZstdDecompressor().decompressobj().decompress(body)
    except (OSError, EOFError, zstandard.ZstdError) as error:
        raise WrongAnswer(f"a body that is not {coding}: {error}") from error
    return body


def _check_echo(message: Message, port: int) -> None:
    sent = bytes(i % 256 for i in range(message.size))
    kind = socket.SOCK_DGRAM if message.transport == "udp" else socket.SOCK_STREAM
    try:
        with socket.socket(type=kind) as connection:
            connection.settimeout(TIMEOUT_S)
            connection.connect(("127.0.0.1", port))
            connection.sendall(sent)
            received = b""
            while len(received) < message.size and (more := connection.recv(message.size)):
                received += more
    except OSError as error:
        raise WrongAnswer(f"no echo: {error!r}") from error
    if received != sent:
        raise WrongAnswer(f"wrong echo: {received[:60]!r}")


def _is_expected(received: bytes, expected: bytes | dict[str, object]) -> bool:
    if isinstance(expected, bytes):
        return received == expected
    try:
        return bool(json.loads(received) == expected)
    except ValueError:
        return False
