"""Values on their way between Python and the engine: JSON, fields, parameters, requests."""

import json
import math
import threading
import uuid
from collections import OrderedDict, UserDict, UserString
from http import HTTPStatus

import millrace as mr
import pytest
from hypothesis import given
from hypothesis import strategies as st
from millrace import _core

from tests.python.wire import Wire, fetch, get

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20
)


@given(values)
def test_json_reads_back_as_the_same_value(value):
    assert json.loads(_core.encode_json(value)) == value


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_floats_are_written_as_python_writes_them(value):
    assert _core.encode_json(value) == json.dumps(value).encode()


@given(st.text())
def test_text_is_written_as_json_writes_it(value):
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    ours = _core.encode_json(value).decode()
    # Two spellings of the same control character.
    assert ours == text.replace("\\b", "\\u0008").replace("\\f", "\\u000c")


@pytest.mark.parametrize(
    "odd", ['"', "\\", "\n", "\x00", "\x1f", "\x7f", "ä", "\x1f\x1f", 'a"\x01']
)
def test_text_is_escaped_wherever_it_has_to_be(odd):
    for before in range(18):
        for behind in range(18):
            text = "p" * before + odd + "p" * behind
            written = _core.encode_json(text).decode()
            assert written == json.dumps(text, ensure_ascii=False)


class Text(str):
    pass


class Number(int):
    pass


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (2**63 - 1, "9223372036854775807"),
        (-(2**63), "-9223372036854775808"),
        (2**64, "18446744073709551616"),
        (-(10**40), "-1" + "0" * 40),
        (1e16, "1e+16"),
        (123456789012345.6, "123456789012345.6"),
        (1.0, "1.0"),
        (-0.0, "-0.0"),
        (5e-324, "5e-324"),
        ((1, (2,)), "[1,[2]]"),
        ({"a": []}, '{"a":[]}'),
        (OrderedDict(a=1), '{"a":1}'),
        ({1: 2}, '{"1":2}'),
        (Text("x"), '"x"'),
        ([Text("x"), Number(3), HTTPStatus.OK], '["x",3,200]'),
        ('"\\/\x00\x1f\x7f\n', r'"\"\\/\u0000\u001f' + '\x7f\\n"'),
        ("\ud800", r'"\ud800"'),
        (["é", {"\ud800": 1}], None),
    ],
)
def test_json_of_special_values(value, text):
    written = _core.encode_json(value).decode()
    if text is None:
        assert json.loads(written) == value
    else:
        assert written == text


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, [1.0, math.nan]])
def test_numbers_without_a_json_form_are_refused(value):
    with pytest.raises(ValueError, match="JSON"):
        _core.encode_json(value)


@pytest.mark.parametrize("value", [object(), {"a": {1, 2}}, [UserString("x")], b"bytes"])
def test_types_without_a_json_form_are_refused(value):
    with pytest.raises(TypeError):
        _core.encode_json(value)


def test_deep_and_endless_values_end():
    deep = inner = []
    for _ in range(500):
        inner.append([])
        inner = inner[0]
    assert _core.encode_json(deep).decode() == json.dumps(deep).replace(" ", "")
    endless = []
    endless.append(endless)
    with pytest.raises((ValueError, RecursionError, TypeError)):
        _core.encode_json(endless)


def test_headers_are_a_mapping_without_letter_case():
    headers = mr.Headers({"Content-Type": "text/html", "X-A": "1"})
    headers.add("x-a", "2")
    assert headers["content-TYPE"] == "text/html"
    assert (headers.get("x-a"), headers.get("x-b"), headers.get("x-b", "no")) == ("1", None, "no")
    assert headers.get_list("X-a") == ["1", "2"]
    assert list(headers) == ["Content-Type", "X-A", "x-a"]
    assert len(headers) == 3
    assert "x-A" in headers
    assert 7 not in headers
    headers["X-a"] = "3"
    assert headers.multi_items() == [("Content-Type", "text/html"), ("X-A", "3")]
    assert headers.setdefault("x-a", "4") == "3"
    assert headers.setdefault("x-c", "5") == "5"
    del headers["x-a"]
    with pytest.raises(KeyError):
        headers["x-a"]
    with pytest.raises(KeyError):
        del headers["x-a"]
    assert headers.pop("x-c") == "5"
    assert headers.pop("x-c", None) is None
    headers.update({"content-type": "a/b", "n": "1"})
    assert headers == mr.Headers([("Content-Type", "a/b"), ("N", "1")])
    assert repr(headers) == "Headers([('Content-Type', 'a/b'), ('n', '1')])"


@pytest.mark.parametrize("count", [0, 3, 4, 5, 100])
def test_headers_take_any_number_of_fields(count):
    pairs = [(f"x-{i}", str(i)) for i in range(count)]
    for source in (pairs, dict(pairs), UserDict(pairs), iter(pairs), mr.Headers(pairs)):
        headers = mr.Headers(source)
        assert headers.multi_items() == pairs
    for name, _ in pairs:
        del headers[name]
    assert len(headers) == 0


@pytest.mark.parametrize(
    "source", [7, "ab", [("a",)], [("a", 1)], {"a": b"b"}, [("a", "b", "c")], ["ab"]]
)
def test_what_are_no_headers_is_refused(source):
    with pytest.raises(TypeError):
        mr.Headers(source)
    with pytest.raises(TypeError):
        mr.Response(headers=source)


def test_a_response_has_its_arguments_and_defaults():
    plain = mr.Response()
    assert (plain.body, plain.status, plain.content_type, plain.background) == (
        b"",
        200,
        None,
        None,
    )
    assert len(plain.headers) == 0
    source = {"a": "1"}
    full = mr.Response(
        "x", status=HTTPStatus.CREATED, headers=source, content_type="a/b", background=len
    )
    source["b"] = "2"
    assert (full.body, full.status, full.content_type, full.background) == ("x", 201, "a/b", len)
    assert full.headers == mr.Headers({"a": "1"})
    full.status, full.body, full.headers = 404, b"y", [("c", "3")]
    assert (full.status, full.body, full.headers["c"]) == (404, b"y", "3")


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"status": 99}, ValueError),
        ({"status": 100}, ValueError),
        ({"status": "200"}, TypeError),
        ({"statuss": 200}, TypeError),
        ({"content_type": b"a"}, TypeError),
    ],
)
def test_a_response_refuses_what_it_does_not_know(arguments, error):
    with pytest.raises(error):
        mr.Response("x", **arguments)
    with pytest.raises(TypeError):
        mr.Response("x", 200)


def test_a_response_may_have_heirs():
    class Page(mr.Response):
        def __init__(self, text):
            super().__init__(f"<p>{text}</p>", content_type="text/html")
            self.text = text

    page = Page("hello")
    assert (page.body, page.content_type, page.text) == ("<p>hello</p>", "text/html", "hello")
    assert _core.as_response(page) is page


@pytest.mark.parametrize(
    ("pattern", "path", "value"),
    [
        ("/{x}", "/caf%C3%A9", "café"),
        ("/{x}", "/a%FFb", "a\udcffb"),
        ("/{x:int}", "/42", 42),
        ("/{x:int}", "/-007", -7),
        ("/{x:int}", "/" + "9" * 50, int("9" * 50)),
        ("/{x:float}", "/2.50", 2.5),
        ("/{x:float}", "/-3", -3.0),
        (
            "/{x:uuid}",
            "/12345678-1234-5678-1234-567812345678",
            uuid.UUID("12345678123456781234567812345678"),
        ),
        ("/{x:path}", "/a/b//c", "a/b//c"),
    ],
)
def test_parameters_have_their_types(serve, pattern, path, value):
    app, seen = mr.App(), []

    @app.get(pattern)
    def handler(request):
        seen.append(request.path_params)
        return "ok"

    assert get(serve(app), path).status == 200
    assert seen == [{"x": value}]
    assert type(seen[0]["x"]) is type(value)


@pytest.fixture
def kept(serve, pattern):
    """A request that its handler kept, after its answer."""
    app, requests = mr.App(), []

    @app.post("/{name}/{number:int}")
    def plain(request):
        requests.append(request)
        return "ok"

    server = serve(app, pattern=pattern)
    with Wire(server) as wire:
        wire.ask("POST", "/kept/7?q=%C3%A9", [("X-A", "1"), ("x-a", "2"), ("B", "ü")], b"the body")
        for _ in range(10):  # the exchange and its head are used again meanwhile
            wire.ask("POST", "/other/8", [("X-A", "3")], b"another")
    return requests[0]


@pytest.mark.in_process
@pytest.mark.sanitize
def test_a_kept_request_keeps_everything(kept):
    assert (kept.method, kept.path, kept.target) == ("POST", "/kept/7", "/kept/7?q=%C3%A9")
    assert (kept.query_string, kept.query_params["q"]) == ("q=%C3%A9", "é")
    assert kept.http_version == "1.1"
    assert kept.path_params == {"name": "kept", "number": 7}
    assert kept.body == b"the body"
    assert kept.body is kept.body
    assert kept.text() == "the body"
    assert kept.client[0] == "127.0.0.1"
    assert isinstance(kept.app, mr.App)
    assert not kept.is_disconnected
    kept.state.mark = 1
    assert kept.state.mark == 1
    headers = kept.headers
    assert (headers["x-A"], headers.get_list("x-a"), headers["b"]) == ("1", ["1", "2"], "ü")
    assert headers.get("no") is None
    assert headers.get("no", "default") == "default"
    assert set(headers) == {"host", "x-a", "b", "content-length"}
    assert len(headers) == 4
    assert dict(headers)["x-a"] == "1"
    assert ("x-a", "2") in headers.multi_items()
    assert "X-A" in headers
    assert 7 not in headers
    with pytest.raises(KeyError):
        headers["no"]


def test_kept_headers_outlive_their_request(serve):
    app, headers = mr.App(), []

    @app.get("/")
    def plain(request):
        headers.append(request.headers)
        return "ok"

    server = serve(app)
    for i in range(40):
        get(server, "/", {"x-number": str(i)})
    assert [h["x-number"] for h in headers] == [str(i) for i in range(40)]


@pytest.mark.in_process
def test_a_body_cannot_be_read_after_the_answer(serve, pattern):
    app, requests, errors = mr.App(), [], []

    @app.post("/")
    async def handler(request):
        requests.append(request)
        return "ok"

    @app.get("/late")
    async def late(request):
        for read in (requests[0].read, requests[0].stream().__anext__):
            try:
                await read()
            except RuntimeError as error:
                errors.append(str(error))
        return "ok"

    server = serve(app, pattern=pattern)
    assert fetch(server, "POST", "/", body=b"unread").text == "ok"
    assert get(server, "/late").text == "ok"
    assert len(errors) == 2
    assert all("answered" in error for error in errors)


def test_a_body_is_read_before_it_is_there(serve):
    app = mr.App()

    @app.post("/")
    async def handler(request):
        try:
            return request.body
        except RuntimeError as error:
            return str(error)

    @app.post("/read")
    async def read(request):
        assert await request.read() == request.body
        assert await request.read() == request.body
        return {"text": request.text(), "pieces": [p.decode() async for p in request.stream()]}

    server = serve(app)
    assert "await request.read()" in fetch(server, "POST", "/", body=b"x").text
    assert fetch(server, "POST", "/", body=b"").text == ""
    assert fetch(server, "POST", "/read", body=b"abc").json() == {"text": "abc", "pieces": ["abc"]}
    assert fetch(server, "POST", "/read", body=b"").json() == {"text": "", "pieces": []}


def test_a_body_over_the_limit_is_413_for_plain_functions_and_coroutines(serve, pattern, caplog):
    app = mr.App()
    app.post("/plain")(lambda request: str(len(request.body)))

    @app.post("/read")
    async def read(request):
        return str(len(await request.read()))

    server = serve(app, pattern=pattern, limits=mr.Limits(body_bytes=1000))
    for path in ("/plain", "/read"):
        assert fetch(server, "POST", path, body=b"x" * 1000).text == "1000"
        assert fetch(server, "POST", path, body=b"x" * 1001).status == 413
        chunks = b"%x\r\n%s\r\n0\r\n\r\n" % (1001, b"x" * 1001)
        with Wire(server) as wire:
            wire.send(
                f"POST {path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", chunks
            )
            assert wire.read().status == 413
    assert not caplog.records


@pytest.mark.sanitize
@pytest.mark.in_process
def test_a_request_may_be_read_on_another_thread_while_it_is_answered(serve, pattern):
    app, errors = mr.App(), []

    def read(request):
        for _ in range(200):
            try:
                _ = (request.path, request.headers.get("x"), request.path_params, request.client)
                _ = request.query_params, request.body, request.is_disconnected
            except RuntimeError as error:
                errors.append(error)

    threads = []

    @app.get("/{name}")
    def handler(request):
        threads.append(threading.Thread(target=read, args=(request,)))
        threads[-1].start()
        return "ok"

    server = serve(app, pattern=pattern)
    with Wire(server) as wire:
        for i in range(30):
            assert wire.get(f"/{i}?a=b").text == "ok"
    for thread in threads:
        thread.join()
    assert not errors


@pytest.mark.sanitize
@pytest.mark.in_process
def test_large_bytes_are_sent_as_they_are_and_given_back(serve, pattern):
    import sys

    app, block = mr.App(), bytes(range(256)) * 4096
    app.get("/")(lambda request: block)
    app.get("/response")(lambda request: mr.Response(memoryview(block)))
    server = serve(app, pattern=pattern)
    before = sys.getrefcount(block)
    with Wire(server) as wire:
        for _ in range(20):
            assert wire.get("/").body == block
            assert wire.get("/response").body == block
    server.stop()
    assert sys.getrefcount(block) == before


@pytest.mark.in_process
def test_work_for_later_starts_after_the_answer(serve, pattern):
    app, done = mr.App(), threading.Event()

    @app.get("/")
    def handler(request):
        return mr.Response("now", background=mr.BackgroundTask(done.set))

    @app.get("/async")
    async def async_handler(request):
        return mr.Response("now", background=mr.BackgroundTask(done.set))

    @app.get("/pieces")
    def pieces(request):
        return mr.Response(iter(["n", "ow"]), background=mr.BackgroundTask(done.set))

    server = serve(app, pattern=pattern)
    for path in ("/", "/async", "/pieces"):
        done.clear()
        assert get(server, path).text == "now"
        assert done.wait(10)
