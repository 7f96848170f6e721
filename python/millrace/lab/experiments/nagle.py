"""Why a small request in two writes takes 40 ms: Nagle's algorithm meets delayed ACKs."""

from __future__ import annotations

import socket
import time
from functools import partial
from statistics import median

from millrace.app import App
from millrace.http import Request
from millrace.lab.experiment import Claim, Experiment, Quantity, Run
from millrace.lab.kernel_counters import network_counters
from millrace.lab.verdicts import Prediction
from millrace.server import Server

__all__ = ["experiment"]

CALLS = 10
QUICK_CALLS = 4
# The kernel acknowledges the first segments of a connection at once, so these do not count.
FIRST_CALLS = 3
PATIENCE_S = 10.0
HEAD = b"POST / HTTP/1.1\r\nHost: lab\r\nContent-Length: 4\r\n\r\n"
BODY = b"body"
# TCP_DELACK_MIN, and the 8 ms by which a timer of a kernel with 250 ticks a second may be late.
DELAYED_ACK_S = (0.040, 0.048)
# Far above a round trip on loopback, far below a delayed acknowledgement.
AT_ONCE_S = 0.010


def experiment() -> Experiment:
    """Return the experiment ``nagle``."""
    one = Prediction(1, 1, "each second write waits for one", absolute=0.1)
    none = Prediction(0, 0, "nothing waits", absolute=0.1)
    late = Prediction(*DELAYED_ACK_S, "TCP_DELACK_MIN = HZ / 25", relative=0.05)
    at_once = Prediction(0, AT_ONCE_S, "a round trip")
    return Experiment(
        name="nagle",
        question="Why does a small request that is sent in two writes take 40 ms?",
        formula="write, write, read: one delayed acknowledgement per call, 40 ms; none, and a "
        "round trip, where the client sets TCP_NODELAY or writes once",
        source="RFC 896; RFC 1122 4.2.3.2 and 4.2.3.4; tcp(7), TCP_NODELAY; TCP_DELACK_MIN in "
        "the kernel's include/net/tcp.h",
        quantities=[
            Quantity("delayed_acks", "Delayed ACKs", "per call"),
            Quantity("segments", "Segments", "per call"),
            Quantity("call_s", "Call, median", "ms", 1000),
        ],
        arms={
            "two writes": partial(_calls, writes=2, nodelay=False),
            "two writes, TCP_NODELAY": partial(_calls, writes=2, nodelay=True),
            "one write": partial(_calls, writes=1, nodelay=False),
        },
        claims=[
            Claim(
                "two writes",
                "delayed_acks",
                one,
                "Nagle holds the second write until the first is acknowledged, and the receiver, "
                "with nothing to say yet, puts that off.",
            ),
            Claim("two writes", "call_s", late, "So each call takes 40 ms.", by="clock"),
            Claim(
                "two writes, TCP_NODELAY",
                "delayed_acks",
                none,
                "TCP_NODELAY sends the second write at once; the answer acknowledges both.",
            ),
            Claim("two writes, TCP_NODELAY", "call_s", at_once, "So nothing waits.", by="clock"),
            Claim(
                "one write",
                "delayed_acks",
                none,
                "One write leaves nothing to hold back, with Nagle or without.",
            ),
            Claim("one write", "call_s", at_once, "So nothing waits either.", by="clock"),
        ],
        without_cause="Nagle's algorithm: every client sets TCP_NODELAY",
        private_network=True,
        rounds=6,
    )


def _calls(run: Run, *, writes: int, nodelay: bool) -> dict[str, float]:
    """Let a client call one after the other, and count the kernel's segments and excuses."""
    app = App()

    @app.post("/")
    def answer(request: Request) -> str:
        return "ok"

    pieces = [HEAD, BODY] if writes == 2 else [HEAD + BODY]
    calls = QUICK_CALLS if run.quick else CALLS
    with Server(app, journey=False) as server:
        with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE_S) as client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, nodelay or run.without_cause)
            for _ in range(FIRST_CALLS):
                _call(client, pieces)
            before = network_counters()
            times = [_call(client, pieces) for _ in range(calls)]
            after = network_counters()
    return {
        "delayed_acks": (after["TcpExtDelayedACKs"] - before["TcpExtDelayedACKs"]) / calls,
        "segments": (after["TcpOutSegs"] - before["TcpOutSegs"]) / calls,
        "call_s": median(times),
    }


def _call(client: socket.socket, pieces: list[bytes]) -> float:
    start = time.monotonic()
    for piece in pieces:
        client.sendall(piece)
    answer = client.recv(4096)
    assert answer.startswith(b"HTTP/1.1 200"), answer
    return time.monotonic() - start
