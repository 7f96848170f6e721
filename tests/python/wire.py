"""A client that says exactly what it is told, byte by byte, and reads answers without mercy."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import millrace as mr

# Far above what anything here takes: a test that runs into it has found a hang.
PATIENCE_S = 20


@dataclass
class Answer:
    status: int
    reason: str
    fields: list[tuple[str, str]]
    body: bytes = b""
    trailers: list[tuple[str, str]] = field(default_factory=list)
    version: str = "HTTP/1.1"

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.fields if key.lower() == name.lower()]

    def header(self, name: str) -> str | None:
        values = self.all(name)
        assert len(values) < 2, f"{name} came {len(values)} times"
        return values[0] if values else None

    @property
    def text(self) -> str:
        return self.body.decode()

    def json(self) -> Any:
        return json.loads(self.body)


class Gone(Exception):
    """The server closed inside an answer, or before one."""


class Wire:
    """One connection. A context manager."""

    def __init__(self, server: mr.Server, *, receive_buffer: int | None = None) -> None:
        self.socket = socket.socket()
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(PATIENCE_S)
        try:
            self.socket.connect(("127.0.0.1", server.port))
        except BaseException:
            self.socket.close()
            raise
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = b""

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *error: object) -> None:
        self.socket.close()

    def send(self, *pieces: bytes | str) -> Wire:
        for piece in pieces:
            self.socket.sendall(piece.encode("latin-1") if isinstance(piece, str) else piece)
        return self

    def ask(
        self,
        method: str,
        target: str,
        headers: Iterable[tuple[str, str]] | dict[str, str] = (),
        body: bytes | None = None,
    ) -> Answer:
        self.send(request(method, target, headers, body))
        return self.read(to=method)

    def get(self, target: str, headers: dict[str, str] | None = None) -> Answer:
        return self.ask("GET", target, headers or {})

    def read(self, *, to: str = "GET") -> Answer:
        """Read one answer, an interim one included."""
        head = self.read_until(b"\r\n\r\n")
        start, *lines = head[:-4].split(b"\r\n")
        version, status, reason = start.decode("latin-1").split(" ", 2)
        answer = Answer(int(status), reason, _fields(lines), version=version)
        if to == "HEAD" or answer.status < 200 or answer.status in (204, 304):
            return answer
        length = answer.header("content-length")
        if (answer.header("transfer-encoding") or "").lower() == "chunked":
            assert length is None, "both a length and chunks (RFC 9112 6.3)"
            self._read_chunks(answer)
        elif length is not None:
            answer.body = self.read_exactly(int(length))
        else:
            answer.body = self.read_to_end()
        return answer

    def read_until(self, mark: bytes) -> bytes:
        while mark not in self._buffer:
            self._receive()
        at = self._buffer.index(mark) + len(mark)
        found, self._buffer = self._buffer[:at], self._buffer[at:]
        return found

    def read_exactly(self, size: int) -> bytes:
        pieces, have = [self._buffer], len(self._buffer)
        while have < size:
            piece = self.socket.recv(1 << 20)
            if not piece:
                raise Gone(f"after {have} of {size} bytes")
            pieces.append(piece)
            have += len(piece)
        everything = b"".join(pieces)
        self._buffer = everything[size:]
        return everything[:size]

    def read_to_end(self) -> bytes:
        """Read until the server closes; a reset is `ConnectionResetError`."""
        pieces = [self._buffer]
        self._buffer = b""
        while piece := self.socket.recv(1 << 20):
            pieces.append(piece)
        return b"".join(pieces)

    def is_closed_cleanly(self) -> bool:
        """Whether the server closes next, with nothing more said."""
        return self.read_to_end() == b""

    def finish_sending(self) -> Wire:
        self.socket.shutdown(socket.SHUT_WR)
        return self

    def reset(self) -> None:
        """Leave with a reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def _receive(self) -> None:
        piece = self.socket.recv(1 << 16)
        if not piece:
            raise Gone(f"after {self._buffer!r}")
        self._buffer += piece

    def _read_chunks(self, answer: Answer) -> None:
        pieces = []
        while size := int(self.read_until(b"\r\n").split(b";")[0], 16):
            pieces.append(self.read_exactly(size))
            assert self.read_exactly(2) == b"\r\n"
        answer.body = b"".join(pieces)
        while (line := self.read_until(b"\r\n")) != b"\r\n":
            answer.trailers += _fields([line[:-2]])


def request(
    method: str,
    target: str,
    headers: Iterable[tuple[str, str]] | dict[str, str] = (),
    body: bytes | None = None,
) -> bytes:
    """Return a proper request's bytes; Host and Content-Length are added."""
    pairs = list(headers.items() if isinstance(headers, dict) else headers)
    given = {name.lower() for name, _ in pairs}
    if "host" not in given:
        pairs.insert(0, ("Host", "test"))
    if body is not None and not given & {"content-length", "transfer-encoding"}:
        pairs.append(("Content-Length", str(len(body))))
    head = "".join(f"{name}: {value}\r\n" for name, value in pairs)
    return f"{method} {target} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + (body or b"")


def chunked(*pieces: bytes, trailers: str = "") -> bytes:
    """Return a chunked body's bytes."""
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    return chunks + b"0\r\n" + trailers.encode() + b"\r\n"


def fetch(
    server: mr.Server,
    method: str,
    target: str,
    headers: Iterable[tuple[str, str]] | dict[str, str] = (),
    body: bytes | None = None,
) -> Answer:
    """Ask once, on a connection of its own."""
    with Wire(server) as wire:
        return wire.ask(method, target, headers, body)


def get(server: mr.Server, target: str, headers: dict[str, str] | None = None) -> Answer:
    return fetch(server, "GET", target, headers or {})


class Signal(threading.Event):
    """An event whose wait fails instead of giving up in silence."""

    def expect(self, what: str = "the signal") -> None:
        assert self.wait(PATIENCE_S), f"{what} never came"


def eventually(fact: Callable[[], Any]) -> Any:
    """Return a fact once it holds. For what other threads count, which nothing announces."""
    deadline = time.monotonic() + PATIENCE_S
    while not (value := fact()):
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.002)
    return value


def _fields(lines: list[bytes]) -> list[tuple[str, str]]:
    pairs = (line.decode("latin-1").partition(":") for line in lines)
    return [(name, value.strip()) for name, _, value in pairs]
