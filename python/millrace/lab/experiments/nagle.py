"""Why a small request in two writes takes 40 ms: Nagle's algorithm meets delayed ACKs."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from functools import partial
from statistics import median

from millrace.app import App
from millrace.http import Request
from millrace.lab.experiment import Claim, Experiment, Quantity, Run
from millrace.lab.kernel_counters import network_counters
from millrace.lab.verdicts import Prediction
from millrace.patterns import acceptor_queue_workers
from millrace.server import Server
from millrace.sockets import SocketOptions

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
# Between the two parts of a streamed answer.
APART_S = 0.002
# Far above a round trip on loopback, far below a delayed acknowledgement.
AT_ONCE_S = 0.010


def experiment() -> Experiment:
    """Return the experiment ``nagle``."""
    one = Prediction(1, 1, "each second write waits for one", absolute=0.1)
    none = Prediction(0, 0, "nothing waits", absolute=0.1)
    late = Prediction(*DELAYED_ACK_S, "TCP_DELACK_MIN = HZ / 25", relative=0.10)
    at_once = Prediction(0, AT_ONCE_S, "a round trip")
    return Experiment(
        name="nagle",
        question="Why does a small request that is sent in two writes take 40 ms?",
        formula="write, write, read: one delayed acknowledgement per call, 40 ms; none, and a "
        "round trip, with TCP_NODELAY, one write, or TCP_QUICKACK",
        source="RFC 896; RFC 1122 4.2.3.2 and 4.2.3.4; tcp(7), TCP_NODELAY; TCP_DELACK_MIN in "
        "the kernel's include/net/tcp.h",
        quantities=[
            Quantity("delayed_acks", "Delayed ACKs", "per call"),
            Quantity("segments", "Segments", "per call"),
            Quantity("call_s", "Call, median", "ms", 1000),
        ],
        arms={
            "client, two writes": partial(_post, writes=2, nodelay=False),
            "client, TCP_NODELAY": partial(_post, writes=2, nodelay=True),
            "client, one write": partial(_post, writes=1, nodelay=False),
            "server, two writes": partial(_get, nodelay=False, quick_acks=False),
            "server, TCP_NODELAY": partial(_get, nodelay=True, quick_acks=False),
            "server, quick ACKs": partial(_get, nodelay=False, quick_acks=True),
        },
        claims=[
            Claim(
                "client, two writes",
                "delayed_acks",
                one,
                "Nagle holds the second write until the first is acknowledged, and the receiver, "
                "with nothing to say yet, puts that off.",
            ),
            Claim("client, two writes", "call_s", late, "So each call takes 40 ms.", by="clock"),
            Claim(
                "client, TCP_NODELAY",
                "delayed_acks",
                none,
                "TCP_NODELAY sends the second write at once; the answer acknowledges both.",
            ),
            Claim(
                "client, one write",
                "delayed_acks",
                none,
                "One write leaves nothing to hold back, with Nagle or without.",
            ),
            *(
                Claim(f"client, {how}", "call_s", at_once, "So nothing waits.", by="clock")
                for how in ("TCP_NODELAY", "one write")
            ),
            Claim(
                "server, two writes",
                "delayed_acks",
                one,
                "It is the same the other way: a streamed answer waits for its reader's kernel.",
            ),
            Claim("server, two writes", "call_s", late, "And takes 40 ms.", by="clock"),
            Claim(
                "server, TCP_NODELAY",
                "delayed_acks",
                none,
                "The engine's default, TCP_NODELAY, sends each part at once.",
            ),
            Claim(
                "server, quick ACKs",
                "delayed_acks",
                none,
                "A reader that sets TCP_QUICKACK before each read releases a sender with Nagle.",
            ),
            *(
                Claim(f"server, {how}", "call_s", at_once, "So nothing waits.", by="clock")
                for how in ("TCP_NODELAY", "quick ACKs")
            ),
        ],
        without_cause="Nagle's algorithm: every socket has TCP_NODELAY",
        private_network=True,
        rounds=6,
    )


def _post(run: Run, *, writes: int, nodelay: bool) -> dict[str, float]:
    """Let a client send head and body apart, or together."""
    app = App()

    @app.post("/")
    def answer(request: Request) -> str:
        return "ok"

    pieces = [HEAD, BODY] if writes == 2 else [HEAD + BODY]

    def call(client: socket.socket) -> None:
        for piece in pieces:
            client.sendall(piece)
        answer = client.recv(4096)
        assert answer.startswith(b"HTTP/1.1 200"), answer

    with Server(app, journey=False) as server:
        return _count(run, server, call, nodelay=nodelay)


def _get(run: Run, *, nodelay: bool, quick_acks: bool) -> dict[str, float]:
    """Let a server send its answer in parts, and its client read them."""
    app = App()

    @app.get("/")
    def parts(request: Request) -> Iterator[bytes]:
        yield b"first"
        # The loop writes together what it has; this lets it write the first part alone.
        time.sleep(APART_S)
        yield b"second"

    def call(client: socket.socket) -> None:
        client.sendall(b"GET / HTTP/1.1\r\nHost: lab\r\n\r\n")
        answer = b""
        while not answer.endswith(b"0\r\n\r\n"):
            if quick_acks:
                # The kernel goes back to its own choice when the client sends.
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
            answer += client.recv(4096)

    with Server(
        app,
        pattern=acceptor_queue_workers(workers=1),
        socket_options=SocketOptions(nodelay=nodelay or run.without_cause),
        journey=False,
    ) as server:
        return _count(run, server, call, nodelay=True)


def _count(
    run: Run, server: Server, call: Callable[[socket.socket], None], *, nodelay: bool
) -> dict[str, float]:
    """Call one time after the other, and count what the kernel sent and what it put off."""
    calls = QUICK_CALLS if run.quick else CALLS
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE_S) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, nodelay or run.without_cause)
        for _ in range(FIRST_CALLS):
            call(client)
        before = network_counters()
        times = []
        for _ in range(calls):
            start = time.monotonic()
            call(client)
            times.append(time.monotonic() - start)
        after = network_counters()
    return {
        "delayed_acks": (after["TcpExtDelayedACKs"] - before["TcpExtDelayedACKs"]) / calls,
        "segments": (after["TcpOutSegs"] - before["TcpOutSegs"]) / calls,
        "call_s": median(times),
    }
