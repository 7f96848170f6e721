"""Opens many keep-alive connections, has each answered once, and holds them idle.

A process of its own, so that its memory and descriptors are not the server's. It prints
``{"opened": N}`` when all are idle, waits for a line on its standard input, and prints
``{"closed": N}``: how many the server has closed meanwhile. With ``--half-head`` each has sent the
first half of a head instead, and the server has read it.

usage: idle_client.py PORT CONNECTIONS [--path /] [--header LINE]... [--half-head] [--timeout 60]
"""

import argparse
import json
import resource
import select
import socket
import sys
import time

PER_SOURCE_ADDRESS = 5_000
"""A fraction of the ports one source address has; more connections come from 127.0.0.2 and on."""
SPARE_DESCRIPTORS = 64


class OpenFailed(RuntimeError):
    """A connection could not be opened or was not answered."""


def connect(source: str, port: int) -> socket.socket:
    connection = socket.socket()
    connection.settimeout(5)
    connection.bind((source, 0))
    connection.connect(("127.0.0.1", port))
    return connection


def open_answered(source: str, port: int, request: bytes) -> socket.socket:
    """A connection that has served one request and is idle now."""
    connection = connect(source, port)
    connection.sendall(request)
    answer = b""
    while not is_complete(answer):
        received = connection.recv(65536)
        if not received:
            raise OpenFailed(f"closed while answering: {answer[:80]!r}")
        answer += received
    if not answer.startswith(b"HTTP/1.1 200 "):
        raise OpenFailed(f"answered {answer[:80]!r}")
    return connection


def open_half(source: str, port: int, request: bytes) -> socket.socket:
    """A connection that has sent half a head."""
    connection = connect(source, port)
    connection.sendall(request[: len(request) // 2])
    return connection


def is_complete(answer: bytes) -> bool:
    head, blank, body = answer.partition(b"\r\n\r\n")
    if not blank:
        return False
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return len(body) >= int(value)
    return True


def compose(port: int, path: str, headers: list[str]) -> bytes:
    lines = [f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", *headers, "", ""]
    return "\r\n".join(lines).encode()


def open_all(
    port: int, count: int, request: bytes, deadline: float, *, half_head: bool
) -> list[socket.socket]:
    connections: list[socket.socket] = []
    open_one = open_half if half_head else open_answered
    for number in range(count):
        if time.monotonic() > deadline:
            raise OpenFailed(f"only {number} of {count} connections in time")
        source = f"127.0.0.{2 + number // PER_SOURCE_ADDRESS}"
        try:
            connections.append(open_one(source, port, request))
        except OSError as error:
            raise OpenFailed(f"connection {number + 1} of {count}: {error}") from error
    if half_head:
        # Connections are taken, and what they bring is read, in the order in which it came: once
        # this one has been answered, all before it have been read.
        open_answered("127.0.0.1", port, request).close()
    return connections


def count_closed(connections: list[socket.socket]) -> int:
    """An idle connection with something to read has been closed."""
    poll = select.poll()
    for connection in connections:
        poll.register(connection, select.POLLIN)
    return len(poll.poll(0))


def allow_descriptors(count: int) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < count:
        raise OpenFailed(f"the limit of open descriptors is {hard}, {count} are needed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def main() -> int:
    parser = argparse.ArgumentParser(description="Hold many idle keep-alive connections.")
    parser.add_argument("port", type=int)
    parser.add_argument("connections", type=int)
    parser.add_argument("--path", default="/")
    parser.add_argument("--header", action="append", default=[], help='"Name: value"')
    parser.add_argument("--half-head", action="store_true", help="send that much and no more")
    parser.add_argument("--timeout", type=float, default=60.0, help="seconds for everything")
    options = parser.parse_args()
    deadline = time.monotonic() + options.timeout
    try:
        allow_descriptors(options.connections + SPARE_DESCRIPTORS)
        request = compose(options.port, options.path, options.header)
        connections = open_all(
            options.port, options.connections, request, deadline, half_head=options.half_head
        )
    except OpenFailed as error:
        print(json.dumps({"error": str(error)}), flush=True)
        return 1
    print(json.dumps({"opened": len(connections)}), flush=True)
    select.select([sys.stdin], [], [], max(0.0, deadline - time.monotonic()))
    print(json.dumps({"closed": count_closed(connections)}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
