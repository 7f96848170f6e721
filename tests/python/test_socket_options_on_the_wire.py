"""What each socket option does to packets, in a network where nobody else sends any."""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import socket
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import millrace as mr
import pytest
from millrace.lab import PrivateNetwork
from millrace.lab.private_network import PrivateNetworkUnavailable, set_sysctl

from tests.python.capture import FAST_OPEN, PATIENCE_S, WINDOW_SCALE, Capture, deaf, fresh

A_LONG_TIME_S = 1000
REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.fixture(scope="module")
def network():
    with contextlib.ExitStack() as stack:
        try:
            network = stack.enter_context(PrivateNetwork())
            network.call(settle)
        except PrivateNetworkUnavailable as error:
            pytest.skip(str(error))
        yield network


def settle():
    """Keep the kernel from what it does on its own account, and on its default's."""
    set_sysctl("net.ipv4.tcp_congestion_control", "reno")  # bbr spreads segments over time
    set_sysctl("net.ipv4.tcp_early_retrans", 0)  # its probes would push out what Nagle holds back
    set_sysctl("net.ipv4.tcp_fastopen", 3)


# --- what runs in the network ---------------------------------------------------------------------


def until(fact):
    deadline = time.monotonic() + PATIENCE_S
    while not (value := fact()):
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.002)
    return value


def connect(server):
    client = socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE_S)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client


def receive(client, count):
    got = b""
    while len(got) < count:
        piece = client.recv(count - len(got))
        assert piece, f"closed after {got!r}"
        got += piece
    return got


def app():
    app = mr.App()
    app.respond("/", "hello")
    return app


def two_small_writes(nodelay):
    """Echo two bytes to a client that acknowledges none of them, until it does."""
    options = mr.SocketOptions(nodelay=nodelay)
    with (
        mr.TcpServer(mr.tcp.echo, socket_options=options) as server,
        Capture(server.port) as wire,
        connect(server) as client,
    ):
        with deaf(client):
            for written, piece in enumerate([b"1", b"2"], 1):
                client.sendall(piece)
                until(lambda written=written: server.stats().total("writes") == written)
            unacknowledged = wire.sent()
        assert receive(client, 2) == b"12"
        return unacknowledged, wire.packets(), server.port


def writes_of_an_answer(**options):
    """Write eight times and close; return writes, and the segments they went in."""

    async def answer(connection):
        await connection.read()
        for _ in range(8):
            await connection.write(b"piece")

    options = mr.SocketOptions(**options)
    with (
        mr.TcpServer(answer, socket_options=options) as server,
        Capture(server.port) as wire,
        connect(server) as client,
    ):
        client.sendall(b"x")
        assert receive(client, 40) == b"piece" * 8
        assert client.recv(1) == b""
        return server.stats().total("writes"), fresh(wire.sent())


def acknowledged_alone(packets, asker):
    """For each piece of data that ``asker`` sent: was it acknowledged before it was answered?"""
    alone, asked = [], None
    for packet in packets:
        if packet.data and packet.source == asker:
            alone.append(False)
            asked = packet.end
        elif packet.data:
            asked = None
        elif packet.source != asker and packet.is_bare_ack and packet.ack == asked:
            alone[-1] = True
    return alone


def ten_requests(quickack, http):
    options = mr.SocketOptions(quickack=quickack)
    server = (
        mr.Server(app(), socket_options=options)
        if http
        else mr.TcpServer(mr.tcp.echo, socket_options=options)
    )
    with server, Capture(server.port) as wire, connect(server) as client:
        client.sendall(REQUEST)
        answer = client.recv(4096)
        for _ in range(9):
            client.sendall(REQUEST)
            assert receive(client, len(answer)) == answer
        return acknowledged_alone(wire.packets(), client.getsockname()[1])


def ten_requests_to_a_client(quickack):
    """Ask a connection of `mr.tcp_connect` ten times."""
    options = mr.SocketOptions(quickack=quickack)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with Capture(port) as wire, mr.tcp_connect(
            f"127.0.0.1:{port}", socket_options=options
        ) as ours:  # fmt: skip
            peer, _ = listener.accept()
            with peer:
                for _ in range(10):
                    peer.sendall(b"?")
                    assert ours.readexactly(1) == b"?"
                    ours.write(b"!")
                    assert receive(peer, 1) == b"!"
                return acknowledged_alone(wire.packets(), port)


def two_fast_opens(client_option, server_option):
    """Connect twice; return the SYNs of the client and those of the server."""
    with (
        mr.TcpServer(
            mr.tcp.echo, socket_options=mr.SocketOptions(fast_open=server_option)
        ) as server,
        Capture(server.port) as wire,
    ):
        for _ in range(2):
            with mr.tcp_connect(
                server.address, socket_options=mr.SocketOptions(fast_open=client_option)
            ) as ours:
                ours.write(b"hello")
                assert ours.readexactly(5) == b"hello"
        begun = [packet for packet in wire.packets() if "S" in packet.flags]
        return (
            [packet for packet in begun if packet.target == server.port],
            [packet for packet in begun if packet.source == server.port],
        )


def last_words(**options):
    """Return what a server sends behind the answer after which it closes."""
    with (
        mr.Server(app(), socket_options=mr.SocketOptions(**options)) as server,
        Capture(server.port) as wire,
        connect(server) as client,
    ):
        client.sendall(REQUEST.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        with contextlib.suppress(ConnectionResetError):
            while client.recv(4096):
                pass
        wire.wait_for(lambda seen: any(set("FR") & set(one.flags) for one in seen))
        return "".join(packet.flags for packet in wire.sent())


def close_on_the_deaf(linger):
    """Close a connection whose peer acknowledges nothing, until it does.

    Return how many loops were blocked before it did, what it read, and what the server had sent.
    """
    options = mr.SocketOptions(linger=linger)
    with (
        # Not a handler in Python: it would close with the GIL in its hands.
        mr.TcpServer(mr.tcp.echo, socket_options=options) as server,
        Capture(server.port) as wire,
        connect(server) as client,
    ):

        def blocked(patience):
            return server.connections(timeout=patience).silent_loops

        with deaf(client):
            client.sendall(b"goodbye")
            client.shutdown(socket.SHUT_WR)
            wire.wait_for(lambda _: any("F" in packet.flags for packet in wire.sent()))
            if linger == A_LONG_TIME_S:
                until(lambda: blocked(0.05) == 1)
            waits = blocked(0.05 if linger == A_LONG_TIME_S else PATIENCE_S)
        got = receive(client, len(b"goodbye")), client.recv(1)
        assert blocked(PATIENCE_S) == 0
        return waits, got, "".join(packet.flags for packet in wire.sent())


def silent_at_first(defer_accept):
    """Connect and say nothing, have another client served, then ask."""
    options = mr.SocketOptions(defer_accept=defer_accept)
    with (
        mr.Server(app(), socket_options=options) as server,
        Capture(server.port) as wire,
        connect(server) as silent,
    ):
        port = silent.getsockname()[1]
        wire.wait_for(lambda seen: any(one.source == port and one.is_bare_ack for one in seen))
        with connect(server) as other:
            other.sendall(REQUEST)
            other.recv(4096)
            before = server.stats().total("accepts"), kernel_row(server.port, port).state
        silent.sendall(REQUEST)
        assert silent.recv(4096).endswith(b"hello")
        after = server.stats().total("accepts"), kernel_row(server.port, port).state
        return before, after


@dataclass
class KernelRow:
    """A line of /proc/net/tcp (proc_pid_net(5)): the state, and the timer with what is left."""

    state: str
    timer: int
    seconds: float


def kernel_row(local, remote):
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        ports = [int(address.partition(":")[2], 16) for address in fields[1:3]]
        if ports == [local, remote]:
            timer, left = fields[5].split(":")
            return KernelRow(_STATES[int(fields[3], 16)], int(timer), int(left, 16) / 100)
    raise AssertionError("the kernel knows no such connection")


_STATES = {1: "ESTABLISHED", 3: "SYN_RECV"}
KEEPALIVE_TIMER = 2


def keepalive_timer(idle, interval):
    """Return the timer of a silent connection; behind its first probe where that comes soon."""
    options = mr.SocketOptions(keepalive=mr.Keepalive(idle=idle, interval=interval, count=5))
    with (
        mr.Server(app(), socket_options=options) as server,
        Capture(server.port) as wire,
        connect(server) as client,
        deaf(client),
    ):
        port = client.getsockname()[1]
        until(lambda: server.stats()["connections"] == 1)
        if idle == 1:
            wire.wait_for(_probe_of(server.port))
        return kernel_row(server.port, port)


def _probe_of(port):
    """A segment without data, in front of what is to come next (RFC 9293 3.8.4)."""

    def is_there(packets):
        return probes(packets, port)

    return is_there


def probes(packets, port):
    sent = [packet for packet in packets if packet.source == port]
    nxt = sent[0].end
    return [packet for packet in sent if packet.is_bare_ack and packet.seq == (nxt - 1) % 2**32]


def silent_connections():
    """Have probes answered, not answered, and none; until the second connection is given up."""
    probing = mr.SocketOptions(keepalive=mr.Keepalive(idle=1, interval=1, count=2))
    with contextlib.ExitStack() as stack:
        servers = [
            stack.enter_context(mr.Server(app(), socket_options=options))
            for options in (probing, probing, mr.SocketOptions())
        ]
        wires = [stack.enter_context(Capture(server.port)) for server in servers]
        clients = [stack.enter_context(connect(server)) for server in servers]
        for server in servers:
            until(lambda server=server: server.stats()["connections"] == 1)
        for client in clients[1:]:
            stack.enter_context(deaf(client))
        until(lambda: servers[1].stats()["connections"] == 0)
        seen = [wire.packets() for wire in wires]
        counts = [len(probes(one, server.port)) for one, server in zip(seen, servers, strict=True)]
        ends = ["".join(packet.flags for packet in wire.sent()[1:]) for wire in wires]
        answers = [packet for packet in seen[0][3:] if packet.target == servers[0].port]
        return counts, len(answers), ends, [server.stats()["connections"] for server in servers]


def answers_to_the_deaf():
    """Two answers that are never acknowledged, until one connection is given up."""
    with contextlib.ExitStack() as stack:
        servers = [
            stack.enter_context(mr.Server(app(), socket_options=options))
            for options in (mr.SocketOptions(user_timeout="300ms"), mr.SocketOptions())
        ]
        wires = [stack.enter_context(Capture(server.port)) for server in servers]
        for server in servers:
            client = stack.enter_context(connect(server))
            stack.enter_context(deaf(client))
            client.sendall(REQUEST)
        for wire, server in zip(wires, servers, strict=True):
            wire.wait_for(lambda seen, port=server.port: transmissions(seen, port))
        until(lambda: servers[0].stats()["connections"] == 0)
        given_up = transmissions(wires[0].packets(), servers[0].port)
        wires[1].wait_for(lambda seen: transmissions(seen, servers[1].port) > given_up)
        return given_up, [server.stats()["connections"] for server in servers]


def transmissions(packets, port):
    return sum(packet.source == port and bool(packet.data) for packet in packets)


def threshold_after_a_loss(congestion_control):
    """Return the window and the threshold behind an answer that was lost (RFC 5681 3.1)."""
    lost = mr.App()
    lost.respond("/", b"x" * 1_000_000)
    options = mr.SocketOptions(congestion_control=congestion_control)
    with mr.Server(lost, socket_options=options) as server, connect(server) as client:
        until(lambda: server.connections())
        (before,) = server.connections()
        with deaf(client):
            client.sendall(REQUEST)

            def retransmitted():
                (now,) = server.connections()
                return now.tcp_info if now.tcp_info.slow_start_threshold < 2**31 - 1 else None

            after = until(retransmitted)
        return before.tcp_info.congestion_window, after


def offered_windows(receive_buffer):
    """Return the windows that a server offers: with its SYN, and at most while it reads."""
    options = mr.SocketOptions(receive_buffer=receive_buffer)
    with (
        mr.TcpServer(lambda connection, data: None, socket_options=options) as server,
        Capture(server.port) as wire,
        connect(server) as client,
    ):
        client.sendall(bytes(2_000_000))
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1) == b""
        syn, *others = wire.sent()
        scale = syn.options[WINDOW_SCALE][0]
        return syn.window, max(packet.window for packet in others) << scale


def left_in_the_kernel(send_buffer):
    """Return what a server's kernel holds of an answer to a client that acknowledges nothing."""
    large = mr.App()
    large.respond("/", b"x" * 20_000_000)
    options = mr.SocketOptions(send_buffer=send_buffer)
    with mr.Server(large, socket_options=options) as server, connect(server) as client:
        with deaf(client):
            client.sendall(REQUEST)
            until(lambda: server.stats().total("partial_writes") > 0)
            (row,) = [
                line.split()
                for line in Path("/proc/net/tcp").read_text().splitlines()[1:]
                if f":{server.port:04X} 0100007F:{client.getsockname()[1]:04X}" in line
            ]
        return int(row[4].partition(":")[0], 16)


def ipv4_to_ipv6(v6_only):
    """Return the flags of the first answer to an IPv4 client of a server on [::]."""
    options = mr.SocketOptions(v6_only=v6_only)
    with (
        mr.Server(app(), bind="[::]:0", socket_options=options) as server,
        Capture(server.port) as wire,
        socket.socket() as client,
    ):
        client.connect_ex(("127.0.0.1", server.port))
        return wire.wait_for(lambda seen: len(seen) > 1)[1].flags


def two_servers_on_one_port():
    options = mr.SocketOptions(reuse_port=True)
    with mr.Server(app(), socket_options=options) as first:
        where = f"127.0.0.1:{first.port}"
        with mr.Server(app(), bind=where, socket_options=options) as second:
            for _ in range(64):
                with connect(first) as client:
                    client.sendall(REQUEST)
                    assert client.recv(4096).endswith(b"hello")
            return [server.stats().total("accepts") for server in (first, second)]


def accepts_of_each_cpu():
    """Connect from one CPU after the other; return what each loop had accepted by then."""
    cpus = sorted(os.sched_getaffinity(0))[:2]
    options = mr.SocketOptions(incoming_cpu="per_loop")
    pattern = mr.patterns.reuseport_shards(loops=2)
    accepts = []
    with mr.Server(app(), pattern=pattern, socket_options=options) as server:
        for cpu in cpus:
            # Of this thread alone. On loopback a SYN is received where it was sent.
            os.sched_setaffinity(0, {cpu})
            try:
                for _ in range(8):
                    with connect(server) as client:
                        client.sendall(REQUEST)
                        assert client.recv(4096).endswith(b"hello")
            finally:
                os.sched_setaffinity(0, cpus)
            accepts.append([loop["accepts"] for loop in server.stats()["loops"]])
    return accepts


def datagrams_of_each_cpu():
    """Send from one CPU after the other; return what each loop had been given by then."""
    cpus = sorted(os.sched_getaffinity(0))[:2]
    options = mr.SocketOptions(incoming_cpu=cpus)
    pattern = mr.patterns.reuseport_shards(loops=2)
    given = []
    with mr.UdpServer(mr.udp.echo, pattern=pattern, socket_options=options) as server:
        for cpu in cpus:
            os.sched_setaffinity(0, {cpu})
            try:
                for _ in range(8):  # each from a port of its own
                    with socket.socket(type=socket.SOCK_DGRAM) as client:
                        client.settimeout(PATIENCE_S)
                        client.connect(("127.0.0.1", server.port))
                        client.send(b"hello")
                        assert client.recv(100) == b"hello"
            finally:
                os.sched_setaffinity(0, cpus)
            given.append([loop["messages_in"] for loop in server.stats()["loops"]])
    return given


def first_failure_without_a_server():
    """Talk to a port where nobody listens, with a cookie of the address."""
    two_fast_opens(1, 16)
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        where = f"127.0.0.1:{nobody.getsockname()[1]}"
    options = mr.SocketOptions(fast_open=1)
    with mr.tcp_connect(where, socket_options=options) as ours:
        try:
            ours.write(b"hello")
            ours.read()
        except mr.errors.ConnectError as error:
            return str(error)


def first_write_without_its_cookie():
    """Have the kernel forget the cookie between the connect and the first write."""
    two_fast_opens(1, 16)
    options = mr.SocketOptions(fast_open=16)
    with mr.TcpServer(mr.tcp.echo, socket_options=options) as server, Capture(server.port) as wire:
        options = mr.SocketOptions(fast_open=1)
        with mr.tcp_connect(server.address, socket_options=options) as ours:
            before = wire.packets()
            subprocess.run(["ip", "tcp_metrics", "flush", "all"], check=True)
            ours.write(b"hello")
            assert ours.readexactly(5) == b"hello"
        return before, wire.packets()[0]


def full_queue(backlog):
    """Fill the queue of a server that does not accept; one client more than it takes asks twice."""
    blocked = app()
    entered, go_on = threading.Event(), threading.Event()

    @blocked.get("/block")
    def block(request):
        entered.set()
        assert go_on.wait(PATIENCE_S)

    with contextlib.ExitStack() as stack:
        server = stack.enter_context(mr.Server(blocked, backlog=backlog))
        stack.callback(go_on.set)
        blocker = stack.enter_context(connect(server))
        blocker.sendall(REQUEST.replace(b"/ ", b"/block "))
        assert entered.wait(PATIENCE_S)
        overflows = server.accept_queues().overflows
        for waiting in range(1, backlog + 2):
            stack.enter_context(connect(server))
            until(lambda waiting=waiting: server.accept_queues()[0].depth == waiting)
        wire = stack.enter_context(Capture(server.port))
        late = stack.enter_context(socket.socket())
        late.setblocking(False)
        late.connect_ex(("127.0.0.1", server.port))
        alone = wire.wait_for(lambda seen: len(seen) > 1)
        counted = server.accept_queues().overflows - overflows
        go_on.set()
        whole = wire.wait_for(lambda seen: any(one.flags == "SA" for one in seen))
        return [packet.flags for packet in alone], counted, [packet.flags for packet in whole]


# --- small writes ---------------------------------------------------------------------------------


def test_without_nodelay_a_small_segment_waits_for_an_acknowledgement(network):
    unacknowledged, packets, port = network.call(two_small_writes, False)
    (first,) = fresh(unacknowledged)
    assert first.data == b"1"
    _, second = [packet for packet in fresh(packets) if packet.source == port]
    assert second.data == b"2"
    before = packets[: packets.index(second)]
    assert any(packet.target == port and packet.ack == first.end for packet in before)


def test_with_nodelay_each_small_write_is_a_segment_at_once(network):
    unacknowledged, packets, port = network.call(two_small_writes, True)
    assert [packet.data for packet in fresh(unacknowledged)] == [b"1", b"2"]
    begun = packets[: packets.index(fresh(unacknowledged)[1])]
    ours = fresh(unacknowledged)[0].seq
    assert not any(packet.target == port and packet.ack > ours for packet in begun)


def test_a_corked_answer_is_one_segment(network):
    writes, segments = network.call(writes_of_an_answer)
    assert len(segments) == writes > 1
    corked = []
    for _ in range(5):  # the kernel pulls the cork after 200 ms, which a busy machine may take
        writes, segments = network.call(_corked)
        assert writes > 1
        corked.append([packet.data for packet in segments])
    assert [b"piece" * 8] in corked


def _corked():
    return writes_of_an_answer(cork=True)


# --- acknowledgements -----------------------------------------------------------------------------


@pytest.mark.parametrize("http", [True, False], ids=["HTTP", "TCP"])
def test_quickack_acknowledges_the_tenth_request_before_its_answer_too(network, http):
    assert network.call(ten_requests, True, http) == [True] * 10
    # Else the answer brings the acknowledgement along, sooner or later.
    assert False in network.call(ten_requests, False, http)[3:]


def test_quickack_is_for_clients_too(network):
    assert network.call(ten_requests_to_a_client, True) == [True] * 10
    assert False in network.call(ten_requests_to_a_client, False)[3:]


# --- the beginning and the end --------------------------------------------------------------------


def test_fast_open_sends_data_and_cookie_with_the_second_syn(network):
    asked, answered = network.call(two_fast_opens, 1, 16)
    assert [(syn.options[FAST_OPEN], syn.data) for syn in asked] == [
        (b"", b""),  # asks for a cookie
        (answered[0].options[FAST_OPEN], b"hello"),
    ]
    assert len(asked[1].options[FAST_OPEN]) >= 4
    # The second answer acknowledges the data, before the handshake's end.
    assert [answer.ack for answer in answered] == [
        (asked[0].seq + 1) % 2**32,
        (asked[1].seq + 1 + 5) % 2**32,
    ]


def test_without_fast_open_a_syn_is_bare(network):
    asked, answered = network.call(two_fast_opens, None, 16)
    assert len(asked) == len(answered) == 2
    assert not any(FAST_OPEN in packet.options or packet.data for packet in asked + answered)


def test_a_server_without_fast_open_takes_the_data_after_the_handshake(network):
    network.call(two_fast_opens, 1, 16)  # the cookie belongs to the address, whatever the port
    asked, answered = network.call(two_fast_opens, 1, None)
    assert asked[0].data == b"hello"
    assert answered[0].ack == (asked[0].seq + 1) % 2**32


@pytest.mark.skipif(shutil.which("ip") is None, reason="no ip(8) to make the kernel forget with")
def test_a_first_write_whose_cookie_is_gone_follows_its_syn(network):
    before, syn = network.call(first_write_without_its_cookie)
    assert before == [], "nothing leaves before the first write"
    assert (syn.flags, syn.data, syn.options[FAST_OPEN]) == ("S", b"", b"")


def test_with_fast_open_a_refused_connection_fails_at_its_first_words(network):
    assert "refused" in network.call(first_failure_without_a_server)


def test_linger_0_is_a_reset_in_place_of_a_fin(network):
    assert not set("R") & set(network.call(last_words))
    assert "F" in network.call(last_words)
    reset = network.call(_reset_at_the_end)
    assert "R" in reset
    assert "F" not in reset


def _reset_at_the_end():
    return last_words(linger=0)


@pytest.mark.parametrize(
    ("linger", "blocked"), [(None, 0), (1, 0), (A_LONG_TIME_S, 1)], ids=["off", "short", "long"]
)
def test_a_close_lingers_until_its_end_is_acknowledged_or_time_is_up(network, linger, blocked):
    waits, got, flags = network.call(close_on_the_deaf, linger)
    assert waits == blocked
    assert got == (b"goodbye", b"")
    assert "R" not in flags


def test_deferred_connections_are_not_there_before_their_first_bytes(network):
    before, after = network.call(silent_at_first, 5)
    assert before == (1, "SYN_RECV"), "the handshake is over on the wire, and not for the kernel"
    assert after == (2, "ESTABLISHED")
    before, after = network.call(silent_at_first, None)
    assert before == after == (2, "ESTABLISHED")


def test_an_ipv4_client_of_an_ipv6_socket_is_reset_unless_it_may(network):
    assert network.call(ipv4_to_ipv6, True) == "RA"
    assert network.call(ipv4_to_ipv6, False) == "SA"


# --- queues and buffers ---------------------------------------------------------------------------


@pytest.mark.parametrize("backlog", [1, 4])
def test_a_full_queue_leaves_a_syn_without_an_answer(network, backlog):
    alone, overflows, whole = network.call(full_queue, backlog)
    assert alone == ["S", "S"]
    assert overflows == 2
    assert "SA" in whole


def test_connections_spread_over_the_sockets_of_a_shared_port(network):
    first, second = network.call(two_servers_on_one_port)
    assert first + second == 64
    assert first > 0
    assert second > 0


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one CPU has nobody to choose from")
def test_incoming_cpu_gives_each_loop_the_connections_of_its_cpu(network):
    if tuple(map(int, platform.release().split(".")[:2])) < (6, 2):
        pytest.skip("before Linux 6.2 sockets of one port are chosen without it")
    assert network.call(accepts_of_each_cpu) == [[8, 0], [8, 8]]


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one CPU has nobody to choose from")
def test_incoming_cpu_gives_each_loop_the_datagrams_of_its_cpu(network):
    if tuple(map(int, platform.release().split(".")[:2])) < (6, 2):
        pytest.skip("before Linux 6.2 sockets of one port are chosen without it")
    assert network.call(datagrams_of_each_cpu) == [[8, 0], [8, 8]]


def test_a_receive_buffer_bounds_the_window(network):
    at_first, at_most = network.call(offered_windows, 8_000)
    assert at_first <= at_most <= 16_000
    at_first, at_most = network.call(offered_windows, None)
    assert at_first > 16_000
    assert at_most > 16_000


def test_a_send_buffer_bounds_what_the_kernel_takes(network):
    small, default = [network.call(left_in_the_kernel, size) for size in (20_000, None)]
    assert 0 < small < default / 2


# --- peers that are gone --------------------------------------------------------------------------


def test_keepalive_sets_its_timer_to_idle_time_and_then_to_the_interval(network):
    row = network.call(keepalive_timer, 1000, 1)
    assert row.timer == KEEPALIVE_TIMER
    assert 900 < row.seconds <= 1000
    row = network.call(keepalive_timer, 1, 2000)
    assert row.timer == KEEPALIVE_TIMER
    assert 1900 < row.seconds <= 2000


def test_keepalive_probes_a_silent_peer_and_gives_up_on_a_dead_one(network):
    (answered, in_vain, none), answers, ends, left = network.call(silent_connections)
    assert in_vain == 2
    assert "R" in ends[1]
    assert answered >= 1
    assert answers >= 1
    assert none == 0
    assert "R" not in ends[0] + ends[2]
    assert left == [1, 0, 1]


def test_user_timeout_gives_up_while_others_go_on_sending(network):
    sent, left = network.call(answers_to_the_deaf)
    assert sent >= 1
    assert left == [0, 1]


def test_congestion_control_decides_what_a_loss_means(network):
    window, after = network.call(threshold_after_a_loss, "reno")
    assert after.congestion_control == "reno"
    assert after.slow_start_threshold == window // 2
    if (
        "cubic"
        not in Path("/proc/sys/net/ipv4/tcp_available_congestion_control").read_text().split()
    ):
        pytest.skip("this kernel has no cubic to compare with")
    window, after = network.call(threshold_after_a_loss, "cubic")
    assert after.congestion_control == "cubic"
    assert after.slow_start_threshold == window * 7 // 10  # RFC 9438 4.6
