"""The rows: one request each, the answer it must bring, and the bound millrace is held to.

A row is added here; which servers take part is said in `servers.py`.
"""

from dataclasses import dataclass

from suite.files import FILES, RECORDS

HELLO = b"Hello, World!"
BODY_BYTES = 10_240
BIG_BODY = b"x" * BODY_BYTES
MESSAGE_BYTES = 64
UPLOAD_BYTES = 10_000_000
CONNECTIONS = 64

# With Host these are ten, as a browser sends them.
BROWSER_HEADERS = (
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/142.0.0.0 Safari/537.36",
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
    "Accept-Language: en-US,en;q=0.5",
    "Accept-Encoding: gzip, deflate, br, zstd",
    "Cookie: session=0123456789abcdef0123456789abcdef; theme=dark",
    "Sec-Fetch-Dest: document",
    "Sec-Fetch-Mode: navigate",
    "Sec-Fetch-Site: none",
    "Upgrade-Insecure-Requests: 1",
)
AGENT = "millrace-bench/1"


@dataclass(frozen=True)
class Request:
    """What the load generator sends over and over."""

    path: str
    method: str = "GET"
    headers: tuple[str, ...] = ()
    body_bytes: int = 0
    connections: int = CONNECTIONS
    """Over which it is sent; fewer where one request keeps a connection busy for long."""


@dataclass(frozen=True)
class Message:
    """In place of HTTP: what is sent over and over, and must come back the same."""

    size: int = MESSAGE_BYTES
    transport: str = "tcp"
    """Or ``"udp"``, where one that does not come back makes the run void."""


@dataclass(frozen=True)
class Answer:
    """What must come back before a server is measured: bytes, or JSON with equal contents."""

    body: bytes | dict[str, object] = HELLO
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Bound:
    """Limits on millrace's CPU time. Being ahead of every Python server is always one more."""

    to_floor: float | None = None
    """Times the raw loop of the same round."""
    to_native: float | None = None
    """Times the better of nginx and Node."""
    to_python: float | None = None
    """Times the best Python server of the row, where being ahead of it is not enough."""
    above_plain_us: float | None = None
    """Microseconds more than plain millrace in the same row."""


@dataclass(frozen=True)
class Row:
    name: str
    title: str
    request: Request | Message
    bound: Bound
    answer: Answer = Answer()
    ours: str = "millrace"
    """Which of millrace's applications answers."""
    floor: str = "raw loop"
    """Which raw loop does the same input and output."""


ROWS = (
    Row("native", "native constant route", Request("/"), Bound(to_floor=1.10)),
    Row(
        "log",
        "native constant route, native access log on (combined)",
        Request("/", headers=(f"User-Agent: {AGENT}",)),
        Bound(above_plain_us=0.5),
        ours="millrace/log",
    ),
    Row(
        "metrics",
        "native constant route, Prometheus counters on",
        Request("/"),
        Bound(above_plain_us=0.1),
        ours="millrace/metrics",
    ),
    Row("constant", "plain function, constant answer", Request("/plain"), Bound(to_floor=1.15)),
    Row(
        "json",
        "plain function, path parameter and header, dict as JSON",
        Request("/users/42", headers=(f"User-Agent: {AGENT}",)),
        Bound(to_floor=1.22),
        Answer({"id": 42, "agent": AGENT}),
    ),
    Row(
        "browser",
        "constant function, 10 headers as a browser sends them",
        Request("/plain", headers=BROWSER_HEADERS),
        Bound(to_floor=1.20),
    ),
    Row("coroutine", "coroutine that does not suspend", Request("/co"), Bound(to_floor=1.22)),
    Row("sleep", "coroutine that awaits asyncio.sleep(0)", Request("/sleep"), Bound(to_floor=1.55)),
    Row(
        "middleware",
        "one middleware, Response with two headers",
        Request("/middleware"),
        Bound(to_floor=1.35),
        Answer(headers=(("x-one", "1"), ("x-two", "2"))),
        ours="millrace/middleware",
    ),
    Row(
        "queue",
        "acceptor_queue_workers(workers=1), constant function",
        Request("/plain"),
        Bound(to_floor=1.30),
        ours="millrace/queue",
    ),
    Row(
        "body",
        "10 kB response body",
        Request("/body"),
        Bound(to_native=1.2),
        Answer(BIG_BODY),
        floor="raw loop/body",
    ),
    Row(
        "echo",
        "echoed 10 kB POST",
        Request("/echo", "POST", ("Content-Type: application/octet-stream",), BODY_BYTES),
        Bound(to_native=1.2),
        Answer(BIG_BODY),
        floor="raw loop/echo",
    ),
    # So few connections that the slowest server answers within wrk's patience of two seconds.
    Row(
        "upload",
        "10 MB upload, read by a coroutine piece by piece",
        Request(
            "/upload",
            "POST",
            ("Content-Type: application/octet-stream",),
            UPLOAD_BYTES,
            connections=8,
        ),
        Bound(to_python=0.5),
        Answer(str(UPLOAD_BYTES).encode()),
        floor="raw loop/upload",
    ),
    # No raw loop takes part: it keeps every connection.
    Row(
        "flood",
        "connection flood: connect, one request to a native route, close",
        Request("/", headers=("Connection: close",)),
        Bound(to_native=1.1),
    ),
    *(
        Row(
            f"file-{name}",
            f"static file of {size}",
            Request(f"/files/{name}"),
            Bound(to_native=bound),
            Answer(FILES[name]),
            ours="millrace/files",
        )
        for name, size, bound in (
            ("1k", "1 kB", 1.0),
            ("100k", "100 kB", 1.05),
            ("10m", "10 MB", 1.05),
        )
    ),
    *(
        Row(
            coding,
            f"50 kB of JSON, {coding} level {level}",
            Request("/records", headers=(f"Accept-Encoding: {coding}",)),
            bound,
            Answer(RECORDS, (("content-encoding", coding),)),
            ours="millrace/compressed",
        )
        for coding, level, bound in (("gzip", 4, Bound(to_native=1.0)), ("zstd", 1, Bound()))
    ),
    Row(
        "tcp-native",
        "TCP native echo of 64-byte messages",
        Message(),
        Bound(to_floor=1.15),
        ours="millrace/tcp-native",
        floor="raw loop/tcp",
    ),
    Row(
        "tcp-function",
        "TCP Python function, which returns the 64 bytes it is given",
        Message(),
        Bound(to_floor=1.15),
        ours="millrace/tcp-function",
        floor="raw loop/tcp",
    ),
    Row(
        "udp-native",
        "UDP native echo of 64-byte datagrams",
        Message(transport="udp"),
        Bound(to_floor=1.15),
        ours="millrace/udp-native",
        floor="raw loop/udp",
    ),
    Row(
        "udp-function",
        "UDP Python function, which returns the 64 bytes it is given",
        Message(transport="udp"),
        Bound(to_floor=1.15),
        ours="millrace/udp-function",
        floor="raw loop/udp",
    ),
)
