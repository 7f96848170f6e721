"""The table of descriptors is full: what is served goes on, and what waits is taken later."""

from __future__ import annotations

import json
import select
import socket

import millrace as mr
import pytest

from tests.python.wire import PATIENCE_S, eventually

SERVER = """
import os, resource, signal, sys
import millrace as mr

signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
app = mr.App()

@app.get("/")
def failures(request):
    return {"failures": server.stats().total("accept_failures")}

with mr.Server(app, pattern=eval("mr.patterns." + sys.argv[1])) as server:
    # Room for a few connections, and not for one more.
    top = max(int(name) for name in os.listdir("/proc/self/fd"))
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (top + 5, hard))
    print(server.port, flush=True)
    signal.sigwait({signal.SIGTERM})
"""

# The limit is the process's own, so this is for patterns of one process.
PATTERNS = [repr(one) for one in mr.patterns.all() if "process" not in repr(one)]


class Client:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
        self.socket.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        self.has_asked = True

    def fileno(self):
        return self.socket.fileno()

    def failures(self):
        """What a request on this connection says about failed accepts."""
        if not self.has_asked:
            self.socket.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        self.has_asked = False
        heard = b""
        while not heard.endswith(b"}"):
            piece = self.socket.recv(4096)
            assert piece, "the connection was closed"
            heard += piece
        return json.loads(heard.partition(b"\r\n\r\n")[2])["failures"]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_full_table_keeps_serving_and_recovers(script, pattern):
    program = script(SERVER, arguments=[pattern])
    port = int(program.line_with("", of="stdout"))
    served = [Client(port)]
    assert served[0].failures() == 0
    # More than there is room for: the kernel takes them, nobody else does.
    waiting = [Client(port) for _ in range(12)]
    eventually(lambda: served[0].failures() > 0)
    assert all(client.failures() > 0 for client in served)
    served[0].socket.close()
    # Whoever was taken leaves, which makes room for another, until all have been answered.
    while waiting:
        answered, _, _ = select.select(waiting, [], [], PATIENCE_S)
        assert answered, f"{len(waiting)} connections are never taken"
        for client in answered:
            assert client.failures() >= 0
            client.socket.close()
            waiting.remove(client)
    last = Client(port)
    assert last.failures() > 0
    last.socket.close()
    program.process.terminate()
    assert program.finish()[0] == 0
