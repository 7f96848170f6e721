"""Every kind of handler: answers, streams, asyncio, clients that leave."""

from __future__ import annotations

import asyncio
import contextvars
import hashlib
import logging
import threading

import aiofiles
import millrace as mr
import pytest

from tests.python.wire import (
    Gone,
    Signal,
    Wire,
    chunked,
    eventually,
    fetch,
    get,
    request,
)

pytestmark = pytest.mark.sanitize

PART = bytes(range(256)) * 256  # 64 KiB


# --- answers --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "body", "content_type"),
    [
        ("tëxt", "tëxt".encode(), "text/plain; charset=utf-8"),
        ("", b"", "text/plain; charset=utf-8"),
        (b"\0\xff", b"\0\xff", "application/octet-stream"),
        (
            {"a": [1, 2.5, None, True, "ä"]},
            b'{"a":[1,2.5,null,true,"\xc3\xa4"]}',
            "application/json",
        ),
        ([], b"[]", "application/json"),
    ],
    ids=repr,
)
@pytest.mark.parametrize("kind", ["plain", "coroutine"])
def test_what_a_handler_returns_becomes_the_answer(serve, kind, answer, body, content_type):
    app = mr.App()

    async def coroutine(request):
        return answer

    app.get("/")(coroutine if kind == "coroutine" else lambda request: answer)
    got = get(serve(app), "/")
    assert (got.status, got.body) == (200, body)
    assert got.header("content-type") == content_type
    assert got.header("content-length") == str(len(body))


@pytest.mark.parametrize("status", [200, 201, 299, 301, 404, 418, 503])
def test_a_response_carries_status_fields_and_type(serve, status):
    app = mr.App()

    @app.get("/")
    def handler(request):
        response = mr.Response(
            "<p>", status=status, headers=[("x-a", "1")], content_type="text/html"
        )
        response.headers.add("set-cookie", "a=1")
        response.headers.add("Set-Cookie", "b=2")
        return response

    answer = get(serve(app), "/")
    assert (answer.status, answer.text) == (status, "<p>")
    assert (answer.header("x-a"), answer.header("content-type")) == ("1", "text/html")
    assert answer.all("set-cookie") == ["a=1", "b=2"]


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_without_a_body_has_none_on_the_wire(serve, status):
    app = mr.App()
    app.get("/")(lambda request: mr.Response(status=status))
    with Wire(serve(app)) as wire:
        assert wire.get("/").status == status
        assert wire.get("/").status == status  # nothing stands between the two


@pytest.mark.parametrize("size", [0, 1, 2047, 2048, 2049, 65536, 5_000_000])
def test_bodies_of_every_size_arrive_whole(serve, pattern, size):
    body = (PART * (size // len(PART) + 1))[:size]
    app = mr.App()
    app.get("/")(lambda request: body)
    with Wire(serve(app, pattern=pattern)) as wire:
        for _ in range(2):
            assert hashlib.sha256(wire.get("/").body).digest() == hashlib.sha256(body).digest()


@pytest.mark.parametrize(
    "value",
    [object(), {1, 2}, {"x": object()}, 7, float("nan")],
    ids=["object", "set", "object within", "number", "not a number"],
)
def test_an_answer_that_cannot_be_sent_is_500_and_a_log_line(serve, value, caplog):
    app = mr.App()
    app.get("/")(lambda request: {"v": value} if isinstance(value, float) else value)
    app.get("/ok")(lambda request: "ok")
    server = serve(app)
    assert get(server, "/").status == 500
    assert get(server, "/ok").text == "ok"
    assert eventually(lambda: [r for r in caplog.records if r.name == "millrace.error"])


@pytest.mark.parametrize(
    "fields",
    [{"x-a": "1\r\nx-b: 2"}, {"x-a": "1\n"}, {"x-a": "\0"}, {"x a": "1"}, {"x-a\r\nx-b": "2"}],
    ids=repr,
)
def test_a_field_that_would_split_the_answer_is_500_and_a_log_line(serve, pattern, fields, caplog):
    app = mr.App()
    app.get("/")(lambda request: mr.Response("ok", headers=fields))
    server = serve(app, pattern=pattern)
    with Wire(server) as wire:
        answer = wire.get("/")
        assert answer.status == 500
        assert not {"x-a", "x-b", "x a"} & {name for name, _ in answer.fields}
    assert eventually(lambda: [r for r in caplog.records if r.name == "millrace.error"])


@pytest.mark.in_process
def test_a_handler_may_keep_its_request(serve, pattern):
    app, kept = mr.App(), []

    @app.post("/keep/{number:int}")
    def keep(request):
        kept.append(request)
        return "ok"

    server = serve(app, pattern=pattern)
    with Wire(server) as wire:
        for number in range(20):
            wire.ask("POST", f"/keep/{number}", {"x-number": str(number)}, b"%d" % number)
    for number, request_ in enumerate(kept):
        assert request_.path == f"/keep/{number}"
        assert request_.path_params == {"number": number}
        assert request_.headers["x-number"] == str(number)
        assert request_.body == b"%d" % number


def test_a_request_can_be_read_on_another_thread(serve):
    app = mr.App()

    @app.get("/{name}")
    async def handler(request):
        return await asyncio.to_thread(lambda: request.path_params["name"] + request.headers["x"])

    assert get(serve(app), "/a", {"x": "b"}).text == "ab"


def test_files_are_read_through_aiofiles(serve, pattern, tmp_path):
    """A library that keeps to asyncio's own means works unchanged."""
    lines = [f"line {number}\n" for number in range(100)]
    (tmp_path / "page.txt").write_text("".join(lines))
    app = mr.App()

    @app.get("/")
    async def whole(request):
        async with aiofiles.open(tmp_path / "page.txt") as file:
            return await file.read()

    @app.get("/lines")
    async def by_line(request):
        async with aiofiles.open(tmp_path / "page.txt") as file:
            async for line in file:
                yield line

    with Wire(serve(app, pattern=pattern)) as wire:
        for _ in range(3):
            assert wire.get("/").text == wire.get("/lines").text == "".join(lines)


def test_an_exception_after_suspension_leaves_the_connection_healthy(serve, caplog):
    app = mr.App()

    @app.get("/")
    async def handler(request):
        await asyncio.sleep(0)
        raise RuntimeError("late")

    with Wire(serve(app)) as wire:
        assert [wire.get("/").status for _ in range(3)] == [500] * 3
    assert len([r for r in caplog.records if r.exc_info]) == 3


# --- answers in pieces ----------------------------------------------------------------------------


def plain_pieces(count):
    def handler(request):
        for _ in range(count):
            yield PART

    return handler


def async_pieces(count):
    async def handler(request):
        for _ in range(count):
            await asyncio.sleep(0)
            yield PART

    return handler


def response_of_pieces(count):
    return lambda request: mr.Response(plain_pieces(count)(request), content_type="x/y")


def response_of_async_pieces(count):
    async def handler(request):
        return mr.Response(async_pieces(count)(request), content_type="x/y")

    return handler


STREAMS = [plain_pieces, async_pieces, response_of_pieces, response_of_async_pieces]


@pytest.mark.parametrize("stream", STREAMS, ids=lambda stream: stream.__name__)
@pytest.mark.parametrize("count", [0, 1, 40])
def test_an_answer_in_pieces_arrives_whole(serve, pattern, stream, count):
    app = mr.App()
    app.get("/")(stream(count))
    with Wire(serve(app, pattern=pattern)) as wire:
        for _ in range(2):
            answer = wire.get("/")
            assert answer.header("transfer-encoding") == "chunked"
            assert answer.body == PART * count


def test_pieces_may_be_text(serve):
    app = mr.App()
    app.get("/")(lambda request: (word for word in ("ä", "", "b")))
    assert get(serve(app), "/").text == "äb"


def test_a_piece_is_sent_when_it_is_there(serve):
    """The client has the first piece before the second one exists."""
    app, go_on = mr.App(), Signal()

    @app.get("/")
    async def handler(request):
        yield b"first"
        await asyncio.to_thread(go_on.expect)
        yield b"second"

    with Wire(serve(app)) as wire:
        wire.send(request("GET", "/"))
        wire.read_until(b"first")
        go_on.set()
        wire.read_until(b"second")
        wire.read_until(b"0\r\n\r\n")


@pytest.mark.in_process
@pytest.mark.parametrize("stream", [plain_pieces, async_pieces], ids=lambda s: s.__name__)
def test_a_client_that_does_not_read_pauses_the_handler(serve, pattern, stream):
    """Counted, not timed: the handler is far from its end after much else has happened."""
    total, made = 1000, []

    def counted(pieces):
        if hasattr(pieces, "__anext__"):

            async def handler():
                async for piece in pieces:
                    made.append(1)
                    yield piece

        else:

            def handler():
                for piece in pieces:
                    made.append(1)
                    yield piece

        return handler()

    app = mr.App()
    app.get("/big")(lambda request: counted(stream(total)(request)))
    app.respond("/tick", "tock")
    app.get("/python-tick")(lambda request: "tock")
    server = serve(app, pattern=pattern)
    with Wire(server, receive_buffer=4096) as slow, Ticks(server) as tick:
        slow.send(request("GET", "/big"))
        slow.read_until(b"\r\n\r\n")
        count = -1
        while count != len(made):  # until nothing moves any more
            count = len(made)
            tick()
        # The kernel's buffers take a few MB; 64 MB is far beyond them.
        assert 0 < count < total / 2
        size = sum(1 for _ in iter(lambda: int(slow.read_until(b"\r\n"), 16) and
                                   slow.read_exactly(len(PART) + 2), 0))  # fmt: skip
        assert size == total
    assert len(made) == total


class Ticks:
    """Calls that take a while and let all threads of a server run: requests beside."""

    def __init__(self, server):
        self.wire = Wire(server)

    def __enter__(self):
        return self.tick

    def __exit__(self, *error):
        self.wire.socket.close()

    def tick(self):
        for _ in range(50):
            assert self.wire.get("/tick").text == "tock"


@pytest.mark.parametrize("wait", [False, True], ids=["busy", "waiting"])
def test_a_client_that_leaves_closes_the_generator(serve, wait):
    app, closed = mr.App(), Signal()

    @app.get("/")
    async def handler(request):
        try:
            yield PART
            if wait:
                await asyncio.Event().wait()
            while True:
                await asyncio.sleep(0)
                yield PART
        finally:
            await asyncio.sleep(0)
            closed.set()

    with Wire(serve(app)) as wire:
        wire.send(request("GET", "/"))
        wire.read_until(b"\r\n\r\n")
    closed.expect("the generator's clean-up")


@pytest.mark.in_process
def test_a_client_that_leaves_closes_a_plain_generator(serve, pattern):
    app, closed = mr.App(), Signal()

    @app.get("/")
    def handler(request):
        try:
            while True:
                yield PART
        finally:
            closed.set()

    with Wire(serve(app, pattern=pattern)) as wire:
        wire.send(request("GET", "/"))
        wire.read_until(b"\r\n\r\n")
    closed.expect("the generator's clean-up")


@pytest.mark.parametrize("async_", [False, True], ids=["plain", "async"])
def test_a_stream_that_raises_ends_visibly_broken(serve, async_, caplog):
    app = mr.App()

    def broken(request):
        yield b"some"
        raise RuntimeError("mid-stream")

    async def broken_async(request):
        yield b"some"
        await asyncio.sleep(0)
        raise RuntimeError("mid-stream")

    app.get("/")(broken_async if async_ else broken)
    app.get("/ok")(lambda request: "ok")
    server = serve(app)
    with Wire(server) as wire:
        wire.send(request("GET", "/"))
        with pytest.raises((Gone, ConnectionResetError)):
            wire.read()
    assert get(server, "/ok").text == "ok"
    record = eventually(lambda: [r for r in caplog.records if r.exc_info])[0]
    assert str(record.exc_info[1]) == "mid-stream"


@pytest.mark.parametrize("pieces", [[b"12345"], [b"1234567890", b"1"]], ids=["short", "long"])
def test_a_body_that_does_not_match_its_length_breaks_the_connection(serve, pieces):
    app = mr.App()
    app.get("/")(lambda request: mr.Response(iter(pieces), headers={"content-length": "10"}))
    with Wire(serve(app)) as wire:
        wire.send(request("GET", "/"))
        with pytest.raises((Gone, ConnectionResetError)):
            list(map(wire.read_until, [b"\r\n\r\n", b"1234567890", b"\r\n\r\n"]))


def test_a_declared_length_is_used_for_pieces(serve):
    app = mr.App()
    app.get("/")(
        lambda r: mr.Response(iter([b"12345", b"67890"]), headers={"content-length": "10"})
    )
    with Wire(serve(app)) as wire:
        for _ in range(2):
            answer = wire.get("/")
            assert (answer.body, answer.header("content-length")) == (b"1234567890", "10")


# --- request bodies -------------------------------------------------------------------------------


def bodies(body):
    """The same body by length and by chunks."""
    yield request("POST", "/", body=body)
    pieces = [body[at : at + 7000] for at in range(0, len(body), 7000)]
    head = request("POST", "/", {"Transfer-Encoding": "chunked"})
    yield head + chunked(*pieces, trailers="x-after: 1\r\n")


@pytest.mark.parametrize("size", [0, 1, 65536, 1_000_000])
def test_a_plain_function_has_its_body_read(serve, pattern, size):
    app = mr.App()
    body = (PART * 20)[:size]
    app.post("/")(lambda request: hashlib.sha256(request.body).hexdigest())
    with Wire(serve(app, pattern=pattern)) as wire:
        for message in bodies(body):
            wire.send(message)
            assert wire.read().text == hashlib.sha256(body).hexdigest()


@pytest.mark.parametrize("size", [0, 1, 65536, 1_000_000])
def test_a_coroutine_reads_its_body_piece_by_piece(serve, pattern, size):
    app = mr.App()
    body = (PART * 20)[:size]

    @app.post("/")
    async def handler(request):
        digest = hashlib.sha256()
        async for piece in request.stream():
            assert piece
            digest.update(piece)
        return digest.hexdigest()

    with Wire(serve(app, pattern=pattern)) as wire:
        for message in bodies(body):
            wire.send(message)
            assert wire.read().text == hashlib.sha256(body).hexdigest()


def test_a_coroutine_may_read_its_body_whole(serve):
    app = mr.App()

    @app.post("/")
    async def handler(request):
        first = await request.read()
        again = await request.read()
        return {"size": len(first), "same": first == again == request.body}

    with Wire(serve(app)) as wire:
        for message in bodies(PART * 3):
            wire.send(message)
            assert wire.read().json() == {"size": 3 * len(PART), "same": True}


def test_json_and_text_of_a_body(serve):
    app = mr.App()
    app.post("/json")(lambda request: {"got": request.json()})
    app.post("/text")(lambda request: request.text())
    server = serve(app)
    assert fetch(server, "POST", "/json", body=b'{"a": [1]}').json() == {"got": {"a": [1]}}
    assert fetch(server, "POST", "/text", body="ä".encode()).text == "ä"


def test_a_handler_may_answer_without_reading_the_body(serve, pattern):
    app = mr.App()

    @app.post("/")
    async def handler(request):
        return "no thanks"

    with Wire(serve(app, pattern=pattern)) as wire:
        for _ in range(3):
            assert wire.ask("POST", "/", body=b"x" * 10_000).text == "no thanks"


def test_a_body_nobody_reads_pauses_its_sender(serve):
    """Counted, not timed: the sender is stuck far from the end of its body."""
    app, go_on, total = mr.App(), Signal(), 64 * 1024 * 1024
    app.respond("/tick", "tock")

    @app.post("/")
    async def handler(request):
        await asyncio.to_thread(go_on.expect)
        return str(sum([len(piece) async for piece in request.stream()]))

    server = serve(app)
    with Wire(server) as wire, Ticks(server) as tick:
        head = request("POST", "/", {"Content-Length": str(total)})
        wire.send(head)
        wire.socket.setblocking(False)
        sent = before = 0
        while True:
            try:
                while sent < total:
                    sent += wire.socket.send(memoryview(PART)[: total - sent])
            except BlockingIOError:
                pass
            if sent == before:
                break
            before = sent
            tick()
        assert sent < total / 2
        go_on.set()
        wire.socket.settimeout(20)
        while sent < total:
            piece = (PART * 16)[: total - sent]
            wire.socket.sendall(piece)
            sent += len(piece)
        assert wire.read().text == str(total)


def test_echo_of_a_stream_while_it_arrives(serve):
    app = mr.App()

    @app.post("/")
    async def echo(request):
        async for piece in request.stream():
            yield piece

    with Wire(serve(app)) as wire:
        wire.send(request("POST", "/", {"Transfer-Encoding": "chunked"}))
        for word in (b"one", b"two"):
            wire.send(b"3\r\n", word, b"\r\n")
            wire.read_until(word)  # it is back before the next is sent
        wire.send("0\r\n\r\n")
        wire.read_until(b"0\r\n\r\n")


# --- asyncio --------------------------------------------------------------------------------------


def test_the_current_task_is_the_same_before_and_after_suspension(serve, pattern):
    app = mr.App()

    @app.get("/")
    async def handler(request):
        before = asyncio.current_task()
        await asyncio.sleep(0)
        after = asyncio.current_task()
        return {
            "same": before is after and before is not None,
            "known": after in asyncio.all_tasks(),
            "loop": after.get_loop() is asyncio.get_running_loop(),
        }

    answer = get(serve(app, pattern=pattern), "/")
    assert answer.json() == {"same": True, "known": True, "loop": True}


def test_every_request_has_a_task_of_its_own(serve):
    app, tasks = mr.App(), []

    @app.get("/")
    async def handler(request):
        tasks.append(asyncio.current_task())
        return "ok"

    with Wire(serve(app)) as wire:
        for _ in range(3):
            wire.get("/")
    assert len({id(task) for task in tasks}) == 3


def test_a_timeout_cuts_off_a_wait(serve):
    app = mr.App()

    @app.get("/")
    async def handler(request):
        try:
            async with asyncio.timeout(0.01):
                await asyncio.Event().wait()
        except TimeoutError:
            return "timed out"

    assert get(serve(app), "/").text == "timed out"


def test_a_timeout_at_the_first_step_does_not_disturb(serve):
    app = mr.App()

    @app.get("/")
    async def handler(request):
        async with asyncio.timeout(10):
            pass
        async with asyncio.timeout(10):
            await asyncio.sleep(0)
        return "fine"

    assert get(serve(app), "/").text == "fine"


def test_a_handler_may_cancel_itself_before_it_first_waits(serve):
    app = mr.App()

    @app.get("/")
    async def handler(request):
        asyncio.current_task().cancel()
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            asyncio.current_task().uncancel()
            return "cancelled"
        return "missed"

    assert get(serve(app), "/").text == "cancelled"


def test_a_task_group_runs_children(serve):
    app = mr.App()

    async def child(n):
        await asyncio.sleep(0)
        return n * n

    @app.get("/")
    async def handler(request):
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(child(n)) for n in range(5)]
        return [task.result() for task in tasks]

    assert get(serve(app), "/").json() == [0, 1, 4, 9, 16]


def test_a_task_group_that_fails_gives_its_exceptions(serve):
    app = mr.App()

    async def bad():
        raise ValueError("child")

    @app.get("/")
    async def handler(request):
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(bad())
        except* ValueError as group_error:
            message = str(group_error.exceptions[0])
        return message

    assert get(serve(app), "/").text == "child"


def test_work_on_a_thread_comes_back_to_the_loop(serve, pattern):
    app = mr.App()

    @app.get("/")
    async def handler(request):
        loop, here = asyncio.get_running_loop(), threading.get_ident()
        there = await asyncio.to_thread(threading.get_ident)
        return {
            "moved": there != here,
            "back": threading.get_ident() == here and asyncio.get_running_loop() is loop,
        }

    assert get(serve(app, pattern=pattern), "/").json() == {"moved": True, "back": True}


@pytest.mark.in_process
def test_many_coroutines_wait_at_once(serve, pattern):
    """A barrier opens only when all requests are being handled."""
    app, parties = mr.App(), 50

    @app.lifespan
    async def life(app):
        app.state.barrier = asyncio.Barrier(parties)
        yield

    @app.get("/{number:int}")
    async def handler(request):
        await request.app.state.barrier.wait()
        return str(request.path_params["number"])

    server = serve(app, pattern=pattern)
    wires = [Wire(server) for _ in range(parties)]
    for number, wire in enumerate(wires):
        wire.send(request("GET", f"/{number}"))
    assert [wire.read().text for wire in wires] == [str(n) for n in range(parties)]
    for wire in wires:
        wire.socket.close()


class Pool:
    """A connection pool such as database drivers have: bound to the loop it was made on."""

    def __init__(self, size):
        self.loop = asyncio.get_running_loop()
        self.free: asyncio.Queue[int] = asyncio.Queue()
        for number in range(size):
            self.free.put_nowait(number)
        self.most = self.used = 0

    async def use(self):
        assert asyncio.get_running_loop() is self.loop
        connection = await self.free.get()
        self.used += 1
        self.most = max(self.most, self.used)
        await asyncio.sleep(0)
        self.used -= 1
        self.free.put_nowait(connection)


@pytest.mark.in_process
def test_a_pool_made_in_the_lifespan_serves_all_requests(serve, pattern):
    app = mr.App()

    @app.lifespan
    async def life(app):
        app.state.pool = Pool(3)
        app.state.all_here = asyncio.Barrier(12)
        yield

    @app.get("/")
    async def handler(request):
        await request.app.state.all_here.wait()
        for _ in range(5):
            await request.app.state.pool.use()
        return "ok"

    server = serve(app, pattern=pattern)
    wires = [Wire(server) for _ in range(12)]
    for wire in wires:
        wire.send(request("GET", "/"))
    assert all(wire.read().text == "ok" for wire in wires)
    assert app.state.pool.most == 3
    for wire in wires:
        wire.socket.close()


def test_asyncio_streams_and_subprocesses_work_in_handlers(serve):
    app = mr.App()

    @app.lifespan
    async def life(app):
        async def echo(reader, writer):
            writer.write((await reader.readline()).upper())
            writer.close()

        app.state.echo = await asyncio.start_server(echo, "127.0.0.1", 0)
        yield
        app.state.echo.close()

    @app.get("/")
    async def handler(request):
        port = request.app.state.echo.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"hello\n")
        line = await reader.readline()
        writer.close()
        await writer.wait_closed()
        process = await asyncio.create_subprocess_exec(
            "echo", "sub", stdout=asyncio.subprocess.PIPE
        )
        out, _ = await process.communicate()
        return (line + out).decode()

    assert get(serve(app), "/").text == "HELLO\nsub\n"


variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


@pytest.mark.in_process
def test_every_request_has_a_context_of_its_own(serve, pattern):
    app = mr.App()

    @app.get("/plain/{value}")
    def plain(request):
        before = variable.get()
        variable.set(request.path_params["value"])
        return [before, variable.get()]

    @app.get("/coroutine/{value}")
    async def coroutine(request):
        before = variable.get()
        variable.set(request.path_params["value"])
        first = variable.get()
        await asyncio.sleep(0)
        inside = await asyncio.create_task(_read_variable())
        thread = await asyncio.to_thread(variable.get)
        return [before, first, variable.get(), inside, thread]

    with Wire(serve(app, pattern=pattern)) as wire:
        for value in ("a", "b", "c"):
            assert wire.get(f"/plain/{value}").json() == ["unset", value]
            assert wire.get(f"/coroutine/{value}").json() == ["unset", *[value] * 4]


async def _read_variable():
    return variable.get()


def test_a_context_set_in_middleware_reaches_the_handler(serve):
    app = mr.App()

    @app.middleware
    def set_it(request, call_next):
        variable.set("set")
        return call_next(request)

    app.get("/plain")(lambda request: variable.get())

    @app.get("/coroutine")
    async def coroutine(request):
        await asyncio.sleep(0)
        return variable.get()

    server = serve(app)
    assert [get(server, path).text for path in ("/plain", "/coroutine")] == ["set", "set"]


# --- clients that leave ---------------------------------------------------------------------------


class Leaving:
    """A handler that waits for ever, and says what became of it."""

    def __init__(self):
        self.entered, self.cleaned = Signal(), Signal()
        self.seen = []

    async def __call__(self, request):
        self.entered.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.seen.append(request.is_disconnected)
            raise
        finally:
            await asyncio.sleep(0)  # clean-up may wait
            self.cleaned.set()


@pytest.mark.in_process
@pytest.mark.parametrize("way", ["close", "reset", "end of sending"])
def test_a_client_that_leaves_cancels_its_coroutine(serve, pattern, way):
    app, leaving = mr.App(), Leaving()
    app.get("/")(leaving)
    app.get("/ok")(lambda request: "ok")
    server = serve(app, pattern=pattern)
    with Wire(server) as wire:
        wire.send(request("GET", "/"))
        leaving.entered.expect()
        if way == "end of sending":
            wire.finish_sending()
        elif way == "reset":
            wire.reset()
        else:
            wire.socket.close()
        leaving.cleaned.expect("the clean-up")
    assert leaving.seen == [True]
    assert get(server, "/ok").text == "ok"


@pytest.mark.in_process
def test_a_client_that_leaves_in_its_body_is_no_error_however_its_handler_hears(
    serve, pattern, caplog
):
    """Cancelled, or by an error where it reads: which comes first is chance, so this has both."""
    app, seen = mr.App(), []

    @app.post("/")
    async def handler(request):
        try:
            await request.read()
        except asyncio.CancelledError:
            asyncio.current_task().uncancel()
        try:
            await request.read()
        except mr.MillraceError as error:
            seen.append(error)
            raise

    server = serve(app, pattern=pattern)
    wire = Wire(server).send(
        request("POST", "/", {"Content-Length": "9", "Expect": "100-continue"})
    )
    assert wire.read().status == 100
    wire.reset()
    stats = eventually(lambda: (s := server.stats()).total("requests_abandoned") == 1 and s)
    assert len(seen) == 1
    assert stats.total("requests_failed") == 0
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


def test_a_client_that_leaves_is_no_error(serve, caplog):
    app, leaving = mr.App(), Leaving()
    app.get("/")(leaving)
    server = serve(app)
    with caplog.at_level(logging.DEBUG, "millrace"):
        with Wire(server) as wire:
            wire.send(request("GET", "/"))
            leaving.entered.expect()
        leaving.cleaned.expect()
        server.stop()
    assert [r for r in caplog.records if r.levelno >= logging.WARNING] == []


@pytest.mark.in_process
def test_half_close_lets_the_answer_through(serve, pattern):
    app, ended = mr.App(), Signal()

    @app.get("/")
    async def handler(request):
        await asyncio.to_thread(ended.expect)
        return "still here"

    server = serve(app, pattern=pattern, half_close=True)
    with Wire(server) as wire:
        wire.send(request("GET", "/")).finish_sending()
        # The end of sending has surely been seen once the same loop has answered others after it.
        with TicksOf(server, "/tick404") as tick:
            tick()
        ended.set()
        assert wire.read().text == "still here"
        assert wire.is_closed_cleanly()


class TicksOf(Ticks):
    def __init__(self, server, path):
        super().__init__(server)
        self.path = path

    def tick(self):
        for _ in range(20):
            self.wire.get(self.path)


def test_half_close_still_hears_a_reset(serve):
    app, leaving = mr.App(), Leaving()
    app.get("/")(leaving)
    server = serve(app, half_close=True)
    wire = Wire(server)
    wire.send(request("GET", "/"))
    leaving.entered.expect()
    wire.reset()
    leaving.cleaned.expect("the clean-up")


def test_a_client_that_leaves_cancels_through_middleware(serve):
    """Plain middleware sits on a thread, which cannot be cancelled; what it waits for can."""
    app, leaving = mr.App(), Leaving()

    @app.middleware
    def outer(request, call_next):
        return call_next(request)

    app.get("/")(leaving)
    with Wire(serve(app)) as wire:
        wire.send(request("GET", "/"))
        leaving.entered.expect()
    leaving.cleaned.expect("the clean-up")


def test_a_client_that_leaves_in_its_body_ends_the_stream_with_an_error(serve):
    app, entered, heard = mr.App(), Signal(), Signal()
    raised = []

    @app.post("/")
    async def handler(request):
        try:
            async for _ in request.stream():
                entered.set()
        except BaseException as error:
            raised.append(error)
            raise
        finally:
            heard.set()

    with Wire(serve(app)) as wire:
        wire.send(request("POST", "/", {"Content-Length": "100"}), b"some")
        entered.expect()
    heard.expect()
    assert isinstance(raised[0], asyncio.CancelledError | mr.MillraceError)


def test_a_stubborn_handler_that_swallows_its_cancellation_does_no_harm(serve):
    app, entered, swallowed = mr.App(), Signal(), Signal()

    @app.get("/")
    async def handler(request):
        entered.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            swallowed.set()
        return "nobody hears this"

    app.get("/ok")(lambda request: "ok")
    server = serve(app)
    with Wire(server) as wire:
        wire.send(request("GET", "/"))
        entered.expect()
    swallowed.expect()
    assert get(server, "/ok").text == "ok"
