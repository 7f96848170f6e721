"""Many requests of all kinds under every execution pattern: none lost, wrong or mixed up.

``MILLRACE_TEST_SOAK_REQUESTS`` says how many over all patterns: two million by `make check-soak`.
"""

from __future__ import annotations

import gc
import os
from pathlib import Path

import millrace as mr

from tests.python.conftest import ALL_PATTERNS
from tests.python.soak import Client, make_app
from tests.python.wire import eventually

REQUESTS = int(os.environ.get("MILLRACE_TEST_SOAK_REQUESTS", "80000")) // len(ALL_PATTERNS)
# What the allocators of two languages keep back for later, whatever is done with it.
SLACK_BYTES = 4 << 20


def resident_bytes(server: mr.Server) -> int:
    """Of this process, client and all, and of the server's workers."""
    gc.collect()
    pids = [os.getpid()]
    if isinstance(server.pattern, mr.patterns.MultiProcess):
        pids += [worker.pid for worker in server.workers()]
    pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids)
    return pages * os.sysconf("SC_PAGESIZE")


def test_no_answer_is_lost_wrong_or_mixed_up(serve, pattern, tmp_path):
    server = serve(make_app(tmp_path), pattern=pattern)
    client = Client(server.port, seed=7)
    client.ask(REQUESTS // 2)
    half = resident_bytes(server)
    client.ask(REQUESTS - REQUESTS // 2)
    assert resident_bytes(server) - half < SLACK_BYTES
    client.leave()

    stats = eventually(lambda: (s := server.stats()).total("connections_open") == 0 and s)
    assert client.counts == {
        "connections": stats.total("connections_opened"),
        "answered": stats.total("requests"),
        "abandoned": stats.total("requests_abandoned"),
        "refused": stats.total("protocol_errors"),
    }
    assert stats.total("requests_failed") == stats.total("requests_refused") == 0
    assert stats.total("timeouts") == 0
