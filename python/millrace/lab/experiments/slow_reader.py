"""What a reader that pauses does to its sender: buffers, the zero window, back-pressure."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from millrace.app import App
from millrace.http import Request
from millrace.lab.experiment import Claim, Experiment, Quantity, Run
from millrace.lab.kernel_counters import network_counters
from millrace.lab.private_network import set_sysctl
from millrace.lab.verdicts import Prediction
from millrace.lab.waiting import wait_for_rest, wait_until
from millrace.server import Server

__all__ = ["experiment"]

TOTAL = 32 * 2**20
QUICK_TOTAL = 8 * 2**20
CHUNK = 16 * 2**10
# The most that the kernel lets the sender's buffer grow to (tcp_wmem).
SEND_BUFFER = 256 * 2**10
# What the reader asks for; the kernel doubles it for its bookkeeping (socket(7), SO_RCVBUF).
RECEIVE_BUFFER = 64 * 2**10
BUFFERS = SEND_BUFFER + 2 * RECEIVE_BUFFER
# What the engine keeps of a streamed answer before it asks for no more, twice, with the chunk that
# the handler has in its hand.
ENGINE_HOLDS = 2 * 64 * 2**10 + CHUNK
# A sender that moved nothing for so long is stalled.
STALLED_S = 0.1
PATIENCE_S = 10.0
_PAGE = os.sysconf("SC_PAGE_SIZE")


def experiment() -> Experiment:
    """Return the experiment ``slow-reader``."""
    in_kernel = Prediction(
        BUFFERS, BUFFERS, "send buffer + receive buffer, bookkeeping included", relative=0.35
    )
    least_held = QUICK_TOTAL - 2 * BUFFERS
    at_least_one = Prediction(1, float("inf"), "one pause")
    return Experiment(
        name="slow-reader",
        question="Where do the bytes wait when a client stops reading?",
        formula="the kernel takes about send buffer + receive buffer; a generator then stops, and "
        "the process holds a chunk or two; an answer in one piece stays in memory whole",
        source="RFC 9293 3.8.6; tcp(7), tcp_wmem; socket(7), SO_RCVBUF",
        quantities=[
            Quantity("in_kernel", "In the kernel", "kB", 1e-3),
            Quantity("held", "Held in process", "kB", 1e-3),
            Quantity("grown", "Process grew", "kB", 1e-3),
            Quantity("zero_windows", "Zero windows"),
            Quantity("probes", "Window probes"),
        ],
        arms={
            "generator": partial(_pause, path="/generator"),
            "in one piece": partial(_pause, path="/whole"),
        },
        claims=[
            Claim(
                "generator",
                "in_kernel",
                in_kernel,
                "The sender stalls when both sockets' buffers are full.",
            ),
            Claim(
                "generator",
                "held",
                Prediction(0, ENGINE_HOLDS, "engine's high-water mark + a chunk"),
                "Then the generator is not asked for more: back-pressure has reached it.",
            ),
            Claim(
                "generator",
                "grown",
                Prediction(0, 2 * BUFFERS, "less than twice the buffers"),
                "So the process does not grow, however long the answer is.",
            ),
            Claim(
                "generator",
                "zero_windows",
                at_least_one,
                "The reader's kernel says that it has no room: the zero window.",
            ),
            Claim(
                "generator",
                "probes",
                at_least_one,
                "The sender's kernel asks from time to time whether it has room again.",
            ),
            Claim(
                "in one piece",
                "held",
                Prediction(least_held, TOTAL, "answer - buffers"),
                "Without back-pressure all that the kernel does not take stays in the process.",
            ),
        ],
        without_cause="the pause: the client reads all the time",
        private_network=True,
        rounds=6,
    )


def _pause(run: Run, *, path: str) -> dict[str, float]:
    """Ask for a long answer, read nothing until its sender stalls, then read it all."""
    set_sysctl("net.ipv4.tcp_wmem", f"4096 65536 {SEND_BUFFER}")
    total = QUICK_TOTAL if run.quick else TOTAL
    made = 0
    app = App()

    @app.get("/generator")
    def generate(request: Request) -> Iterator[bytes]:
        nonlocal made
        for _ in range(total // CHUNK):
            made += CHUNK
            yield b"x" * CHUNK

    @app.get("/whole")
    def whole(request: Request) -> bytes:
        nonlocal made
        made += total
        return b"x" * total

    with Server(app, journey=False) as server, socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        client.settimeout(PATIENCE_S)
        client.connect(("127.0.0.1", server.port))
        before, memory = network_counters(), _resident()
        client.sendall(f"GET {path} HTTP/1.0\r\nHost: lab\r\n\r\n".encode())
        read = 0
        if run.without_cause:
            read = _read_all(client)
        else:
            wait_until(
                lambda: _since(before, "TcpExtTCPWinProbe") > 0, "no window probe", glance_s=0.01
            )
            wait_for_rest(lambda: (made, server.stats().total("bytes_out")), STALLED_S)
        sent = server.stats().total("bytes_out")
        values: dict[str, float] = {
            "in_kernel": sent - read,
            "held": max(0, made - sent),
            "grown": max(0, _resident() - memory),
            "zero_windows": _since(before, "TcpExtTCPToZeroWindowAdv"),
            "probes": _since(before, "TcpExtTCPWinProbe"),
        }
        read += _read_all(client)
    assert read > total, f"{read} bytes came of an answer of {total} and its head"
    return values


def _read_all(client: socket.socket) -> int:
    """Read to the end of the connection, which is the end of an HTTP/1.0 answer."""
    return sum(map(len, iter(lambda: client.recv(2**20), b"")))


def _since(before: dict[str, int], counter: str) -> int:
    return network_counters()[counter] - before[counter]


def _resident() -> int:
    """Return the bytes of memory that the process has (proc_pid_statm(5))."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * _PAGE
