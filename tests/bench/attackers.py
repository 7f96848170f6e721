"""Clients that mean harm by being slow: heads and bodies that never end, answers hardly read.

A third of the connections each. Every one moves once a second: a byte of its head or of its body,
or a few bytes of an answer of 10 MB, with the smallest receive buffer there is. One that the server
has ended comes back at once. It prints ``{"attacking": N}`` when all have begun and the server has
taken them, goes on until its standard input ends, and prints ``{"returned": N}``: how many had been
ended and came back.

usage: attackers.py PORT [--connections 1000] [--timeout 60]
"""

import argparse
import json
import select
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

TURNS = 20
"""In a second; at each, every twentieth connection moves."""
CONNECT_TIMEOUT_S = 20
RECEIVE_BUFFER = 2048
SIP = 512
"""Bytes of an answer that a slow reader takes."""


@dataclass(frozen=True)
class Kind:
    opening: bytes
    move: Callable[[socket.socket], bool]
    """One step; whether the connection lives."""


def send_byte(connection: socket.socket) -> bool:
    try:
        connection.send(b"x")
        connection.recv(SIP)  # whatever it says, it has refused
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def sip(connection: socket.socket) -> bool:
    try:
        return bool(connection.recv(SIP))
    except BlockingIOError:
        return True
    except OSError:
        return False


KINDS = (
    Kind(b"GET /plain HTTP/1.1\r\nHost: a\r\nX-Slow: ", send_byte),
    Kind(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n", send_byte),
    Kind(b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n", sip),
)


@dataclass
class Attacker:
    kind: Kind
    port: int
    connection: socket.socket = field(init=False)

    def __post_init__(self) -> None:
        self.open()

    def open(self) -> None:
        self.connection = socket.socket()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        self.connection.settimeout(CONNECT_TIMEOUT_S)
        self.connection.connect(("127.0.0.1", self.port))
        self.connection.sendall(self.kind.opening)
        self.connection.setblocking(False)

    def move(self) -> bool:
        """One step; whether the server had ended the connection, and another was opened."""
        if self.kind.move(self.connection):
            return False
        self.connection.close()
        self.open()
        return True


def wait_until_taken(attackers: list[Attacker], deadline: float) -> None:
    """Until every answer that is to be read slowly has begun, and so all before them are read."""
    for attacker in attackers:
        if attacker.kind is not KINDS[-1]:
            continue
        poll = select.poll()
        poll.register(attacker.connection, select.POLLIN)
        if not poll.poll(1000 * max(0.0, deadline - time.monotonic())):
            raise TimeoutError("the server did not begin its answers in time")


def attack(attackers: list[Attacker], deadline: float) -> int:
    """Go on until the standard input ends, or the time does; how many had to come back."""
    returned, turn, next_turn = 0, 0, time.monotonic()
    while next_turn < deadline:
        returned += sum(attacker.move() for attacker in attackers[turn % TURNS :: TURNS])
        turn += 1
        next_turn += 1 / TURNS
        if select.select([sys.stdin], [], [], max(0.0, next_turn - time.monotonic()))[0]:
            break
    return returned


def main() -> int:
    parser = argparse.ArgumentParser(description="Slow clients, a third of each kind.")
    parser.add_argument("port", type=int)
    parser.add_argument("--connections", type=int, default=1000)
    parser.add_argument("--timeout", type=float, default=60.0, help="seconds for everything")
    options = parser.parse_args()
    deadline = time.monotonic() + options.timeout
    try:
        attackers = [
            Attacker(KINDS[number % len(KINDS)], options.port)
            for number in range(options.connections)
        ]
        wait_until_taken(attackers, deadline)
        print(json.dumps({"attacking": len(attackers)}), flush=True)
        print(json.dumps({"returned": attack(attackers, deadline)}), flush=True)
    except OSError as error:
        print(json.dumps({"error": str(error)}), flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
