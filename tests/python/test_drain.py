"""What a stop says: which requests it waits for, which it waited for, and which it cut off."""

from __future__ import annotations

import asyncio
import logging
import re
import socket
import threading

import millrace as mr
import pytest
from millrace.drain import MOST_NAMED, Drain

from tests.python.wire import Signal, Wire, eventually, request


@pytest.fixture
def said(caplog):
    caplog.set_level(logging.INFO, logger="millrace.error")
    return lambda: [r.message for r in caplog.records if r.message.startswith("stopping: ")]


@pytest.fixture
def gates():
    """An app whose requests end when their gate is opened, and those that never do."""
    app = mr.App()
    app.open = Signal()

    @app.get("/gate/{n}")
    async def gate(request):
        while not app.open.is_set():
            await asyncio.sleep(0.005)
        return "through"

    @app.get("/forever")
    async def forever(request):
        await asyncio.Event().wait()

    return app


def ask(server, path):
    wire = Wire(server)
    wire.send(request("GET", path))
    return wire


def in_flight(server):
    return server._core.stats()["in_flight"]


@pytest.mark.in_process
def test_an_idle_server_stops_without_a_word(gates, pattern, said):
    with mr.Server(gates, pattern=pattern):
        pass
    assert said() == []


@pytest.mark.in_process
def test_a_stop_names_what_it_waits_for_and_what_it_waited_for(gates, pattern, said):
    server = mr.Server(gates, pattern=pattern, drain="20s").start()
    wires = [ask(server, "/gate/1"), ask(server, "/gate/2?secret=1")]
    eventually(lambda: in_flight(server) == 2)
    stop = threading.Thread(target=server.stop)
    stop.start()
    eventually(said)
    gates.open.set()
    assert [wire.read().text for wire in wires] == ["through", "through"]
    stop.join()
    before, after = said()
    assert before.startswith("stopping: 2 requests under way, up to 20 s to finish: ")
    assert re.match(r"stopping: waited [\d.]+ s for 2 requests: ", after)
    for line in (before, after):
        named = re.findall(r"GET (\S+) \(\d+\.\d s\)", line)
        assert sorted(named) == ["/gate/1", "/gate/2"]  # no query: it may hold what nobody logs


@pytest.mark.in_process
def test_a_stop_names_what_it_cut_off(gates, pattern, said):
    server = mr.Server(gates, pattern=pattern, drain="200ms").start()
    wire = ask(server, "/forever")
    eventually(lambda: in_flight(server) == 1)
    server.stop()
    wire.socket.close()
    assert re.match(r"stopping: cut off after 0\.\d+ s: 1 request: GET /forever \(", said()[-1])


@pytest.mark.parametrize("more", [0, 1])
def test_names_are_limited_and_the_rest_is_counted(gates, said, more):
    server = mr.Server(gates, drain=0).start()
    wires = [ask(server, "/forever") for _ in range(MOST_NAMED + more)]
    eventually(lambda: in_flight(server) == MOST_NAMED + more)
    server.stop()
    for wire in wires:
        wire.socket.close()
    for line in said():
        assert line.count("GET /forever") == MOST_NAMED
        assert line.endswith(" and 1 more" if more else "s)")


def test_a_stop_says_that_a_handler_blocks_its_loop(said):
    app, entered, leave = mr.App(), Signal(), Signal()

    @app.get("/")
    def block(request):
        entered.set()
        leave.expect()
        return "done"

    server = mr.Server(app).start()
    wire = ask(server, "/")
    entered.expect()
    stop = threading.Thread(target=server.stop)
    stop.start()
    eventually(said)
    assert said()[0] == "stopping: something blocks 1 loop"
    leave.set()
    assert wire.read().text == "done"
    stop.join()


def test_a_stop_that_cannot_be_told_is_a_stop(gates, monkeypatch):
    def fail(self):
        raise RuntimeError("nothing can be told")

    monkeypatch.setattr(Drain, "announce", fail)
    server = mr.Server(gates).start()
    port = server.port
    with pytest.raises(RuntimeError, match="nothing can be told"):
        server.stop()
    assert not server.is_running
    with socket.socket() as client:
        assert client.connect_ex(("127.0.0.1", port)) != 0
