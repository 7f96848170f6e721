"""Handlers of plain TCP and UDP under worker processes: what differs from serving them in one."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import millrace as mr
import pytest
from millrace import errors

from tests.python.wire import PATIENCE_S, eventually

multi_process = mr.patterns.multi_process
LINES = mr.framing.lines()


def who(connection: mr.tcp.Connection, line: bytes) -> bytes:
    return b"%d %s" % (os.getpid(), line)


async def who_of_coroutines(connection: Any) -> None:
    async for line in connection:
        await connection.write(who(connection, line))


def ask(server: mr.TcpServer, line: bytes = b"who?") -> int:
    """Ask on a connection of its own, and return the process that answered."""
    with mr.tcp_connect(server.address, framing=LINES, timeout=PATIENCE_S) as connection:
        connection.write(line)
        answer = connection.receive()
    assert answer is not None
    pid, _, echoed = answer.partition(b" ")
    assert echoed == line
    return int(pid)


def pids(server: Any) -> list[int]:
    return [row.pid for row in server.workers()]


def is_stopped(pid: int) -> bool:
    """Whether no thread of a process runs."""
    stats = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/stat")]
    return {text.rpartition(")")[2].split()[0] for text in stats} == {"T"}


def serving(server: Any, count: int) -> bool:
    return [row.state for row in server.workers()] == ["serving"] * count


@pytest.mark.parametrize("inner", list(mr.patterns.all()), ids=repr)
def test_every_inner_pattern_serves_in_other_processes(inner: mr.Pattern) -> None:
    with mr.TcpServer(who, framing=LINES, pattern=multi_process(2, inner=inner)) as server:
        seen = {ask(server) for _ in range(10)}
        assert seen <= set(pids(server))
        assert os.getpid() not in seen
        assert server.stats().total("messages_in") == 10
        assert sum(row.requests for row in server.workers()) == 10


@pytest.mark.parametrize("handler", [who, who_of_coroutines])
def test_every_process_has_a_socket_of_its_own(handler: Callable[..., Any]) -> None:
    pattern = multi_process(2, listener="reuseport")
    with mr.TcpServer(handler, framing=LINES, pattern=pattern) as server:
        seen: set[int] = set()
        eventually(lambda: seen.add(ask(server)) or len(seen) == 2)
        assert seen == set(pids(server))


def test_a_killed_worker_is_replaced_and_its_counters_stay(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with mr.TcpServer(who, framing=LINES, pattern=multi_process(2)) as server:
        for _ in range(10):
            ask(server)
        eventually(lambda: server.stats().total("messages_in") == 10)
        victim = server.workers()[0]
        os.kill(victim.pid, signal.SIGKILL)
        eventually(lambda: victim.pid not in pids(server) and serving(server, 2))
        assert [row.restarts for row in server.workers()] == [1, 0]
        assert server.stats().total("messages_in") == 10
        assert ask(server) in pids(server)
    assert f"worker 1 (pid {victim.pid}) was ended by signal 9" in caplog.text


def test_a_roll_replaces_every_process_and_refuses_nobody() -> None:
    with mr.TcpServer(who, framing=LINES, pattern=multi_process(2)) as server:
        old, seen, refused, rolled = set(pids(server)), set(), [], threading.Event()

        def keep_asking() -> None:
            while not rolled.is_set():
                try:
                    seen.add(ask(server))
                except errors.ConnectError as error:
                    refused.append(error)
                except (errors.MillraceError, AssertionError):
                    pass  # its process left before the question had come

        asking = threading.Thread(target=keep_asking)
        asking.start()
        server.roll()
        eventually(lambda: seen & set(pids(server)))
        rolled.set()
        asking.join(PATIENCE_S)
        assert not old & set(pids(server))
        assert refused == []


def test_calls_under_way_finish_when_the_server_stops(tmp_path: Path) -> None:
    def slow(connection: mr.tcp.Connection, line: bytes) -> bytes:
        (tmp_path / "entered").touch()
        while not (tmp_path / "go-on").exists():
            time.sleep(0.01)
        return line.upper()

    inner = mr.patterns.acceptor_queue_workers(workers=1)
    server = mr.TcpServer(slow, framing=LINES, pattern=multi_process(2, inner=inner)).start()
    with mr.tcp_connect(server.address, framing=LINES, timeout=PATIENCE_S) as connection:
        connection.write(b"hello")
        eventually((tmp_path / "entered").exists)
        stopping = threading.Thread(target=server.stop, kwargs={"drain": PATIENCE_S})
        stopping.start()
        (tmp_path / "go-on").touch()
        assert connection.receive() == b"HELLO"
        assert connection.receive() is None
        stopping.join(PATIENCE_S)
    assert not server.is_running
    assert server.stats().total("messages_out") == 1  # of its last run


def test_a_drain_that_is_over_cuts_off() -> None:
    async def waits(connection: Any) -> None:
        await connection.write(b"here")
        await asyncio.sleep(600)

    with mr.TcpServer(waits, framing=LINES, pattern=multi_process(1)) as server:
        with mr.tcp_connect(server.address, framing=LINES, timeout=PATIENCE_S) as connection:
            assert connection.receive() == b"here"
            server.stop(drain=0.1)
            with pytest.raises(errors.MillraceError):
                connection.receive()


def test_the_handler_of_a_script_travels_by_value(script: Callable[..., Any]) -> None:
    program = script(
        "import os, millrace as mr\n"
        "prefix = b'hello '\n"
        "def greet(connection, line):\n"
        "    return prefix + line + b' from %d' % os.getpid()\n"
        "lines = mr.framing.lines(max_bytes=50)\n"
        "with mr.TcpServer(greet, framing=lines, pattern=mr.patterns.multi_process(1)) as server:\n"
        "    with mr.tcp_connect(server.address, framing=lines) as connection:\n"
        "        connection.write(b'you')\n"
        "        words = connection.receive().decode()\n"
        "        assert words == f'hello you from {server.workers()[0].pid}', words\n"
        "        print('answered')\n"
    )
    assert program.finish()[:2] == (0, "answered\n")


def test_what_cannot_be_sent_to_a_worker_is_named() -> None:
    lock = threading.Lock()

    def locked(connection: mr.tcp.Connection, data: bytes) -> bytes:
        with lock:
            return data

    with pytest.raises(errors.NotPicklable, match=r"the handler locked .*uses 'lock', a lock"):
        mr.TcpServer(locked, pattern=multi_process(1)).start()


def test_a_crash_loop_ends_the_server(caplog: pytest.LogCaptureFixture) -> None:
    def ends(connection: mr.tcp.Connection, data: bytes) -> None:
        os._exit(7)

    server = mr.TcpServer(ends, pattern=multi_process(1, crash_limit=1)).start()
    with mr.tcp_connect(server.address) as connection:
        connection.write(b"x")
        eventually(lambda: not server.is_running)
    assert "ended with exit code 7" in server.failure
    assert "the server stops: worker 1 ended with exit code 7" in caplog.text


def test_what_a_handler_raises_is_logged_here(caplog: pytest.LogCaptureFixture) -> None:
    def fails(connection: mr.tcp.Connection, data: bytes) -> None:
        raise KeyError("gone")

    with caplog.at_level(logging.ERROR), mr.TcpServer(fails, pattern=multi_process(1)) as server:
        (pid,) = pids(server)
        with mr.tcp_connect(server.address) as connection:
            connection.write(b"x")
            with pytest.raises(errors.MillraceError):
                connection.read()
    (record,) = [record for record in caplog.records if "KeyError" in record.getMessage()]
    assert record.process == pid


# --- UDP ------------------------------------------------------------------------------------------

over_listeners = pytest.mark.parametrize("listener", ["shared", "reuseport"])


def mark(data: bytes, peer: tuple[str, int]) -> bytes:
    return b"%d %s" % (os.getpid(), data)


class Asker:
    """Sends numbered datagrams, each from a port of its own, so that all sockets get some."""

    def __init__(self, server: mr.UdpServer) -> None:
        self.to = ("127.0.0.1", server.port)
        self.clients: list[socket.socket] = []

    def __enter__(self) -> Asker:
        return self

    def __exit__(self, *error: object) -> None:
        for client in self.clients:
            client.close()

    def send(self) -> None:
        self.clients.append(client := socket.socket(type=socket.SOCK_DGRAM))
        client.settimeout(PATIENCE_S)
        client.sendto(b"%d" % len(self.clients), self.to)

    def answers(self) -> set[int]:
        """Wait for the answer to each, and return which processes gave them."""
        found = set()
        for number, client in enumerate(self.clients, 1):
            pid, _, echoed = client.recv(100).partition(b" ")
            assert echoed == b"%d" % number
            found.add(int(pid))
        return found


@over_listeners
def test_a_roll_loses_no_datagram(listener: Any) -> None:
    with (
        mr.UdpServer(mark, pattern=multi_process(2, listener=listener)) as server,
        Asker(server) as asker,
    ):
        old, rolled = set(pids(server)), threading.Event()

        def keep_sending() -> None:
            while not rolled.is_set() or len(asker.clients) < 100:
                asker.send()
                time.sleep(0.005)

        sending = threading.Thread(target=keep_sending)
        sending.start()
        server.roll()
        rolled.set()
        sending.join(PATIENCE_S)
        new = set(pids(server))
        asker.send()
        assert asker.answers() <= old | new
        assert not old & new
        count = len(asker.clients)
        assert server.stats().total("messages_in") == count  # each was read once


@over_listeners
def test_datagrams_that_wait_for_a_dead_worker_go_to_its_successor(listener: Any) -> None:
    with (
        mr.UdpServer(mark, pattern=multi_process(2, listener=listener)) as server,
        Asker(server) as asker,
    ):
        old = pids(server)
        for pid in old:
            os.kill(pid, signal.SIGSTOP)
        eventually(lambda: all(map(is_stopped, old)))  # nobody reads
        for _ in range(40):
            asker.send()
        for pid in old:
            os.kill(pid, signal.SIGKILL)
        assert not asker.answers() & set(old)


@over_listeners
def test_what_the_kernel_dropped_is_counted_once(listener: Any) -> None:
    small = mr.SocketOptions(receive_buffer=4608)
    pattern = multi_process(2, listener=listener)
    with (
        mr.UdpServer(mark, pattern=pattern, socket_options=small) as server,
        Asker(server) as asker,
    ):
        workers = pids(server)
        for pid in workers:
            os.kill(pid, signal.SIGSTOP)
        eventually(lambda: all(map(is_stopped, workers)))
        for _ in range(100):
            asker.send()
        for pid in workers:
            os.kill(pid, signal.SIGCONT)

        def all_accounted_for() -> bool:
            asker.send()  # a datagram tells of those that were dropped before it
            time.sleep(0.01)
            stats = server.stats()
            known = stats.total("messages_in") + stats.total("datagrams_lost")
            assert known <= len(asker.clients)
            return known == len(asker.clients)

        eventually(all_accounted_for)
        assert server.stats().total("datagrams_lost") > 20


def test_the_options_of_udp_reach_its_workers() -> None:
    async def later(data: bytes, peer: tuple[str, int]) -> bytes:
        await asyncio.sleep(0)
        return data

    options = {"max_bytes": 5, "batch": 2, "max_calls": 3, "unsent_datagrams": 4}
    with (
        mr.UdpServer(later, pattern=multi_process(1), **options) as server,
        mr.udp_connect(server.address) as client,
    ):
        for data in (b"longer", b"short"):
            client.send(data)
        assert client.recv() == b"short"
        assert server.stats().total("datagrams_too_large") == 1
        assert {row.name for row in server.socket_report()} >= {"receive_buffer", "reuse_port"}


def test_a_server_of_one_process_has_no_workers() -> None:
    with mr.TcpServer(who) as server:
        for call in (server.workers, server.roll):
            with pytest.raises(RuntimeError, match="one process"):
                call()
