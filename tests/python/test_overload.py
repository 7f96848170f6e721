"""More requests than are answered at once: who waits, who starts next, who is turned away."""

from __future__ import annotations

import asyncio
import gzip
from contextlib import ExitStack

import millrace as mr
import pytest
from millrace.prometheus_text import parse

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
    limits = mr.Limits(body_memory=100_000, body_memory_high_water=1)
    server = serve(app, pattern=pattern, limits=limits)
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


def post(server, target, body_bytes, fields=()):
    """Begin a request, whose body follows."""
    wire = Wire(server)
    wire.send(request("POST", target, {"Content-Length": str(body_bytes), **dict(fields)}))
    return wire


def push(wire, size):
    """Send as much of a body as is taken until nothing moves; return how much that was."""
    sent, block = 0, bytes(1 << 16)
    wire.socket.settimeout(0.2)
    try:
        while sent < size:
            sent += wire.socket.send(block[: size - sent])
    except TimeoutError:
        pass
    finally:
        wire.socket.settimeout(PATIENCE_S)
    return sent


# Four times what a body may send at once.
MARK = 2 * 1024 * 1024
AT_MARK = {"body_memory": "64MiB", "body_memory_high_water": 1 / 32, "body_bytes": "64MiB"}


@pytest.fixture
def sizes() -> mr.App:
    app = mr.App()
    app.post("/")(lambda request: str(len(request.body)))
    app.respond("/native", "native")
    return app


def test_a_body_is_not_begun_above_the_mark(serve, sizes, pattern):
    server = serve(sizes, pattern=pattern, limits=mr.Limits(**AT_MARK, queue_timeout="20s"))
    with post(server, "/", MARK + 2) as half:
        half.send(bytes(MARK))
        eventually(lambda: server.stats()["body_bytes_held"] == MARK)
        with Wire(server) as other:
            assert other.ask("POST", "/", body=b"at the mark").text == "11"
        half.send(b"x")
        eventually(lambda: server.stats()["body_bytes_held"] == MARK + 1)
        with (
            post(server, "/", 40_000_000) as large,
            post(server, "/", 5, {"Expect": "100-continue"}) as asking,
        ):
            eventually(lambda: server.stats()["bodies_waiting"] == 2)
            before = server.stats().total("bytes_in")
            sent = push(large, 40_000_000)
            assert sent < 40_000_000
            # What stood in the buffer when its reading paused, at most.
            assert server.stats().total("bytes_in") - before <= 256 * 1024
            assert server.stats()["body_bytes_held"] == MARK + 1
            asking.socket.setblocking(False)
            with pytest.raises(BlockingIOError):  # it is not told to go on
                asking.socket.recv(1)
            asking.socket.settimeout(PATIENCE_S)
            with Wire(server) as without:
                assert without.get("/native").text == "native"
            half.send(b"x")
            assert half.read().text == str(MARK + 2)
            assert asking.read().status == 100
            assert asking.send(b"hello").read().text == "5"
            assert large.send(bytes(40_000_000 - sent)).read().text == "40000000"
    eventually(lambda: server.stats()["body_bytes_held"] == 0)
    stats = server.stats()
    assert stats["bodies_waiting"] == 0
    assert stats.total("bodies_paused") == 2
    assert stats.total("requests_refused") == stats.total("bodies_refused") == 0


def test_a_body_that_waits_in_vain_is_503(serve, sizes, pattern):
    server = serve(sizes, pattern=pattern, limits=mr.Limits(**AT_MARK, queue_timeout="100ms"))
    with post(server, "/", MARK + 2) as half:
        half.send(bytes(MARK + 1))
        eventually(lambda: server.stats()["body_bytes_held"] == MARK + 1)
        with Wire(server) as late:
            answer = late.ask("POST", "/", body=b"late")
            assert (answer.status, answer.header("retry-after")) == (503, "1")
            assert late.get("/native").text == "native"
        half.send(b"x")
        assert half.read().text == str(MARK + 2)
    stats = server.stats()
    assert stats.total("bodies_paused") == stats.total("requests_waited_in_vain") == 1
    assert stats.total("bodies_refused") == 0


def test_a_client_that_leaves_while_its_body_waits_is_forgotten(serve, sizes, pattern):
    server = serve(sizes, pattern=pattern, limits=mr.Limits(**AT_MARK, queue_timeout="20s"))
    with post(server, "/", MARK + 2) as half:
        half.send(bytes(MARK + 1))
        eventually(lambda: server.stats()["body_bytes_held"] == MARK + 1)
        with post(server, "/", 5):
            eventually(lambda: server.stats()["bodies_waiting"] == 1)
        eventually(lambda: server.stats()["bodies_waiting"] == 0)
        eventually(lambda: server.stats()["in_flight"] == 1)
        half.send(b"x")
        assert half.read().text == str(MARK + 2)
    eventually(lambda: server.stats()["in_flight"] == 0)
    assert server.stats()["body_bytes_held"] == 0


def test_decoders_count_with_their_windows(serve, doors, pattern):
    """Two of gzip fit into 64 KiB; also where their bodies flow to a reader."""
    limits = mr.Limits(body_memory="64KiB", body_memory_high_water=1)
    server = serve(doors.app, pattern=pattern, limits=limits, decompress=True)
    coded = gzip.compress(b"hello")
    with ExitStack() as stack:
        wires = [stack.enter_context(Wire(server)) for _ in range(3)]
        for wire, name in zip(wires, "ab", strict=False):
            wire.send(request("POST", f"/{name}", {"Content-Encoding": "gzip"}, coded))
        eventually(lambda: sorted(doors.begun) == ["a", "b"])
        assert server.stats()["body_bytes_held"] == 64 * 1024
        answer = wires[2].ask("POST", "/c", {"Content-Encoding": "gzip"}, coded)
        assert (answer.status, answer.header("retry-after")) == (503, "1")
        doors.open("a", "b")
        assert [wire.read().text for wire in wires[:2]] == ["a5", "b5"]
        eventually(lambda: server.stats()["body_bytes_held"] == 0)
        doors.open("d")
        assert wires[2].ask("POST", "/d", {"Content-Encoding": "gzip"}, coded).text == "d5"
    assert server.stats().total("bodies_refused") == 1


def test_what_waits_is_in_the_metrics(serve, sizes, pattern):
    sizes.metrics("/metrics")
    limits = mr.Limits(**AT_MARK, queue_timeout="20s", max_in_flight=9)
    server = serve(sizes, pattern=pattern, limits=limits)
    with post(server, "/", MARK + 2) as half:
        half.send(bytes(MARK + 1))
        eventually(lambda: server.stats()["body_bytes_held"] == MARK + 1)
        with post(server, "/", 5) as waits:
            eventually(lambda: server.stats()["bodies_waiting"] == 1)
            with Wire(server) as wire:
                told = parse(wire.get("/metrics").text)
            assert told["millrace_body_bytes_held"].total == MARK + 1
            assert told["millrace_bodies_waiting"].total == 1
            assert told["millrace_requests_waiting"].total == 0
            assert told["millrace_requests_at_once"].total == 9
            half.send(b"x")
            assert half.read().text == str(MARK + 2)
            assert waits.send(b"hello").read().text == "5"
