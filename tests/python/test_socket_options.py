"""Socket options, read back from the kernel: getsockopt, TCP_INFO, /proc/net and counters."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import millrace as mr
import pytest

from tests.python.own_network import run_alone
from tests.python.wire import PATIENCE_S, Wire

APP = mr.App()
APP.respond("/", "hello")


@APP.get("/pieces")
async def pieces(request):
    async def body():
        for _ in range(8):
            yield b"piece"

    return mr.Response(body())


SOCKET, TCP = socket.SOL_SOCKET, socket.IPPROTO_TCP
NOTSENT_LOWAT, USER_TIMEOUT = 25, 18


def open_sockets():
    """Iterate over the sockets of this process, to look at; each is closed behind its turn."""
    for link in Path("/proc/self/fd").iterdir():
        target = ""
        with contextlib.suppress(OSError):  # the folder's own descriptor is gone by now
            target = str(link.readlink())
        if target.startswith("socket:"):
            with socket.socket(fileno=os.dup(int(link.name))) as one:
                yield one


def server_side(client):
    """Return the other end of a connection to a server of this process, as a socket to look at."""
    for one in open_sockets():
        with contextlib.suppress(OSError):
            if one.getpeername() == client.getsockname():
                return one.dup()
    raise AssertionError("no such connection in this process")


def connected(server):
    wire = Wire(server)
    wire.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert wire.read().text == "hello"
    return wire


def value_of(one, level, option):
    if option == socket.TCP_CONGESTION and level == TCP:
        return one.getsockopt(level, option, 16).rstrip(b"\0").decode()
    if option == socket.SO_LINGER and level == SOCKET:
        return struct.unpack("ii", one.getsockopt(level, option, 8))
    return one.getsockopt(level, option)


KEEPALIVE = mr.Keepalive(idle="11s", interval=3, count=4)
ON_CONNECTIONS = [
    ("nodelay", True, TCP, socket.TCP_NODELAY, 1),
    ("nodelay", False, TCP, socket.TCP_NODELAY, 0),
    ("quickack", False, TCP, socket.TCP_QUICKACK, 0),
    ("cork", True, TCP, socket.TCP_CORK, 1),
    ("receive_buffer", "30kB", SOCKET, socket.SO_RCVBUF, 60_000),
    ("send_buffer", 40_000, SOCKET, socket.SO_SNDBUF, 80_000),
    ("not_sent_low_watermark", "16KiB", TCP, NOTSENT_LOWAT, 16_384),
    ("keepalive", True, SOCKET, socket.SO_KEEPALIVE, 1),
    ("keepalive", KEEPALIVE, SOCKET, socket.SO_KEEPALIVE, 1),
    ("keepalive", KEEPALIVE, TCP, socket.TCP_KEEPIDLE, 11),
    ("keepalive", KEEPALIVE, TCP, socket.TCP_KEEPINTVL, 3),
    ("keepalive", KEEPALIVE, TCP, socket.TCP_KEEPCNT, 4),
    ("user_timeout", "1500ms", TCP, USER_TIMEOUT, 1500),
    ("congestion_control", "reno", TCP, socket.TCP_CONGESTION, "reno"),
    ("linger", 0, SOCKET, socket.SO_LINGER, (1, 0)),
]


@pytest.mark.parametrize(("name", "value", "level", "option", "expected"), ON_CONNECTIONS,
                         ids=lambda case: str(case))  # fmt: skip
def test_a_connection_has_it(serve, name, value, level, option, expected):
    server = serve(APP, socket_options=mr.SocketOptions(**{name: value}))
    # Before its first answer: the kernel changes quickack as the connection goes on.
    with Wire(server) as wire:
        with connected(server):
            pass  # the first one has been accepted by now
        with server_side(wire.socket) as ours:
            assert value_of(ours, level, option) == expected
    assert server.socket_report().problems == ()


@pytest.mark.in_process
def test_every_pattern_hands_options_to_its_connections(serve, pattern):
    options = mr.SocketOptions(receive_buffer=30_000, quickack=False, nodelay=False)
    server = serve(APP, pattern=pattern, socket_options=options)
    for _ in range(3):
        with connected(server) as wire, server_side(wire.socket) as ours:
            assert ours.getsockopt(SOCKET, socket.SO_RCVBUF) == 60_000
            assert ours.getsockopt(TCP, socket.TCP_NODELAY) == 0


def data_segments_in(client):
    """How many segments with data came; linux/tcp.h, tcpi_data_segs_in."""
    return struct.unpack_from("I", client.getsockopt(TCP, socket.TCP_INFO, 256), 152)[0]


def segments_of_an_answer_in_pieces(serve, **options):
    server = serve(APP, socket_options=mr.SocketOptions(**options))
    with Wire(server) as wire:
        wire.send(b"GET /pieces HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert wire.read().body == b"piece" * 8
        return data_segments_in(wire.socket)


def test_cork_and_nagle_make_fewer_segments_of_small_writes(serve):
    apart = segments_of_an_answer_in_pieces(serve)
    assert segments_of_an_answer_in_pieces(serve, cork=True) == 1
    if apart > 2:
        assert segments_of_an_answer_in_pieces(serve, nodelay=False) < apart


def test_deferred_connections_are_accepted_with_their_first_bytes(serve):
    server = serve(APP, socket_options=mr.SocketOptions(defer_accept=5))
    with Wire(server) as silent, connected(server):
        assert server.stats().total("accepts") == 1
        silent.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert silent.read().text == "hello"
        assert server.stats().total("accepts") == 2


def test_a_port_can_be_shared_when_both_sides_say_so(serve):
    shared = mr.SocketOptions(reuse_port=True)
    first = serve(APP, socket_options=shared)
    bind = f"127.0.0.1:{first.port}"
    serve(APP, bind=bind, socket_options=shared)
    with pytest.raises(OSError, match="in use"):
        mr.Server(APP, bind=bind).start()


def test_a_socket_per_loop_cannot_do_without_a_shared_port():
    pattern = mr.patterns.reuseport_shards(loops=2)
    options = mr.SocketOptions(reuse_port=False)
    with pytest.raises(ValueError, match="needs reuse_port"):
        mr.Server(APP, pattern=pattern, socket_options=options).start()


@pytest.mark.parametrize("v6_only", [True, False])
def test_an_ipv6_address_takes_ipv4_where_it_may(serve, v6_only):
    try:
        server = serve(APP, bind="[::]:0", socket_options=mr.SocketOptions(v6_only=v6_only))
    except OSError as error:
        pytest.skip(f"no IPv6 here: {error}")
    with socket.socket() as client:
        refused = client.connect_ex(("127.0.0.1", server.port)) != 0
    assert refused == v6_only
    assert server.socket_report()["v6_only"].effective == v6_only


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be somebody else")
@pytest.mark.parametrize(("mode", "may"), [(0o600, False), (0o606, True)])
def test_permissions_decide_who_may_connect_to_a_unix_path(serve, mode, may):
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        serve(APP, bind=f"unix:{folder}/s", socket_options=mr.SocketOptions(unix_mode=mode))
        connect = (
            "import os, socket, sys; os.setgroups([]); os.setgid(65534); os.setuid(65534); "
            "socket.socket(socket.AF_UNIX).connect(sys.argv[1])"
        )
        done = subprocess.run(
            [sys.executable, "-c", connect, f"{folder}/s"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert (done.returncode == 0) == may, done.stderr
        assert ("PermissionError" in done.stderr) != may


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_a_unix_path_has_its_permissions_whatever_the_umask(serve, tmp_path, umask):
    before = os.umask(umask)
    try:
        options = mr.SocketOptions(unix_mode=0o640, nodelay=True)
        server = serve(APP, bind=f"unix:{tmp_path}/s", socket_options=options)
    finally:
        os.umask(before)
    assert (tmp_path / "s").stat().st_mode & 0o7777 == 0o640
    report = server.socket_report()
    assert report["unix_mode"].effective == 0o640
    assert report["nodelay"].verdict == "not_applicable"


def test_an_abstract_name_leaves_no_file(serve, tmp_path):
    name = f"millrace-test-{os.getpid()}"
    bind = f"unix:@{name}"
    server = mr.Server(APP, bind=bind)
    with server:
        assert server.urls == [bind]
        assert f"@{name}" in Path("/proc/net/unix").read_text()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(f"\0{name}")
            client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            assert b"".join(iter(lambda: client.recv(4096), b"")).endswith(b"hello")
        with pytest.raises(OSError, match="in use"):
            mr.Server(APP, bind=bind).start()
    assert f"@{name}" not in Path("/proc/net/unix").read_text()
    assert not Path(f"@{name}").exists()


# --- what the kernel makes of it ------------------------------------------------------------------


def somaxconn():
    return int(Path("/proc/sys/net/core/somaxconn").read_text())


def rmem_max():
    return int(Path("/proc/sys/net/core/rmem_max").read_text())


@pytest.mark.parametrize(
    ("options", "effective", "verdict", "why"),
    [
        ({"backlog": somaxconn()}, somaxconn(), "taken", ""),
        ({"backlog": somaxconn() + 1}, somaxconn(), "changed", "somaxconn"),
        ({"receive_buffer": rmem_max()}, 2 * rmem_max(), "taken", ""),
        ({"receive_buffer": rmem_max() + 1}, 2 * rmem_max(), "changed", "rmem_max"),
        ({"defer_accept": 3}, 3, "taken", ""),
        ({"defer_accept": 4}, 7, "changed", "repetitions"),
        ({"congestion_control": "nonesuch"}, None, "refused", "available_congestion_control"),
        ({"incoming_cpu": 0}, 0, "taken", ""),
        ({"fast_open": somaxconn() + 1}, somaxconn(), "changed", "somaxconn"),
    ],
    ids=str,
)
def test_what_the_kernel_refuses_or_rounds_is_reported_and_logged(
    serve, caplog, options, effective, verdict, why
):
    caplog.set_level(logging.WARNING, logger="millrace")
    server = serve(APP, socket_options=mr.SocketOptions(**options))
    ((name, asked),) = options.items()
    row = server.socket_report()[name]
    assert (row.asked, row.verdict) == (asked, verdict)
    assert effective is None or row.effective == effective
    assert why in row.why
    warned = [record.getMessage() for record in caplog.records]
    assert len(warned) == (verdict != "taken")
    assert all(name in message and why in message for message in warned)
    assert name in repr(server.socket_report())
    with connected(server):
        pass


INCOMING_CPU = 49  # asm-generic/socket.h


def cpus_of(port):
    """Return SO_INCOMING_CPU of each of this process's sockets that listen on a port."""
    return sorted(
        one.getsockopt(SOCKET, INCOMING_CPU)
        for one in open_sockets()
        if one.getsockopt(SOCKET, socket.SO_ACCEPTCONN) and one.getsockname()[1] == port
    )


@pytest.mark.parametrize("given", ["per_loop", [0, 0, 0], (2, 1, 0)], ids=str)
@pytest.mark.parametrize(
    "pattern",
    [
        mr.patterns.reuseport_shards(loops=3),
        mr.patterns.multi_process(3, listener="reuseport"),
    ],
    ids=repr,
)
def test_each_of_several_sockets_has_a_cpu_of_its_own(serve, pattern, given):
    usable = sorted(os.sched_getaffinity(0))
    wanted = [usable[at % len(usable)] for at in range(3)] if given == "per_loop" else list(given)
    options = mr.SocketOptions(incoming_cpu=given)
    server = serve(APP, pattern=pattern, socket_options=options)
    with connected(server):
        pass
    assert cpus_of(server.port) == sorted(wanted)
    if isinstance(pattern, mr.Pattern):
        rows = [row for row in server.socket_report() if row.name == "incoming_cpu"]
        # Sockets that agree are one row.
        assert [row.effective for row in rows] == list(dict.fromkeys(wanted))


def test_cpus_that_do_not_fit_the_sockets_are_refused():
    with pytest.raises(ValueError, match="several sockets on one port, and the pattern has one"):
        mr.Server(APP, socket_options=mr.SocketOptions(incoming_cpu="per_loop"))
    two = mr.SocketOptions(incoming_cpu=[0, 1])
    with pytest.raises(ValueError, match="names 2 CPUs for 3 sockets"):
        mr.Server(APP, pattern=mr.patterns.reuseport_shards(loops=3), socket_options=two)


@pytest.mark.parametrize(
    ("text", "read"), [("1", 1), ("0,1", (0, 1)), ("per_loop", "per_loop")], ids=str
)
def test_the_command_line_takes_cpus(text, read):
    assert mr.sockets.read_socket_options([f"incoming_cpu={text}"]).incoming_cpu == read


def test_keepalive_numbers_out_of_range_are_refused_by_the_kernel(serve):
    options = mr.SocketOptions(keepalive=mr.Keepalive(idle=40_000, interval=1, count=128))
    report = serve(APP, socket_options=options).socket_report()
    assert [row.name for row in report.problems] == ["keepalive_idle", "keepalive_count"]
    assert all("Invalid argument" in row.why for row in report.problems)
    assert report["keepalive_interval"].effective == 1


def test_what_nobody_asked_for_is_shown_as_the_kernels_own(serve):
    report = serve(APP).socket_report()
    assert report.problems == ()
    assert report["send_buffer"].verdict == "kernel_default"
    assert report["send_buffer"].effective > 0
    assert report["backlog"].effective == min(1024, somaxconn())
    assert report["nodelay"].effective == 1
    assert report["quickack"].why == "set on each connection"
    with pytest.raises(KeyError):
        report["colour"]


# --- counters of a network of its own -------------------------------------------------------------

ALONE = """
import socket, time
from pathlib import Path
import millrace as mr

def counter(name):
    lines = Path("/proc/net/netstat").read_text().splitlines()
    for names, numbers in zip(lines[::2], lines[1::2]):
        found = dict(zip(names.split(), numbers.split()))
        if name in found:
            return int(found[name])
    raise KeyError(name)

def wait_for(is_true):
    until = time.monotonic() + 20
    while not is_true() and time.monotonic() < until:
        time.sleep(0.01)
    return is_true()

app = mr.App()
app.respond("/", "hello")
REQUEST = b"GET / HTTP/1.1\\r\\nHost: a\\r\\nConnection: close\\r\\n\\r\\n"
"""


def test_keepalive_probes_a_silent_client():
    said = run_alone(ALONE + """
with mr.Server(app, socket_options=mr.SocketOptions(keepalive=mr.Keepalive(idle=1))) as server:
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        print(counter("TCPKeepAlive"), wait_for(lambda: counter("TCPKeepAlive") > 0))
""")  # fmt: skip
    assert said == "0 True"


def test_user_timeout_gives_up_on_a_network_that_is_gone():
    said = run_alone(ALONE + """
import subprocess

@app.get("/cut")
def cut(request):
    subprocess.run(["ip", "link", "set", "lo", "down"], check=True)
    return "the answer that does not arrive"

with mr.Server(app, socket_options=mr.SocketOptions(user_timeout="300ms")) as server:
    client = socket.create_connection(("127.0.0.1", server.port))
    client.sendall(b"GET /cut HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n")
    print(wait_for(lambda: counter("TCPAbortOnTimeout") == 1),
          wait_for(lambda: server.stats().total("connections_open") == 0))
""")  # fmt: skip
    assert said == "True True"


@pytest.mark.parametrize(("options", "resets"), [("linger=0", True), ("", False)])
def test_linger_0_closes_with_a_reset(options, resets):
    said = run_alone(ALONE + f"""
def sent_resets():
    names, numbers = [line.split() for line in Path("/proc/net/snmp").read_text().splitlines()
                      if line.startswith("Tcp:")]
    return int(numbers[names.index("OutRsts")])

with mr.Server(app, socket_options=mr.SocketOptions({options})) as server:
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(REQUEST)
        try:
            while client.recv(1000):  # to the end: closing over unread bytes is a reset too
                pass
        except ConnectionResetError:
            pass
    print(sent_resets())
""")  # fmt: skip
    assert (int(said) > 0) == resets


def test_a_low_watermark_keeps_less_unsent_in_the_kernel(serve):
    app = mr.App()
    app.respond("/", b"x" * 20_000_000)

    def unsent(options):
        server = serve(app, socket_options=options)
        with Wire(server, receive_buffer=4096) as wire:
            wire.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            until = time.monotonic() + PATIENCE_S
            while time.monotonic() < until:
                found = [one for one in server.connections() if one.state == "sending"]
                if found and found[0].tcp_info.not_sent_bytes > 0:
                    return found[0].tcp_info.not_sent_bytes
        raise AssertionError("the kernel never had unsent bytes")

    low = unsent(mr.SocketOptions(not_sent_low_watermark="16KiB"))
    assert low < unsent(mr.SocketOptions())


def test_fast_open_takes_data_with_the_first_packet():
    said = run_alone(ALONE + """
try:
    Path("/proc/sys/net/ipv4/tcp_fastopen").write_text("3")
except OSError as error:
    print("skip", error)
    raise SystemExit
with mr.Server(app, socket_options=mr.SocketOptions(fast_open=16)) as server:
    assert server.socket_report().problems == (), server.socket_report()
    for _ in range(2):  # the first one only brings the cookie
        with socket.socket() as client:
            client.sendto(REQUEST, socket.MSG_FASTOPEN, ("127.0.0.1", server.port))
            assert b"".join(iter(lambda: client.recv(4096), b"")).endswith(b"hello")
    print(counter("TCPFastOpenPassive"))
""")  # fmt: skip
    if said.startswith("skip"):
        pytest.skip(f"kernel settings cannot be written here: {said}")
    assert said == "1"


def test_fast_open_that_the_machine_has_switched_off_is_reported():
    said = run_alone(ALONE + """
Path("/proc/sys/net/ipv4/tcp_fastopen").write_text("1")
with mr.Server(app, socket_options=mr.SocketOptions(fast_open=16)) as server:
    (row,) = server.socket_report().problems
    print(row.name, row.verdict, row.why)
""")  # fmt: skip
    assert said.startswith("fast_open changed net.ipv4.tcp_fastopen")


# --- values and texts -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("nodelay", 1, "write True or False"),
        ("receive_buffer", "lots", "is no size"),
        ("receive_buffer", 2**31, "whole number from 0"),
        ("defer_accept", 1.5, "whole seconds"),
        ("user_timeout", "1us", "whole milliseconds"),
        ("unix_mode", 0o10000, "whole number"),
        ("fast_open", -1, "whole number from 0"),
        ("incoming_cpu", "all", "write a CPU"),
        ("incoming_cpu", 1.5, "write a CPU"),
        ("incoming_cpu", [0, -1], "whole number from 0"),
        ("congestion_control", "", "write a name"),
        ("keepalive", 60, "Keepalive"),
        ("backlog", "1", "whole number"),
    ],
)
def test_a_malformed_value_is_refused_by_name(option, value, says):
    with pytest.raises(ValueError, match=f"{option}.*{says}"):
        mr.SocketOptions(**{option: value})


def test_a_backlog_is_given_once():
    with pytest.raises(ValueError, match="backlog is given twice"):
        mr.Server(APP, backlog=5, socket_options=mr.SocketOptions(backlog=6))
