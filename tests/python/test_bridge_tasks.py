"""A handler's task is made only when somebody needs it; nobody may be able to tell."""

import asyncio
import contextvars
import gc
import weakref

import millrace as mr
import pytest

from tests.python.wire import Signal, Wire, eventually, get, request


@pytest.fixture
def ask(serve, pattern):
    """Serve one coroutine function under every pattern and return the text of its answer."""

    def ask(handler):
        app = mr.App()
        app.get("/")(handler)
        answer = get(serve(app, pattern=pattern), "/")
        assert answer.status == 200, answer.text
        return answer.text

    return ask


@pytest.mark.parametrize(
    "look",
    [
        lambda task: task.get_coro(),
        lambda task: task.get_name(),
        lambda task: task.get_stack(),
        lambda task: task.done(),
        lambda task: task.cancelled(),
        lambda task: task.cancelling(),
        lambda task: task.get_loop(),
        lambda task: task._coro,
        lambda task: repr(task),
        lambda task: hash(task),
        lambda task: task.set_name("mine"),
        lambda task: task.add_done_callback(lambda task: None),
        lambda task: task.remove_done_callback(print),
        lambda task: setattr(task, "anything", 1),
    ],
    ids=range(14),
)
@pytest.mark.parametrize("waits", [False, True])
@pytest.mark.sanitize
def test_the_task_can_be_looked_at_before_it_first_waits(ask, look, waits):
    async def handler(request):
        look(asyncio.current_task())
        if waits:
            await asyncio.sleep(0.001)
        look(asyncio.current_task())
        return "done"

    assert ask(handler) == "done"


@pytest.mark.in_process
def test_callbacks_of_a_task_that_never_waited_are_called(ask):
    called = Signal()

    async def handler(request):
        asyncio.current_task().add_done_callback(lambda task: called.set())
        return "done"

    assert ask(handler) == "done"
    called.expect("the callback")


@pytest.mark.in_process
@pytest.mark.parametrize("waits", [False, True])
@pytest.mark.sanitize
def test_a_task_that_was_kept_is_done_afterwards(ask, waits):
    kept = []

    async def handler(request):
        kept.append(asyncio.current_task())
        if waits:
            await asyncio.sleep(0)
        return "done"

    assert ask(handler) == "done"
    eventually(kept[0].done)
    assert not kept[0].cancelled()
    assert kept[0].exception() is None
    assert "finished" in repr(kept[0])


def test_tasks_of_requests_that_never_waited_are_not_each_other(serve):
    app, states = mr.App(), weakref.WeakKeyDictionary()

    @app.get("/")
    async def handler(request):
        task = asyncio.current_task()
        seen = states.setdefault(task, [])
        seen.append(request.path)
        return str(len(seen))

    with Wire(serve(app)) as wire:
        assert [wire.get("/").text for _ in range(20)] == ["1"] * 20


def test_cancelling_before_the_first_wait_reaches_it(ask):
    async def handler(request):
        task = asyncio.current_task()
        task.cancel("early")
        try:
            await asyncio.sleep(5)
        except asyncio.CancelledError as error:
            return f"{error.args} {task.uncancel()}"
        return "lost"

    assert ask(handler) == "('early',) 0"


def test_two_cancellations_before_the_first_wait_are_counted(ask):
    async def handler(request):
        task = asyncio.current_task()
        task.cancel()
        task.cancel()
        try:
            await asyncio.sleep(5)
        except asyncio.CancelledError:
            return str(task.cancelling())

    assert ask(handler) == "2"


def test_a_timeout_of_nothing_ends_the_first_wait(ask):
    async def handler(request):
        try:
            async with asyncio.timeout(0):
                await asyncio.sleep(5)
        except TimeoutError:
            return "timed out"

    assert ask(handler) == "timed out"


def test_the_task_is_among_all_tasks_once_it_has_waited(ask):
    async def handler(request):
        await asyncio.sleep(0)
        task = asyncio.current_task()
        return str(task in asyncio.all_tasks())

    assert ask(handler) == "True"


def test_children_start_before_their_parent_first_waits(ask):
    async def child(number):
        await asyncio.sleep(0)
        return number

    async def handler(request):
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(child(i)) for i in range(3)]
        return str([task.result() for task in tasks] + await asyncio.gather(child(3), child(4)))

    assert ask(handler) == "[0, 1, 2, 3, 4]"


@pytest.mark.in_process
def test_a_context_variable_lasts_over_the_first_wait_and_no_longer(ask):
    variable = contextvars.ContextVar("variable", default="unset")

    async def handler(request):
        before = variable.get()
        variable.set("set")
        await asyncio.sleep(0)
        return f"{before} {variable.get()} {await asyncio.create_task(child())}"

    async def child():
        return variable.get()

    assert ask(handler) == "unset set set"
    assert variable.get() == "unset"


def test_a_future_that_is_done_when_the_task_gets_it_does_not_block(ask):
    async def handler(request):
        future = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(future.set_result, "set")
        return await future

    assert ask(handler) == "set"


@pytest.mark.in_process
@pytest.mark.parametrize("gathers", [False, True])
def test_a_client_that_leaves_at_once_cancels_what_is_waited_for(serve, pattern, gathers):
    app, entered, cancelled = mr.App(), Signal(), Signal()

    async def wait():
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    @app.get("/")
    async def handler(request):
        entered.set()
        if gathers:
            await asyncio.gather(wait(), wait())
        else:
            await wait()

    with Wire(serve(app, pattern=pattern)) as wire:
        wire.send(request("GET", "/"))
        entered.expect("the request")
    cancelled.expect("the cancellation")


def test_anything_awaitable_will_do(ask):
    class Later:
        def __await__(self):
            yield from asyncio.sleep(0).__await__()
            return "later"

    class Handler:
        async def __call__(self, request):
            return await Later()

    assert ask(Handler()) == "later"


@pytest.mark.in_process
@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, GeneratorExit])
@pytest.mark.parametrize("waits", [False, True])
def test_what_would_end_a_program_does_not_end_the_server(serve, pattern, error, waits, caplog):
    app = mr.App()

    @app.get("/async")
    async def async_handler(request):
        if waits:
            await asyncio.sleep(0)
        raise error

    @app.get("/plain")
    def plain_handler(request):
        raise error

    server = serve(app, pattern=pattern)
    for path in ("/async", "/plain", "/async"):
        assert get(server, path).status == 500
    assert len([r for r in caplog.records if r.name == "millrace.error"]) == 3


def test_a_coroutine_that_cancels_itself_is_an_error_not_a_departure(serve, caplog):
    app = mr.App()

    @app.get("/")
    async def handler(request):
        await asyncio.sleep(0)
        raise asyncio.CancelledError

    assert get(serve(app), "/").status == 500
    assert len(caplog.records) == 1


@pytest.mark.sanitize
def test_suspended_handlers_survive_the_collector(serve):
    app, waiting = mr.App(), []

    @app.get("/")
    async def handler(request):
        future = asyncio.get_running_loop().create_future()
        waiting.append(weakref.ref(future))
        await future
        return "collected?"

    @app.get("/release")
    async def release(request):
        gc.collect()
        waiting[0]().set_result(None)
        return "released"

    server = serve(app)
    with Wire(server) as wire:
        wire.send(request("GET", "/"))
        eventually(lambda: waiting)
        assert get(server, "/release").text == "released"
        assert wire.read().text == "collected?"


@pytest.mark.in_process
def test_no_object_is_left_by_requests_that_are_over(serve, pattern):
    app = mr.App()

    @app.get("/co")
    async def co(request):
        return {"path": request.path, "query": dict(request.query_params)}

    @app.get("/wait")
    async def wait(request):
        await asyncio.sleep(0)
        return mr.Response("x" * 5000, headers={"a": "b"})

    @app.get("/stream")
    async def stream(request):
        for _ in range(3):
            await asyncio.sleep(0)
            yield b"x" * 5000

    @app.get("/plain")
    def plain(request):
        request.state.self = request
        return iter([b"x" * 5000])

    server = serve(app, pattern=pattern)

    def objects_after(rounds):
        with Wire(server) as wire:
            for _ in range(rounds):
                for path in ("/co?a=b", "/wait", "/stream", "/plain"):
                    assert wire.get(path).status == 200
        gc.collect()
        return len(gc.get_objects())

    before = objects_after(50)
    assert objects_after(200) < before + 100


@pytest.mark.in_process
@pytest.mark.sanitize
@pytest.mark.parametrize("debug", [False, True])
def test_callbacks_run_in_order_with_their_arguments_and_contexts(ask, debug):
    variable = contextvars.ContextVar("variable", default="outside")

    async def handler(request):
        loop, called = asyncio.get_running_loop(), []
        loop.set_debug(debug)

        def note(*arguments):
            called.append((variable.get(), *arguments))

        other = contextvars.copy_context()
        other.run(variable.set, "other")
        variable.set("request's")
        handles = [
            loop.call_soon(note),
            loop.call_soon(note, 1),
            loop.call_soon(note, 2, context=other),
            loop.call_soon(note, 3, 4, 5, context=None),
            loop.call_soon(note, "cancelled"),
        ]
        loop.call_soon_threadsafe(note, "threadsafe")
        loop.call_soon(note, "last")
        handles[-1].cancel()
        assert [handle.cancelled() for handle in handles] == [False] * 4 + [True]
        assert weakref.ref(handles[0])() is handles[0]
        await asyncio.sleep(0.01)
        loop.set_debug(False)
        assert called == [
            ("request's",),
            ("request's", 1),
            ("other", 2),
            ("request's", 3, 4, 5),
            ("request's", "threadsafe"),
            ("request's", "last"),
        ]
        return "done"

    assert ask(handler) == "done"


def test_a_callback_that_raises_is_reported_and_the_loop_goes_on(ask):
    async def handler(request):
        loop, reports = asyncio.get_running_loop(), []
        loop.set_exception_handler(lambda loop, context: reports.append(context))
        loop.call_soon(lambda: 1 / 0)
        await asyncio.sleep(0.001)
        loop.set_exception_handler(None)
        return f"{type(reports[0]['exception']).__name__} {len(reports)}"

    assert ask(handler) == "ZeroDivisionError 1"


@pytest.mark.parametrize("arguments", [(), (print, "x")])
def test_call_soon_refuses_what_the_loop_refuses(ask, arguments):
    async def handler(request):
        try:
            asyncio.get_running_loop().call_soon(*arguments, unknown=1)
        except TypeError:
            return "refused"

    assert ask(handler) == "refused"


def test_a_request_that_begins_in_the_last_step_of_another_leaves_it_its_task(
    serve, pattern, caplog
):
    """Pipelined: the answer to the one lets the other begin, on the same stack."""
    app = mr.App()

    @app.post("/")
    async def count(request):
        return f"{len(await request.read())} {asyncio.current_task() is not None}"

    @app.get("/")
    async def look(request):
        return str(asyncio.current_task() is not None)

    with Wire(serve(app, pattern=pattern)) as wire:
        for _ in range(20):
            post = request("POST", "/", {"Expect": "100-continue"}, b"abc").removesuffix(b"abc")
            wire.send(post)
            assert wire.read().status == 100  # it waits, so it has a real task
            wire.send(b"abc", request("GET", "/"), request("GET", "/"))
            assert [wire.read().text for _ in range(3)] == ["3 True", "True", "True"]
    assert [record for record in caplog.records if record.name == "asyncio"] == []
