"""User-space bytes per idle connection, with 10,000 of them opened for real."""

import json
import subprocess
import sys
from dataclasses import dataclass

from suite import process_tree
from suite.children import on_core
from suite.measure import Plan
from suite.rows import ROWS, Row
from suite.running import RunningServer
from suite.servers import SERVERS, Server
from suite.tools import BENCH, Unavailable
from suite.wrk import LoadFailed
from suite.wrk import run as run_load

CONNECTIONS = 10_000
BOUND_BYTES = 2048
CLIENT_TIMEOUT_S = 60


@dataclass(frozen=True)
class IdleMemory:
    server: Server
    private_dirty: float
    """Bytes per idle connection; the figure the bound is on."""
    resident: float
    connections: int


def measure_idle(name: str, plan: Plan) -> IdleMemory:
    """Private memory after minus before the connections, each of which was answered once.

    The server has been loaded first, so that what it grows once is not charged to connections.

    Raises
    ------
    Unavailable
        The server cannot run, or did not keep every connection open.
    """
    server = next(server for server in SERVERS if server.name == name)
    # Answered by a Python function, which must leave nothing behind on the connection.
    row = next(row for row in ROWS if row.name == "constant")
    with RunningServer(server, plan.tools, plan.cores.server) as running:
        try:
            run_load(plan.tools, row.request, running.port, 1, plan.cores.load)
        except LoadFailed as error:
            raise Unavailable(str(error)) from error
        before = process_tree.memory(running.tree())
        with _idle_client(running.port, row, plan.cores.load) as client:
            opened = _expect(client, "opened")
            after = process_tree.memory(running.tree())
            assert client.stdin is not None
            client.stdin.write("\n")
            client.stdin.flush()
            closed = _expect(client, "closed")
            client.wait(timeout=CLIENT_TIMEOUT_S)
    if closed:
        raise Unavailable(f"{closed} of {opened} idle connections were closed by the server")
    return IdleMemory(
        server=server,
        private_dirty=(after.private_dirty - before.private_dirty) / opened,
        resident=(after.resident - before.resident) / opened,
        connections=opened,
    )


def _idle_client(port: int, row: Row, core: int) -> subprocess.Popen[str]:
    # fmt: off
    command = [
        sys.executable, str(BENCH / "idle_client.py"), str(port), str(CONNECTIONS),
        "--path", row.request.path, "--timeout", str(CLIENT_TIMEOUT_S),
    ]
    # fmt: on
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=on_core(core),
    )


def _expect(client: subprocess.Popen[str], key: str) -> int:
    """The client bounds its own time, so that this read ends."""
    assert client.stdout is not None
    line = client.stdout.readline()
    try:
        message = json.loads(line)
    except ValueError:
        raise Unavailable(f"the idle client ended early: {line.strip()!r}") from None
    if key not in message:
        raise Unavailable(str(message.get("error", line.strip())))
    return int(message[key])
