"""The servers: how each is started on one core, and in which rows it takes part.

A peer is one entry here and, if it needs one, one small file in `servers/`. Each gets the setting
its own documentation recommends for one core; the reason stands in `setting` and is printed.
"""

import enum
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from suite.files import make_folder
from suite.rows import BODY_BYTES, HELLO, UPLOAD_BYTES
from suite.tools import Tools

SCRIPTS = Path(__file__).resolve().parent.parent / "servers"

SYNC_ROWS = frozenset({"constant", "json", "browser", "middleware", "body", "echo"})
ASYNC_ROWS = SYNC_ROWS | {"coroutine", "sleep"}
MILLRACE_ROWS = frozenset(
    {"native", "log", "metrics", "body", "echo", "upload", "flood"}
) | ASYNC_ROWS - {"middleware"}


class Family(enum.Enum):
    FLOOR = "floor"
    MILLRACE = "millrace"
    NATIVE = "native"
    """Not Python: what the 10 kB rows are bounded by."""
    PYTHON = "Python"


@dataclass(frozen=True)
class Server:
    name: str
    """Unique; what follows a slash tells applications of one server apart."""
    family: Family
    command: Callable[[Tools, int], list[str]]
    """The command line that serves on 127.0.0.1 at a port; raises `Unavailable`."""
    rows: frozenset[str]
    setting: str = ""
    needs: tuple[str, ...] = ()
    """Distributions it must find in the peers' environment; the first one names its version."""
    is_udp: bool = False

    @property
    def label(self) -> str:
        return self.name.partition("/")[0]


def _raw_loop(response_body: int, request_body: int) -> Callable[[Tools, int], list[str]]:
    def command(tools: Tools, port: int) -> list[str]:
        return [str(tools.raw_loop()), str(port), str(response_body), str(request_body)]

    return command


def _raw_echo(mode: str) -> Callable[[Tools, int], list[str]]:
    def command(tools: Tools, port: int) -> list[str]:
        return [str(tools.raw_loop()), str(port), mode]

    return command


def _millrace(mode: str) -> Callable[[Tools, int], list[str]]:
    def command(tools: Tools, port: int) -> list[str]:
        return [tools.python, str(SCRIPTS / "millrace_app.py"), str(port), mode]

    return command


def _millrace_files(tools: Tools, port: int) -> list[str]:
    return [*_millrace("files")(tools, port), str(make_folder(tools.build))]


def _millrace_echo(transport: str, mode: str) -> Callable[[Tools, int], list[str]]:
    def command(tools: Tools, port: int) -> list[str]:
        return [tools.python, str(SCRIPTS / "millrace_echo.py"), str(port), transport, mode]

    return command


def _script(name: str, *arguments: str) -> Callable[[Tools, int], list[str]]:
    def command(tools: Tools, port: int) -> list[str]:
        return [tools.peer_python, str(SCRIPTS / name), str(port), *arguments]

    return command


def _granian(
    interface: str, *options: str, app: str | None = None
) -> Callable[[Tools, int], list[str]]:
    def command(tools: Tools, port: int) -> list[str]:
        # fmt: off
        return [
            tools.peer_python, "-m", "granian", app or f"{interface}_app:app",
            "--interface", {"asgi": "asginl"}.get(interface, interface),
            "--working-dir", str(SCRIPTS), "--host", "127.0.0.1", "--port", str(port),
            "--workers", "1", "--runtime-threads", "1", "--runtime-mode", "st",
            "--loop", "uvloop", "--http", "1", "--no-ws", "--log-level", "error", *options,
        ]
        # fmt: on

    return command


def _nginx(tools: Tools, port: int) -> list[str]:
    nginx = tools.program("nginx")
    prefix = tools.build / "nginx"
    make_folder(prefix)
    text = (SCRIPTS / "nginx.conf").read_text()
    values = {"@PORT@": str(port), "@PREFIX@": str(prefix), "@KILOBYTE@": "x" * 1024}
    for name, value in values.items():
        text = text.replace(name, value)
    configuration = prefix / "nginx.conf"
    configuration.write_text(text)
    return [nginx, "-p", str(prefix), "-c", str(configuration), "-e", "stderr"]


def _node(tools: Tools, port: int) -> list[str]:
    return [tools.program("node"), str(SCRIPTS / "node_http.js"), str(port)]


GRANIAN = "1 worker, 1 runtime thread, st, uvloop, HTTP/1 only"
CODING_ROWS = frozenset({"gzip", "zstd"})
FILE_ROWS = frozenset({"file-1k", "file-100k", "file-10m"})
FORM_SERVERS = frozenset({"millrace", "Starlette"})
"""Of the row "multipart", which is not of requests."""
SMALL_ROWS = frozenset(
    {"native", "log", "metrics", "constant", "json", "browser", "coroutine", "sleep", "middleware"}
    | {"queue"}
)

SERVERS = (
    Server("raw loop", Family.FLOOR, _raw_loop(len(HELLO), 0), SMALL_ROWS, "epoll, one thread"),
    Server("raw loop/body", Family.FLOOR, _raw_loop(BODY_BYTES, 0), frozenset({"body"})),
    Server("raw loop/echo", Family.FLOOR, _raw_loop(BODY_BYTES, BODY_BYTES), frozenset({"echo"})),
    Server("raw loop/upload", Family.FLOOR, _raw_loop(8, UPLOAD_BYTES), frozenset({"upload"})),
    Server(
        "raw loop/tcp",
        Family.FLOOR,
        _raw_echo("echo"),
        frozenset({"tcp-native", "tcp-function"}),
    ),
    Server(
        "raw loop/udp",
        Family.FLOOR,
        _raw_echo("datagrams"),
        frozenset({"udp-native", "udp-function"}),
        is_udp=True,
    ),
    Server("millrace", Family.MILLRACE, _millrace("routes"), MILLRACE_ROWS, "single_thread()"),
    Server(
        "millrace/middleware",
        Family.MILLRACE,
        _millrace("middleware"),
        frozenset({"middleware"}),
    ),
    Server("millrace/log", Family.MILLRACE, _millrace("log"), frozenset({"log"})),
    Server("millrace/metrics", Family.MILLRACE, _millrace("metrics"), frozenset({"metrics"})),
    # Of the row "half-head", which is not of requests; nginx has this patience by default.
    Server("millrace/patient", Family.MILLRACE, _millrace("patient"), frozenset()),
    Server("millrace/queue", Family.MILLRACE, _millrace("queue"), frozenset({"queue"})),
    Server("millrace/files", Family.MILLRACE, _millrace_files, FILE_ROWS),
    Server(
        "millrace/compressed",
        Family.MILLRACE,
        _millrace("compressed"),
        CODING_ROWS,
    ),
    Server(
        "millrace/tcp-native",
        Family.MILLRACE,
        _millrace_echo("tcp", "native"),
        frozenset({"tcp-native"}),
    ),
    Server(
        "millrace/tcp-function",
        Family.MILLRACE,
        _millrace_echo("tcp", "function"),
        frozenset({"tcp-function"}),
    ),
    Server(
        "millrace/udp-native",
        Family.MILLRACE,
        _millrace_echo("udp", "native"),
        frozenset({"udp-native"}),
        is_udp=True,
    ),
    Server(
        "millrace/udp-function",
        Family.MILLRACE,
        _millrace_echo("udp", "function"),
        frozenset({"udp-function"}),
        is_udp=True,
    ),
    Server(
        "nginx",
        Family.NATIVE,
        _nginx,
        frozenset({"native", "constant", "browser", "body", "flood", "gzip"}) | FILE_ROWS,
        "return 200, 1 worker, access_log off; files: sendfile, tcp_nopush; gzip: of a file",
    ),
    Server(
        "Node http",
        Family.NATIVE,
        _node,
        frozenset({"constant", "json", "browser", "body", "echo"}),
        "one process, no framework",
    ),
    Server(
        "fastpysgi WSGI",
        Family.PYTHON,
        _script("fastpysgi_server.py", "wsgi"),
        SYNC_ROWS | {"native", "queue"},
        "one process",
        ("fastpysgi",),
    ),
    Server(
        "fastpysgi ASGI",
        Family.PYTHON,
        _script("fastpysgi_server.py", "asgi"),
        ASYNC_ROWS,
        "one process, uvloop, bare ASGI callable",
        ("fastpysgi", "uvloop"),
    ),
    Server(
        "socketify",
        Family.PYTHON,
        _script("socketify_server.py"),
        ASYNC_ROWS,
        "request factory of 200,000",
        ("socketify",),
    ),
    Server(
        "Granian WSGI",
        Family.PYTHON,
        _granian("wsgi", "--blocking-threads", "1"),
        SYNC_ROWS | {"queue"},
        f"{GRANIAN}, 1 blocking thread",
        ("granian", "uvloop"),
    ),
    Server(
        "Granian RSGI",
        Family.PYTHON,
        _granian("rsgi"),
        ASYNC_ROWS | {"upload"},
        GRANIAN,
        ("granian", "uvloop"),
    ),
    Server(
        "Granian ASGI",
        Family.PYTHON,
        _granian("asgi"),
        ASYNC_ROWS | {"upload"},
        GRANIAN,
        ("granian", "uvloop"),
    ),
    Server(
        "Granian ASGI/compressed",
        Family.PYTHON,
        _granian("asgi", app="asgi_compressed:app"),
        CODING_ROWS,
        f"{GRANIAN}, starlette-compress",
        ("granian", "uvloop", "starlette", "starlette-compress", "zstandard"),
    ),
    Server(
        "uvicorn",
        Family.PYTHON,
        _script("uvicorn_server.py"),
        ASYNC_ROWS | {"upload"},
        "httptools, uvloop, bare ASGI callable, no access log",
        ("uvicorn", "httptools", "uvloop"),
    ),
    Server(
        "Starlette",
        Family.PYTHON,
        _script("starlette_form.py"),
        frozenset(),
        "form() with python-multipart, on uvicorn as above",
        ("starlette", "python-multipart", "uvicorn", "httptools", "uvloop"),
    ),
    Server(
        "aiohttp",
        Family.PYTHON,
        _script("aiohttp_server.py"),
        ASYNC_ROWS,
        "uvloop, router, no access log",
        ("aiohttp", "uvloop"),
    ),
)
