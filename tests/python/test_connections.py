"""Accept queues and connections as a person sees them, compared with what /proc and ss know."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import resource
import shutil
import socket
import subprocess
import threading

import millrace as mr
import pytest
from millrace.connections import AcceptQueues

from tests.python.own_network import run_alone
from tests.python.test_socket_options import ALONE
from tests.python.wire import PATIENCE_S, Wire, eventually

REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def app_with_a_gate():
    app = mr.App()
    app.respond("/", "hello")
    gate = threading.Event()

    @app.get("/gate")
    async def wait(request):
        await asyncio.to_thread(gate.wait, PATIENCE_S)
        return "open"

    return app, gate


@pytest.mark.in_process
def test_every_pattern_lists_its_connections(serve, pattern):
    app, gate = app_with_a_gate()
    server = serve(app, pattern=pattern)
    wires = [Wire(server) for _ in range(5)]
    try:
        for count, wire in enumerate(wires[:4], start=1):
            for _ in range(count):
                assert wire.get("/").text == "hello"
        wires[3].send(b"GET /gate HTTP/1.1\r\nHost: a\r\n\r\n")

        def all_of_them():
            found = server.connections(timeout=PATIENCE_S)
            is_complete = len(found) == 5 and max(one.requests for one in found) == 5
            return {one.peer: one for one in found} if is_complete else None

        listed = eventually(all_of_them)
        of_wires = [listed["{}:{}".format(*wire.socket.getsockname())] for wire in wires]
        assert [one.requests for one in of_wires] == [1, 2, 3, 5, 0]
        assert [one.state for one in of_wires] == ["idle"] * 3 + ["answering", "idle"]
        assert len({one.id for one in of_wires}) == 5
        assert all(0 <= one.age < 60 for one in of_wires)
        assert all(one.tcp_info.state == "ESTABLISHED" for one in of_wires)
        assert all(one.tcp_info.bytes_received > 0 for one in of_wires[:4])
        assert "answering" in repr(server.connections())
    finally:
        gate.set()
        for wire in wires:
            wire.socket.close()
    eventually(lambda: len(server.connections()) == 0)


def test_of_each_loop_only_so_many_are_listed(serve):
    app, _ = app_with_a_gate()
    server = serve(app)
    wires = [Wire(server) for _ in range(3)]
    try:
        for wire in wires:
            assert wire.get("/").text == "hello"
        assert len(server.connections(most=2, timeout=PATIENCE_S)) == 2
        assert len(server.connections(most=3, timeout=PATIENCE_S)) == 3
    finally:
        for wire in wires:
            wire.socket.close()


def test_tcp_info_says_what_ss_says(serve):
    if shutil.which("ss") is None:
        pytest.skip("ss(8) is not installed")
    app, _ = app_with_a_gate()
    server = serve(app)
    with Wire(server) as wire:
        for _ in range(10):
            assert wire.get("/").text == "hello"

        def words():
            (one,) = server.connections(timeout=PATIENCE_S)
            info = one.tcp_info
            assert info.rtt > 0
            return (
                f"sk:{one.id:x}", f"{info.congestion_control} ", f"cwnd:{info.congestion_window}",
                f"bytes_acked:{info.bytes_acked}", f"bytes_received:{info.bytes_received}",
                f"segs_in:{info.segments_in}", f"mss:{info.send_segment_bytes}",
            )  # fmt: skip

        def words_and_what_ss_said():
            before = words()
            said = subprocess.run(
                ["ss", "-tineH", "sport", "=", f":{server.port}"],
                capture_output=True, text=True, check=True,
            ).stdout  # fmt: skip
            # The client's last acknowledgement comes when it likes: not while ss looked.
            return (before, said) if words() == before else None

        expected, said = eventually(words_and_what_ss_said)
        assert [word for word in expected if word not in said] == []


def test_bytes_that_a_slow_client_leaves_are_seen(serve):
    app = mr.App()
    app.respond("/", b"x" * 20_000_000)
    server = serve(app)
    with Wire(server, receive_buffer=4096) as wire:
        wire.send(REQUEST)

        def stuck():
            found = [one for one in server.connections() if one.state == "sending"]
            return found if found and found[0].tcp_info.not_sent_bytes > 0 else None

        (one,) = eventually(stuck)
        assert one.unsent_bytes > 0
        assert one.tcp_info.bytes_acked < 20_000_000


def test_unix_connections_have_no_tcp_info(serve, tmp_path):
    app, _ = app_with_a_gate()
    server = serve(app, bind=f"unix:{tmp_path}/socket")
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(f"{tmp_path}/socket")
        (one,) = eventually(server.connections)
        assert (one.peer, one.tcp_info, one.state) == ("unix:", None, "idle")
        assert "unix:" in repr(server.connections())


@pytest.mark.parametrize(
    ("name", "peer"), [(b"\0\xff\n", r"unix:@\xff\x0a"), (b'\0a"b', r"unix:@a\"b")]
)
def test_the_name_of_a_unix_client_is_shown_escaped(serve, tmp_path, name, peer):
    app, _ = app_with_a_gate()
    server = serve(app, bind=f"unix:{tmp_path}/socket")
    with socket.socket(socket.AF_UNIX) as client:
        client.bind(name)
        client.connect(f"{tmp_path}/socket")
        (one,) = eventually(server.connections)
        assert one.peer == peer
        assert peer in repr(server.connections())


def test_a_handler_cannot_ask_its_own_loop(serve):
    app = mr.App()

    @app.get("/")
    def ask(request):
        with pytest.raises(mr.errors.WrongState, match="on another thread"):
            server.connections()
        return "refused"

    server = serve(app)
    with Wire(server) as wire:
        assert wire.get("/").text == "refused"


def test_a_loop_that_a_handler_blocks_is_named_as_silent(serve):
    app = mr.App()
    entered, leave = threading.Event(), threading.Event()

    @app.get("/")
    def block(request):
        entered.set()
        leave.wait(PATIENCE_S)
        return "done"

    server = serve(app)
    with Wire(server) as wire:
        wire.send(REQUEST)
        assert entered.wait(PATIENCE_S)
        connections = server.connections(timeout="10ms")
        assert (len(connections), connections.silent_loops) == (0, 1)
        assert "1 loops did not answer" in repr(connections)
        leave.set()
        assert wire.read().text == "done"
        assert server.connections(timeout=PATIENCE_S).silent_loops == 0


def test_accept_queues_of_every_kind_of_address(serve, tmp_path):
    app, _ = app_with_a_gate()
    server = mr.Server(app, bind=["127.0.0.1:0", f"unix:{tmp_path}/socket"], backlog=77)
    with server:
        queues = server.accept_queues()
        assert isinstance(queues, AcceptQueues)
        assert [queue.address for queue in queues] == [
            f"127.0.0.1:{server.port}", f"unix:{tmp_path}/socket"
        ]  # fmt: skip
        assert (queues[0].depth, queues[0].limit) == (0, 77)
        assert queues[1].limit in (77, None)
        assert queues.overflows is not None
        assert "network namespace" in repr(queues)
    assert len(server.accept_queues()) == 0


def test_an_accept_queue_that_overflows_is_counted_and_served_in_the_end():
    said = run_alone(ALONE + """
import threading
entered, leave = threading.Event(), threading.Event()

@app.get("/block")
def block(request):
    entered.set()
    leave.wait(20)
    return "done"

with mr.Server(app, backlog=2) as server:
    address = ("127.0.0.1", server.port)
    first = socket.create_connection(address)
    first.sendall(b"GET /block HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n")
    assert entered.wait(20)  # the only loop is busy, nobody accepts
    before = server.accept_queues()
    assert before.overflows == 0, before
    waiting = []
    for _ in range(6):
        client = socket.socket()
        client.setblocking(False)
        client.connect_ex(address)
        waiting.append(client)
    wait_for(lambda: server.accept_queues().overflows > 0)
    (queue,) = full = server.accept_queues()
    print(queue.depth, queue.limit, full.overflows > 0, full.drops >= full.overflows)
    leave.set()
    answers = 0
    for client in waiting:
        client.settimeout(20)
        client.connect_ex(address)
        client.sendall(REQUEST)
        answers += b"".join(iter(lambda: client.recv(4096), b"")).endswith(b"hello")
    print(answers, server.accept_queues()[0].depth)
""")  # fmt: skip
    assert said.splitlines() == ["3 2 True True", "6 0"]


def test_a_full_descriptor_table_keeps_what_is_open_and_recovers(serve):
    app, _ = app_with_a_gate()
    server = serve(app)
    with Wire(server) as wire:
        assert wire.get("/").text == "hello"
        late = socket.socket()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        gc.collect()  # what earlier tests left behind is not to be closed meanwhile
        taken = [os.dup(0)]
        resource.setrlimit(resource.RLIMIT_NOFILE, (taken[0], hard))
        try:
            with contextlib.suppress(OSError):  # below it there was none, or somebody closed one
                while True:
                    taken.append(os.dup(0))
            os.close(taken.pop(0))
            late.connect(("127.0.0.1", server.port))
            eventually(lambda: server.stats().total("accept_failures") > 0)
            assert wire.get("/").text == "hello"
            assert server.accept_queues()[0].depth == 1
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            for descriptor in taken:
                os.close(descriptor)
        with late:
            late.settimeout(PATIENCE_S)
            late.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            assert b"".join(iter(lambda: late.recv(4096), b"")).endswith(b"hello")
        assert server.accept_queues()[0].depth == 0
