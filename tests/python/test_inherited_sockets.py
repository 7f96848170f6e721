"""Sockets that listen already: handed to a server by descriptor, and to others after it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import millrace as mr
import pytest
from millrace import _core
from millrace.cli import main
from millrace.listening import descriptors_of

from tests.python.wire import PATIENCE_S

APP = mr.App()


@APP.get("/")
def hello(request):
    return f"hello from {os.getpid()}"


def ask(address, family=socket.AF_INET):
    with socket.socket(family) as client:
        client.settimeout(PATIENCE_S)
        client.connect(address)
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        return b"".join(iter(lambda: client.recv(4096), b"")).partition(b"\r\n\r\n")[2].decode()


@pytest.fixture
def listening():
    """Return listening sockets on one port, as many as asked for."""
    opened = []

    def make(count=1):
        for _ in range(count):
            one = socket.socket()
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            one.bind(opened[0].getsockname() if opened else ("127.0.0.1", 0))
            one.listen()
            opened.append(one)
        return opened

    yield make
    for one in opened:
        one.close()


def fd_bind(sockets):
    return "fd://" + ",".join(str(one.fileno()) for one in sockets)


def sockets_for(pattern, listening):
    return listening(pattern.recipe().loops if pattern.recipe().accept == "socket_per_loop" else 1)


def test_every_pattern_serves_from_a_socket_at_hand_and_leaves_it_open(serve, pattern, listening):
    sockets = sockets_for(pattern, listening)
    address = sockets[0].getsockname()
    with mr.Server(APP, bind=fd_bind(sockets), pattern=pattern) as server:
        assert server.urls == [f"http://127.0.0.1:{address[1]}"]
        for _ in range(3):
            assert ask(address).startswith("hello")
    # Whoever owns the sockets goes on with them, and so does the server.
    with socket.socket() as client:
        client.connect(address)
        taken = None
        for one in sockets:
            one.settimeout(0.0 if len(sockets) > 1 else PATIENCE_S)
            try:
                taken = one.accept()[0]
            except BlockingIOError:
                continue
        assert taken is not None
        taken.close()
    with server:
        assert ask(address).startswith("hello")


CHILD = """
import os, sys
import millrace as mr

app = mr.App()

@app.get("/")
def hello(request):
    return f"hello from {os.getpid()}"

name, descriptors = sys.argv[1:]
with mr.Server(app, bind="fd://" + descriptors, pattern=mr.patterns.parse(name)):
    print("serving", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("name", ["single_thread", "shared_acceptors:wakeup=blocking,threads=2"])
def test_a_process_that_stops_leaves_the_socket_to_its_parent(name, listening):
    (sock,) = listening(1)
    address, descriptor = sock.getsockname(), sock.fileno()
    for _ in range(2):  # the second one finds it as the first one left it
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, name, str(descriptor)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=[descriptor],
        )  # fmt: skip
        try:
            assert child.stdout.readline() == b"serving\n"
            assert ask(address) == f"hello from {child.pid}"
            child.communicate(timeout=PATIENCE_S)
        finally:
            child.kill()
            child.wait()
    with socket.create_connection(address) as client:
        client.sendall(b"unread")
        sock.settimeout(PATIENCE_S)
        with sock.accept()[0] as taken:
            assert taken.recv(6) == b"unread"


def test_the_command_line_takes_a_descriptor(listening, tmp_path):
    (sock,) = listening(1)
    (tmp_path / "hello.py").write_text("import millrace as mr\napp = mr.App()\n"
                                       "app.respond('/', 'hello')\n")  # fmt: skip
    child = subprocess.Popen(
        [sys.executable, "-m", "millrace", "serve", "hello:app", "--fd", str(sock.fileno())],
        cwd=tmp_path, pass_fds=[sock.fileno()], stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert any("serving on" in line for line in child.stderr)
        assert ask(sock.getsockname()) == "hello"
    finally:
        child.kill()
        child.communicate()


def test_several_binds_of_every_kind_at_once(serve, listening, tmp_path):
    (sock,) = listening(1)
    path = f"{tmp_path}/socket"
    binds = ["127.0.0.1:0", "[::1]:0", f"unix:{path}", fd_bind([sock])]
    try:
        server = serve(APP, bind=binds)
    except OSError as error:
        if "::1" not in str(error):
            raise
        pytest.skip(f"no IPv6 here: {error}")
    first, second, third, fourth = server.urls
    assert third == f"unix:{path}"
    assert ask(("127.0.0.1", int(first.rpartition(":")[2]))).startswith("hello")
    assert ask(("::1", int(second.rpartition(":")[2])), socket.AF_INET6).startswith("hello")
    assert ask(path, socket.AF_UNIX).startswith("hello")
    assert fourth.endswith(str(sock.getsockname()[1]))
    assert ask(sock.getsockname()).startswith("hello")


@pytest.mark.parametrize("count", [1, 3])
def test_one_socket_per_loop_means_exactly_that_many(listening, count):
    bind = fd_bind(listening(count))
    server = mr.Server(APP, bind=bind, pattern=mr.patterns.reuseport_shards(loops=2))
    with pytest.raises(ValueError, match=f"{count} sockets for 2 loops"):
        server.start()
    assert not server.is_running


def test_one_socket_per_process_means_exactly_that_many(listening):
    pattern = mr.patterns.multi_process(2, listener="reuseport")
    server = mr.Server(APP, bind=fd_bind(listening(1)), pattern=pattern)
    with pytest.raises(ValueError, match="1 of the 2 sockets that the pattern needs"):
        server.start()
    assert not server.is_running
    with mr.Server(APP, bind=fd_bind(listening(1)), pattern=pattern) as server:
        assert ask(("127.0.0.1", server.port)).startswith("hello")


@pytest.mark.parametrize(
    ("flags", "count"),
    [
        ("", 1),
        ("--workers 3", 1),
        ("--pattern reuseport_shards:loops=2", 2),
        ("--pattern reuseport_shards:loops=2 --workers 3", 2),
        ("--pattern multi_process:processes=4,listener=shared", 1),
        ("--pattern multi_process:processes=4,listener=reuseport", 4),
    ],
)
def test_the_command_line_opens_as_many_as_the_pattern_needs(flags, count, monkeypatch):
    made = []
    monkeypatch.setattr("millrace.reload.is_available", lambda: True)
    monkeypatch.setattr(
        "millrace.reload.serve_and_watch", lambda argv, binds, watched: made.extend(binds)
    )
    main(["serve", "hello:app", "--reload", "--bind", "127.0.0.1:0", *flags.split()])
    assert len(descriptors_of(made)) == count


def test_what_does_not_listen_is_refused():
    with socket.socket() as silent, Path(os.devnull).open() as file:
        for descriptor, why in ((silent.fileno(), "listen"), (file.fileno(), "no socket")):
            with pytest.raises(ValueError, match=f"fd://{descriptor}: .*{why}"):
                mr.Server(APP, bind=f"fd://{descriptor}").start()


def test_a_unix_path_that_a_killed_server_left_behind_is_taken_over(serve, tmp_path):
    path = tmp_path / "socket"
    code = "import millrace as mr, sys; mr.Server(mr.App(), bind=sys.argv[1]).start(); print(1);"
    child = subprocess.Popen(
        [sys.executable, "-uc", f"{code} sys.stdin.read()", f"unix:{path}"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert child.stdout.readline() == b"1\n"
    with pytest.raises(OSError, match="another process listens here"):
        mr.Server(APP, bind=f"unix:{path}").start()
    child.kill()
    child.communicate()
    assert path.exists()
    serve(APP, bind=f"unix:{path}")
    assert ask(str(path), socket.AF_UNIX).startswith("hello")


def test_a_port_that_was_in_use_is_taken_once_it_is_free(serve):
    with socket.socket() as rival:
        rival.bind(("127.0.0.1", 0))
        rival.listen()
        address = rival.getsockname()
        server = mr.Server(APP, bind="{}:{}".format(*address))
        with pytest.raises(OSError, match="in use"):
            server.start()
        assert not server.is_running
    with server:
        assert ask(address).startswith("hello")


def test_a_socket_is_opened_for_somebody_else(serve, tmp_path):
    descriptor, report = _core.open_listening_socket("127.0.0.1:0", backlog=7)
    where = report.endpoint
    try:
        assert not os.get_inheritable(descriptor)
        assert not os.get_blocking(descriptor)
        assert serve(APP, bind=f"fd://{descriptor}").urls == [f"http://{where}"]
        again, same = _core.open_listening_socket("127.0.0.1:0", reuse_port=True)
        third, also = _core.open_listening_socket(same.endpoint, reuse_port=True)
        assert also.endpoint == same.endpoint
        os.close(again)
        os.close(third)
    finally:
        os.close(descriptor)
    path = tmp_path / "socket"
    descriptor, report = _core.open_listening_socket(f"unix:{path}")
    os.close(descriptor)
    assert report.endpoint == f"unix:{path}"
    assert path.exists()  # its owner's to remove
