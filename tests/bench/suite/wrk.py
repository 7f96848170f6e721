"""The load: wrk, one thread, 64 keep-alive connections, on the core the server does not have.

Plain TCP and UDP, which wrk does not speak, are loaded alike by `message_client.c`.
"""

import json
import subprocess
from dataclasses import dataclass

from suite.children import on_core
from suite.rows import CONNECTIONS, Message, Request
from suite.tools import BENCH, Tools

GRACE_S = 15
SCRIPT = BENCH / "lua" / "request.lua"
ERRORS = ("connect", "read", "write", "status", "timeout")


class LoadFailed(RuntimeError):
    """The numbers of this run mean nothing: there were errors, or no numbers at all."""


@dataclass(frozen=True)
class Load:
    """One run as wrk counted it."""

    requests: int
    seconds: float
    p50_us: float
    p99_us: float


def command(tools: Tools, request: Request | Message, port: int, seconds: int) -> list[str]:
    if isinstance(request, Message):
        client = str(tools.message_client())
        sizes = [str(CONNECTIONS), str(request.size)]
        return [client, str(port), *sizes, str(seconds), request.transport]
    # fmt: off
    return [
        tools.program("wrk"), "-t1", f"-c{request.connections}", f"-d{seconds}s", "--latency",
        "-s", str(SCRIPT), f"http://127.0.0.1:{port}{request.path}",
        "--", request.method, str(request.body_bytes), *request.headers,
    ]
    # fmt: on


def run(tools: Tools, request: Request | Message, port: int, seconds: int, core: int) -> Load:
    """Load a server for a while.

    Raises
    ------
    LoadFailed
        A socket error, a status other than 2xx or 3xx, or no requests: the run is void.
    """
    try:
        done = subprocess.run(
            command(tools, request, port, seconds),
            capture_output=True,
            text=True,
            timeout=seconds + GRACE_S,
            start_new_session=True,  # Ctrl-C is the suite's: it ends this child itself
            preexec_fn=on_core(core),
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise LoadFailed(f"the load did not end {GRACE_S} s after its time") from error
    return parse(done.stdout)


def parse(output: str) -> Load:
    """The line of JSON that the Lua script, or the client of plain TCP and UDP, prints."""
    lines = [line for line in output.splitlines() if line.startswith('{"requests"')]
    if not lines:
        raise LoadFailed("the load generator printed no numbers")
    numbers: dict[str, int] = json.loads(lines[-1])
    errors = {name: numbers[name] for name in ERRORS if numbers[name]}
    if errors:
        raise LoadFailed("errors: " + ", ".join(f"{n} {name}" for name, n in errors.items()))
    if numbers["requests"] == 0:
        raise LoadFailed("not one request was answered")
    return Load(
        requests=numbers["requests"],
        seconds=numbers["duration_us"] / 1e6,
        p50_us=numbers["p50_us"],
        p99_us=numbers["p99_us"],
    )
