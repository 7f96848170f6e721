"""Files as the answers of handlers, under every execution pattern."""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
from pathlib import Path

import millrace as mr
import pytest

from tests.python.wire import Gone, Wire, eventually, fetch, get, request

SMALL = b"<p>hello</p>"
LARGE = random.Random(1).randbytes(1_500_000)
# Where a body is no longer read at once but left to the kernel.
EDGE = 16 * 1024


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "small.html").write_bytes(SMALL)
    (tmp_path / "large.bin").write_bytes(LARGE)
    (tmp_path / "empty.txt").write_bytes(b"")
    (tmp_path / "at").write_bytes(LARGE[:EDGE])
    (tmp_path / "past").write_bytes(LARGE[: EDGE + 1])
    return tmp_path


@pytest.fixture
def app(folder: Path) -> mr.App:
    app, root = mr.App(), str(folder)

    @app.get("/plain/{name}")
    def plain(request):
        return mr.FileResponse(f"{root}/{request.path_params['name']}")

    @app.get("/coroutine/{name}")
    async def coroutine(request):
        return mr.FileResponse(f"{root}/{request.path_params['name']}")

    @app.on_error(FileNotFoundError)
    def missing(request, error):
        return mr.Response("no such file", status=404)

    return app


def truncate(path: Path, size: int) -> None:
    os.truncate(path, size)


@pytest.mark.parametrize("kind", ["plain", "coroutine"])
def test_files_of_every_size_are_sent_whole(serve, app, pattern, kind):
    server = serve(app, pattern=pattern)
    expected = {"small.html": SMALL, "large.bin": LARGE, "empty.txt": b"",
                "at": LARGE[:EDGE], "past": LARGE[: EDGE + 1]}  # fmt: skip
    with Wire(server) as wire:
        for name, content in expected.items():
            answer = wire.get(f"/{kind}/{name}")
            assert (answer.status, answer.body == content) == (200, True), name
        answer = wire.ask("HEAD", f"/{kind}/large.bin")
        assert answer.header("content-length") == str(len(LARGE))
        assert wire.get(f"/{kind}/missing").text == "no such file"
        wire.send(*(request("GET", f"/{kind}/{name}") for name in expected))
        for content in expected.values():
            assert wire.read().body == content
    total = 2 * len(expected) + 2
    stats = eventually(lambda: (s := server.stats()).total("requests") == total and s)
    assert stats.total("files_opened") == 2 * len(expected) + 1
    # Those above the edge, in each round, and nothing of the others.
    assert stats.total("sendfile_bytes") == 2 * (len(LARGE) + EDGE + 1)
    assert stats.total("requests_failed") == stats.total("files_cut_short") == 0


def test_a_file_has_its_type_and_what_the_handler_says(serve, folder):
    app, path = mr.App(), folder / "small.html"
    app.get("/usual")(lambda request: mr.FileResponse(path))
    app.get("/own")(
        lambda request: mr.FileResponse(
            os.fsencode(path), filename="Grüße.html", disposition="inline", status=203,
            headers={"x-a": "1"}, content_type="text/x-own",
        )
    )  # fmt: skip
    server = serve(app)
    assert get(server, "/usual").header("content-type") == "text/html; charset=utf-8"
    answer = get(server, "/own")
    assert answer.status == 203
    assert answer.all("content-type") == ["text/x-own"]
    assert answer.header("x-a") == "1"
    disposition = "inline; filename=Gr__e.html; filename*=UTF-8''Gr%C3%BC%C3%9Fe.html"
    assert answer.header("content-disposition") == disposition


def test_middleware_sees_a_response_and_background_work_follows_it(serve, folder):
    app, done = mr.App(), folder / "done"

    @app.middleware
    def stamp(request, call_next):
        response = call_next(request)
        response.headers["x-stamp"] = "1"
        return response

    @app.get("/")
    def handler(request):
        task = mr.BackgroundTask(done.write_text, "yes")
        return mr.FileResponse(folder / "large.bin", background=task)

    answer = get(serve(app), "/")
    assert (answer.header("x-stamp"), answer.body) == ("1", LARGE)
    eventually(done.exists)


def test_a_response_may_be_sent_again(serve, folder):
    app, kept = mr.App(), mr.FileResponse(folder / "large.bin")
    app.get("/")(lambda request: kept)
    with Wire(serve(app)) as wire:
        for _ in range(3):
            assert wire.get("/").body == LARGE


def test_a_response_that_is_kept_tells_how_its_file_is_now(serve, folder, pattern):
    app, path = mr.App(), folder / "small.html"
    kept = {}
    app.get("/")(lambda request: kept.setdefault("", mr.FileResponse(path)))
    with Wire(serve(app, pattern=pattern)) as wire:
        first = wire.get("/")
        with path.open("r+b") as file:  # the same file, as the response holds it open
            file.write(SMALL.upper() + b" and more")
        os.utime(path, (1e9, 1e9))
        tag = {"If-None-Match": first.header("etag")}
        second = wire.get("/", tag)
        assert (second.status, second.body) == (200, SMALL.upper() + b" and more")
        assert second.header("last-modified") == "Sun, 09 Sep 2001 01:46:40 GMT"
        assert wire.get("/", {"If-None-Match": second.header("etag")}).status == 304


def test_an_answer_without_a_body_sends_no_file(serve, folder):
    app = mr.App()
    app.get("/")(lambda request: mr.FileResponse(folder / "large.bin", status=204))
    answer = get(serve(app), "/")
    assert (answer.status, answer.header("content-length")) == (204, None)


def test_what_is_no_regular_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path, error in [
        (tmp_path, IsADirectoryError), (tmp_path / "no", FileNotFoundError),
        ("/dev/zero", OSError), (tmp_path / "pipe", OSError),
    ]:  # fmt: skip
        with pytest.raises(error) as raised:
            mr.FileResponse(path)
        assert raised.value.filename == path
    with pytest.raises(ValueError, match="null byte"):
        mr.FileResponse("a\0b")
    with pytest.raises(TypeError):
        mr.FileResponse(1)
    with pytest.raises(ValueError, match="'attachment' or 'inline'"):
        mr.FileResponse(__file__, filename="a", disposition="neither")


def test_a_file_that_is_removed_or_replaced_is_sent_as_it_was(serve, folder):
    app = mr.App()

    @app.get("/")
    def handler(request):
        response = mr.FileResponse(folder / "large.bin")
        (folder / "new").write_bytes(b"another file")
        (folder / "new").rename(folder / "large.bin")
        return response

    assert get(serve(app), "/").body == LARGE


def test_a_file_that_shrinks_while_it_is_sent_ends_the_connection(serve, folder, pattern):
    """Not padded, not followed by anything else, and counted."""
    app, path = mr.App(), folder / "large.bin"
    truncate(path, 64 << 20)
    app.get("/")(lambda request: mr.FileResponse(path))
    server = serve(app, pattern=pattern)
    with Wire(server, receive_buffer=65536) as wire:
        wire.send(request("GET", "/"), request("GET", "/"))
        head = wire.read_until(b"\r\n\r\n")
        assert b"Content-Length: 67108864" in head
        truncate(path, len(LARGE))
        with pytest.raises((Gone, ConnectionResetError)):
            wire.read_exactly(64 << 20)
    eventually(lambda: server.stats().total("files_cut_short") == 1)
    assert server.stats().total("requests") == 0


@pytest.mark.in_process
def test_a_large_file_takes_no_memory_however_slowly_it_is_read(serve, folder, pattern):
    app, path, size = mr.App(), folder / "sparse", 100 << 20
    path.touch()
    truncate(path, size)
    app.get("/")(lambda request: mr.FileResponse(path))
    server = serve(app, pattern=pattern)
    with Wire(server, receive_buffer=65536) as wire:
        wire.send(request("GET", "/"))
        wire.read_until(b"\r\n\r\n")
        before = _resident_bytes()
        for _ in range(size >> 20):
            assert wire.read_exactly(1 << 20) == bytes(1 << 20)
        assert _resident_bytes() - before < 8 << 20
    stats = eventually(lambda: (s := server.stats()).total("requests") == 1 and s)
    assert stats.total("sendfile_bytes") == size
    assert stats.total("sendfiles") >= size >> 21, "at most 2 MB per turn of the loop"


@pytest.mark.in_process
def test_a_client_that_leaves_gives_its_file_back(serve, folder, pattern):
    app, path = mr.App(), folder / "sparse"
    path.touch()
    truncate(path, 64 << 20)
    app.get("/")(lambda request: mr.FileResponse(path))
    server = serve(app, pattern=pattern)
    for leave in (Wire.reset, lambda wire: wire.socket.close()):
        wire = Wire(server, receive_buffer=65536)
        wire.send(request("GET", "/"))
        wire.read_until(b"\r\n\r\n")
        assert _descriptors_of(path)
        leave(wire)
        eventually(lambda: not _descriptors_of(path))
    eventually(lambda: server.stats().total("requests_abandoned") == 2)


@pytest.mark.parametrize("reads", [True, False])
def test_a_client_that_leaves_ends_no_program_that_wants_sigpipe(script, folder, reads):
    """Also where sendfile has sent a part before it notices."""
    source = """
import signal, socket, sys
import millrace as mr

signal.signal(signal.SIGPIPE, signal.SIG_DFL)
app = mr.App()
app.static("/", sys.argv[1])
with mr.Server(app) as server:
    for _ in range(20):
        client = socket.create_connection(("127.0.0.1", server.port))
        client.sendall(b"GET /sparse HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n")
        if len(sys.argv) == 3:
            client.recv(100)
        client.close()
    while True:
        stats = server.stats()
        if stats.total("connections_opened") == 20 and stats.total("connections_open") == 0:
            break
print("alive")
"""
    (folder / "sparse").touch()
    truncate(folder / "sparse", 64 << 20 if reads else 3 << 20)
    arguments = [str(folder)] + ["reads"] * reads
    code, out, err = script(source, arguments=arguments).finish()
    assert (code, out) == (0, "alive\n"), err


def test_a_client_that_asks_and_does_not_read_holds_few_files(serve, folder):
    """So many bytes as may wait on a connection, and of each file more than is read at once."""
    app, path = mr.App(), folder / "past"
    app.get("/")(lambda request: mr.FileResponse(path))
    server = serve(app, limits=mr.Limits(high_water_bytes="64kB"))
    with Wire(server, receive_buffer=4096) as wire:
        wire.send(request("GET", "/") * 2000)
        eventually(lambda: server.stats().total("files_opened") > 50)
        assert len(_descriptors_of(path)) <= 64_000 // EDGE + 2
        for _ in range(2000):
            assert wire.read().body == LARGE[: EDGE + 1]


def test_a_client_that_asks_and_never_reads_is_let_go(serve, folder, pattern):
    app, path = mr.App(), folder / "past"
    app.get("/")(lambda request: mr.FileResponse(path))
    server = serve(app, pattern=pattern, limits=mr.Limits(write_timeout="1s"))
    with Wire(server, receive_buffer=4096) as wire:
        wire.send(request("GET", "/") * 2000)
        eventually(lambda: server.stats().total("files_opened") > 50)
        eventually(lambda: server.stats().total("connections_open") == 0)
    assert server.stats().total("requests") < 2000


def test_curl_sees_the_same(serve, app, folder):
    server = serve(app)
    for name in ("small.html", "large.bin"):
        done = subprocess.run(
            ["curl", "-sS", "--fail", f"{server.url}/plain/{name}"], capture_output=True, timeout=60
        )
        assert done.stdout == (folder / name).read_bytes(), done.stderr
    assert fetch(server, "POST", "/plain/small.html", body=b"").status == 405


def _descriptors_of(path: Path) -> list[Path]:
    found = []
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # closed meanwhile
            if link.readlink() == path:
                found.append(link)
    return found


def _resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
