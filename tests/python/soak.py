"""A client that asks without end, checks every answer by its content, and keeps count.

Requests of every kind go out pipelined on several connections; now and then one of them leaves: in
a head, in a body, in an answer, by saying so or by a reset, or is refused. All of it is chosen by
the seed, and each way to leave is one that a server can only count in one way.
"""

from __future__ import annotations

import random
import re
import socket
import struct
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import millrace as mr

PATIENCE_S = 30
CONNECTIONS = 12
# Of answers that nobody takes: more than the kernel keeps between the two.
LARGE = 32 << 20
FILE = random.Random(5).randbytes(50_000)
LENGTH = re.compile(rb"\r\ncontent-length: (\d+)", re.I)
RESET = struct.pack("ii", 1, 0)


def make_app(folder: Path) -> mr.App:
    """Handlers of every kind; each answer holds the number of its request."""
    (folder / "file").write_bytes(FILE)
    app = mr.App()
    app.respond("/native", "native")
    app.respond("/large", b"x" * LARGE)
    app.static("/static", folder)
    app.get("/plain/{n}")(lambda request: "plain " + request.path_params["n"])
    app.post("/echo/{n}")(lambda request: request.path_params["n"].encode() + request.body)

    @app.get("/coroutine/{n}")
    async def coroutine(request):
        return {"n": request.path_params["n"], "query": request.query_params["q"]}

    @app.get("/sized/{n}")
    def sized(request):
        return request.path_params["n"] * int(request.query_string)

    @app.get("/pieces/{n}")
    async def pieces(request):
        for _ in range(3):
            yield request.path_params["n"] + "\n"

    @app.route("/digest/{n}", methods=["POST", "PUT"])
    async def digest(request):
        crc = 0
        async for piece in request.stream():
            crc = zlib.crc32(piece, crc)
        return f"{request.path_params['n']} {crc}"

    @app.delete("/plain/{n}")
    def delete(request):
        return mr.Response(status=204, headers={"x-n": request.path_params["n"]})

    @app.get("/raise/{n}")
    def fail(request):
        raise LookupError(request.path_params["n"])

    @app.on_error(LookupError)
    def gone(request, error):
        return mr.Response(f"no {error}", status=410)

    return app


class Connection:
    """One connection, and what is still to be answered on it."""

    def __init__(self, port: int, counts: Counter[str]) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), PATIENCE_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.counts = counts
        counts["connections"] += 1
        self._buffer, self._at = b"", 0

    def read(self, *, is_head: bool = False) -> tuple[int, bytes, bytes]:
        """Return status, head and body of the next answer."""
        while (end := self._buffer.find(b"\r\n\r\n", self._at)) < 0:
            self._receive()
        head, self._at = self._buffer[self._at : end], end + 4
        status = int(head[9:12])
        if is_head or status in (100, 204):
            return status, head, b""
        if length := LENGTH.search(head):
            return status, head, self._take(int(length[1]))
        assert head.lower().endswith(b"chunked") or b"chunked\r\n" in head.lower(), head
        pieces = []
        while size := int(self._line(), 16):
            pieces.append(self._take(size + 2)[:-2])
        assert self._line() == b""
        return status, head, b"".join(pieces)

    def expect_end(self) -> None:
        assert self._buffer[self._at :] == b""
        assert self.socket.recv(1) == b""

    def leave(self, *, by_reset: bool = False) -> None:
        if by_reset:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.socket.close()

    def _line(self) -> bytes:
        while (end := self._buffer.find(b"\r\n", self._at)) < 0:
            self._receive()
        line, self._at = self._buffer[self._at : end], end + 2
        return line

    def _take(self, size: int) -> bytes:
        while len(self._buffer) - self._at < size:
            self._receive()
        taken = self._buffer[self._at : self._at + size]
        self._at += size
        return taken

    def _receive(self) -> None:
        piece = self.socket.recv(1 << 18)
        assert piece, f"closed in the midst of {self._buffer[self._at :][:200]!r}"
        self._buffer, self._at = self._buffer[self._at :] + piece, 0


# --- what is asked: the bytes, the status, and what must be in the head and what the body is ------

Asked = tuple[bytes, int, bytes, bytes]


def head(method: str, target: str, *fields: str) -> bytes:
    lines = "".join(f"{field}\r\n" for field in fields)
    return f"{method} {target} HTTP/1.1\r\nHost: a\r\n{lines}\r\n".encode()


def native(n: int, chance: random.Random) -> Asked:
    return head("GET", "/native"), 200, b"", b"native"


def plain(n: int, chance: random.Random) -> Asked:
    return head("GET", f"/plain/{n}"), 200, b"", b"plain %d" % n


def coroutine(n: int, chance: random.Random) -> Asked:
    return (
        head("GET", f"/coroutine/{n}?q={n + 1}"),
        200,
        b"",
        b'{"n":"%d","query":"%d"}' % (n, n + 1),
    )


def sized(n: int, chance: random.Random) -> Asked:
    times = chance.choice([0, 1, 100, 3000])
    return head("GET", f"/sized/{n}?{times}"), 200, b"", b"%d" % n * times


def pieces(n: int, chance: random.Random) -> Asked:
    return head("GET", f"/pieces/{n}"), 200, b"", b"%d\n" % n * 3


def echo(n: int, chance: random.Random) -> Asked:
    body = b"%d " % n * chance.choice([0, 1, 500])
    length = f"Content-Length: {len(body)}"
    return head("POST", f"/echo/{n}", length) + body, 200, b"", b"%d" % n + body


def digest(n: int, chance: random.Random) -> Asked:
    body = chance.randbytes(chance.choice([1, 100, 5000]))
    at = chance.randrange(1, len(body) + 1)
    chunks = [chunk for chunk in (body[:at], body[at:]) if chunk]
    framed = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
    asked = head(chance.choice(["POST", "PUT"]), f"/digest/{n}", "Transfer-Encoding: chunked")
    return asked + framed, 200, b"", b"%d %d" % (n, zlib.crc32(body))


def head_of_plain(n: int, chance: random.Random) -> Asked:
    return head("HEAD", f"/plain/{n}"), 200, b"ontent-Length: %d" % len(b"plain %d" % n), b""


def delete(n: int, chance: random.Random) -> Asked:
    return head("DELETE", f"/plain/{n}"), 204, b"x-n: %d\r\n" % n, b""


def missing(n: int, chance: random.Random) -> Asked:
    return head("GET", f"/missing/{n}"), 404, b"", b"Not Found"


def not_allowed(n: int, chance: random.Random) -> Asked:
    return head("PATCH", f"/plain/{n}"), 405, b"llow: ", b"Method Not Allowed"


def failing(n: int, chance: random.Random) -> Asked:
    return head("GET", f"/raise/{n}"), 410, b"", b"no %d" % n


def file(n: int, chance: random.Random) -> Asked:
    first = chance.randrange(len(FILE))
    last = min(first + chance.choice([0, 100, 20_000]), len(FILE) - 1)
    says = b"bytes %d-%d/%d" % (first, last, len(FILE))
    return (
        head("GET", "/static/file", f"Range: bytes={first}-{last}"),
        206,
        says,
        FILE[first : last + 1],
    )


KINDS: list[Callable[[int, random.Random], Asked]] = [
    native, plain, coroutine, sized, pieces, echo, digest, head_of_plain, delete, missing,
    not_allowed, failing, file,
]  # fmt: skip


# --- how a connection ends ------------------------------------------------------------------------


def says_close(one: Connection, n: int) -> None:
    one.socket.sendall(head("GET", f"/plain/{n}", "Connection: close"))
    assert one.read()[2] == b"plain %d" % n
    one.counts["answered"] += 1
    one.expect_end()


def ends_in_its_head(one: Connection, n: int) -> None:
    one.socket.sendall(head("GET", f"/plain/{n}")[:-2])
    one.socket.shutdown(socket.SHUT_WR)
    assert one.read()[0] == 400
    one.counts["refused"] += 1
    one.expect_end()


def ends_in_its_body(one: Connection, n: int) -> None:
    one.socket.sendall(head("POST", f"/echo/{n}", "Content-Length: 9") + b"12345")
    one.socket.shutdown(socket.SHUT_WR)
    assert one.read()[0] == 400
    one.counts["refused"] += 1
    one.counts["abandoned"] += 1
    one.expect_end()


def is_refused(one: Connection, n: int) -> None:
    one.socket.sendall(head("GET", f"/plain/{n}", "Content-Length: +0") + head("GET", "/native"))
    assert one.read()[0] == 400
    one.counts["refused"] += 1
    one.expect_end()


def resets_in_its_head(one: Connection, n: int) -> None:
    one.socket.sendall(head("GET", f"/plain/{n}")[:-2])
    one.leave(by_reset=True)


def resets_in_its_body(one: Connection, n: int) -> None:
    """Only once it is told to go on, so that the request has certainly been seen."""
    one.socket.sendall(head("POST", f"/digest/{n}", "Content-Length: 9", "Expect: 100-continue"))
    assert one.read()[0] == 100
    one.socket.sendall(b"12345")
    one.counts["abandoned"] += 1
    one.leave(by_reset=True)


def resets_in_its_answer(one: Connection, n: int) -> None:
    one.socket.sendall(head("GET", "/large"))
    assert one.socket.recv(1000).startswith(b"HTTP/1.1 200 ")
    one.counts["abandoned"] += 1
    one.leave(by_reset=True)


ENDS: list[Callable[[Connection, int], None]] = [
    says_close, ends_in_its_head, ends_in_its_body, is_refused, resets_in_its_head,
    resets_in_its_body, resets_in_its_answer,
]  # fmt: skip


# --- all of it ------------------------------------------------------------------------------------


class Client:
    """Asks a server through several connections at once; one after another in each."""

    def __init__(self, port: int, seed: int) -> None:
        self.counts: Counter[str] = Counter()
        self._port = port
        self._chance = random.Random(seed)
        self._number = 0
        self._connections = [Connection(port, self.counts) for _ in range(CONNECTIONS)]

    def ask(self, requests: int) -> None:
        """Ask until so many more requests have been answered."""
        until = self.counts["answered"] + requests
        while self.counts["answered"] < until:
            asked = [(one, self._ask_several(one)) for one in self._connections]
            for one, batch in asked:
                for expected in batch:
                    self._check(one, expected)
            self._replace_one()

    def leave(self) -> None:
        for one in self._connections:
            one.leave()

    def _ask_several(self, one: Connection) -> list[Asked]:
        batch = []
        for _ in range(self._chance.randrange(1, 16)):
            self._number += 1
            batch.append(self._chance.choice(KINDS)(self._number, self._chance))
        one.socket.sendall(b"".join(asked[0] for asked in batch))
        return batch

    def _check(self, one: Connection, expected: Asked) -> None:
        asked, status, in_head, body = expected
        got, said, content = one.read(is_head=asked.startswith(b"HEAD"))
        assert (got, content) == (status, body), asked[:200]
        assert in_head in said + b"\r\n", (asked[:200], said)
        self.counts["answered"] += 1

    def _replace_one(self) -> None:
        at = self._chance.randrange(len(self._connections))
        one = self._connections[at]
        self._number += 1
        self._chance.choice(ENDS)(one, self._number)
        one.leave()
        self._connections[at] = Connection(self._port, self.counts)
