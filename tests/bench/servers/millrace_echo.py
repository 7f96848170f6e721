"""millrace's echo servers, on one core, through its public API. Arguments: PORT, tcp or udp, mode.

``native`` is the engine's own echo, ``function`` one of Python.
"""

from __future__ import annotations

import signal
import sys

import millrace as mr


def send_back(connection: mr.tcp.Connection, data: bytes) -> bytes:
    return data


def send_datagram_back(data: bytes, peer: tuple[str, int]) -> bytes:
    return data


def main() -> None:
    port, transport, mode = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    bind, is_native = f"127.0.0.1:{port}", mode == "native"
    server: mr.TcpServer | mr.UdpServer
    if transport == "tcp":
        server = mr.TcpServer(mr.tcp.echo if is_native else send_back, bind=bind)
    else:
        server = mr.UdpServer(mr.udp.echo if is_native else send_datagram_back, bind=bind)
    with server:
        signal.pause()


main()
