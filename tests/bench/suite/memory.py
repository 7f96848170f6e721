"""User-space bytes per connection that waits, with 10,000 of them opened for real."""

import json
import subprocess
import sys
from dataclasses import dataclass

from suite import process_tree
from suite.children import on_core
from suite.measure import Plan
from suite.rows import ROWS, Row
from suite.running import RunningServer
from suite.servers import SERVERS, Family, Server
from suite.tools import BENCH, Unavailable
from suite.wrk import LoadFailed
from suite.wrk import run as run_load

CONNECTIONS = 10_000
CLIENT_TIMEOUT_S = 60


@dataclass(frozen=True)
class Waiting:
    """What a connection has sent before it waits."""

    name: str
    """The row's."""
    what: str
    bound_bytes: int
    row: str
    """Whose request it is."""
    servers: tuple[str, ...] = ("millrace", "nginx")
    half_head: bool = False
    """Whether it ends there; else it has been answered."""

    @property
    def request_row(self) -> Row:
        return next(row for row in ROWS if row.name == self.row)


WAITING = (
    # Answered by a Python function, which must leave nothing behind on the connection.
    Waiting("memory", "an idle connection, which has served one request", 2048, "constant"),
    Waiting(
        "half-head",
        "a connection with half a head sent, of one with 10 fields",
        6000,
        "browser",
        ("millrace/patient", "nginx"),
        half_head=True,
    ),
)


@dataclass(frozen=True)
class WaitingMemory:
    waiting: Waiting
    server: Server
    private_dirty: float
    """Bytes per connection; the figure the bound is on."""
    resident: float
    connections: int

    @property
    def is_ours(self) -> bool:
        return self.server.family is Family.MILLRACE


def measure_waiting(waiting: Waiting, name: str, plan: Plan) -> WaitingMemory:
    """Private memory after minus before the connections.

    The server has been loaded first, so that what it grows once is not charged to connections.

    Raises
    ------
    Unavailable
        The server cannot run, or did not keep every connection open.
    """
    server = next(server for server in SERVERS if server.name == name)
    row = waiting.request_row
    with RunningServer(server, plan.tools, plan.cores.server) as running:
        try:
            run_load(plan.tools, row.request, running.port, 1, plan.cores.load)
        except LoadFailed as error:
            raise Unavailable(str(error)) from error
        before = process_tree.memory(running.tree())
        with _idle_client(running.port, waiting, plan.cores.load) as client:
            opened = _expect(client, "opened")
            after = process_tree.memory(running.tree())
            assert client.stdin is not None
            client.stdin.write("\n")
            client.stdin.flush()
            closed = _expect(client, "closed")
            client.wait(timeout=CLIENT_TIMEOUT_S)
    if closed:
        raise Unavailable(f"{closed} of {opened} connections were closed by the server")
    return WaitingMemory(
        waiting=waiting,
        server=server,
        private_dirty=(after.private_dirty - before.private_dirty) / opened,
        resident=(after.resident - before.resident) / opened,
        connections=opened,
    )


def _idle_client(port: int, waiting: Waiting, core: int) -> subprocess.Popen[str]:
    request = waiting.request_row.request
    # fmt: off
    command = [
        sys.executable, str(BENCH / "idle_client.py"), str(port), str(CONNECTIONS),
        "--path", request.path, "--timeout", str(CLIENT_TIMEOUT_S),
        *(f"--header={line}" for line in request.headers),
        *["--half-head"] * waiting.half_head,
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
