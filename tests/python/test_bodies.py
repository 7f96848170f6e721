"""What requests bring and answers carry, beyond bytes, under every execution pattern."""

from __future__ import annotations

import io
import json
import threading

import millrace as mr
import pytest

from tests.python.wire import Answer, Gone, Signal, Wire, chunked, eventually, fetch, get, request

KINDS = pytest.mark.parametrize("kind", ["plain", "coroutine"])


# --- early hints ----------------------------------------------------------------------------------


def hinting() -> mr.App:
    app = mr.App()
    style = [("Link", "</style.css>; rel=preload"), ("Link", "</app.js>; rel=preload")]

    @app.get("/plain")
    def plain(request):
        request.early_hints(style)
        return "page"

    @app.get("/coroutine")
    async def coroutine(request):
        request.early_hints(style)
        request.early_hints({"x-more": "1"})
        return "page"

    return app


@KINDS
def test_early_hints_come_before_the_answer(serve, pattern, kind):
    with Wire(serve(hinting(), pattern=pattern)) as wire:
        for _ in range(2):  # and the connection goes on
            wire.send(request("GET", f"/{kind}"))
            hints = wire.read()
            assert (hints.status, hints.reason, hints.body) == (103, "Early Hints", b"")
            assert hints.all("link") == ["</style.css>; rel=preload", "</app.js>; rel=preload"]
            if kind == "coroutine":
                assert wire.read().fields == [("x-more", "1")]
            answer = wire.read()
            assert (answer.status, answer.text) == (200, "page")


@KINDS
def test_http_1_0_gets_no_early_hints(serve, kind):
    with Wire(serve(hinting())) as wire:
        wire.send(f"GET /{kind} HTTP/1.0\r\n\r\n")
        assert wire.read().status == 200


@pytest.mark.in_process
def test_early_hints_do_not_wait_for_the_handler(serve, pattern):
    app, is_read = mr.App(), Signal()

    @app.get("/")
    def handler(request):
        request.early_hints({"link": "</a>"})
        is_read.expect("the client's word that it has the hints")
        return "page"

    with Wire(serve(app, pattern=pattern)) as wire:
        wire.send(request("GET", "/"))
        assert wire.read().status == 103
        is_read.set()
        assert wire.read().text == "page"


def test_early_hints_are_refused_where_they_mean_nothing(serve):
    app, said = mr.App(), []

    @app.get("/")
    async def handler(request):
        for fields in ({"content-length": "3"}, {"connection": "close"}, {"x": "a\r\nb"}):
            with pytest.raises((ValueError, mr.MillraceError), match=r"hints|field") as error:
                request.early_hints(fields)
            said.append(str(error.value))
        return "page"

    @app.get("/late")
    async def late(request):
        yield "first"
        with pytest.raises(RuntimeError, match="before the answer"):
            request.early_hints({"link": "</a>"})
        yield "second"

    server = serve(app)
    assert get(server, "/").text == "page"
    assert len(said) == 3
    assert get(server, "/late").text == "firstsecond"


# --- trailers -------------------------------------------------------------------------------------

TE = {"TE": "trailers", "Connection": "TE"}


def trailing() -> mr.App:
    app = mr.App()

    def counted(sizes):
        return {"X-Size": lambda: str(sum(sizes)), "X-Kind": "counted"}

    @app.get("/plain")
    def plain(request):
        sizes = []

        def body():
            for piece in (b"abc", b"de"):
                sizes.append(len(piece))
                yield piece

        return mr.Response(body(), trailers=counted(sizes))

    @app.get("/coroutine")
    async def coroutine(request):
        sizes = []

        async def body():
            for piece in (b"abc", b"de"):
                sizes.append(len(piece))
                yield piece

        return mr.Response(body(), trailers=counted(sizes))

    @app.post("/read")
    async def read(request):
        with pytest.raises(RuntimeError, match="follow the body"):
            _ = request.trailers
        size = len(await request.read())
        return {"size": size, "trailers": request.trailers.multi_items()}

    @app.post("/whole")
    def whole(request):
        return {"size": len(request.body), "trailers": request.trailers.multi_items()}

    return app


@KINDS
def test_trailers_follow_the_body_for_who_takes_them(serve, pattern, kind):
    with Wire(serve(trailing(), pattern=pattern)) as wire:
        answer = wire.get(f"/{kind}", TE)
        assert (answer.body, answer.header("trailer")) == (b"abcde", "X-Size, X-Kind")
        assert answer.trailers == [("X-Size", "5"), ("X-Kind", "counted")]
        for headers in ({}, {"TE": "gzip"}):
            answer = wire.get(f"/{kind}", headers)
            assert (answer.body, answer.header("trailer"), answer.trailers) == (b"abcde", None, [])
        head = wire.ask("HEAD", f"/{kind}", TE)
        assert (head.status, head.header("trailer")) == (200, None)
        wire.send(f"GET /{kind} HTTP/1.0\r\nTE: trailers\r\n\r\n")
        old = wire.read()
        assert (old.body, old.header("trailer")) == (b"abcde", None)


@pytest.mark.parametrize(
    ("body", "trailers"),
    [
        (iter([b"a"]), {"Content-Length": "1"}),
        (iter([b"a"]), {"transfer-encoding": "chunked"}),
        (iter([b"a"]), {"a b": "1"}),
        (iter([b"a"]), {1: "1"}),
        (b"whole", {"x-a": "1"}),
    ],
)
def test_trailers_that_cannot_be_sent_are_a_500(serve, body, trailers):
    app = mr.App()
    app.get("/")(lambda request: mr.Response(body, trailers=trailers))
    server = serve(app)
    assert fetch(server, "GET", "/", TE).status == 500
    assert eventually(lambda: server.stats().total("requests_failed") == 1)


def test_a_trailer_that_fails_breaks_the_answer_off(serve, pattern):
    app = mr.App()

    @app.get("/")
    def handler(request):
        return mr.Response(iter([b"abc"]), trailers={"x-a": lambda: 1 / 0})

    server = serve(app, pattern=pattern)
    with pytest.raises((Gone, ConnectionResetError)):
        fetch(server, "GET", "/", TE)
    assert eventually(lambda: server.stats().total("requests_failed") == 1)


@pytest.mark.parametrize("path", ["/read", "/whole"])
def test_trailers_of_a_request_are_read_behind_its_body(serve, pattern, path):
    server = serve(trailing(), pattern=pattern)
    body = chunked(b"abc", b"de", trailers="X-Sum: 42\r\nx-sum: 43\r\n")
    answer = fetch(server, "POST", path, {"Transfer-Encoding": "chunked"}, body).json()
    assert (answer["size"], [value for _, value in answer["trailers"]]) == (5, ["42", "43"])
    assert fetch(server, "POST", path, {}, b"abc").json() == {"size": 3, "trailers": []}


# --- JSON lines -----------------------------------------------------------------------------------


def json_lines() -> mr.App:
    app = mr.App()

    @app.get("/plain")
    def plain(request):
        return mr.JSONLines([{"n": 0}, ["ü\n"], None])

    @app.get("/coroutine")
    async def coroutine(request):
        async def values():
            for value in ({"n": 0}, ["ü\n"], None):
                yield value

        return mr.JSONLines(values(), status=202, headers={"x-a": "1"})

    @app.post("/plain")
    def read_plain(request):
        return {"values": list(request.json_lines(line_bytes=10))}

    @app.post("/coroutine")
    async def read_coroutine(request):
        return {"values": [value async for value in request.json_lines(line_bytes=10)]}

    return app


@KINDS
def test_json_lines_are_sent_and_read(serve, pattern, kind):
    server = serve(json_lines(), pattern=pattern)
    answer = get(server, f"/{kind}")
    assert answer.header("content-type") == "application/x-ndjson"
    values = [{"n": 0}, ["ü\n"], None]
    assert [json.loads(line) for line in answer.body.splitlines()] == values
    for body in (
        answer.body,
        b"\n \r\n" + answer.body.replace(b"\n", b"\r\n\r\n"),
        answer.body[:-1],
    ):
        assert fetch(server, "POST", f"/{kind}", {}, body).json() == {"values": values}
    assert fetch(server, "POST", f"/{kind}", {}, b"").json() == {"values": []}


@KINDS
def test_json_lines_are_read_whatever_the_cuts(serve, kind):
    with Wire(serve(json_lines())) as wire:
        pieces = [bytes([byte]) for byte in b'{"a":1}\n\n[2]\n3']
        wire.send(request("POST", f"/{kind}", {"Transfer-Encoding": "chunked"}))
        for piece in pieces:
            wire.send(b"1\r\n%s\r\n" % piece)
        wire.send(b"0\r\n\r\n")
        assert wire.read().json() == {"values": [{"a": 1}, [2], 3]}


@KINDS
@pytest.mark.parametrize(
    ("body", "status"), [(b"1\n{", 400), (b"1\n{\n2", 400), (b'"12345678"\n', 200),
                         (b'"123456789"\n', 413), (b'1\n"123456789"', 413)]
)  # fmt: skip
def test_lines_that_are_none_are_refused(serve, kind, body, status):
    server = serve(json_lines())
    assert fetch(server, "POST", f"/{kind}", {}, body).status == status
    refused = int(status != 200)
    assert eventually(lambda: server.stats().total("protocol_errors") == refused)


# --- bodies and files -----------------------------------------------------------------------------

LARGE = bytes(range(256)) * 5000


def saving(path: str) -> mr.App:
    app = mr.App()

    @app.put("/{name}")
    async def save(request):
        size = await request.save(f"{path}/{request.path_params['name']}", most_bytes=len(LARGE))
        return {"size": size}

    return app


def test_a_body_is_saved_whole_or_not_at_all(serve, pattern, tmp_path):
    server = serve(saving(str(tmp_path)), pattern=pattern)
    assert fetch(server, "PUT", "/a", {}, LARGE).json() == {"size": len(LARGE)}
    assert (tmp_path / "a").read_bytes() == LARGE
    assert fetch(server, "PUT", "/a", {}, b"shorter").json() == {"size": 7}
    assert (tmp_path / "a").read_bytes() == b"shorter"
    assert fetch(server, "PUT", "/empty", {}, b"").json() == {"size": 0}
    assert fetch(server, "PUT", "/b", {}, LARGE + b"x").status == 413
    in_chunks = {"Transfer-Encoding": "chunked"}
    assert fetch(server, "PUT", "/b", in_chunks, chunked(LARGE, b"x")).status == 413
    with Wire(server) as wire:
        wire.send(request("PUT", "/c", {"Content-Length": "100"}), b"half")
        assert eventually(lambda: len(list(tmp_path.iterdir())) == 3)
    assert eventually(lambda: sorted(p.name for p in tmp_path.iterdir()) == ["a", "empty"])


def test_answers_may_be_file_objects_and_views(serve, pattern, tmp_path):
    app, path = mr.App(), tmp_path / "large"
    path.write_bytes(LARGE)

    @app.get("/file")
    def file(request):
        return mr.Response(path.open("rb"), headers={"content-length": str(len(LARGE))})

    @app.get("/memory")
    async def memory(request):
        return io.BytesIO(LARGE)

    @app.get("/text")
    def text(request):
        return io.StringIO("Zeile 1\nZeile 2")

    @app.get("/view")
    def view(request):
        return memoryview(LARGE)[1:-1]

    @app.get("/iterator")
    async def iterator(request):
        return map(str, range(5))

    server = serve(app, pattern=pattern)
    assert get(server, "/file").body == LARGE
    assert get(server, "/memory").body == LARGE
    answer = get(server, "/text")
    assert (answer.text, answer.header("content-type")) == (
        "Zeile 1\nZeile 2", "text/plain; charset=utf-8",
    )  # fmt: skip
    assert get(server, "/view").body == LARGE[1:-1]
    assert get(server, "/iterator").text == "01234"


@pytest.mark.in_process
def test_a_file_object_is_closed_when_its_client_leaves(serve, pattern):
    app, closed = mr.App(), threading.Event()

    class Endless(io.RawIOBase):
        def readable(self):
            return True

        def readinto(self, buffer):
            return len(buffer)

        def close(self):
            super().close()
            closed.set()

    app.get("/")(lambda request: Endless())
    with Wire(server := serve(app, pattern=pattern)) as wire:
        wire.send(request("GET", "/"))
        wire.read_until(b"\r\n\r\n")
    assert eventually(closed.is_set)
    closed.clear()
    assert fetch(server, "HEAD", "/").status == 200
    assert eventually(closed.is_set)


# --- words ----------------------------------------------------------------------------------------


def test_server_timing_is_written_as_browsers_read_it(serve, pattern):
    app = mr.App()

    @app.get("/")
    def handler(request):
        response = mr.Response("page")
        response.server_timing("db", 0.0123456, 'the "users" query')
        response.server_timing("cache.hit")
        return response

    answer: Answer = get(serve(app, pattern=pattern), "/")
    assert answer.all("server-timing") == [
        'db;dur=12.346;desc="the \\"users\\" query"', "cache.hit",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "arguments", [("a b",), ("",), ("db", None, "Größe"), ("db", None, "a\nb")]
)
def test_server_timing_refuses_what_no_field_may_hold(arguments):
    with pytest.raises(ValueError, match=r"letters, digits|printable ASCII"):
        mr.Response().server_timing(*arguments)


def test_content_disposition_names_a_body(serve):
    app = mr.App()

    @app.get("/")
    def handler(request):
        named = {"content-disposition": mr.content_disposition("Größe 1.csv")}
        return mr.Response(b"a,b", headers=named, content_type="text/csv")

    assert get(serve(app), "/").header("content-disposition") == (
        "attachment; filename=\"Gr__e 1.csv\"; filename*=UTF-8''Gr%C3%B6%C3%9Fe%201.csv"
    )
    with pytest.raises(ValueError, match="it is 'attachment' or 'inline'"):
        mr.content_disposition("a", "shown")
