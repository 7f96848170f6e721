"""millrace's plain TCP through its public API, on one core. Arguments: PORT and the mode.

``native`` is the engine's own echo, ``function`` one of Python.
"""

from __future__ import annotations

import signal
import sys

import millrace as mr


def send_back(connection: mr.tcp.Connection, data: bytes) -> bytes:
    return data


def main() -> None:
    port, mode = int(sys.argv[1]), sys.argv[2]
    handler = mr.tcp.echo if mode == "native" else send_back
    with mr.TcpServer(handler, bind=f"127.0.0.1:{port}"):
        signal.pause()


main()
