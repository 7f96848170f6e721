"""Routing, middleware, error handlers, lifespan, background work and state of an app."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import threading
import uuid

import millrace as mr
import pytest

from tests.python.wire import Signal, Wire, eventually, fetch, get

pytestmark = pytest.mark.sanitize


def hello(request: mr.Request) -> str:
    return "hello"


# --- routing --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "asked", "found"),
    [
        ("/users/{name}", "/users/ada", "ada"),
        ("/users/{name:str}", "/users/ada%20l", "ada l"),
        ("/users/{name}", "/users/caf%C3%A9", "café"),
        ("/users/{number:int}", "/users/42", 42),
        ("/users/{number:int}", "/users/-7", -7),
        ("/at/{x:float}", "/at/2.5", 2.5),
        ("/of/{rest:path}", "/of/a/b/c.txt", "a/b/c.txt"),
    ],
)
def test_a_parameter_is_found_and_converted(serve, path, asked, found):
    app = mr.App()
    app.get(path)(lambda request: list(request.path_params.values()))
    assert get(serve(app), asked).json() == [found]


def test_a_uuid_parameter_is_a_uuid(serve):
    app, seen = mr.App(), []

    @app.get("/of/{key:uuid}")
    def of(request):
        seen.append(request.path_params["key"])
        return "ok"

    key = uuid.uuid4()
    assert get(serve(app), f"/of/{key}").status == 200
    assert seen == [key]


@pytest.mark.parametrize("asked", ["/users/x1", "/users/", "/users/1/2", "/Users/1", "/users/1/"])
def test_what_does_not_fit_a_route_is_404(serve, asked):
    app = mr.App()
    app.get("/users/{number:int}")(hello)
    assert get(serve(app), asked).status == 404


def test_literal_segments_win_over_parameters_whatever_came_first(serve):
    app = mr.App()
    app.get("/users/{name}")(lambda request: "parameter")
    app.get("/users/me")(lambda request: "literal")
    server = serve(app)
    assert get(server, "/users/me").text == "literal"
    assert get(server, "/users/you").text == "parameter"


def test_a_path_parameter_takes_what_no_other_route_takes(serve):
    app = mr.App()
    app.get("/{rest:path}")(lambda request: "rest: " + request.path_params["rest"])
    app.get("/users/{name}")(lambda request: "user")
    server = serve(app)
    assert get(server, "/users/ada").text == "user"
    assert get(server, "/users/ada/photo").text == "rest: users/ada/photo"


def test_several_parameters_of_one_path(serve):
    app = mr.App()
    app.get("/{kind}/{number:int}/{rest:path}")(lambda request: request.path_params)
    assert get(serve(app), "/a/2/b/c").json() == {"kind": "a", "number": 2, "rest": "b/c"}


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
def test_each_method_has_its_decorator(serve, method):
    app = mr.App()
    getattr(app, method.lower())("/x")(lambda request: request.method)
    assert fetch(serve(app), method, "/x").text == method


def test_a_method_without_a_route_is_405_and_names_those_there_are(serve):
    app = mr.App()
    app.get("/x")(hello)
    app.put("/x")(hello)
    answer = fetch(serve(app), "DELETE", "/x")
    assert answer.status == 405
    allowed = {name.strip() for name in (answer.header("allow") or "").split(",")}
    assert allowed == {"GET", "HEAD", "OPTIONS", "PUT"}


def test_head_goes_where_get_goes_and_has_no_body(serve):
    app = mr.App()
    app.get("/x")(hello)
    with Wire(serve(app)) as wire:
        answer = wire.ask("HEAD", "/x")
        assert answer.status == 200
        assert answer.header("content-length") == "5"
        assert wire.get("/x").text == "hello"  # the connection is in step


def test_head_and_options_of_ones_own_are_preferred(serve):
    app = mr.App()
    app.get("/x")(hello)
    app.head("/x")(lambda request: mr.Response(headers={"x-own": "head"}))
    app.options("/x")(lambda request: mr.Response(headers={"x-own": "options"}))
    server = serve(app)
    assert fetch(server, "HEAD", "/x").header("x-own") == "head"
    assert fetch(server, "OPTIONS", "/x").header("x-own") == "options"


def test_options_is_answered_with_the_methods_there_are(serve):
    app = mr.App()
    app.post("/x")(hello)
    answer = fetch(serve(app), "OPTIONS", "/x")
    assert answer.status in (200, 204)
    assert {name.strip() for name in (answer.header("allow") or "").split(",")} == {
        "OPTIONS",
        "POST",
    }


@pytest.mark.parametrize("method", ["PROPFIND", "BREW", "X-OWN"])
def test_methods_that_http_does_not_define_reach_their_handler(serve, method):
    app = mr.App()
    app.route("/x", methods=[method])(lambda request: request.method)
    assert fetch(serve(app), method, "/x").text == method


def test_one_route_for_several_methods(serve):
    app = mr.App()
    app.route("/x", methods=["GET", "POST"])(lambda request: request.method)
    server = serve(app)
    assert [fetch(server, m, "/x").text for m in ("GET", "POST")] == ["GET", "POST"]
    assert fetch(server, "PUT", "/x").status == 405


def test_a_constant_route_says_what_it_was_told(serve):
    app = mr.App()
    app.respond("/text", "häh")
    app.respond("/json", {"a": [1, 2]}, status=203, headers={"x-a": "1"})
    app.respond("/bytes", b"\0\1", content_type="image/x-own")
    app.respond("/response", mr.Response("made", status=201, headers={"x-b": "2"}))
    server = serve(app)
    text, json, octets = (get(server, path) for path in ("/text", "/json", "/bytes"))
    assert (text.status, text.body) == (200, "häh".encode())
    assert text.header("content-type") == "text/plain; charset=utf-8"
    assert (json.status, json.json(), json.header("x-a")) == (203, {"a": [1, 2]}, "1")
    assert json.header("content-type") == "application/json"
    assert (octets.body, octets.header("content-type")) == (b"\0\1", "image/x-own")
    made = get(server, "/response")
    assert (made.status, made.text, made.header("x-b")) == (201, "made", "2")
    with pytest.raises(ValueError, match="the Response's own"):
        app.respond("/", mr.Response("made"), status=201)
    with pytest.raises(TypeError, match=r"use app\.static or a handler"):
        app.respond("/", mr.FileResponse(__file__))


def test_a_request_tells_what_came(serve):
    app, seen = mr.App(), {}

    @app.post("/a/{b}")
    def handler(request):
        seen["app"] = request.app is app
        return {
            "method": request.method,
            "path": request.path,
            "target": request.target,
            "query": request.query_string,
            "version": request.http_version,
            "agent": request.headers["User-Agent"],
            "missing": request.headers.get("x-none", "none"),
            "twice": request.headers.get_list("x-twice"),
            "tag": request.query_params.get_list("tag"),
            "client": request.client[0],
            "body": request.text(),
        }

    headers = [("user-agent", "wire"), ("X-Twice", "1"), ("x-twice", "2")]
    answer = fetch(serve(app), "POST", "/a/%62?tag=x%20y&tag=z&", headers, b"\xc3\xa4")
    assert answer.json() == {
        "method": "POST",
        "path": "/a/b",
        "target": "/a/%62?tag=x%20y&tag=z&",
        "query": "tag=x%20y&tag=z&",
        "version": "1.1",
        "agent": "wire",
        "missing": "none",
        "twice": ["1", "2"],
        "tag": ["x y", "z"],
        "client": "127.0.0.1",
        "body": "ä",
    }
    assert seen["app"]


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("users", "does not start with '/'"),
        ("", "does not start with '/'"),
        ("/users?x=1", "a query is no part of a route"),
        ("/users/{id", "is no parameter"),
        ("/users/u{id}", "a whole segment"),
        ("/users/{id:number}", "str, int, float, uuid or path"),
        ("/users/{1d}", "is no parameter"),
        ("/{rest:path}/x", "comes last"),
        ("/{a}/{a}", "two parameters named 'a'"),
    ],
)
def test_a_malformed_path_is_refused_where_it_is_written(path, says):
    with pytest.raises(ValueError, match=says.replace("{", r"\{")):
        mr.App().get(path)


@pytest.mark.parametrize(
    ("methods", "says"),
    [("GET", "write methods="), ([], "is empty"), (["G T"], "no HTTP method"), ([""], "no HTTP")],
)
def test_malformed_methods_are_refused(methods, says):
    with pytest.raises(ValueError, match=says):
        mr.App().route("/", methods=methods)


def yielding_layer(request, call_next):
    yield call_next(request)


@pytest.mark.parametrize(
    ("register", "says"),
    [
        (lambda app: app.get("/")(lambda: "x"), "is called with \\(request\\)"),
        (lambda app: app.get("/")("text"), "not callable"),
        (lambda app: app.middleware(lambda request: "x"), "\\(request, call_next\\)"),
        (lambda app: app.middleware(yielding_layer), "without yield"),
        (lambda app: app.on_error(ValueError)(lambda request: "x"), "\\(request, error\\)"),
        (lambda app: app.on_error(404), "no class of exceptions"),
        (lambda app: app.on_error(KeyboardInterrupt), "no class of exceptions"),
        (lambda app: app.lifespan(lambda: None), "is called with \\(app\\)"),
    ],
)
def test_a_function_that_cannot_be_called_so_is_refused(register, says):
    with pytest.raises(TypeError, match=says):
        register(mr.App())


def test_the_same_route_twice_is_refused():
    app = mr.App()
    app.route("/x", methods=["GET", "PUT"])(hello)
    with pytest.raises(ValueError, match="GET PUT /x is routed already"):
        app.put("/x")(hello)


def test_a_second_lifespan_is_refused():
    app = mr.App()

    @app.lifespan
    async def life(app):
        yield

    with pytest.raises(ValueError, match="has a lifespan"):
        app.lifespan(life)


@pytest.mark.parametrize("name", ["sse", "websocket"])
def test_what_is_not_built_is_not_there(name):
    with pytest.raises(AttributeError):
        getattr(mr.App(), name)


def test_an_app_does_not_change_while_it_is_served(serve):
    app = mr.App()
    server = serve(app)
    for change in (app.get("/x"), app.middleware, app.on_error(ValueError), app.lifespan):
        with pytest.raises(RuntimeError, match="stop its server"):
            change(lambda *arguments: None)
    server.stop()
    app.get("/x")(hello)


# --- middleware -----------------------------------------------------------------------------------


def plain_layer(name, trace):
    def layer(request, call_next):
        trace.append(f"+{name}")
        response = call_next(request)
        trace.append(f"-{name}")
        response.headers.add("x-layer", name)
        return response

    return layer


def async_layer(name, trace):
    async def layer(request, call_next):
        trace.append(f"+{name}")
        response = await call_next(request)
        trace.append(f"-{name}")
        response.headers.add("x-layer", name)
        return response

    return layer


async def async_hello(request):
    await asyncio.sleep(0)
    return "hello"


async def async_parts(request):
    for part in ("hel", "lo"):
        await asyncio.sleep(0)
        yield part


def plain_parts(request):
    yield from ("hel", "lo")


HANDLERS = [hello, plain_parts, async_hello, async_parts]


@pytest.mark.parametrize("handler", HANDLERS, ids=lambda handler: handler.__name__)
@pytest.mark.parametrize("kinds", ["p", "a", "pp", "aa", "pa", "ap", "apa", "pap"])
def test_middleware_of_any_kind_goes_around_handlers_of_any_kind(serve, kinds, handler):
    app, trace = mr.App(), []
    for number, kind in enumerate(kinds):
        app.middleware((plain_layer if kind == "p" else async_layer)(str(number), trace))
    app.get("/x")(handler)
    answer = get(serve(app), "/x")
    assert (answer.status, answer.text) == (200, "hello")
    numbers = [str(number) for number in range(len(kinds))]
    assert trace == [f"+{n}" for n in numbers] + [f"-{n}" for n in reversed(numbers)]
    assert answer.all("x-layer") == list(reversed(numbers))  # the first one is the outermost


@pytest.mark.parametrize("kind", [plain_layer, async_layer], ids=["plain", "async"])
@pytest.mark.parametrize("handler", [hello, async_hello], ids=["plain", "coroutine"])
def test_middleware_works_under_every_pattern(serve, pattern, kind, handler):
    app = mr.App()
    app.middleware(kind("only", []))
    app.post("/x")(handler)
    answer = fetch(serve(app, pattern=pattern), "POST", "/x", body=b"some")
    assert (answer.text, answer.all("x-layer")) == ("hello", ["only"])


def test_a_plain_handler_inside_async_middleware_has_its_body(serve, pattern):
    app = mr.App()
    app.middleware(async_layer("only", []))
    app.post("/x")(lambda request: request.body)
    answer = fetch(serve(app, pattern=pattern), "POST", "/x", body=b"x" * 100_000)
    assert answer.body == b"x" * 100_000


def test_plain_middleware_leaves_asyncios_threads_to_handlers(serve):
    """More requests than asyncio's pool has threads, each waiting in middleware for one of them."""
    app, count = mr.App(), 64
    app.middleware(plain_layer("only", []))

    @app.lifespan
    async def life(app):
        app.state.all_here = asyncio.Barrier(count)
        yield

    @app.get("/x")
    async def handler(request):
        await request.app.state.all_here.wait()
        return await asyncio.to_thread(lambda: "from a thread")

    server = serve(app)
    wires = [Wire(server) for _ in range(count)]
    for wire in wires:
        wire.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
    assert {wire.read().text for wire in wires} == {"from a thread"}
    for wire in wires:
        wire.socket.close()


def test_a_body_limit_holds_for_plain_handlers_inside_async_middleware(serve):
    app = mr.App()
    app.middleware(async_layer("only", []))
    app.post("/x")(lambda request: str(len(request.body)))
    server = serve(app, limits=mr.Limits(body_bytes=1000))
    assert fetch(server, "POST", "/x", body=b"x" * 1000).text == "1000"
    assert fetch(server, "POST", "/x", body=b"x" * 1001).status == 413


def test_middleware_may_answer_alone(serve):
    app, called = mr.App(), []

    @app.middleware
    def gate(request, call_next):
        return (
            mr.Response("no", status=403) if "x-key" not in request.headers else call_next(request)
        )

    @app.get("/x")
    def handler(request):
        called.append(1)
        return "yes"

    server = serve(app)
    assert get(server, "/x").status == 403
    assert called == []
    assert get(server, "/x", {"X-Key": "1"}).text == "yes"


def test_middleware_and_handler_share_the_requests_state(serve):
    app = mr.App()

    @app.middleware
    def user(request, call_next):
        request.state.user = "ada"
        return call_next(request)

    app.get("/x")(lambda request: request.state.user)
    assert get(serve(app), "/x").text == "ada"


def test_middleware_sees_responses_whatever_handlers_return(serve):
    app, seen = mr.App(), []

    @app.middleware
    def look(request, call_next):
        seen.append(type(call_next(request)))
        return {"seen": len(seen)}

    app.get("/dict")(lambda request: {"a": 1})
    app.get("/bytes")(lambda request: b"1")
    server = serve(app)
    assert get(server, "/dict").json() == {"seen": 1}
    assert get(server, "/bytes").json() == {"seen": 2}
    assert seen == [mr.Response, mr.Response]


def test_middleware_can_catch_what_nobody_answers(serve):
    app = mr.App()

    @app.middleware
    async def catch(request, call_next):
        try:
            return await call_next(request)
        except KeyError as error:
            return mr.Response(f"caught {error}", status=500)

    @app.get("/x")
    def handler(request):
        raise KeyError("k")

    assert get(serve(app), "/x").text == "caught 'k'"


def test_native_routes_do_not_pass_through_middleware(serve):
    app, trace = mr.App(), []
    app.middleware(plain_layer("only", trace))
    app.respond("/x", "native")
    assert get(serve(app), "/x").text == "native"
    assert trace == []


# --- errors ---------------------------------------------------------------------------------------


class Specific(ValueError):
    pass


def failing(error):
    def handler(request):
        raise error

    return handler


def failing_async(error):
    async def handler(request):
        await asyncio.sleep(0)
        raise error

    return handler


@pytest.fixture(params=[failing, failing_async], ids=["plain", "coroutine"])
def fails(request):
    return request.param


@pytest.fixture(params=["bare", "plain", "async"])
def app_around(request):
    """An app whose handlers stand bare, or inside middleware of either kind."""
    app = mr.App()
    if request.param != "bare":
        layer = plain_layer if request.param == "plain" else async_layer
        app.middleware(layer("seen", []))
    return app


@pytest.mark.parametrize("answers_async", [False, True], ids=["plain-answer", "async-answer"])
def test_the_most_specific_error_handler_answers(serve, app_around, fails, answers_async):
    def answering(status):
        def plain(request, error):
            return mr.Response(f"{type(error).__name__}: {error}", status=status)

        async def awaited(request, error):
            await asyncio.sleep(0)
            return plain(request, error)

        return awaited if answers_async else plain

    app = app_around
    app.on_error(Exception)(answering(501))
    app.on_error(ValueError)(answering(422))
    app.get("/value")(fails(Specific("s")))
    app.get("/key")(fails(KeyError("k")))
    server = serve(app)
    value, key = get(server, "/value"), get(server, "/key")
    assert (value.status, value.text) == (422, "Specific: s")
    assert (key.status, key.text) == (501, "KeyError: 'k'")
    inside = [] if not app._middleware else ["seen"]
    assert value.all("x-layer") == inside  # error handlers work inside the middleware


def test_an_error_handler_may_answer_with_anything_handlers_may(serve, fails):
    app = mr.App()
    app.on_error(KeyError, ValueError)(lambda request, error: {"error": type(error).__name__})
    app.get("/x")(fails(ValueError()))
    assert get(serve(app), "/x").json() == {"error": "ValueError"}


def test_http_error_is_its_response(serve, app_around, fails):
    app = app_around
    app.get("/teapot")(fails(mr.HTTPError(418, headers={"x-a": "1"})))
    app.get("/json")(fails(mr.HTTPError(409, {"why": "taken"})))
    server = serve(app)
    teapot, json = get(server, "/teapot"), get(server, "/json")
    assert (teapot.status, teapot.text, teapot.header("x-a")) == (418, "I'm a Teapot", "1")
    assert (json.status, json.json()) == (409, {"why": "taken"})


def test_a_handler_of_all_exceptions_leaves_http_errors_alone(serve, fails):
    app = mr.App()
    app.on_error(Exception)(lambda request, error: mr.Response("caught", status=500))
    app.get("/x")(fails(mr.HTTPError(404)))
    assert get(serve(app), "/x").status == 404


def test_http_errors_can_be_answered_in_ones_own_way(serve, app_around, fails):
    app = app_around
    app.on_error(mr.HTTPError)(lambda request, error: mr.Response("own", status=error.status))
    app.get("/x")(fails(mr.HTTPError(404)))
    answer = get(serve(app), "/x")
    assert (answer.status, answer.text) == (404, "own")


def test_an_http_error_needs_an_error_status():
    with pytest.raises(ValueError, match="400 to 599"):
        mr.HTTPError(200)


def test_an_exception_gives_500_one_log_line_and_a_healthy_server(serve, app_around, fails, caplog):
    app = app_around
    app.get("/x")(fails(RuntimeError("boom")))
    app.get("/ok")(hello)
    with caplog.at_level(logging.INFO, "millrace.error"):
        with Wire(serve(app)) as wire:
            answer = wire.get("/x")
            assert (answer.status, answer.text) == (500, "Internal Server Error")
            assert wire.get("/ok").text == "hello"  # on the same connection
        (record,) = eventually(lambda: [r for r in caplog.records if r.levelno == logging.ERROR])
    assert "GET /x" in record.getMessage()
    assert record.exc_info is not None
    assert str(record.exc_info[1]) == "boom"


def test_an_error_handler_that_raises_gives_500(serve, app_around, fails, caplog):
    app = app_around

    @app.on_error(ValueError)
    def bad(request, error):
        raise LookupError("worse")

    app.get("/x")(fails(ValueError("v")))
    assert get(serve(app), "/x").status == 500
    record = eventually(lambda: caplog.records[-1:])[0]
    assert isinstance(record.exc_info[1], LookupError)


@pytest.mark.parametrize("error", [SystemExit(1), KeyboardInterrupt()])
def test_no_exception_of_a_handler_ends_the_server(serve, fails, error, caplog):
    app = mr.App()
    app.get("/x")(fails(error))
    app.get("/ok")(hello)
    server = serve(app)
    assert get(server, "/x").status == 500
    assert get(server, "/ok").text == "hello"


# --- lifespan -------------------------------------------------------------------------------------


def test_the_lifespan_surrounds_serving_on_the_loop_of_the_handlers(serve):
    app, trace = mr.App(), []

    @app.lifespan
    async def life(app):
        app.state.loop = asyncio.get_running_loop()
        app.state.thread = threading.get_ident()
        trace.append("enter")
        yield
        trace.append("leave")

    @app.get("/x")
    async def handler(request):
        trace.append("request")
        state = request.app.state
        return {
            "loop": asyncio.get_running_loop() is state.loop,
            "thread": threading.get_ident() == state.thread,
        }

    server = serve(app)
    assert trace == ["enter"]
    assert get(server, "/x").json() == {"loop": True, "thread": True}
    server.stop()
    assert trace == ["enter", "request", "leave"]
    with server:
        assert get(server, "/x").status == 200
    assert trace == ["enter", "request", "leave"] * 2


def test_a_lifespan_may_be_a_context_manager_and_an_argument(serve):
    trace = []

    @contextlib.asynccontextmanager
    async def life(app):
        trace.append("enter")
        yield
        trace.append("leave")

    serve(mr.App(lifespan=life)).stop()
    assert trace == ["enter", "leave"]


def test_a_lifespan_may_hold_a_task_group(serve):
    """Task groups insist on being left in the task that entered them."""
    app, ticks = mr.App(), asyncio.Queue()

    @app.lifespan
    async def life(app):
        async with asyncio.TaskGroup() as group:
            ticker = group.create_task(ticks.put("tick"))
            yield
            await ticker

    @app.get("/x")
    async def handler(request):
        return await ticks.get()

    server = serve(app)
    assert get(server, "/x").text == "tick"
    server.stop()


@pytest.mark.parametrize("error", [RuntimeError("no database"), SystemExit(5)])
def test_a_lifespan_that_fails_is_a_start_failure(error):
    app = mr.App()

    @app.lifespan
    async def life(app):
        raise error
        yield

    server = mr.Server(app)
    with pytest.raises(type(error)):
        server.start()
    assert not server.is_running
    app.get("/later")(hello)  # it is not being served


def test_a_lifespan_that_fails_at_the_end_is_heard_after_all_has_stopped():
    app = mr.App()

    @app.lifespan
    async def life(app):
        yield
        raise RuntimeError("cannot close")

    server = mr.Server(app).start()
    with pytest.raises(RuntimeError, match="cannot close"):
        server.stop()
    assert not server.is_running


def test_the_lifespan_is_left_after_the_last_request(serve):
    app, entered, trace = mr.App(), Signal(), []

    @app.lifespan
    async def life(app):
        app.state.go_on = asyncio.Event()
        yield
        trace.append("leave")

    @app.get("/slow")
    async def slow(request):
        entered.set()
        await request.app.state.go_on.wait()
        trace.append("answered")
        return "done"

    server = serve(app)
    with Wire(server) as wire:
        wire.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        entered.expect()
        stopping = threading.Thread(target=server.stop)
        stopping.start()
        eventually(lambda: not _accepts(server))
        app.spawn(_set(app.state.go_on))
        assert wire.read().text == "done"
    stopping.join()
    assert trace == ["answered", "leave"]


async def _set(event):
    event.set()


def _accepts(server):
    try:
        Wire(server).socket.close()
    except (ConnectionError, RuntimeError):
        return False
    return True


# --- background, spawn, state ---------------------------------------------------------------------


@pytest.mark.in_process
def test_background_work_runs_after_the_answer(serve, pattern):
    app, may_run, ran = mr.App(), Signal(), Signal()

    def work(word, *, times):
        may_run.expect()
        results.append(word * times)
        ran.set()

    results: list[str] = []
    app.get("/x")(
        lambda request: mr.Response("ok", background=mr.BackgroundTask(work, "a", times=2))
    )
    server = serve(app, pattern=pattern)
    assert get(server, "/x").text == "ok"
    assert results == []
    may_run.set()
    ran.expect("the background work")
    assert results == ["aa"]


def test_background_coroutines_run_on_the_loop_of_the_handlers(serve):
    app, seen = mr.App(), []

    async def work():
        seen.append(asyncio.get_running_loop())

    @app.get("/x")
    async def handler(request):
        seen.append(asyncio.get_running_loop())
        return mr.Response("ok", background=mr.BackgroundTask(work))

    assert get(serve(app), "/x").text == "ok"
    eventually(lambda: len(seen) == 2)
    assert seen[0] is seen[1]


def test_background_work_that_fails_is_logged(serve, caplog):
    app = mr.App()

    def work():
        raise RuntimeError("later")

    app.get("/x")(lambda request: mr.Response("ok", background=mr.BackgroundTask(work)))
    assert get(serve(app), "/x").text == "ok"
    record = eventually(lambda: [r for r in caplog.records if r.exc_info])[0]
    assert str(record.exc_info[1]) == "later"


def test_the_server_lets_background_work_finish_before_it_stops(serve):
    app, started, trace = mr.App(), Signal(), []

    async def work():
        started.set()
        for _ in range(20):
            await asyncio.sleep(0.005)
        trace.append("worked")

    @app.lifespan
    async def life(app):
        yield
        trace.append("left")

    app.get("/x")(lambda request: mr.Response("ok", background=mr.BackgroundTask(work)))
    server = serve(app)
    assert get(server, "/x").text == "ok"
    started.expect()
    server.stop()
    assert trace == ["worked", "left"]


def test_background_work_beyond_the_drain_time_is_cancelled(serve):
    app, started, trace = mr.App(), Signal(), []

    async def work():
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            trace.append("cleaned up")

    app.get("/x")(lambda request: mr.Response("ok", background=mr.BackgroundTask(work)))
    server = serve(app)
    get(server, "/x")
    started.expect()
    server.stop(drain=0)
    assert trace == ["cleaned up"]


@pytest.mark.in_process
def test_spawn_starts_a_coroutine_from_any_handler(serve, pattern):
    app, done = mr.App(), Signal()

    async def work():
        done.set()
        return 7

    app.get("/plain")(lambda request: str(type(request.app.spawn(work())).__name__))

    @app.get("/coroutine")
    async def handler(request):
        return str(await asyncio.wrap_future(request.app.spawn(work())))

    server = serve(app, pattern=pattern)
    assert get(server, "/plain").text == "Future"
    done.expect()
    assert get(server, "/coroutine").text == "7"
    assert app.spawn(work()).result(20) == 7


def test_spawn_needs_a_server():
    async def work():
        pass

    with pytest.raises(RuntimeError, match="no server is serving"):
        mr.App().spawn(work())


def test_state_is_shared_by_all_handlers(serve):
    app = mr.App()
    app.state.count = 0

    @app.post("/count")
    def count(request):
        request.app.state.count += 1
        return {"count": request.app.state.count}

    server = serve(app)
    assert [fetch(server, "POST", "/count").json()["count"] for _ in range(3)] == [1, 2, 3]
    assert app.state.count == 3


# --- including another app ------------------------------------------------------------------------


def test_an_included_app_keeps_its_middleware_and_error_handlers(serve):
    inner, outer, trace = mr.App(), mr.App(), []
    inner.middleware(plain_layer("inner", trace))
    outer.middleware(plain_layer("outer", trace))
    inner.on_error(KeyError)(lambda request, error: "inner answers")
    outer.on_error(Exception)(lambda request, error: "outer answers")
    inner.get("/key/{name}")(failing(KeyError()))
    inner.get("/value")(failing(ValueError()))
    inner.respond("/native", "native")
    outer.get("/key")(failing(KeyError()))
    outer.include("/api/v1", inner)
    server = serve(outer)
    assert get(server, "/api/v1/key/x").text == "inner answers"
    assert trace == ["+outer", "+inner", "-inner", "-outer"]
    assert get(server, "/api/v1/value").text == "outer answers"
    assert get(server, "/api/v1/native").text == "native"
    trace.clear()
    assert get(server, "/key").text == "outer answers"
    assert trace == ["+outer", "-outer"]


def test_an_included_apps_lifespan_runs_inside_its_hosts(serve):
    inner, outer, trace = mr.App(), mr.App(), []
    for name, app in (("inner", inner), ("outer", outer)):

        async def life(app, name=name):
            trace.append(f"+{name}")
            yield
            trace.append(f"-{name}")

        app.lifespan(life)
    outer.include("/inner", inner)
    serve(outer).stop()
    assert trace == ["+outer", "+inner", "-inner", "-outer"]


@pytest.mark.parametrize("prefix", ["api", "/api/", "/"])
def test_a_malformed_prefix_is_refused(prefix):
    with pytest.raises(ValueError, match=r"prefix|path"):
        mr.App().include(prefix, mr.App())


def test_an_app_cannot_include_itself():
    inner, outer = mr.App(), mr.App()
    outer.include("/inner", inner)
    with pytest.raises(ValueError, match="itself"):
        inner.include("/outer", outer)


# --- handlers that are not plain functions --------------------------------------------------------


class Counter:
    def __init__(self):
        self.count = 0

    def __call__(self, request):
        self.count += 1
        return {"count": self.count}

    def method(self, request):
        return "method"

    async def async_method(self, request):
        await asyncio.sleep(0)
        return "async method"


class AsyncCounter(Counter):
    async def __call__(self, request):
        await asyncio.sleep(0)
        self.count += 1
        return {"count": self.count}


async def with_prefix(prefix, request):
    await asyncio.sleep(0)
    return prefix + request.path


@pytest.mark.in_process
def test_anything_callable_is_a_handler(serve, pattern):
    app = mr.App()
    app.get("/object")(Counter())
    app.get("/async-object")(AsyncCounter())
    app.get("/method")(Counter().method)
    app.get("/async-method")(Counter().async_method)
    app.get("/partial")(functools.partial(with_prefix, "at "))
    app.get("/nested")(functools.partial(functools.partial(with_prefix), "in "))
    server = serve(app, pattern=pattern)
    for kind in ("/object", "/async-object"):
        assert [get(server, kind).json()["count"] for _ in range(2)] == [1, 2]
    assert get(server, "/method").text == "method"
    assert get(server, "/async-method").text == "async method"
    assert get(server, "/partial").text == "at /partial"
    assert get(server, "/nested").text == "in /nested"
