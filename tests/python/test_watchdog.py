"""A handler that keeps its thread is named, once, with the line it stands at."""

from __future__ import annotations

import asyncio
import logging
import time

import millrace as mr
import pytest

from tests.python.wire import Wire, eventually, request

pytestmark = pytest.mark.in_process

STUCK = mr.Limits(handler_stuck="100ms")


@pytest.fixture
def lines(caplog):
    caplog.set_level(logging.WARNING, logger="millrace.error")

    def matching(text):
        return [r.getMessage() for r in caplog.records if text in r.getMessage()]

    return matching


def stuck(server):
    return server.stats().total("handlers_stuck")


def test_a_handler_that_sleeps_is_named_with_its_stack_once(serve, lines, pattern):
    app = mr.App()

    @app.get("/sleeps/{number}")
    def sleeps(request):
        while not lines("has kept thread"):
            time.sleep(0.01)
        time.sleep(0.3)  # no second line comes for the same call
        return "at last"

    server = serve(app, pattern=pattern, limits=STUCK)
    with Wire(server) as wire:
        assert wire.get("/sleeps/1?secret=2").text == "at last"
    (line,) = lines("has kept thread")
    assert "the handler of /sleeps/{number}" in line
    assert "GET /sleeps/1;" in line
    assert "secret" not in line
    assert "in sleeps\n    time.sleep(0.01)" in line
    assert stuck(server) == 1


def test_a_handler_that_computes_is_named_too(serve, lines, pattern):
    app = mr.App()

    @app.get("/computes")
    def computes(request):
        while not lines("has kept thread"):
            sum(range(1000))
        return "done"

    server = serve(app, pattern=pattern, limits=STUCK)
    with Wire(server) as wire:
        assert wire.get("/computes").text == "done"
    (line,) = lines("has kept thread")
    assert "in computes" in line


@pytest.mark.parametrize("step", ["first", "later"])
def test_a_coroutine_that_blocks_its_loop_is_named(serve, lines, pattern, step):
    app = mr.App()

    @app.get("/blocks")
    async def blocks(request):
        if step == "later":
            await asyncio.sleep(0.001)
        while not lines("has kept thread"):
            time.sleep(0.01)
        return "done"

    server = serve(app, pattern=pattern, limits=STUCK)
    with Wire(server) as wire:
        assert wire.get("/blocks").text == "done"
    (line,) = lines("has kept thread")
    assert "the handler of /blocks" in line
    assert "in blocks" in line


def test_a_coroutine_that_awaits_keeps_no_thread(serve, lines, pattern):
    app = mr.App()

    @app.get("/waits")
    async def waits(request):
        await asyncio.sleep(0.5)
        return "done"

    server = serve(app, pattern=pattern, limits=STUCK)
    with Wire(server) as wire:
        assert wire.get("/waits").text == "done"
    assert stuck(server) == 0
    assert not lines("has kept thread")


def test_a_generator_is_named_for_the_piece_that_it_keeps_its_client_waiting_for(serve, lines):
    app = mr.App()

    @app.get("/streams")
    def streams(request):
        yield "one"
        while not lines("has kept thread"):
            time.sleep(0.01)
        yield "two"

    server = serve(app, limits=STUCK)
    with Wire(server) as wire:
        assert wire.get("/streams").text == "onetwo"
    (line,) = lines("has kept thread")
    assert "in streams" in line


def test_two_calls_are_two_lines(serve, lines):
    app = mr.App()

    @app.get("/{number:int}")
    def sleeps(request):
        while len(lines("has kept thread")) < request.path_params["number"]:
            time.sleep(0.01)
        return "done"

    server = serve(app, limits=STUCK)
    with Wire(server) as wire:
        wire.get("/1")
        wire.get("/2")
    assert stuck(server) == len(lines("has kept thread")) == 2


def test_nobody_watches_where_it_is_off(serve, lines):
    app = mr.App()

    @app.get("/")
    def sleeps(request):
        time.sleep(0.3)
        return "done"

    server = serve(app, limits=mr.Limits(handler_stuck=0))
    with Wire(server) as wire:
        assert wire.get("/").text == "done"
    assert stuck(server) == 0


def test_what_workers_notice_is_counted_here(serve):
    app = mr.App()

    @app.get("/")
    def sleeps(request):
        time.sleep(0.5)
        return "done"

    server = serve(app, pattern=mr.patterns.multi_process(1), limits=STUCK)
    with Wire(server) as wire:
        wire.send(request("GET", "/"))
        assert wire.read().text == "done"
    eventually(lambda: stuck(server) == 1)
