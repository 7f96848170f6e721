"""A C++ engine for HTTP servers, clients and experiments, driven from Python.

>>> import millrace as mr
>>> app = mr.App()
>>> @app.get("/")
... def hello(request):
...     return "Hello, World!"
>>> with mr.Server(app) as server:
...     print(server.url)  # doctest: +ELLIPSIS
http://127.0.0.1:...
"""

from typing import TYPE_CHECKING, Any

from millrace import errors, filters, framing, patterns
from millrace._core import __version__
from millrace.access_log import AccessLog
from millrace.app import App
from millrace.connections import AcceptQueues, Connections, TcpInfo
from millrace.cookies import Cookies
from millrace.errors import MillraceError
from millrace.files import FileResponse, content_disposition
from millrace.forms import FormData, FormLimits, FormPart, UploadedFile
from millrace.http import (
    BackgroundTask,
    Headers,
    HTTPError,
    QueryParams,
    Request,
    Response,
)
from millrace.json_lines import JSONLines
from millrace.limits import Limits
from millrace.observe import Journey, Stats
from millrace.patterns import Pattern
from millrace.process import run
from millrace.server import Server
from millrace.sockets import Keepalive, SocketOptions, SocketReport
from millrace.tcp import TcpServer, tcp_connect
from millrace.udp import UdpServer, udp_connect

if TYPE_CHECKING:
    from millrace import lab

__all__ = [
    "AcceptQueues",
    "AccessLog",
    "App",
    "BackgroundTask",
    "Connections",
    "Cookies",
    "FileResponse",
    "FormData",
    "FormLimits",
    "FormPart",
    "HTTPError",
    "Headers",
    "JSONLines",
    "Journey",
    "Keepalive",
    "Limits",
    "MillraceError",
    "Pattern",
    "QueryParams",
    "Request",
    "Response",
    "Server",
    "SocketOptions",
    "SocketReport",
    "Stats",
    "TcpInfo",
    "TcpServer",
    "UdpServer",
    "UploadedFile",
    "__version__",
    "content_disposition",
    "errors",
    "filters",
    "framing",
    "lab",
    "patterns",
    "run",
    "tcp_connect",
    "udp_connect",
]


def __getattr__(name: str) -> Any:
    # The laboratory brings load generators and reports that a server does not need.
    if name == "lab":
        import importlib

        return importlib.import_module("millrace.lab")
    raise AttributeError(f"module 'millrace' has no attribute {name!r}")
