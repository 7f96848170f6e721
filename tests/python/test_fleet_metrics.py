"""One scrape of any worker shows what all of them counted."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading

import millrace as mr
import pytest
from millrace.metrics import MEDIA_TYPE
from millrace.supervisor.channel import MOST_UNSENT, Channel
from millrace.supervisor.fleet_metrics import FleetMetrics
from prometheus_client.parser import text_string_to_metric_families

from tests.python.test_processes import is_stopped
from tests.python.wire import PATIENCE_S, Wire, eventually, request

HTTP_COUNT, REQUESTS = "http_server_request_duration_seconds_count", "millrace_requests_total"


@pytest.fixture
def app() -> mr.App:
    app = mr.App()
    app.metrics("/metrics")
    app.get("/pid")(lambda request: str(os.getpid()))
    app.middleware(lambda request, call_next: call_next(request))  # which metrics do not pass
    return app


def wires_to(server, *pids):
    """Return a connection to each of these processes, and how many requests that took."""
    found, asked = {}, 0
    while set(found) < set(pids):
        wire = Wire(server)
        pid, asked = int(wire.get("/pid").text), asked + 1
        if pid in pids and pid not in found:
            found[pid] = wire
        else:
            wire.socket.close()
    return [found[pid] for pid in pids], asked


def scrape(wire):
    answer = wire.get("/metrics")
    assert (answer.status, answer.header("content-type")) == (200, MEDIA_TYPE)
    samples = {}
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            key = (sample.name, *sorted(sample.labels.items()))
            assert key not in samples
            samples[key] = sample.value
    return samples


def asked_for_pid(samples):
    return sum(
        value
        for (name, *labels), value in samples.items()
        if name == HTTP_COUNT and ("http_route", "/pid") in labels
    )


def counters(samples):
    ends = ("_total", "_count", "_sum", "_bucket")
    return {key: value for key, value in samples.items() if key[0].endswith(ends)}


def pids(server):
    return [row.pid for row in server.workers()]


def test_every_scrape_shows_the_total_whichever_worker_it_meets(serve, app):
    server = serve(app, pattern=mr.patterns.multi_process(2))
    wires, asked = wires_to(server, *pids(server))
    for wire, more in zip(wires, (7, 4), strict=True):
        for _ in range(more):
            wire.get("/pid")
    eventually(lambda: asked_for_pid(scrape(wires[0])) == asked + 11)
    for wire in [*wires, *reversed(wires)] * 2:
        samples = scrape(wire)
        assert asked_for_pid(samples) == asked + 11
        assert samples["http_server_active_requests", ("url_scheme", "http")] == 1
        requests = [value for (name, *_), value in samples.items() if name == REQUESTS]
        assert sum(requests) > asked + 11  # earlier scrapes as well
        assert len(requests) == len(server.stats().loops) / 2  # the first loops of both are one


def test_what_bodies_hold_is_added_up_over_all_workers(serve, app):
    app.post("/size")(lambda request: str(len(request.body)))
    pattern, limits = mr.patterns.multi_process(2), mr.Limits(max_in_flight=5)
    server = serve(app, pattern=pattern, limits=limits)
    wires, _ = wires_to(server, *pids(server))
    head = request("POST", "/size", {"Content-Length": "1000"})
    for wire, size in zip(wires, (300, 400), strict=True):
        wire.send(head, bytes(size))
    with Wire(server) as looking:
        eventually(lambda: scrape(looking)["millrace_body_bytes_held",] == 700)
        seen = scrape(looking)
        assert seen["millrace_requests_at_once",] == 10
        assert seen["millrace_requests_waiting",] == seen["millrace_bodies_waiting",] == 0
        for wire, left in zip(wires, (700, 600), strict=True):
            assert wire.send(bytes(left)).read().text == "1000"
            wire.socket.close()
        eventually(lambda: scrape(looking)["millrace_body_bytes_held",] == 0)


def test_no_counter_goes_down_when_a_worker_is_replaced(serve, app):
    server = serve(app, pattern=mr.patterns.multi_process(2))
    old, stays = pids(server)
    wires, asked = wires_to(server, old, stays)
    eventually(lambda: asked_for_pid(scrape(wires[1])) == asked)
    before = counters(scrape(wires[1]))
    os.kill(old, signal.SIGKILL)
    eventually(lambda: old not in (now := pids(server)) and len(now) == 2)
    (new,) = set(pids(server)) - {stays}
    eventually(lambda: [row.state for row in server.workers()] == ["serving"] * 2)
    (wire,), more = wires_to(server, new)
    eventually(lambda: asked_for_pid(scrape(wires[1])) == asked + more)
    for one in [wire, wires[1]] * 2:
        samples = scrape(one)
        assert asked_for_pid(samples) == asked + more
        after = counters(samples)
        assert {key for key, value in before.items() if after[key] < value} == set()
        before = after


def test_many_scrapes_at_once_are_all_answered(serve, app):
    server = serve(app, pattern=mr.patterns.multi_process(2))
    wires = [Wire(server) for _ in range(20)]
    for wire in wires:
        wire.send(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")
    assert [wire.read().status for wire in wires] == [200] * 20


def test_a_silent_worker_counts_with_its_last_report(serve, app):
    server = serve(app, pattern=mr.patterns.multi_process(2))
    silent, other = pids(server)
    wires, asked = wires_to(server, silent, other)
    eventually(lambda: asked_for_pid(scrape(wires[1])) == asked)
    os.kill(silent, signal.SIGSTOP)
    try:
        eventually(lambda: is_stopped(silent))
        assert asked_for_pid(scrape(wires[1])) == asked
    finally:
        os.kill(silent, signal.SIGCONT)


def test_a_supervisor_that_is_silent_is_503_and_harms_nothing(serve, app, caplog):
    server = serve(app, pattern=mr.patterns.multi_process(1))
    leave = threading.Event()
    blocking = threading.Thread(target=server._core._do, args=[lambda: leave.wait(PATIENCE_S)])
    blocking.start()
    with Wire(server) as wire, Wire(server) as other:
        wire.send(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")
        assert other.get("/pid").status == 200  # the loop serves on meanwhile
        answer = wire.read()
        assert (answer.status, answer.text) == (
            503, "the metrics of all were not added up within 5 s: ask again later\n"
        )  # fmt: skip
        leave.set()
        blocking.join(PATIENCE_S)
        assert wire.get("/metrics").status == 200
    eventually(lambda: "were not added up within 5 s" in caplog.text)


def test_a_question_that_is_on_its_way_answers_nobody_who_came_later():
    questions = []
    fleet = FleetMetrics(ask=lambda: questions.append(len(questions)))

    async def scrapes():
        first = asyncio.ensure_future(fleet.answer(None))
        await asyncio.sleep(0)
        later = [asyncio.ensure_future(fleet.answer(None)) for _ in range(3)]
        await asyncio.sleep(0)
        assert questions == [0]
        fleet.tell("old")
        assert (await first).body == "old"
        assert questions == [0, 1]
        assert not any(one.done() for one in later)
        later[0].cancel()  # its client left
        await asyncio.sleep(0)
        fleet.tell("new")
        assert [(await one).body for one in later[1:]] == ["new"] * 2
        assert questions == [0, 1]

    asyncio.run(scrapes())


def test_an_end_that_takes_nothing_gets_whole_messages_up_to_a_limit():
    ours, theirs = socket.socketpair()
    with theirs:
        ours.setblocking(False)
        sender, receiver = Channel(ours), Channel(theirs)
        sent, message = 0, {"text": "x" * 100_000}
        while sender.send(message):
            sent += 1
        assert len(sender._unsent) >= MOST_UNSENT
        received = []
        while len(received) < sent:
            received += receiver.receive()
            sender.flush()
        assert received == [message] * sent
        assert not sender.has_unsent
        assert sender.send({"still": "whole"})
        assert receiver.receive() == [{"still": "whole"}]
        theirs.close()
        assert not sender.send(message)
        sender.close()
