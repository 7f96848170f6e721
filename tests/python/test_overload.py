"""More requests than are answered at once: who waits, who starts next, who is turned away."""

from __future__ import annotations

import asyncio

import millrace as mr
import pytest

from tests.python.wire import PATIENCE_S, Gone, Wire, eventually, request

pytestmark = [pytest.mark.sanitize, pytest.mark.in_process]


class Doors:
    """An app whose requests wait until they are let go, and say when they have begun."""

    def __init__(self) -> None:
        self.app = mr.App()
        self.begun: list[str] = []
        self._doors: dict[str, asyncio.Event] = {}
        self.app.respond("/native", "native")
        self.app.lifespan(self._life)

        @self.app.route("/{name}", methods=["GET", "POST"])
        async def wait(request):
            name = request.path_params["name"]
            self.begun.append(name)
            await self._door(name).wait()
            return name + str(len(await request.read()))

    async def _life(self, app):
        yield

    def _door(self, name):
        return self._doors.setdefault(name, asyncio.Event())

    def open(self, *names):
        async def opened():
            for name in names:
                self._door(name).set()

        self.app.spawn(opened()).result(PATIENCE_S)

    def expect(self, *names):
        """Wait until just these have begun, in this order."""
        eventually(lambda: len(self.begun) >= len(names))
        assert self.begun == list(names)


@pytest.fixture
def doors() -> Doors:
    return Doors()


def ask(server, name, body=None):
    wire = Wire(server)
    wire.send(request("POST" if body else "GET", f"/{name}", body=body))
    return wire


def waiting(server, count):
    eventually(lambda: server.stats()["requests_waiting"] == count)


def test_requests_wait_and_start_in_their_order(serve, doors, pattern):
    limits = mr.Limits(max_in_flight=2, queue_requests=3, queue_timeout="20s")
    server = serve(doors.app, pattern=pattern, limits=limits)
    wires = {}
    for number, name in enumerate("abcde"):
        wires[name] = ask(server, name, body=b"x" * 100_000 if name == "d" else None)
        if number < 2:
            doors.expect(*"ab"[: number + 1])
        else:
            waiting(server, number - 1)
    with Wire(server) as sixth:  # one past the queue's limit
        answer = sixth.get("/native")
        assert (answer.status, answer.header("retry-after")) == (503, "1")
    assert doors.begun == ["a", "b"]
    doors.open("b")
    assert wires["b"].read().text == "b0"
    doors.expect("a", "b", "c")
    doors.open("a")
    doors.expect("a", "b", "c", "d")
    doors.open("c", "d", "e")
    assert [wires[name].read().text for name in "acde"] == ["a0", "c0", "d100000", "e0"]
    eventually(lambda: server.stats()["in_flight"] == 0)
    stats = server.stats()
    assert stats["requests_waiting"] == 0
    assert stats.total("requests_waited") == 3
    assert stats.total("requests_refused") == 1
    assert stats.total("requests_waited_in_vain") == 0
    for wire in wires.values():
        assert wire.get("/native").text == "native"  # the connections go on
        wire.socket.close()


def test_a_request_whose_turn_does_not_come_in_time_is_503(serve, doors, pattern):
    limits = mr.Limits(max_in_flight=1, queue_requests=5, queue_timeout="100ms")
    server = serve(doors.app, pattern=pattern, limits=limits)
    with ask(server, "a") as first:
        doors.expect("a")
        second = ask(server, "b")
        answer = second.read()
        assert (answer.status, answer.header("retry-after")) == (503, "1")
        doors.open("a")
        assert first.read().text == "a0"
        assert second.get("/native").text == "native"
        second.socket.close()
    assert doors.begun == ["a"]
    assert server.stats().total("requests_waited_in_vain") == 1


def test_a_client_that_leaves_while_it_waits_takes_nobodys_place(serve, doors, pattern):
    limits = mr.Limits(max_in_flight=1, queue_requests=5, queue_timeout="20s")
    server = serve(doors.app, pattern=pattern, limits=limits)
    first = ask(server, "a")
    doors.expect("a")
    gone = ask(server, "b")
    waiting(server, 1)
    third = ask(server, "c")
    waiting(server, 2)
    gone.socket.close()
    waiting(server, 1)
    doors.open("a", "c")
    assert first.read().text == "a0"
    assert third.read().text == "c0"
    assert doors.begun == ["a", "c"]
    eventually(lambda: server.stats()["in_flight"] == 0)
    for wire in (first, third):
        wire.socket.close()


def test_a_burst_is_answered_whole_though_only_few_are_answered_at_once(serve, pattern):
    app = mr.App()
    at_once, most = 0, 0

    @app.get("/")
    async def handler(request):
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0.001)
        at_once -= 1
        return "done"

    limits = mr.Limits(max_in_flight=3, queue_requests=100, queue_timeout="20s")
    server = serve(app, pattern=pattern, limits=limits)
    wires = [Wire(server) for _ in range(40)]
    for _ in range(5):
        for wire in wires:
            wire.send(request("GET", "/"))
        assert [wire.read().text for wire in wires] == ["done"] * 40
    for wire in wires:
        wire.socket.close()
    assert most <= 3
    eventually(lambda: server.stats()["in_flight"] == 0)
    assert server.stats()["requests_waiting"] == 0
    assert server.stats().total("requests_refused") == 0


def test_clients_that_leave_a_burst_leave_nothing_behind(serve, pattern):
    app = mr.App()

    @app.get("/")
    async def handler(request):
        await asyncio.sleep(0.001)
        return "done"

    limits = mr.Limits(max_in_flight=2, queue_requests=100, queue_timeout="20s")
    server = serve(app, pattern=pattern, limits=limits)
    for _ in range(5):
        wires = [Wire(server) for _ in range(20)]
        for wire in wires:
            wire.send(request("GET", "/"))
        for wire in wires[::2]:
            wire.socket.close()
        assert [wire.read().text for wire in wires[1::2]] == ["done"] * 10
        for wire in wires[1::2]:
            wire.socket.close()
    eventually(lambda: server.stats()["in_flight"] == 0)
    eventually(lambda: server.stats()["requests_waiting"] == 0)
    with Wire(server) as wire:
        assert wire.get("/").text == "done"


def test_a_server_stops_though_requests_wait(serve, doors, pattern):
    limits = mr.Limits(max_in_flight=1, queue_requests=5, queue_timeout="20s")
    server = serve(doors.app, pattern=pattern, limits=limits, drain="100ms")
    wires = [ask(server, "a")]
    doors.expect("a")
    wires.append(ask(server, "b"))
    waiting(server, 1)
    server.stop()
    for wire in wires:
        with pytest.raises((Gone, ConnectionError)):
            wire.read()
        wire.socket.close()


def test_an_adaptive_limit_answers_what_comes(serve, pattern):
    app = mr.App()
    app.get("/")(lambda request: "done")
    server = serve(app, pattern=pattern, limits=mr.Limits(max_in_flight="adaptive"))
    before = server.stats()["requests_at_once"]
    assert 0 < before < mr.Limits().max_in_flight
    with Wire(server) as wire:
        for _ in range(50):
            assert wire.get("/").text == "done"
    assert server.stats().total("requests_refused") == 0
    assert server.stats()["requests_at_once"] >= 16


# --- memory ---------------------------------------------------------------------------------------


def test_whole_bodies_have_a_limit_together(serve, pattern):
    app = mr.App()
    app.post("/")(lambda request: str(len(request.body)))
    server = serve(app, pattern=pattern, limits=mr.Limits(body_memory=100_000))
    head = request("POST", "/", {"Content-Length": "60000"})
    with Wire(server) as half, Wire(server) as other:
        half.send(head, b"x" * 59_999)
        eventually(lambda: server.stats()["body_bytes_held"] == 59_999)
        other.send(request("POST", "/", {"Content-Length": "40001"}), b"x" * 40_001)
        assert other.read().text == "40001"  # just at the limit
        eventually(lambda: server.stats()["body_bytes_held"] == 59_999)
        with Wire(server) as third:
            third.send(request("POST", "/", {"Content-Length": "40002"}), b"x" * 40_002)
            answer = third.read()
            assert (answer.status, answer.header("retry-after")) == (503, "1")
        eventually(lambda: server.stats()["body_bytes_held"] == 59_999)
        half.send(b"x")
        assert half.read().text == "60000"
    eventually(lambda: server.stats()["body_bytes_held"] == 0)
    assert server.stats().total("bodies_refused") == 1
