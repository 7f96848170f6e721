"""Requests whose body comes in a content coding (RFC 9110 8.4), decoded for their handlers."""

from __future__ import annotations

import gzip
import json
import subprocess
import zlib
from collections.abc import Callable

import brotli
import httpx
import millrace as mr
import pytest
import zstandard
from millrace import errors

from tests.python.wire import Wire, chunked, fetch, request

TEXT = b"".join(b"line %d of a text\n" % number for number in range(10_000))
RAW_DEFLATE = zlib.compress(TEXT)[2:-4]

ENCODERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": lambda data: brotli.compress(data, quality=4),
    "zstd": lambda data: zstandard.ZstdCompressor().compress(data),
}
# As a client makes them that does not know the length.
ENCODERS["zstd "] = lambda data: zstandard.ZstdCompressor(write_content_size=False).compress(data)


@pytest.fixture
def app() -> mr.App:
    app = mr.App()

    @app.post("/whole")
    def whole(request):
        return request.body

    @app.post("/read")
    async def read(request):
        return await request.read()

    @app.post("/stream")
    async def stream(request):
        pieces = [piece async for piece in request.stream()]
        assert max(map(len, pieces), default=0) <= 64 * 1024
        return b"".join(pieces)

    @app.post("/fields")
    def fields(request):
        return dict(request.headers)

    app.post("/ignored")(lambda request: "not read")
    return app


EVERY_HANDLER = ["/whole", "/read", "/stream"]


def test_every_kind_of_handler_gets_the_body_decoded(serve, app, pattern):
    server = serve(app, pattern=pattern, decompress=True)
    with Wire(server) as wire:
        for coding, encode in ENCODERS.items():
            coded = encode(TEXT)
            pieces = [coded[at : at + 5_000] for at in range(0, len(coded), 5_000)]
            for target in EVERY_HANDLER:
                answer = wire.ask("POST", target, {"Content-Encoding": coding}, coded)
                assert (answer.status, answer.body == TEXT) == (200, True), (coding, target)
                fields = {"Content-Encoding": coding, "Transfer-Encoding": "chunked"}
                wire.send(request("POST", target, fields), chunked(*pieces))
                assert wire.read().body == TEXT, (coding, target)


def test_a_body_may_come_in_any_pieces(serve, app):
    text = TEXT[:300]
    with Wire(serve(app, decompress=True)) as wire:
        for target in EVERY_HANDLER:
            message = request("POST", target, {"Content-Encoding": "gzip"}, gzip.compress(text))
            for at in range(len(message)):
                wire.send(message[at : at + 1])
            assert wire.read().body == text


def test_deflate_without_its_header_is_taken_as_browsers_take_it(serve, app):
    server = serve(app, decompress=True)
    answer = fetch(server, "POST", "/whole", {"Content-Encoding": "deflate"}, RAW_DEFLATE)
    assert answer.body == TEXT


def test_members_of_gzip_are_joined(serve, app):
    two = gzip.compress(TEXT) + gzip.compress(b"and more")
    answer = fetch(serve(app, decompress=True), "POST", "/read", {"Content-Encoding": "gzip"}, two)
    assert answer.body == TEXT + b"and more"


def test_fields_that_spoke_of_what_was_sent_are_gone(serve, app):
    server = serve(app, decompress=True)
    given = {"Content-Encoding": "gzip", "Content-Type": "text/plain"}
    fields = fetch(server, "POST", "/fields", given, gzip.compress(b"a")).json()
    assert fields == {"host": "test", "content-type": "text/plain"}
    fields = fetch(server, "POST", "/fields", {"Content-Encoding": "identity"}, b"a").json()
    assert fields["content-length"] == "1"


def test_without_being_asked_a_server_hands_on_what_was_sent(serve, app, pattern):
    server = serve(app, pattern=pattern)
    for target in EVERY_HANDLER:
        coded = gzip.compress(TEXT)
        assert fetch(server, "POST", target, {"Content-Encoding": "gzip"}, coded).body == coded
    fields = fetch(server, "POST", "/fields", {"Content-Encoding": "pack200"}, b"x").json()
    assert fields["content-encoding"] == "pack200"


def test_a_body_of_no_bytes_is_empty_in_every_coding(serve, app):
    server = serve(app, decompress=True)
    for coding in ENCODERS:
        given = {"Content-Encoding": coding}
        assert fetch(server, "POST", "/whole", given, b"").body == b""
        with Wire(server) as wire:
            wire.send(request("POST", "/read", {**given, "Transfer-Encoding": "chunked"}))
            assert wire.send(chunked()).read().body == b""


def test_httpx_and_curl_are_understood(serve, app, tmp_path):
    server = serve(app, decompress=True)
    (tmp_path / "body").write_bytes(brotli.compress(TEXT))
    coded = zstandard.ZstdCompressor().compress(TEXT)
    answer = httpx.post(server.url + "/read", content=coded, headers={"Content-Encoding": "zstd"})
    assert answer.content == TEXT
    said = subprocess.run(
        ["curl", "--silent", "--fail", "--data-binary", f"@{tmp_path / 'body'}",
         "--header", "Content-Encoding: br", server.url + "/read"],
        capture_output=True, timeout=60, check=True,
    )  # fmt: skip
    assert said.stdout == TEXT


# --- what is refused ------------------------------------------------------------------------------


def test_a_coding_that_is_not_known_is_415_with_those_that_are(serve, app, pattern):
    """RFC 9110 15.5.16."""
    server = serve(app, pattern=pattern, decompress=True)
    for coding in ("compress", "gzip, gzip", "gzip;q=1", "br, pack200-gzip"):
        for target in (*EVERY_HANDLER, "/ignored"):
            answer = fetch(server, "POST", target, {"Content-Encoding": coding}, b"abc")
            assert (answer.status, answer.body) == (415, b"")
            assert answer.header("accept-encoding") == "gzip, deflate, br, zstd"
    assert server.stats().total("codings_refused") == 16


def test_several_codings_are_undone_up_to_their_limit(serve, app):
    server = serve(app, decompress=True, limits=mr.Limits(body_codings=2))
    twice = brotli.compress(gzip.compress(TEXT))
    for target in EVERY_HANDLER:
        assert fetch(server, "POST", target, {"Content-Encoding": "gzip, br"}, twice).body == TEXT
    lines = [("Content-Encoding", "gzip"), ("Content-Encoding", "br")]
    assert fetch(server, "POST", "/whole", lines, twice).body == TEXT
    thrice = {"Content-Encoding": "gzip, br, gzip"}
    assert fetch(server, "POST", "/whole", thrice, gzip.compress(twice)).status == 415


def test_what_is_not_what_the_coding_makes_is_400(serve, app, pattern):
    server = serve(app, pattern=pattern, decompress=True)
    for number, (coding, encode) in enumerate(ENCODERS.items(), 1):
        good = encode(TEXT)
        bad = [b"this is no coded text", good[:-1], good[: len(good) // 2], good + b"and garbage"]
        for target in EVERY_HANDLER:
            for body in bad:
                answer = fetch(server, "POST", target, {"Content-Encoding": coding}, body)
                assert answer.status == 400, (target, body[:20])
        assert server.stats().total("bodies_malformed") == number * len(EVERY_HANDLER) * len(bad)
    assert server.stats().total("requests_failed") == 0


def test_a_checksum_that_does_not_match_is_400(serve, app):
    coded = bytearray(gzip.compress(TEXT))
    coded[-8] ^= 1
    server = serve(app, decompress=True)
    for target in EVERY_HANDLER:
        answer = fetch(server, "POST", target, {"Content-Encoding": "gzip"}, bytes(coded))
        assert answer.status == 400


def test_a_decoded_body_is_taken_at_its_limit_and_refused_one_byte_past_it(serve, app, pattern):
    limits = mr.Limits(body_bytes=10_000)
    server = serve(app, pattern=pattern, decompress=True, limits=limits)
    for target in ("/whole", "/read"):
        for encode in (gzip.compress, lambda data: gzip.compress(data, 0)):
            given = {"Content-Encoding": "gzip"}
            assert fetch(server, "POST", target, given, encode(TEXT[:10_000])).status == 200
            assert fetch(server, "POST", target, given, encode(TEXT[:10_001])).status == 413
    given = {"Content-Encoding": "gzip"}
    assert fetch(server, "POST", "/stream", given, gzip.compress(TEXT)).status == 200


def test_a_bomb_is_413_and_its_handler_never_sees_more_than_the_ratio(serve, pattern):
    app = mr.App()

    @app.post("/stream")
    async def stream(request):
        size = 0
        try:
            async for piece in request.stream():
                size += len(piece)
        except errors.MessageTooLarge as error:
            return {"size": size, "error": str(error)}
        return None

    app.post("/whole")(lambda request: request.body)

    @app.post("/read")
    async def read(request):
        return await request.read()

    server = serve(app, pattern=pattern, decompress=True, limits=mr.Limits(body_bytes="1GB"))
    for number, (coding, encode) in enumerate(ENCODERS.items(), 1):
        bomb, given = encode(bytes(10_000_000)), {"Content-Encoding": coding}
        for target in ("/whole", "/read"):
            assert fetch(server, "POST", target, given, bomb).status == 413
        seen = fetch(server, "POST", "/stream", given, bomb).json()
        assert "100 times" in seen["error"]
        assert seen["size"] <= max(1024 * 1024, 100 * len(bomb))
        assert server.stats().total("bodies_over_ratio") == 3 * number


def test_the_ratio_is_a_limit(serve, app):
    coded = gzip.compress(bytes(50_000))
    overall = 50_000 // len(coded)
    given = {"Content-Encoding": "gzip"}
    for ratio, status in ((2 * overall, 200), (overall // 2, 413)):
        limits = mr.Limits(body_ratio=ratio, body_ratio_from_bytes=20_000)
        server = serve(app, decompress=True, limits=limits)
        assert fetch(server, "POST", "/whole", given, coded).status == status
    free = mr.Limits(body_ratio=1, body_ratio_from_bytes=50_000)
    assert (
        fetch(serve(app, decompress=True, limits=free), "POST", "/whole", given, coded).status
        == 200
    )


def test_a_zstd_window_above_8_mb_is_413(serve, app):
    """RFC 9659 3."""
    server = serve(app, decompress=True)
    for log, status in ((23, 200), (24, 413)):
        parameters = zstandard.ZstdCompressionParameters(window_log=log, write_content_size=False)
        compressor = zstandard.ZstdCompressor(compression_params=parameters)
        made = compressor.compressobj()
        coded = made.compress(TEXT) + made.flush()
        answer = fetch(server, "POST", "/whole", {"Content-Encoding": "zstd"}, coded)
        assert answer.status == status


def test_a_refused_body_does_not_spoil_the_next_request(serve, app):
    with Wire(serve(app, decompress=True)) as wire:
        for target in EVERY_HANDLER:
            given = {"Content-Encoding": "gzip"}
            assert wire.ask("POST", target, given, b"nonsense").status == 400
            assert wire.ask("POST", target, given, gzip.compress(b"good")).body == b"good"


@pytest.mark.in_process
def test_a_body_that_nobody_reads_is_decoded_no_further_than_a_window(serve, pattern):
    """The sender's credit is for what it sends; a handler that waits holds little of it."""
    app = mr.App()

    @app.post("/")
    async def one_piece(request):
        return str(len(await anext(aiter(request.stream()))))

    coded = gzip.compress(json.dumps(list(range(300_000))).encode())
    with Wire(serve(app, pattern=pattern, decompress=True)) as wire:
        answer = wire.ask("POST", "/", {"Content-Encoding": "gzip"}, coded)
        assert 0 < answer.json() <= 16 * 1024
