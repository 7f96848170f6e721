"""What becomes of connections while nobody accepts: the SYN queue, the accept queue, overflow."""

from __future__ import annotations

import asyncio
import errno
import socket
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path

from millrace.app import App
from millrace.lab.experiment import Claim, Experiment, Quantity, Run
from millrace.lab.kernel_counters import network_counters
from millrace.lab.private_network import set_sysctl
from millrace.lab.verdicts import Prediction
from millrace.lab.waiting import wait_for_rest, wait_until
from millrace.server import Server

__all__ = ["experiment"]

BACKLOG = 4
CLIENTS = 24
QUICK_CLIENTS = 16
# Enough for all that the kernel does at once; what it puts off comes after a second.
SETTLE_S = 0.05
# States of tcp(7)'s TCP_INFO, from the kernel's include/net/tcp_states.h.
_ESTABLISHED = 1


def experiment() -> Experiment:
    """Return the experiment ``accept-queue``."""
    room = BACKLOG + 1
    admitted = Prediction(room, room, "min(backlog, somaxconn) + 1")
    # A client asks again after a second, and is counted again.
    overflows = Prediction(QUICK_CLIENTS - room, float("inf"), "clients - admitted")
    none = Prediction(0, 0, "nothing overflows at the handshake's end")
    return Experiment(
        name="accept-queue",
        question="What becomes of connections while nobody accepts them?",
        formula="accept queue and SYN queue hold min(backlog, somaxconn) + 1 connections each; "
        "what is beyond is dropped, and a handshake that ends at a full queue is dropped or reset",
        source="listen(2); tcp(7), tcp_abort_on_overflow, tcp_syncookies, TCP_DEFER_ACCEPT; "
        "sk_acceptq_is_full() in the kernel's include/net/sock.h",
        quantities=[
            Quantity("established", "Connected", "clients"),
            Quantity("reset", "Reset", "clients"),
            Quantity("overflows", "ListenOverflows"),
            Quantity("cookies", "SYN cookies", "asked for"),
        ],
        arms={
            f"backlog {BACKLOG}": partial(_engine, backlog=BACKLOG, somaxconn=4096),
            f"backlog 64, somaxconn {BACKLOG}": partial(_engine, backlog=64, somaxconn=BACKLOG),
            "SYN queue, no cookies": partial(_handshakes, cookies=0, abort=0),
            "SYN queue, cookies": partial(_handshakes, cookies=1, abort=0),
            "SYN queue, cookies, abort": partial(_handshakes, cookies=1, abort=1),
        },
        claims=[
            Claim(
                f"backlog {BACKLOG}",
                "established",
                admitted,
                "The accept queue admits one more than the backlog.",
            ),
            Claim(
                f"backlog {BACKLOG}",
                "overflows",
                overflows,
                "Every further SYN is dropped and counted; its client hears nothing and waits.",
            ),
            Claim(
                f"backlog 64, somaxconn {BACKLOG}",
                "established",
                admitted,
                "net.core.somaxconn cuts a larger backlog down without a word.",
            ),
            Claim(
                "SYN queue, no cookies",
                "established",
                admitted,
                "The SYN queue, of handshakes that have not ended, is as long as the accept queue.",
            ),
            Claim(
                "SYN queue, cookies",
                "established",
                Prediction(2 * room, 2 * room, "SYN queue + accept queue"),
                "Cookies let handshakes through a full SYN queue, as far as the accept queue goes.",
            ),
            Claim(
                "SYN queue, cookies",
                "reset",
                none,
                "A handshake that ends at a full accept queue is dropped: the client believes that "
                "it is connected.",
            ),
            Claim(
                "SYN queue, cookies, abort",
                "reset",
                Prediction(room, room, "handshakes in the SYN queue"),
                "With tcp_abort_on_overflow it is reset, and the client knows.",
            ),
        ],
        without_cause="the queue that nobody empties: the server accepts at once",
        private_network=True,
        rounds=3,
    )


def _engine(run: Run, *, backlog: int, somaxconn: int) -> dict[str, float]:
    """Connect to an engine that listens with a backlog."""
    set_sysctl("net.core.somaxconn", somaxconn)
    with socket.socket() as probe:
        # Nobody else takes it: the network is ours.
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with _starting_server(run, bind=f"127.0.0.1:{port}", backlog=backlog):
        wait_until(lambda: _queued(port) is not None, "the server did not listen")
        return _observe(port, run)


def _handshakes(run: Run, *, cookies: int, abort: int) -> dict[str, float]:
    """Keep handshakes in the SYN queue, then end them all while the accept queue is full.

    TCP_DEFER_ACCEPT makes the kernel overlook the ACK that ends a handshake until data comes.
    """
    set_sysctl("net.core.somaxconn", 4096)
    set_sysctl("net.ipv4.tcp_syncookies", cookies)
    set_sysctl("net.ipv4.tcp_abort_on_overflow", abort)
    with socket.socket() as listener:
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 60)
        listener.bind(("127.0.0.1", 0))
        listener.listen(BACKLOG)
        with _starting_server(run, bind=f"fd://{listener.fileno()}"):
            return _observe(listener.getsockname()[1], run, send=True)


@contextmanager
def _starting_server(run: Run, *, bind: str, backlog: int | None = None) -> Iterator[None]:
    """Run a server that does not accept, as its start does not end; it does without the cause."""
    may_start = threading.Event()
    app = App()

    @app.lifespan
    async def life(app: App) -> AsyncIterator[None]:
        await asyncio.to_thread(may_start.wait)
        yield

    server = Server(app, bind=bind, backlog=backlog, journey=False)
    starting = threading.Thread(target=server.start)
    starting.start()
    try:
        if run.without_cause:
            may_start.set()
            starting.join()
        yield
    finally:
        may_start.set()
        starting.join()
        server.stop(drain=0)


def _observe(port: int, run: Run, *, send: bool = False) -> dict[str, float]:
    """Let clients connect one after the other and count what becomes of them."""
    before = network_counters()
    with ExitStack() as stack:
        clients = []
        for _ in range(QUICK_CLIENTS if run.quick else CLIENTS):
            clients.append(stack.enter_context(socket.socket()))
            clients[-1].setblocking(False)
            clients[-1].connect_ex(("127.0.0.1", port))
            if run.without_cause:
                wait_until(lambda: not _queued(port), "the server did not accept")
        wait_for_rest(lambda: _states(clients), SETTLE_S)
        established = _states(clients)[_ESTABLISHED]
        reset = 0
        if send:
            for client in clients:
                _send(client)
            wait_for_rest(lambda: _states(clients), SETTLE_S)
            reset = sum(_error(client) == errno.ECONNRESET for client in clients)
        after = network_counters()
    return {
        "established": established,
        "reset": reset,
        "overflows": after["TcpExtListenOverflows"] - before["TcpExtListenOverflows"],
        "cookies": after["TcpExtTCPReqQFullDoCookies"] - before["TcpExtTCPReqQFullDoCookies"],
    }


def _send(client: socket.socket) -> None:
    # Some are not connected yet, or no longer.
    with suppress(BlockingIOError, ConnectionError):
        client.send(b"x")


def _states(clients: list[socket.socket]) -> Counter[int]:
    # The state is the first byte of struct tcp_info.
    return Counter(
        client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] for client in clients
    )


def _error(client: socket.socket) -> int:
    return client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)


def _queued(port: int) -> int | None:
    """Return how many connections wait to be accepted; None where nobody listens.

    From proc_pid_net(5), tcp: for a socket that listens, the receive queue is the accept queue.
    """
    table = Path("/proc/net/tcp").read_text(encoding="ascii")
    for row in (line.split() for line in table.splitlines()[1:]):
        if row[1].endswith(f":{port:04X}") and row[3] == "0A":
            return int(row[4].partition(":")[2], 16)
    return None
