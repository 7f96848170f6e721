"""Connections, accept queues and sockets of servers that many processes or interpreters make up."""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys
from contextlib import ExitStack
from pathlib import Path

import millrace as mr
import pytest
from millrace.supervisor.log_lines import Forwarder
from millrace.supervisor.questions import Question, Questions
from millrace.supervisor.worker import Worker

from tests.python.test_processes import is_stopped, pids
from tests.python.wire import PATIENCE_S, Wire, eventually, request

multi_process = mr.patterns.multi_process

needs_interpreters = pytest.mark.skipif(
    sys.version_info < (3, 13), reason="interpreters with a GIL of their own need CPython 3.13"
)

APP = """
import ctypes, os, threading, time
import millrace as mr

app = mr.App()
app.metrics("/metrics")

@app.get("/who")
def who(request):
    return f"{{os.getpid()}} {{threading.get_native_id()}}"

@app.get("/block")
def block(request):
    open("{folder}/blocks", "w").close()
    while not os.path.exists("{folder}/go"):
        time.sleep(0.01)
    return "done"

@app.get("/hold")
def hold(request):
    "Keeps the interpreter's lock: PyDLL gives it up for no call."
    open("{folder}/holds", "w").close()
    fifo = os.open("{folder}/fifo", os.O_RDONLY)
    ctypes.PyDLL(None).read(fifo, ctypes.create_string_buffer(1), 1)
    os.close(fifo)
    return "done"
"""


@pytest.fixture
def app(tmp_path, monkeypatch, request):
    """The app, in a module of its own name: other interpreters import it."""
    name = f"tables_{abs(hash(request.node.name))}"
    (tmp_path / f"{name}.py").write_text(APP.format(folder=tmp_path))
    os.mkfifo(tmp_path / "fifo")
    monkeypatch.syspath_prepend(str(tmp_path))
    return __import__(name).app


def wires_to_each(stack, server, count=2):
    """Connect until so many answer, by process and thread: how often each connection asked."""
    owned = {}

    def connect():
        wire = stack.enter_context(Wire(server))
        owned.setdefault(tuple(map(int, wire.get("/who").text.split())), []).append(wire)
        return len(owned) == count

    eventually(connect)
    return owned


def name_of(wire):
    return "{}:{}".format(*wire.socket.getsockname())


def questions_kept():
    gc.collect()
    return sum(isinstance(one, Question) for one in gc.get_objects())


# --- connections ----------------------------------------------------------------------------------


@pytest.mark.parametrize("listener", ["shared", "reuseport"])
def test_the_connections_of_all_processes_are_listed_with_their_process(serve, app, listener):
    server = serve(app, pattern=multi_process(2, listener=listener))
    with ExitStack() as stack:
        owned = wires_to_each(stack, server)
        for wire in (first := next(iter(owned.values()))):
            assert wire.get("/who").status == 200
        expected = {
            name_of(wire): (pid, 2 if wires is first else 1)
            for (pid, _), wires in owned.items()
            for wire in wires
        }
        found = server.connections()
        assert {one.peer: (one.pid, one.requests) for one in found} == expected
        assert {one.pid for one in found} == set(pids(server))
        assert {one.state for one in found} == {"idle"}
        assert {one.tcp_info.state for one in found} == {"ESTABLISHED"}
        assert {one.interpreter for one in found} == {None}
        assert len({one.id for one in found}) == len(found)
        assert (found.silent, found.silent_loops) == ((), 0)
        assert str(next(iter(owned))[0]) in repr(found)
        (one,) = [one for one in server.connections(most=1) if one.pid == found[0].pid]
        assert one in found or one.peer in expected
    eventually(lambda: len(server.connections()) == 0)
    server.stop()
    assert len(server.connections()) == 0


def test_a_process_that_does_not_answer_is_named(serve, app):
    server = serve(app, pattern=multi_process(2))
    with ExitStack() as stack:
        owned = wires_to_each(stack, server)
        silent, other = server.workers()
        os.kill(silent.pid, signal.SIGSTOP)
        try:
            eventually(lambda: is_stopped(silent.pid))
            found = server.connections(timeout="50ms")
            assert server.blocked_loops("50ms") == 1
            kept = questions_kept()
            server.stats()
            assert questions_kept() <= kept  # none is left of those that got no answer
        finally:
            os.kill(silent.pid, signal.SIGCONT)
        assert found.silent == (f"worker 1 (pid {silent.pid})",)
        assert f"missing here: worker 1 (pid {silent.pid})." in repr(found)
        (answers,) = [wires for (pid, _), wires in owned.items() if pid == other.pid]
        assert {one.peer for one in found} == set(map(name_of, answers))
        every = [wire for wires in owned.values() for wire in wires]
        assert {one.peer for one in server.connections()} == set(map(name_of, every))
        assert server.blocked_loops() == 0


def test_a_loop_of_a_process_that_a_handler_blocks_is_counted_as_silent(serve, app, tmp_path):
    server = serve(app, pattern=multi_process(2))
    with Wire(server) as wire:
        wire.send(request("GET", "/block"))
        eventually((tmp_path / "blocks").exists)
        found = server.connections(timeout="10ms")
        assert (len(found), found.silent_loops, found.silent) == (0, 1, ())
        assert server.blocked_loops("200ms") == 1
        (tmp_path / "go").touch()
        assert wire.read().text == "done"
        assert server.blocked_loops() == 0
        assert [one.peer for one in server.connections()] == [name_of(wire)]


@needs_interpreters
def test_the_connections_of_all_interpreters_are_listed_with_their_interpreter(serve, app):
    server = serve(app, pattern=mr.patterns.subinterpreters(2))
    with ExitStack() as stack:
        owned = wires_to_each(stack, server)
        found = {one.peer: one for one in server.connections()}
        assert {one.pid for one in found.values()} == {os.getpid()}
        numbers = [
            {found.pop(name_of(wire)).interpreter for wire in wires} for wires in owned.values()
        ]
        assert sorted(numbers, key=min) == [{1}, {2}]
        assert found == {}
        assert "interpreter" in repr(server.connections())


@needs_interpreters
def test_a_loop_of_an_interpreter_that_a_handler_blocks_is_counted(serve, app, tmp_path):
    server = serve(app, pattern=mr.patterns.subinterpreters(2))
    with Wire(server) as wire:
        wire.send(request("GET", "/block"))
        eventually((tmp_path / "blocks").exists)
        assert server.blocked_loops("600ms") == 1
        (tmp_path / "go").touch()
        assert wire.read().text == "done"
        assert server.blocked_loops() == 0


@needs_interpreters
def test_an_interpreter_that_does_not_answer_is_named(serve, app, tmp_path):
    server = serve(app, pattern=mr.patterns.subinterpreters(2))
    with ExitStack() as stack:
        owned = wires_to_each(stack, server)
        held, free = (wires[0] for wires in owned.values())
        (number,) = (c.interpreter for c in server.connections() if c.peer == name_of(held))
        held.send(request("GET", "/hold"))
        eventually((tmp_path / "holds").exists)
        writer = os.open(tmp_path / "fifo", os.O_WRONLY)  # returns once the handler has opened it
        try:
            found = server.connections(timeout="50ms")
            assert found.silent == (f"interpreter {number}",)
            assert server.blocked_loops("50ms") == 1
            assert name_of(free) in {one.peer for one in found}
            assert name_of(held) not in {one.peer for one in found}
            # Its last report counts, and nobody waits for it for ever.
            assert server.stats().total("requests") >= len(owned)
        finally:
            os.write(writer, b"x")
            os.close(writer)
        assert held.read().text == "done"
        eventually(lambda: server.connections().silent == ())


class Ear:
    """A channel to a worker; one that hangs takes no words any more."""

    def __init__(self, *, takes: bool) -> None:
        self.takes, self.heard = takes, []

    def send(self, message):
        self.heard.append(message)
        return self.takes


def test_a_question_is_over_when_all_who_could_be_asked_have_spoken_or_are_gone():
    questions = Questions()
    ears = [Ear(takes=True), Ear(takes=True), Ear(takes=False)]
    workers = [(at, f"worker {at}", ear) for at, ear in enumerate(ears)]
    question = questions.ask(workers, {"ask": "connections", "most": 7})
    number = ears[0].heard[0]["number"]
    assert ears[1].heard == [{"ask": "connections", "most": 7, "number": number}]
    assert question.silent() == ["worker 0", "worker 1", "worker 2"]
    questions.answer(number, 1, "told")
    assert not question.answered.done()
    questions.forget(0)  # gone, and so is what it could have told
    assert question.answered.done()
    assert (question.told(), question.silent()) == ({"worker 1": "told"}, ["worker 2"])
    questions.answer(number, 2, "late")  # nobody waits for it
    assert question.silent() == ["worker 2"]
    assert questions.ask([], {}).answered.done()
    questions.drop(question)  # as who gave up just then does


def test_a_worker_that_fails_to_answer_says_so():
    ear = Ear(takes=True)
    worker = Worker(ear, Forwarder())
    worker._server = object()  # one that knows no answer
    worker._try({"ask": "reset_journey", "number": 7})
    assert ear.heard == [{"answer": 7, "told": None}]


# --- accept queues --------------------------------------------------------------------------------


@pytest.mark.parametrize(("listener", "queues"), [("shared", 1), ("reuseport", 2)])
def test_each_listening_socket_has_one_accept_queue(serve, app, listener, queues):
    server = serve(app, pattern=multi_process(2, listener=listener), backlog=77)
    found = server.accept_queues()
    address = f"127.0.0.1:{server.port}"
    assert [(one.address, one.depth, one.limit) for one in found] == [(address, 0, 77)] * queues
    assert found.overflows is not None
    for pid in pids(server):
        os.kill(pid, signal.SIGSTOP)
    eventually(lambda: all(map(is_stopped, pids(server))))  # nobody accepts
    with ExitStack() as stack:
        wires = [stack.enter_context(Wire(server)) for _ in range(20)]
        depths = [one.depth for one in server.accept_queues()]
        assert (len(depths), sum(depths)) == (queues, 20)
        for pid in pids(server):
            os.kill(pid, signal.SIGCONT)
        assert all(wire.get("/who").status == 200 for wire in wires)
    server.stop()
    assert len(server.accept_queues()) == 0


def test_addresses_of_several_kinds_have_a_queue_each(serve, app, tmp_path):
    path = tmp_path / "socket"
    server = serve(app, bind=["127.0.0.1:0", f"unix:{path}"], pattern=multi_process(2))
    addresses = [f"127.0.0.1:{server.port}", f"unix:{path}"]
    assert [one.address for one in server.accept_queues()] == addresses


@needs_interpreters
def test_interpreters_share_one_accept_queue(serve, app):
    server = serve(app, pattern=mr.patterns.subinterpreters(2), backlog=77)
    (queue,) = server.accept_queues()
    assert (queue.depth, queue.limit) == (0, 77)
    server.stop()
    assert len(server.accept_queues()) == 0


# --- sockets --------------------------------------------------------------------------------------

EVERYWHERE = [
    multi_process(2),
    multi_process(2, listener="reuseport"),  # the two sockets of an address agree: one row
    pytest.param("subinterpreters", marks=needs_interpreters),
]


@pytest.mark.parametrize("pattern", EVERYWHERE, ids=str)
def test_the_report_is_that_of_the_sockets_which_were_opened(serve, app, pattern):
    if pattern == "subinterpreters":
        pattern = mr.patterns.subinterpreters(2)
    options = mr.SocketOptions(defer_accept="5s", backlog=33)
    server = serve(app, pattern=pattern, socket_options=options)
    for _ in range(2):  # as it was, once it has stopped
        rows = [row for row in server.socket_report() if row.name == "defer_accept"]
        assert [(row.asked, row.effective, row.verdict) for row in rows] == [(5, 7, "changed")]
        assert server.socket_report()["backlog"].effective == 33
        server.stop()


def test_a_socket_that_was_handed_over_is_reported_and_its_path_stays(serve, app, tmp_path):
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        server = serve(app, bind=f"fd://{listening.fileno()}", pattern=multi_process(1))
        assert [one.address for one in server.accept_queues()] == [f"unix:{path}"]
        assert server.socket_report()["backlog"].verdict == "kernel_default"
        server.stop()
        assert Path(path).is_socket()  # not ours to remove


# --- the metrics route of interpreters ------------------------------------------------------------


@needs_interpreters
def test_every_scrape_shows_the_total_whichever_interpreter_it_meets(serve, app):
    from tests.python.test_fleet_metrics import scrape

    def asked(samples):
        name = "http_server_request_duration_seconds_count"
        labels = ("http_route", "/who")
        return sum(n for (what, *rest), n in samples.items() if what == name and labels in rest)

    server = serve(app, pattern=mr.patterns.subinterpreters(2))
    with ExitStack() as stack:
        owned = wires_to_each(stack, server)
        wires = [wires[0] for wires in owned.values()]
        total = sum(map(len, owned.values()))
        for wire, more in zip(wires, (5, 2), strict=True):
            for _ in range(more):
                wire.get("/who")
        eventually(lambda: asked(scrape(wires[0])) == total + 7)
        for wire in wires * 3:
            samples = scrape(wire)
            assert asked(samples) == total + 7
            # Of the process, which is one, and not of each interpreter.
            descriptors = len(list(Path("/proc/self/fd").iterdir()))
            assert abs(samples[("process_open_fds",)] - descriptors) < descriptors / 2
    assert server.metrics()["process_start_time_seconds"].samples


@needs_interpreters
def test_metrics_are_answered_while_an_interpreter_holds_its_lock(serve, app, tmp_path):
    from tests.python.test_fleet_metrics import scrape

    server = serve(app, pattern=mr.patterns.subinterpreters(2))
    with ExitStack() as stack:
        held, free = (wires[0] for wires in wires_to_each(stack, server).values())
        free.socket.settimeout(PATIENCE_S)
        held.send(request("GET", "/hold"))
        eventually((tmp_path / "holds").exists)
        writer = os.open(tmp_path / "fifo", os.O_WRONLY)
        try:
            assert scrape(free)
        finally:
            os.write(writer, b"x")
            os.close(writer)
        assert held.read().text == "done"
        assert scrape(held)
