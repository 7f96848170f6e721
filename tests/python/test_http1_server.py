"""HTTP/1.1 on the wire: framing, limits, time limits, and what is refused (RFC 9110, RFC 9112)."""

from __future__ import annotations

import asyncio
import re
import threading

import millrace as mr
import pytest

from tests.interop.corpus import corpus
from tests.python.wire import Gone, Signal, Wire, chunked, eventually, fetch, get, request

pytestmark = pytest.mark.sanitize


@pytest.fixture
def app() -> mr.App:
    app = mr.App()
    app.respond("/native", "native")
    app.get("/plain")(lambda request: "plain")
    app.route("/echo", methods=["GET", "POST", "PUT"])(lambda request: request.body)
    app.get("/path/{rest:path}")(lambda request: request.path)

    @app.post("/stream")
    async def stream(request):
        return str(sum([len(piece) async for piece in request.stream()]))

    return app


@pytest.mark.parametrize(
    ("line", "field", "status"),
    [("/", "Host : a", 400), ("/", "Expect: more", 417), ("/" + "a" * 70_000, "Host: a", 414),
     ("/", "X: " + "a" * 300_000, 431)],
)  # fmt: skip
def test_a_head_request_that_is_refused_gets_no_body(serve, app, line, field, status):
    """RFC 9110 9.3.2, also before the head is whole."""
    with Wire(serve(app)) as wire:
        wire.send(f"HEAD {line} HTTP/1.1\r\nHost: a\r\n{field}\r\n\r\n").finish_sending()
        answer = wire.read(to="HEAD")
        assert answer.status == status
        assert int(answer.header("content-length")) > 0
        assert wire.is_closed_cleanly()


# --- connections ----------------------------------------------------------------------------------


def test_a_connection_is_kept_and_says_so_by_saying_nothing(serve, app, pattern):
    with Wire(serve(app, pattern=pattern)) as wire:
        for _ in range(5):
            answer = wire.get("/native")
            assert (answer.text, answer.header("connection")) == ("native", None)


def test_connection_close_is_honoured_and_announced(serve, app):
    with Wire(serve(app)) as wire:
        answer = wire.get("/native", {"Connection": "close"})
        assert (answer.text, answer.header("connection")) == ("native", "close")
        assert wire.is_closed_cleanly()


def test_pipelined_requests_are_answered_in_their_order(serve, app, pattern):
    """RFC 9112 9.3.2, also where handlers take turns, threads and loops."""
    paths = ["/plain", "/native", "/slow/1", "/path/x", "/none", "/slow/2", "/native"] * 5

    @app.get("/slow/{number}")
    async def slow(request):
        await asyncio.sleep(0)
        return "slow " + request.path_params["number"]

    expected = {
        "/plain": "plain",
        "/native": "native",
        "/slow/1": "slow 1",
        "/slow/2": "slow 2",
        "/path/x": "/path/x",
    }
    with Wire(serve(app, pattern=pattern)) as wire:
        wire.send(b"".join(request("GET", path) for path in paths))
        for path in paths:
            answer = wire.read()
            assert answer.status == (404 if path == "/none" else 200)
            assert path == "/none" or answer.text == expected[path]


def test_a_pipelined_request_waits_behind_a_body_that_is_being_read(serve, app):
    with Wire(serve(app)) as wire:
        wire.send(request("POST", "/echo", body=b"a" * 70_000) + request("GET", "/native"))
        assert wire.read().body == b"a" * 70_000
        assert wire.read().text == "native"


@pytest.mark.parametrize("split", [1, 2, 3, 7, 64])
def test_a_request_may_come_in_any_pieces(serve, app, split):
    message = request("POST", "/echo", {"Transfer-Encoding": "chunked"}) + chunked(b"abc", b"defg")
    with Wire(serve(app)) as wire:
        for at in range(0, len(message), split):
            wire.send(message[at : at + split])
        assert wire.read().body == b"abcdefg"


def test_empty_lines_before_a_request_are_skipped(serve, app):
    with Wire(serve(app)) as wire:
        wire.send(b"\r\n" + request("GET", "/native"))
        assert wire.read().text == "native"


def test_an_idle_client_that_leaves_is_forgotten(serve, app):
    server = serve(app)
    with Wire(server) as wire:
        wire.get("/native")
        assert server.stats().total("connections_open") == 1
    eventually(lambda: server.stats().total("connections_open") == 0)


# --- versions and forms ---------------------------------------------------------------------------


def test_http_1_0_closes_after_its_answer(serve, app):
    with Wire(serve(app)) as wire:
        wire.send("GET /plain HTTP/1.0\r\n\r\n")
        assert wire.read().text == "plain"
        assert wire.is_closed_cleanly()


def test_http_1_0_may_ask_to_be_kept(serve, app):
    with Wire(serve(app)) as wire:
        for _ in range(2):
            wire.send("GET /plain HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            answer = wire.read()
            assert answer.text == "plain"
            assert (answer.header("connection") or "").lower() == "keep-alive"


def test_http_1_0_gets_a_stream_that_ends_with_the_connection(serve):
    app = mr.App()
    app.get("/")(lambda request: (word for word in ("one ", "two")))
    with Wire(serve(app)) as wire:
        wire.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        answer = wire.read()
        assert answer.header("transfer-encoding") is None  # RFC 9112 6.1: not to a 1.0 client
        assert answer.text == "one two"


def test_absolute_form_is_understood_and_its_host_counts(serve):
    app = mr.App()
    app.get("/x")(lambda request: [request.path, request.query_string, request.target])
    with Wire(serve(app)) as wire:
        answer = wire.get("http://other.example:81/x?q=1", {"Host": "test"})
        assert answer.json() == ["/x", "q=1", "http://other.example:81/x?q=1"]


def test_options_of_the_server_itself(serve, app):
    assert fetch(serve(app), "OPTIONS", "*").status in (200, 204)


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/path/a%20b", "/path/a b"),
        ("/path/%7Euser", "/path/~user"),
        ("/path/a/../b", "/path/b"),
        ("/path/./a/.", "/path/a/"),
        ("/path/a%2e%2e/b", "/path/a../b"),
        ("/path/%2e%2e/path/b", "/path/b"),
        ("/../../path/x", "/path/x"),
        ("/path//a", "/path//a"),
        ("/path/a%C3%A4", "/path/aä"),
        ("/path/a+b", "/path/a+b"),
    ],
)
def test_paths_are_decoded_and_normalised(serve, app, target, path):
    """RFC 3986 6.2.2: nothing climbs out, whatever it is written as."""
    assert get(serve(app), target).text == path


def test_every_answer_has_a_date(serve, app):
    date = r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT"
    with Wire(serve(app)) as wire:
        for path in ("/native", "/plain", "/none"):
            assert re.fullmatch(date, wire.get(path).header("date") or "")


# --- bodies ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        "3\r\nabc\r\n0\r\n\r\n",
        "0003\r\nabc\r\n000\r\n\r\n",
        "1\r\na\r\n2\r\nbc\r\n0\r\n\r\n",
        "3;name=value\r\nabc\r\n0;last\r\n\r\n",
        '3;name="quoted; \\" value"\r\nabc\r\n0\r\n\r\n',
        "3\r\nabc\r\n0\r\nX-Trailer: 1\r\nX-Other: 2\r\n\r\n",
    ],
)
def test_chunked_bodies_in_all_their_forms(serve, app, body):
    with Wire(serve(app)) as wire:
        for path in ("/echo", "/stream"):
            wire.send(request("POST", path, {"Transfer-Encoding": "Chunked"}), body)
            assert wire.read().text == ("abc" if path == "/echo" else "3")
        assert wire.get("/native").text == "native"


def test_expect_100_continue_is_answered_when_the_body_is_wanted(serve, app):
    with Wire(serve(app)) as wire:
        for path in ("/echo", "/stream"):
            head = request("POST", path, {"Content-Length": "3", "Expect": "100-continue"})
            wire.send(head)
            assert wire.read().status == 100
            wire.send("abc")
            assert wire.read().text == ("abc" if path == "/echo" else "3")


def test_expect_100_continue_is_not_answered_where_the_answer_is_final(serve, app):
    """RFC 9110 10.1.1: a final status instead, when the body is not wanted."""
    with Wire(serve(app)) as wire:
        wire.send(request("POST", "/none", {"Content-Length": "3", "Expect": "100-continue"}))
        assert wire.read().status == 404


def test_an_unknown_expectation_is_refused_or_ignored(serve, app):
    with Wire(serve(app)) as wire:
        wire.send(request("POST", "/echo", {"Content-Length": "0", "Expect": "miracles"}))
        assert wire.read().status in (200, 417)  # RFC 9110 10.1.1: MAY


def test_head_of_a_stream_has_its_fields_and_no_body(serve, app):
    made = []

    @app.get("/pieces")
    def pieces(request):
        made.append(1)
        yield "one"

    with Wire(serve(app)) as wire:
        answer = wire.ask("HEAD", "/pieces")
        assert answer.status == 200
        assert wire.get("/native").text == "native"


def test_no_body_and_no_length_where_a_get_has_none(serve, app):
    with Wire(serve(app)) as wire:
        assert wire.get("/echo").body == b""


# --- what is refused ------------------------------------------------------------------------------

# The rules and their examples: tests/interop/requests, replayed by test_request_corpus.py.


def test_malformed_chunks_end_a_stream_with_an_error(serve):
    app, began, errors = mr.App(), [], []

    @app.post("/")
    async def handler(request):
        began.append(request)
        try:
            return b"".join([piece async for piece in request.stream()])
        except BaseException as error:
            errors.append(error)
            raise

    server = serve(app)
    cases = [case for case in corpus() if case.status and case.in_body]
    for count, case in enumerate(cases, 1):
        with Wire(server) as wire:
            head, mark, body = case.request.partition(b"\r\n\r\n")
            wire.send(head + mark)
            eventually(lambda count=count: len(began) == count)
            wire.send(body)
            assert wire.read().status == case.status, case
            assert wire.is_closed_cleanly()
    eventually(lambda: len(errors) == len(cases))
    assert all(isinstance(error, mr.MillraceError | asyncio.CancelledError) for error in errors)


def test_a_refused_client_that_keeps_sending_still_reads_why(serve, app):
    """RFC 9112 9.6: closing at once would reset the connection and destroy the answer."""
    with Wire(serve(app, limits=mr.Limits(body_bytes=1000))) as wire:
        wire.send(request("POST", "/echo", {"Content-Length": "500000"}), b"x" * 500_000)
        answer = wire.read()
        assert answer.status == 413
        assert answer.header("connection") == "close"
        assert wire.is_closed_cleanly()


# --- limits: at the limit, and one above ----------------------------------------------------------


def status_with(server, message):
    with Wire(server) as wire:
        wire.send(message)
        return wire.read().status


def test_the_target_has_a_limit(serve, app):
    server = serve(app, limits=mr.Limits(target_bytes=100))
    for size, status in ((100, 404), (101, 414)):
        assert status_with(server, request("GET", "/" + "x" * (size - 1))) == status


def test_the_head_has_a_limit(serve, app):
    limit = 500
    server = serve(app, limits=mr.Limits(head_bytes=limit))
    bare = len(request("GET", "/native", {"X": ""}))
    for size, status in ((limit, 200), (limit + 1, 431)):
        message = request("GET", "/native", {"X": "x" * (size - bare)})
        assert len(message) == size
        assert status_with(server, message) == status


def test_the_number_of_fields_has_a_limit(serve, app):
    server = serve(app, limits=mr.Limits(field_count=10))
    for count, status in ((10, 200), (11, 431)):
        fields = [("Host", "a"), *((f"X-{n}", "1") for n in range(count - 1))]
        assert status_with(server, request("GET", "/native", fields)) == status


@pytest.mark.parametrize("form", ["length", "chunked"])
@pytest.mark.parametrize("reading", ["/echo", "/read"])
def test_a_body_read_as_a_whole_has_a_limit(serve, app, form, reading):
    @app.post("/read")
    async def read(request):
        return str(len(await request.read()))

    server = serve(app, limits=mr.Limits(body_bytes=1000))
    for size, status in ((1000, 200), (1001, 413)):
        if form == "length":
            message = request("POST", reading, body=b"x" * size)
        else:
            message = request("POST", reading, {"Transfer-Encoding": "chunked"})
            message += chunked(b"x" * size)
        assert status_with(server, message) == status


def test_a_streamed_body_has_no_limit_but_its_reader(serve, app):
    server = serve(app, limits=mr.Limits(body_bytes=1000))
    assert fetch(server, "POST", "/stream", body=b"x" * 100_000).text == "100000"


def test_a_chunk_size_line_has_a_limit(serve, app):
    server = serve(app, limits=mr.Limits(chunk_line_bytes=50))
    head = request("POST", "/echo", {"Transfer-Encoding": "chunked"})
    for extra, status in ((10, 200), (100, 400)):
        message = head + b"3;" + b"x" * extra + b"\r\nabc\r\n0\r\n\r\n"
        assert status_with(server, message) in (status, 431 if status == 400 else status)


def test_trailers_have_a_limit(serve, app):
    server = serve(app, limits=mr.Limits(trailer_bytes=100))
    head = request("POST", "/echo", {"Transfer-Encoding": "chunked"})
    for size, fine in ((50, True), (200, False)):
        message = head + chunked(b"abc", trailers=f"X: {'x' * size}\r\n")
        status = status_with(server, message)
        assert status == 200 if fine else status in (400, 431)


@pytest.mark.in_process
def test_connections_have_a_limit(serve, app, pattern):
    server = serve(app, pattern=pattern, limits=mr.Limits(max_connections=3))
    wires = [Wire(server) for _ in range(3)]
    for wire in wires:
        assert wire.get("/native").status == 200
    with Wire(server) as fourth:
        assert fourth.read().status == 503
        assert fourth.is_closed_cleanly()
    for wire in wires:
        assert wire.get("/native").status == 200
        wire.socket.close()
    eventually(lambda: _status_or_none(server) == 200)  # there is room again


def _status_or_none(server):
    try:
        return get(server, "/native").status
    except (Gone, ConnectionError):
        return None


@pytest.mark.in_process
def test_requests_under_way_have_a_limit(serve, app, pattern):
    entered = [Signal(), Signal()]

    @app.lifespan
    async def life(app):
        app.state.go_on = asyncio.Event()
        yield

    @app.get("/wait/{number:int}")
    async def wait(request):
        entered[request.path_params["number"]].set()
        await request.app.state.go_on.wait()
        return "waited"

    server = serve(app, pattern=pattern, limits=mr.Limits(max_in_flight=2))
    wires = [Wire(server) for _ in range(2)]
    for number, wire in enumerate(wires):
        wire.send(request("GET", f"/wait/{number}"))
        entered[number].expect()
    with Wire(server) as third:
        answer = third.get("/plain")
        assert answer.status == 503
        assert int(answer.header("retry-after") or "0") > 0

        async def set_event():
            app.state.go_on.set()

        app.spawn(set_event()).result(20)
        assert [wire.read().text for wire in wires] == ["waited"] * 2
        eventually(lambda: third.get("/plain").status == 200)
    for wire in wires:
        wire.socket.close()


# --- time -----------------------------------------------------------------------------------------


def test_a_slow_head_is_408(serve, app):
    server = serve(app, limits=mr.Limits(header_timeout="50ms"))
    with Wire(server) as wire:
        wire.send("GET /native HTTP/1.1\r\nHost:")
        answer = wire.read()
        assert (answer.status, answer.header("connection")) == (408, "close")
        assert wire.is_closed_cleanly()


def test_an_idle_connection_is_closed_without_a_word(serve, app):
    server = serve(app, limits=mr.Limits(idle_timeout="50ms"))
    with Wire(server) as wire:
        assert wire.get("/native").status == 200
        assert wire.is_closed_cleanly()
    with Wire(server) as wire:
        assert wire.is_closed_cleanly()  # nor was there ever a request


def test_a_connection_is_not_idle_while_its_answer_is_taken(serve):
    app, size = mr.App(), 8_000_000
    app.respond("/", b"x" * size)
    # Idle begins when the kernel has the last byte: of a small buffer the client has it soon after.
    options = mr.SocketOptions(send_buffer=32_768)
    server = serve(app, limits=mr.Limits(idle_timeout="1s"), socket_options=options)
    with Wire(server, receive_buffer=4096) as wire:
        wire.send(request("GET", "/"))
        threading.Event().wait(2.0)  # longer than that
        assert len(wire.read().body) == size
        assert len(wire.get("/").body) == size
    assert server.stats().total("partial_writes") > 0


@pytest.mark.parametrize("path", ["/echo", "/stream"])
def test_a_slow_body_is_408(serve, app, path):
    server = serve(app, limits=mr.Limits(body_timeout="50ms"))
    with Wire(server) as wire:
        wire.send(request("POST", path, {"Content-Length": "100"}), b"some")
        answer = wire.read()
        assert (answer.status, answer.header("connection")) == (408, "close")
        assert wire.is_closed_cleanly()


def test_a_client_that_does_not_take_its_answer_is_let_go(serve):
    app, closed = mr.App(), Signal()

    @app.get("/")
    async def endless(request):
        try:
            while True:
                yield b"x" * 65536
        finally:
            closed.set()

    server = serve(app, limits=mr.Limits(write_timeout="100ms"))
    with Wire(server, receive_buffer=4096) as wire:
        wire.send(request("GET", "/"))
        closed.expect("the end of the handler")
        eventually(lambda: server.stats().total("connections_open") == 0)


def test_a_slow_handler_is_nobodys_timeout(serve, app):
    go_on = Signal()

    @app.get("/slow")
    async def slow(request):
        await asyncio.to_thread(go_on.expect)
        return "slow"

    limits = mr.Limits(header_timeout="50ms", body_timeout="50ms", idle_timeout="50ms")
    server = serve(app, limits=limits)
    with Wire(server) as wire, Wire(server) as idle:
        wire.send(request("GET", "/slow"))
        assert idle.is_closed_cleanly()  # all of these have passed
        go_on.set()
        assert wire.read().text == "slow"
