"""Folders of files, served natively under every execution pattern."""

from __future__ import annotations

import gzip
import os
import random
import re
import subprocess
from pathlib import Path

import millrace as mr
import pytest
from millrace import _core
from millrace.files import StaticFiles

from tests.python.wire import Gone, Wire, eventually, fetch, get, request

PAGE = b"<p>hello</p>"
LARGE = random.Random(2).randbytes(300_000)
DIGITS = b"0123456789" * 100
# Sun, 06 Nov 1994 08:49:37 GMT
MODIFIED, MODIFIED_TEXT = 784111777, "Sun, 06 Nov 1994 08:49:37 GMT"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "public"
    for name, content in {
        "index.html": PAGE, "app.js": b"let a;", "large.bin": LARGE, "empty.css": b"",
        "sub/index.html": b"sub", "sub/a b.txt": b"spaced", "bare/x.txt": b"x",
        ".env": b"secret", ".git/config": b"secret", "digits": DIGITS,
    }.items():  # fmt: skip
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        os.utime(path, (MODIFIED, MODIFIED))
    (tmp_path / "secret").write_bytes(b"secret")
    return root


@pytest.fixture
def server(serve, folder: Path) -> mr.Server:
    app = mr.App()
    app.static("/files", folder)
    return serve(app)


def test_files_are_served_without_entering_python(serve, folder, pattern):
    app = mr.App()
    app.static("/files", folder, cache_control="no-cache")
    app.get("/files/api")(lambda request: "a route wins")
    server = serve(app, pattern=pattern)
    rows = {"app.js": b"let a;", "large.bin": LARGE, "empty.css": b"", "": PAGE,
            "sub/": b"sub", "sub/a%20b.txt": b"spaced"}  # fmt: skip
    with Wire(server) as wire:
        for name, content in rows.items():
            answer = wire.get(f"/files/{name}")
            assert (answer.status, answer.body == content) == (200, True), name
            assert answer.header("last-modified") == MODIFIED_TEXT
            assert answer.header("cache-control") == "no-cache"
            assert answer.header("accept-ranges") == "bytes"
            tag = answer.header("etag")
            assert wire.get(f"/files/{name}", {"If-None-Match": tag}).status == 304, name
        assert wire.get("/files/large.bin", {"Range": "bytes=1-3"}).body == LARGE[1:4]
        assert wire.get("/files/nothing").status == 404
        assert wire.get("/files/api").text == "a route wins"
    total = 2 * len(rows) + 3
    stats = eventually(lambda: (s := server.stats()).total("requests") == total and s)
    assert stats.total("requests_native") == total - 1
    assert stats.total("answers_not_modified") == len(rows)
    assert stats.total("answers_partial") == 1
    assert stats.total("files_opened") == 2 * len(rows) + 1
    assert stats.total("sendfile_bytes") == len(LARGE)


def test_head_says_what_get_would(server):
    with Wire(server) as wire:
        for name in ("app.js", "large.bin", "empty.css"):
            got = wire.get(f"/files/{name}")
            told = wire.ask("HEAD", f"/files/{name}", {"Range": "bytes=0-1"})
            for answer in (got, told):
                answer.fields = [row for row in answer.fields if row[0] != "Date"]
            assert told.status == 200, "Range is for GET (RFC 9110 14.2)"
            assert told.fields == got.fields


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_other_methods_are_not_allowed(server, method):
    answer = fetch(server, method, "/files/app.js", body=b"x")
    assert (answer.status, answer.header("allow")) == (405, "GET, HEAD, OPTIONS")


def test_media_types_are_native_or_the_users(serve, folder):
    for name in ("shader.wgsl", "LOUD.WGSL", "LOUD.CSS"):
        (folder / name).write_text("fn")
    app = mr.App()
    app.static("/", folder, media_types={".Wgsl": "text/wgsl", ".min.js": "text/x-min"})
    server = serve(app)
    rows = {"/app.js": "text/javascript; charset=utf-8", "/shader.wgsl": "text/wgsl",
            "/LOUD.WGSL": "text/wgsl", "/LOUD.CSS": "text/css; charset=utf-8",
            "/": "text/html; charset=utf-8", "/digits": "application/octet-stream"}  # fmt: skip
    assert {path: get(server, path).header("content-type") for path in rows} == rows


def test_cache_control_goes_by_the_first_pattern_that_fits(serve, folder):
    app = mr.App()
    app.static("/a", folder, cache_control={"*.html": "no-cache", "sub/*": "x=1", "*.js": "y=1"})
    app.static("/b", folder)
    server = serve(app)
    rows = {"/a/": "no-cache", "/a/sub/": "no-cache", "/a/sub/a%20b.txt": "x=1",
            "/a/app.js": "y=1", "/a/digits": None, "/b/": None}  # fmt: skip
    assert {path: get(server, path).header("cache-control") for path in rows} == rows


# --- folders --------------------------------------------------------------------------------------


def test_a_folder_is_redirected_to_its_slash_and_answered_by_its_index(server):
    for path, location in {
        "/files": "/files/", "/files?a=1&b": "/files/?a=1&b", "/files/sub": "/files/sub/",
    }.items():  # fmt: skip
        answer = get(server, path)
        assert (answer.status, answer.header("location")) == (301, location)
    assert get(server, "/files/sub/").body == b"sub"
    for path in ("/files/bare", "/files/bare/", "/files/app.js/"):
        assert get(server, path).status == 404, path


def test_no_redirect_leads_to_another_host(serve, folder):
    (folder / "evil.example").mkdir()
    (folder / "evil.example" / "index.html").write_text("x")
    app = mr.App()
    app.static("/", folder)
    server = serve(app)
    assert get(server, "/evil.example").header("location") == "/evil.example/"
    for path in ("//evil.example", "/%2fevil.example", "/%5Cevil.example", "/\\evil.example"):
        assert get(server, path).status == 404, path


def test_without_an_index_a_folder_is_not_found(serve, folder):
    app = mr.App()
    app.static("/", folder, index=None)
    server = serve(app)
    assert [get(server, path).status for path in ("/", "/sub", "/sub/", "/index.html")] == [
        404, 404, 404, 200,
    ]  # fmt: skip


def test_the_fallback_answers_what_an_application_routes_itself(serve, folder):
    app = mr.App()
    app.static("/", folder, fallback="index.html")
    server = serve(app)
    for path in ("/users/7", "/bare", "/users/", "/app.js/x"):
        answer = get(server, path)
        assert (answer.status, answer.body) == (200, PAGE), path
    for path in (
        "/missing.js",
        "/missing.js/",
        "/users/a.png",
        "/.git/config",
        "/.git",
        "/a%00b",
        "/..%5cx",
    ):
        assert get(server, path).status in (400, 404), path


# --- what must not be served ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    ["/files/../secret", "/files/%2e%2e/secret", "/files/%2e%2e%2fsecret", "/files/..%2fsecret",
     "/files/sub/../../secret", "/files/..;/secret", "/files/%252e%252e/secret",
     "/files/..%5csecret", "/files/%5c..%5csecret", "/files//etc/passwd", "/files/%2fetc/passwd",
     "/files/./../secret", "/files/sub/..%2f..%2fsecret", "/files/\xc0\xae\xc0\xae/secret",
     "/files/%c0%ae%c0%ae/secret", "/files/app.js%00.html", "/files/app.js%0a", "/files/.env",
     "/files/%2eenv", "/files/.git/config", "/files/sub/%2e%2e/.env", "/files/link",
     "/files/outside/secret", "/files/absolute", "/files/pipe", "/files/device"],
)  # fmt: skip
def test_nothing_else_is_served(serve, folder, path):
    (folder / "link").symlink_to("../secret")
    (folder / "outside").symlink_to("..")
    (folder / "absolute").symlink_to(folder.parent / "secret")
    (folder / "device").symlink_to("/dev/zero")
    os.mkfifo(folder / "pipe")
    app = mr.App()
    app.static("/files", folder)
    with Wire(serve(app)) as wire:
        answer = wire.get(path)
    assert answer.status in (400, 404)
    assert b"secret" not in answer.body


def test_dot_files_are_served_only_where_that_is_said(serve, folder):
    app = mr.App()
    app.static("/", folder, dot_files=True)
    server = serve(app)
    assert get(server, "/.env").body == get(server, "/.git/config").body == b"secret"


def test_a_link_that_stays_inside_is_followed(serve, folder):
    (folder / "current").symlink_to("sub")
    app = mr.App()
    app.static("/", folder)
    # Where the kernel has no openat2 it is not there.
    assert get(serve(app), "/current/").status in (200, 404)


def test_a_file_that_may_not_be_read_is_forbidden(serve, folder):
    if os.getuid() == 0:
        pytest.skip("root may read everything")
    (folder / "app.js").chmod(0)
    app = mr.App()
    app.static("/", folder)
    assert get(serve(app), "/app.js").status == 403


# --- RFC 9110 13: more of it in test_preconditions.py ---------------------------------------------


def test_another_content_is_another_tag(server, folder):
    tags = {get(server, "/files/app.js").header("etag")}
    (folder / "app.js").write_bytes(b"let b;")  # as long as before
    tags.add(get(server, "/files/app.js").header("etag"))
    (folder / "new").write_bytes(b"let c;")
    os.utime(folder / "new", (MODIFIED, MODIFIED))  # and as old
    (folder / "new").rename(folder / "app.js")
    tags.add(get(server, "/files/app.js").header("etag"))
    assert len(tags) == 3


def test_no_file_was_changed_in_the_future(server, folder):
    os.utime(folder / "app.js", (4e9, 4e9))
    answer = get(server, "/files/app.js")
    assert answer.header("last-modified") <= answer.header("date") or (
        answer.header("last-modified")[5:] == answer.header("date")[5:]
    )
    assert "2096" not in answer.header("last-modified")


def test_the_fields_of_a_handler_count_instead_of_the_files(serve, folder):
    app = mr.App()
    fields = {"etag": '"own"', "last-modified": MODIFIED_TEXT, "cache-control": "private",
              "x-own": "1"}  # fmt: skip
    app.get("/")(lambda request: mr.FileResponse(folder / "app.js", headers=fields))
    server = serve(app)
    answer = get(server, "/", {"If-None-Match": '"own"'})
    assert answer.status == 304
    for name, value in fields.items():
        assert answer.all(name) == [value]
    assert get(server, "/", {"If-None-Match": '"x"'}).all("etag") == ['"own"']


def test_a_status_of_the_handlers_own_is_kept(serve, folder):
    app = mr.App()
    app.get("/")(lambda request: mr.FileResponse(folder / "app.js", status=404))
    answer = get(serve(app), "/", {"Range": "bytes=0-1", "If-None-Match": "*"})
    assert (answer.status, answer.body, answer.header("etag")) == (404, b"let a;", None)


# --- content codings ------------------------------------------------------------------------------


@pytest.fixture
def compressed(serve, folder: Path) -> mr.Server:
    for suffix, content in {".br": b"br", ".zst": b"zst", ".gz": gzip.compress(b"let a;")}.items():
        (folder / f"app.js{suffix}").write_bytes(content)
    (folder / "large.bin.gz").write_bytes(b"old")
    os.utime(folder / "large.bin.gz", (MODIFIED - 5, MODIFIED - 5))
    app = mr.App()
    app.static("/", folder, precompressed=True)
    return serve(app)


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [(None, None), ("gzip", "gzip"), ("gzip, br, zstd", "br"), ("gzip;q=0.9, zstd;q=0.8", "gzip"),
     ("br;q=0, *", "zstd"), ("deflate", None), ("gzip;q=0", None), ("gzip;q=0.1, identity", None)],
)  # fmt: skip
def test_a_compressed_variant_is_sent_to_whom_it_suits(compressed, accepted, coding):
    answer = get(compressed, "/app.js", {} if accepted is None else {"Accept-Encoding": accepted})
    assert answer.header("content-encoding") == coding
    assert answer.header("vary") == "Accept-Encoding"
    assert answer.header("content-type") == "text/javascript; charset=utf-8"
    bodies = {None: b"let a;", "br": b"br", "zstd": b"zst"}
    assert (gzip.decompress(answer.body) if coding == "gzip" else answer.body) == bodies.get(
        coding, b"let a;"
    )


def test_variants_have_tags_of_their_own_and_say_vary_in_a_304(compressed):
    tags = {get(compressed, "/app.js", {"Accept-Encoding": coding}).header("etag"): coding
            for coding in ("br", "gzip", "zstd", "identity")}  # fmt: skip
    assert len(tags) == 4
    for tag, coding in tags.items():
        fields = {"Accept-Encoding": coding, "If-None-Match": tag}
        answer = get(compressed, "/app.js", fields)
        assert (answer.status, answer.header("vary")) == (304, "Accept-Encoding")
        fields["Accept-Encoding"] = "br" if coding != "br" else "gzip"
        assert get(compressed, "/app.js", fields).status == 200


def test_a_variant_that_is_missing_or_older_is_not_sent(compressed):
    for path, body in {"/large.bin": LARGE, "/digits": DIGITS}.items():
        answer = get(compressed, path, {"Accept-Encoding": "gzip, br"})
        assert (answer.header("content-encoding"), answer.body == body) == (None, True)
        assert answer.header("vary") == "Accept-Encoding"


def test_without_the_option_no_variant_is_looked_for(server, folder):
    (folder / "app.js.gz").write_bytes(b"x")
    answer = get(server, "/files/app.js", {"Accept-Encoding": "gzip"})
    assert (answer.header("content-encoding"), answer.header("vary")) == (None, None)


# --- what happens meanwhile -----------------------------------------------------------------------


def test_a_file_that_shrinks_while_it_is_sent_ends_the_connection(serve, folder, pattern):
    os.truncate(folder / "large.bin", 64 << 20)
    app = mr.App()
    app.static("/", folder)
    server = serve(app, pattern=pattern)
    with Wire(server, receive_buffer=65536) as wire:
        wire.send(request("GET", "/large.bin"), request("GET", "/app.js"))
        wire.read_until(b"\r\n\r\n")
        os.truncate(folder / "large.bin", 1000)
        with pytest.raises((Gone, ConnectionResetError)):
            wire.read_exactly(64 << 20)
    eventually(lambda: server.stats().total("files_cut_short") == 1)


def test_without_descriptors_the_answer_is_503(script, folder):
    """In a process of its own, whose limit this lowers while it serves."""
    source = """
import os, resource, socket, sys
import millrace as mr

app = mr.App()
app.static("/", sys.argv[1])
with mr.Server(app) as server:
    client = socket.create_connection(("127.0.0.1", server.port))

    def ask():
        client.sendall(b"GET /app.js HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n")
        return client.recv(65536).split(b" ")[1].decode()

    before = ask()
    lowest = os.dup(0)
    os.close(lowest)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
    without = ask()
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    print(before, without, ask())
"""
    code, out, err = script(source, arguments=[str(folder)]).finish()
    assert (code, out) == (0, "200 503 200\n"), err


def test_curl_sees_the_same(compressed, folder, tmp_path):
    def curl(*arguments: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            ["curl", "-sS", *arguments], capture_output=True, timeout=60, check=True
        )

    url = compressed.url
    assert curl(url + "/large.bin").stdout == LARGE
    assert curl("-r", "5-9", url + "/large.bin").stdout == LARGE[5:10]
    assert curl("-r", "-5", url + "/large.bin").stdout == LARGE[-5:]
    several = curl("-r", "0-4,200000-200004", url + "/large.bin").stdout
    assert LARGE[:5] in several
    assert LARGE[200_000:200_005] in several
    plain = curl("--compressed", "-H", "Accept-Encoding: gzip", url + "/app.js").stdout
    assert plain == b"let a;"
    # The beginning of a download that was broken off, resumed.
    (tmp_path / "part").write_bytes(LARGE[:1000])
    curl("-C", "-", "-o", str(tmp_path / "part"), url + "/large.bin")
    assert (tmp_path / "part").read_bytes() == LARGE
    tag = re.search(rb"ETag: (.*)\r\n", curl("-I", url + "/digits").stdout)[1].decode()
    code = ["-o", "/dev/null", "-w", "%{http_code}"]
    assert curl(*code, "-H", f"If-None-Match: {tag}", url + "/digits").stdout == b"304"
    assert curl(*code, "-z", str(folder / "digits"), url + "/digits").stdout == b"304"
    assert curl(*code, "--path-as-is", url + "/../secret").stdout == b"404"


# --- options --------------------------------------------------------------------------------------


def test_the_options_have_the_engines_defaults(folder):
    engine, written = _core.StaticFiles(), StaticFiles(folder).to_engine()
    names = [name for name in vars(_core.StaticFiles) if not name.startswith("_")]
    names.remove("directory")
    assert {n: getattr(written, n) for n in names} == {n: getattr(engine, n) for n in names}


@pytest.mark.parametrize(
    ("options", "message"),
    [({"prefix": "assets"}, "does not start with '/'"), ({"prefix": "/{a}"}, "has a parameter"),
     ({"index": "../a"}, "index="), ({"fallback": "/a"}, "fallback="), ({"index": ""}, "index="),
     ({"media_types": {"wgsl": "a"}}, "media_types"),
     ({"cache_control": "a\r\nb: c"}, "cannot be sent"),
     ({"media_types": {".a": "\n"}}, "cannot be sent")],
)  # fmt: skip
def test_an_option_of_no_use_is_refused(folder, options, message):
    with pytest.raises(ValueError, match=message):
        mr.App().static(**{"prefix": "/a", "directory": folder, **options})


def test_a_directory_that_is_not_there_is_refused(serve, folder):
    for path in (folder / "no", folder / "app.js"):
        with pytest.raises(NotADirectoryError, match=re.escape(str(path))):
            mr.App().static("/", path)
    app = mr.App()
    app.static("/", folder)
    folder.rename(folder.parent / "gone")
    with pytest.raises(mr.errors.InvalidOption, match="cannot serve the files in"):
        serve(app)


def test_a_parameter_of_a_prefix_names_no_file(serve, folder):
    (folder / "ada").write_bytes(b"another's")
    inner, app = mr.App(), mr.App()
    inner.static("/", folder)
    inner.static("/files", folder, fallback="digits")
    app.include("/{tenant}", inner)
    server = serve(app)
    assert get(server, "/ada/app.js").body == b"let a;"
    assert get(server, "/ada/files/app.js").body == b"let a;"
    assert get(server, "/ada/files/").body == PAGE
    assert get(server, "/ada/files").header("location") == "/ada/files/"


def test_a_prefix_is_routed_once(folder):
    app = mr.App()
    app.static("/a/", folder)
    with pytest.raises(ValueError, match="routed already"):
        app.static("/a", folder)


def test_an_included_app_serves_files_below_its_prefix(serve, folder):
    inner, app = mr.App(), mr.App()
    inner.static("/files", folder)
    app.include("/inner", inner)
    server = serve(app)
    assert get(server, "/inner/files/app.js").body == b"let a;"
    assert get(server, "/inner/files/sub").header("location") == "/inner/files/sub/"
