"""Answers in content codings: `millrace.filters.Compression`."""

from __future__ import annotations

import asyncio
import gzip
import json
import subprocess
import urllib.request
import zlib
from collections.abc import Callable

import brotli
import httpx
import millrace as mr
import pytest
import zstandard
from millrace.filters import Compression

from tests.python.wire import Answer, Wire, fetch, get

TEXT = "".join(f"line {number} of a text\n" for number in range(500))
RECORDS = [{"id": number, "name": f"user {number}"} for number in range(1_000)]

DECODERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.decompress,
    "br": brotli.decompress,
    "zstd": lambda data: zstandard.ZstdDecompressor().decompressobj().decompress(data),
}


def decoded(answer: Answer) -> bytes:
    coding = answer.header("content-encoding")
    return DECODERS[coding](answer.body) if coding else answer.body


def make_app(**options: object) -> mr.App:
    app = mr.App()
    app.filter(Compression(**options))
    app.respond("/constant", TEXT)
    app.get("/plain")(lambda request: TEXT)
    app.get("/json")(lambda request: RECORDS)
    app.get("/small")(lambda request: "small")
    app.get("/png")(lambda request: mr.Response(bytes(5000), content_type="image/png"))
    app.get("/none")(lambda request: mr.Response(status=204))
    app.get("/tagged")(lambda request: mr.Response(TEXT, headers={"ETag": '"abc"'}))
    app.get("/cookie")(lambda request: mr.Response(TEXT, headers={"Set-Cookie": "a=b"}))

    @app.get("/generator")
    def generator(request):
        yield from TEXT.splitlines(keepends=True)

    @app.get("/coroutine")
    async def coroutine(request):
        await asyncio.sleep(0)
        return TEXT

    @app.get("/items")
    async def items(request):
        for line in TEXT.splitlines(keepends=True):
            yield line

    return app


PATHS = ["/constant", "/plain", "/generator", "/coroutine", "/items"]


def test_every_kind_of_answer_is_compressed_for_those_who_want_it(serve, pattern):
    server = serve(make_app(), pattern=pattern)
    with Wire(server) as wire:
        for path in PATHS:
            plain = wire.get(path)
            assert plain.header("content-encoding") is None, path
            assert plain.header("vary") == "Accept-Encoding", path
            assert plain.text == TEXT, path
            for coding in DECODERS:
                answer = wire.get(path, {"Accept-Encoding": coding})
                assert answer.header("content-encoding") == coding, path
                assert answer.header("vary") == "Accept-Encoding", path
                assert decoded(answer).decode() == TEXT, path
        answer = wire.get("/json", {"Accept-Encoding": "br"})
        assert json.loads(decoded(answer)) == RECORDS
    counted = server.stats()
    assert counted.total("answers_compressed") == len(PATHS) * len(DECODERS) + 1
    assert 0 < counted.total("compression_bytes_out") < counted.total("compression_bytes_in")


def test_what_is_not_to_be_compressed_stays_as_it_is(serve, pattern):
    with Wire(serve(make_app(), pattern=pattern)) as wire:
        for path in ("/small", "/png", "/none", "/missing"):
            answer = wire.get(path, {"Accept-Encoding": "gzip"})
            assert answer.header("content-encoding") is None, path
            assert answer.header("vary") is None, path


def test_the_smallest_body_that_is_compressed_has_the_least_size(serve):
    app = mr.App()
    app.filter(Compression(minimum_bytes="1kB"))
    app.get("/{size:int}")(lambda request: "a" * request.path_params["size"])
    server = serve(app)
    given = {"Accept-Encoding": "gzip"}
    assert get(server, "/1000", given).header("content-encoding") == "gzip"
    assert get(server, "/999", given).header("content-encoding") is None


def test_head_has_the_fields_of_get_and_no_body(serve, pattern):
    server = serve(make_app(), pattern=pattern)
    for path in ("/plain", "/constant", "/coroutine"):
        given = {"Accept-Encoding": "gzip"}
        of_get, of_head = get(server, path, given), fetch(server, "HEAD", path, given)
        names = ("content-encoding", "content-length", "vary", "content-type")
        assert [of_head.header(name) for name in names] == [of_get.header(name) for name in names]
        assert of_head.body == b""


def test_a_strong_tag_becomes_weak_and_still_matches(serve):
    server = serve(make_app())
    assert get(server, "/tagged", {"Accept-Encoding": "br"}).header("etag") == 'W/"abc"'
    assert get(server, "/tagged").header("etag") == '"abc"'


def test_answers_that_may_hold_secrets_stay_as_they_are_unless_allowed(serve, pattern):
    for allowed in (False, True):
        server = serve(make_app(compress_with_credentials=allowed), pattern=pattern)
        for path, more in (
            ("/plain", {"Cookie": "session=1"}),
            ("/plain", {"Authorization": "Basic eA=="}),
            ("/cookie", {}),
            ("/generator", {"Cookie": "session=1"}),
        ):
            answer = get(server, path, {"Accept-Encoding": "gzip", **more})
            assert answer.header("content-encoding") == ("gzip" if allowed else None), more
            assert answer.header("vary") == "Accept-Encoding"
            assert decoded(answer).decode() == TEXT


@pytest.mark.in_process
@pytest.mark.parametrize("coding", DECODERS)
def test_each_event_can_be_decoded_as_it_arrives(serve, pattern, coding):
    """The next one is made only after the client has read the one before."""
    app = mr.App()
    app.filter(Compression())
    loops: list[asyncio.AbstractEventLoop] = []
    seen: asyncio.Queue[None] = asyncio.Queue()

    @app.get("/events")
    async def stream(request):
        loops.append(asyncio.get_running_loop())

        async def items():
            for number in range(5):
                yield f"data: {number}\n\n"
                await seen.get()

        return mr.Response(items(), content_type="text/event-stream")

    with Wire(serve(app, pattern=pattern)) as wire:
        wire.send("GET /events HTTP/1.1\r\nHost: a\r\n")
        wire.send(f"Accept-Encoding: {coding}\r\n\r\n")
        head = wire.read_until(b"\r\n\r\n")
        assert f"Content-Encoding: {coding}".encode() in head
        decoder = {
            "gzip": lambda: zlib.decompressobj(31).decompress,
            "br": lambda: brotli.Decompressor().process,
            "zstd": lambda: zstandard.ZstdDecompressor().decompressobj().decompress,
        }[coding]()
        for number in range(5):
            size = int(wire.read_until(b"\r\n"), 16)
            assert decoder(wire.read_exactly(size)) == b"data: %d\n\n" % number
            wire.read_exactly(2)
            loops[0].call_soon_threadsafe(seen.put_nowait, None)


def test_files_go_out_as_they_are(serve, tmp_path):
    for size in (5_000, 500_000):
        (tmp_path / f"{size}.txt").write_bytes(b"a" * size)
    app = mr.App()
    app.filter(Compression())
    app.static("/files", tmp_path)
    app.get("/report")(lambda request: mr.FileResponse(tmp_path / "500000.txt"))
    server = serve(app)
    for path in ("/files/5000.txt", "/files/500000.txt", "/report"):
        answer = get(server, path, {"Accept-Encoding": "gzip"})
        assert answer.header("content-encoding") is None
        assert set(answer.body) == set(b"a")


def test_clients_of_all_kinds_understand_it(serve):
    server = serve(make_app())
    for coding in DECODERS:
        url, accepts = server.url + "/plain", {"Accept-Encoding": coding}
        assert httpx.get(url, headers=accepts).text == TEXT
        said = subprocess.run(
            ["curl", "--silent", "--fail", "--compressed", "--header", f"Accept-Encoding: {coding}",
             url],
            capture_output=True, timeout=60, check=True,
        )  # fmt: skip
        assert said.stdout.decode() == TEXT
    said = subprocess.run(
        ["curl", "--silent", "--fail", "--compressed", "--write-out", "%{header_json}",
         server.url + "/generator"],
        capture_output=True, timeout=60, check=True,
    )  # fmt: skip
    assert said.stdout.decode().startswith(TEXT)
    assert '"content-encoding":["' in said.stdout.decode()
    question = urllib.request.Request(server.url + "/items", headers={"Accept-Encoding": "gzip"})
    with urllib.request.urlopen(question) as answer:
        assert gzip.decompress(answer.read()).decode() == TEXT


def test_settings_of_the_filter_choose_codings_and_levels(serve):
    server = serve(make_app(codings=["gzip"], gzip_level=9))
    answer = get(server, "/plain", {"Accept-Encoding": "zstd, br, gzip;q=0.1"})
    assert answer.header("content-encoding") == "gzip"
    fast = get(serve(make_app(gzip_level=1)), "/plain", {"Accept-Encoding": "gzip"})
    # RFC 1952 2.3.1: how hard the encoder tried.
    assert (answer.body[8], fast.body[8]) == (2, 4)


@pytest.mark.parametrize(
    ("options", "says"),
    [({"codings": []}, "at least one"), ({"codings": ["deflate"]}, "zstd, br and gzip"),
     ({"gzip_level": 10}, "gzip_level=10: a level of gzip is 1 to 9"),
     ({"zstd_level": 0}, "zstd_level=0"), ({"br_level": 12}, "br_level=12")],
)  # fmt: skip
def test_mistakes_are_named_when_the_server_starts(options, says):
    with pytest.raises(ValueError, match=says):
        mr.Server(make_app(**options)).start()


@pytest.mark.parametrize(
    ("options", "error"),
    [({"codings": "gzip"}, TypeError), ({"minimum_bytes": "lots"}, ValueError)],
)
def test_mistakes_of_types_are_named_at_once(options, error):
    with pytest.raises(error):
        Compression(**options)
