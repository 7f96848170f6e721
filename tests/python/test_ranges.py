"""Ranges of a file (RFC 9110 14): each rule and example a row, whoever serves the file."""

from __future__ import annotations

import os
import time
from email.utils import formatdate
from pathlib import Path

import millrace as mr
import pytest

from tests.python.wire import Answer, Wire, eventually, fetch, get

# As long as that of the examples in RFC 9110 14.1.2.
SIZE = 10_000
CONTENT = bytes(i * 7 % 251 for i in range(SIZE))
LARGE = CONTENT * 30
WHOLE, NONE = "whole", "none"

# The clause, the field, and what is sent: all, nothing (416), or (first, length) of each part.
ROWS = [
    ("14.1.2: the first 500 bytes", "bytes=0-499", [(0, 500)]),
    ("14.1.2: the second 500 bytes", "bytes=500-999", [(500, 500)]),
    ("14.1.2: the final 500 bytes", "bytes=-500", [(9500, 500)]),
    ("14.1.2: or", "bytes=9500-", [(9500, 500)]),
    ("14.1.2: the first and the last byte", "bytes=0-0,-1", [(0, 1), (9999, 1)]),
    ("14.1.2: the first, middle and last 1000 bytes", "bytes= 0-999, 4500-5499, -1000",
     [(0, 1000), (4500, 1000), (9000, 1000)]),
    ("14.1.2: the second 500 bytes, not canonical", "bytes=500-600,601-999", [(500, 500)]),
    ("14.1.2: the second 500 bytes, not canonical", "bytes=500-700,601-999", [(500, 500)]),
    ("14.1.2: one byte", "bytes=0-0", [(0, 1)]),
    ("14.1.2: the last byte", "bytes=9999-9999", [(9999, 1)]),
    ("14.1.2: a last position beyond the end", "bytes=9990-20000", [(9990, 10)]),
    ("14.1.2: a last position beyond any number", "bytes=9990-99999999999999999999999",
     [(9990, 10)]),
    ("14.1.2: a suffix longer than all", "bytes=-20000", [(0, SIZE)]),
    ("14.1.2: a suffix as long as all", "bytes=-10000", [(0, SIZE)]),
    ("14.1.2: all, as a range", "bytes=0-", [(0, SIZE)]),
    ("14.1.2: a suffix of nothing", "bytes=-0", NONE),
    ("14.1.2: a first position behind the end", "bytes=10000-", NONE),
    ("14.1.2: a first position beyond any number", "bytes=99999999999999999999999-", NONE),
    ("14.1.1: a last position before the first", "bytes=5-4", WHOLE),
    ("14.1.1: one of them invalid", "bytes=0-1,5-4", WHOLE),
    ("14.1.1: no position at all", "bytes=-", WHOLE),
    ("14.1.1: no range at all", "bytes=", WHOLE),
    ("14.1.1: no unit", "0-499", WHOLE),
    ("14.1.1: no equals sign", "bytes 0-499", WHOLE),
    ("14.1.1: a blank before the equals sign", "bytes =0-499", WHOLE),
    ("14.1.1: a sign", "bytes=+1-5", WHOLE),
    ("14.1.1: hexadecimal", "bytes=0x1-0x5", WHOLE),
    ("14.1.1: a blank inside", "bytes=0 - 499", WHOLE),
    ("14.1.1: three positions", "bytes=1-2-3", WHOLE),
    ("14.1: a unit in capitals", "BYTES=0-499", [(0, 500)]),
    ("14.2: another unit is ignored", "lines=0-1", WHOLE),
    ("14.2: a unit that begins alike", "bytesize=0-1", WHOLE),
    ("5.6.1.2: empty members", "bytes=,0-1 ,, 5000-5001,", [(0, 2), (5000, 2)]),
    ("15.3.7.2: order as asked for", "bytes=5000-5099,0-99,9000-9099",
     [(5000, 100), (0, 100), (9000, 100)]),
    ("15.3.7.2: overlapping ones may be joined", "bytes=0-999,500-1499", [(0, 1500)]),
    ("15.3.7.2: close ones may be joined", "bytes=0-99,150-249", [(0, 250)]),
    ("15.3.7.2: one is left, so no multipart", "bytes=0-9,20000-", [(0, 10)]),
    ("14.2: as many as the limit", "bytes=" + ",".join(f"{i}-{i}" for i in range(0, 6400, 200)),
     [(i, 1) for i in range(0, 6400, 200)]),
    ("14.2: one past the limit", "bytes=" + ",".join(f"{i}-{i}" for i in range(0, 6600, 200)),
     WHOLE),
]  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, content in {"file": CONTENT, "large": LARGE, "empty": b""}.items():
        (tmp_path / name).write_bytes(content)
        os.utime(tmp_path / name, (784111777, 784111777))
    return tmp_path


@pytest.fixture
def app(folder: Path) -> mr.App:
    """The files, by the engine and by handlers."""
    app, root = mr.App(), str(folder)
    app.static("/static", folder)
    app.route("/handler/{name}", methods=["GET", "HEAD", "POST"])(
        lambda request: mr.FileResponse(f"{root}/{request.path_params['name']}")
    )
    return app


def parts_of(answer: Answer) -> list[tuple[str, bytes]]:
    """Return Content-Range and bytes of each part of a 206."""
    kind = answer.header("content-type")
    if not kind.startswith("multipart/byteranges"):
        return [(answer.header("content-range"), answer.body)]
    assert answer.header("content-range") is None, "RFC 9110 15.3.7.2"
    boundary = kind.partition("boundary=")[2].encode()
    first, *pieces = answer.body.split(b"--" + boundary)
    assert (first, pieces.pop()) == (b"", b"--\r\n")
    assert len(pieces) > 1, "RFC 9110 15.3.7.2: one part alone is no multipart"
    found = []
    for piece in pieces:
        head, _, body = piece.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        assert fields["Content-Type"] == "application/octet-stream"
        found.append((fields["Content-Range"], body.removesuffix(b"\r\n")))
    return found


def test_rules_and_examples(serve, app, pattern):
    with Wire(serve(app, pattern=pattern)) as wire:
        for path in ("/static/file", "/handler/file"):
            for clause, field, expected in ROWS:
                answer = wire.get(path, {"Range": field})
                assert answer.header("accept-ranges") == "bytes", clause  # 14.3
                if expected == WHOLE:
                    assert (answer.status, answer.body) == (200, CONTENT), clause
                    assert answer.header("content-range") is None, clause
                elif expected == NONE:
                    assert (answer.status, answer.body) == (416, b""), clause
                    assert answer.header("content-range") == f"bytes */{SIZE}", clause  # 14.4
                else:
                    assert answer.status == 206, clause
                    assert parts_of(answer) == [
                        (f"bytes {at}-{at + size - 1}/{SIZE}", CONTENT[at : at + size])
                        for at, size in expected
                    ], clause


@pytest.mark.parametrize("kind", ["static", "handler"])
def test_an_empty_file_has_no_ranges(serve, app, kind):
    """RFC 9110 14.1.2; a suffix of it can be had, but no Content-Range can say so."""
    with Wire(serve(app)) as wire:
        for field, status in {"bytes=0-": 416, "bytes=0-0": 416, "bytes=-0": 416,
                              "bytes=-5": 200}.items():  # fmt: skip
            answer = wire.get(f"/{kind}/empty", {"Range": field})
            assert (answer.status, answer.body) == (status, b"")
            assert answer.header("content-range") == ("bytes */0" if status == 416 else None)


@pytest.mark.parametrize("method", ["HEAD", "POST"])
def test_ranges_are_for_get(serve, app, method):
    """RFC 9110 14.2: with any other method, HEAD too, the field is ignored."""
    for field in ("bytes=0-1", "bytes=20000-"):
        answer = fetch(serve(app), method, "/handler/file", {"Range": field})
        assert (answer.status, answer.header("content-length")) == (200, str(SIZE))
        assert answer.header("content-range") is None


def test_two_range_fields_are_ignored(serve, app):
    """RFC 9110 5.3: it is no list field, so the second makes both malformed."""
    answer = fetch(serve(app), "GET", "/static/file",
                   [("Range", "bytes=0-1"), ("Range", "bytes=5-6")])  # fmt: skip
    assert (answer.status, answer.body) == (200, CONTENT)


@pytest.mark.parametrize("field", ["bytes=0-1", "bytes=0-1,5000-5001"])
def test_a_part_has_the_fields_of_the_whole(serve, app, folder, field):
    """RFC 9110 15.3.7: Date, Cache-Control, ETag, Expires, Content-Location and Vary."""
    said = {"cache-control": "max-age=9", "content-location": "/x", "vary": "Accept",
            "expires": "Sun, 06 Nov 1994 08:49:38 GMT", "etag": '"own"'}  # fmt: skip
    app.get("/said")(lambda request: mr.FileResponse(folder / "file", headers=said))
    answer = get(serve(app), "/said", {"Range": field})
    assert answer.status == 206
    assert {name: answer.header(name) for name in said} == said
    assert answer.header("date")


def test_a_refusal_is_nothing_to_keep(serve, folder):
    app = mr.App()
    app.static("/", folder, cache_control="max-age=1000")
    server = serve(app)
    rows = {"bytes=20000-": (416, None), "bytes=0-1": (206, "max-age=1000")}
    for field, expected in rows.items():
        answer = get(server, "/file", {"Range": field})
        assert (answer.status, answer.header("cache-control")) == expected
    assert get(server, "/file", {"If-Match": '"x"'}).header("cache-control") is None


def test_large_parts_are_sent_by_the_kernel(serve, app):
    server = serve(app)
    answer = get(server, "/static/large", {"Range": "bytes=0-99999,150000-150009,200000-299999"})
    assert [body for _, body in parts_of(answer)] == [
        LARGE[:100_000], LARGE[150_000:150_010], LARGE[200_000:],
    ]  # fmt: skip
    stats = eventually(lambda: (s := server.stats()).total("requests") == 1 and s)
    assert stats.total("sendfile_bytes") == 200_010
    assert stats.total("answers_partial") == 1


@pytest.mark.parametrize("kind", ["static", "handler"])
def test_a_date_of_this_second_names_no_range(serve, app, folder, kind):
    """RFC 9110 8.8.2.2, 13.1.5: the file may change again within it, so it is a weak validator."""
    server = serve(app)
    soon = time.time() + 1000  # as good as now: the answer says now, and that is no weaker
    os.utime(folder / "file", (soon, soon))
    for said in (
        get(server, f"/{kind}/file").header("last-modified"),
        formatdate(soon, usegmt=True),
    ):
        answer = get(server, f"/{kind}/file", {"Range": "bytes=0-1", "If-Range": said})
        assert (answer.status, answer.body) == (200, CONTENT)


def test_what_has_no_ranges_ignores_them(serve):
    """RFC 9110 13.1.5, 14.2: If-Range is ignored with Range where the resource knows neither."""
    app = mr.App()
    app.respond("/native", "native")
    app.get("/handler")(lambda request: "handler")
    server = serve(app)
    for path in ("/native", "/handler"):
        for fields in ({"Range": "bytes=0-1"}, {"Range": "bytes=99-", "If-Range": '"x"'}):
            answer = get(server, path, fields)
            assert (answer.status, answer.text) == (200, path[1:])
            assert answer.header("accept-ranges") is answer.header("content-range") is None


def test_content_range_of_a_put_is_the_handlers(serve):
    """RFC 9110 14.5: 400 where a resource takes no partial PUT, and only its handler knows that."""
    app = mr.App()

    @app.put("/")
    def put(request):
        return mr.Response(request.headers["content-range"], status=400)

    answer = fetch(serve(app), "PUT", "/", {"Content-Range": "bytes 0-2/9"}, b"abc")
    assert (answer.status, answer.text) == (400, "bytes 0-2/9")


def test_files_take_no_partial_put(serve, app):
    """RFC 9110 14.5: nor any other."""
    answer = fetch(serve(app), "PUT", "/static/file", {"Content-Range": "bytes 0-2/9"}, b"abc")
    assert (answer.status, answer.header("allow")) == (405, "GET, HEAD, OPTIONS")
