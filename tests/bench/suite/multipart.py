"""What a large file in a multipart form costs: CPU time of the server, and the memory it grows by.

Not rows of requests: one upload takes as long as a run of those, and wrk counts only what is
answered. Each server gets the form in turn, spools it to the disk, and answers with its size.
"""

import os
import socket
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from suite import process_tree
from suite.measure import Plan
from suite.running import RunningServer
from suite.servers import FORM_SERVERS, Server
from suite.tools import Unavailable
from suite.verdict import Verdict

SIZE = 100_000_000
BLOCK = 1 << 20
OURS, RIVAL = "millrace", "Starlette"
GROWTH_BOUND = 8_000_000
"""Bytes of memory: flat means that they are nothing beside the file."""
CLIENT_TIMEOUT_S = 120

CONTENTS: Mapping[str, bytes] = {
    "random bytes": os.urandom(BLOCK),
    "lines of text": b"A line of text as files of text have them.\r\n" * (BLOCK // 44),
}
HEAD = (
    b'--bench\r\nContent-Disposition: form-data; name="f"; filename="x"\r\n'
    b"Content-Type: application/octet-stream\r\n\r\n"
)
END = b"\r\n--bench--\r\n"


@dataclass
class UploadCost:
    """One server and one content."""

    cpu_ms: list[float] = field(default_factory=list)
    """One entry a round."""
    grown: int = 0
    """Bytes by which the peak of its memory grew over that of a small upload."""


@dataclass
class MultipartCost:
    content: str
    servers: dict[str, UploadCost] = field(default_factory=dict)
    """By name."""

    @property
    def ratios(self) -> list[float]:
        """To Starlette, one a round; empty where one of the two took no part."""
        if OURS not in self.servers or RIVAL not in self.servers:
            return []
        ours, theirs = self.servers[OURS].cpu_ms, self.servers[RIVAL].cpu_ms
        return [a / b for a, b in zip(ours, theirs, strict=True)]

    def judge(self) -> Verdict:
        if OURS not in self.servers:
            return Verdict(None, "millrace was not measured")
        missed = []
        if self.ratios and (ratio := statistics.median(self.ratios)) >= 1:
            missed.append(f"{ratio:.2f} times {RIVAL}")
        if (grown := self.servers[OURS].grown) > GROWTH_BOUND:
            missed.append(f"memory grew by {grown / 1e6:.1f} MB")
        if missed:
            return Verdict(False, "; ".join(missed))
        return Verdict(True, "") if self.ratios else Verdict(None, f"no {RIVAL} in this run")


def measure_multipart(content: str, servers: Sequence[Server], plan: Plan) -> MultipartCost:
    """Rounds that visit the servers in turn, each of them new: its peak is that of this content.

    Raises
    ------
    Unavailable
        A server cannot run, or has answered wrongly.
    """
    cost, block = MultipartCost(content), CONTENTS[content]
    running: list[RunningServer] = []
    quiet: dict[str, int] = {}
    try:
        for server in servers:
            if server.name not in FORM_SERVERS:
                continue
            one = RunningServer(server, plan.tools, plan.cores.server)
            running.append(one)
            upload(one.port, 10, block)
            quiet[server.name] = process_tree.peak_bytes(one.tree())
            cost.servers[server.name] = UploadCost()
        for _ in range(plan.rounds):
            for one in running:
                before = process_tree.cpu_time_ns(one.tree())
                upload(one.port, SIZE, block)
                spent = process_tree.cpu_time_ns(one.tree()) - before
                cost.servers[one.server.name].cpu_ms.append(spent / 1e6)
        for one in running:
            name = one.server.name
            cost.servers[name].grown = process_tree.peak_bytes(one.tree()) - quiet[name]
    finally:
        for one in running:
            one.close()
    return cost


def upload(port: int, size: int, block: bytes) -> None:
    """Send a form with one file of that size, and check that all of it has arrived."""
    length = len(HEAD) + size + len(END)
    try:
        with socket.create_connection(("127.0.0.1", port), CLIENT_TIMEOUT_S) as connection:
            connection.sendall(
                b"POST /form HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n"
                b"Content-Type: multipart/form-data; boundary=bench\r\n"
                b"Content-Length: %d\r\n\r\n" % length + HEAD
            )
            for at in range(0, size, len(block)):
                connection.sendall(memoryview(block)[: size - at])
            connection.sendall(END)
            answer = b"".join(iter(lambda: connection.recv(1 << 16), b""))
    except OSError as error:
        raise Unavailable(f"an upload broke off: {error}") from error
    if not answer.endswith(b"\r\n\r\n%d" % size):
        raise Unavailable(f"an upload was answered {answer[:80]!r}")
