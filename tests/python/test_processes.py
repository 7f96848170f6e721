"""Worker processes: they serve, end, are replaced and rolled, and nothing is lost that need not."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import signal
import threading
import time
from pathlib import Path

import millrace as mr
import pytest
from millrace import errors, observe

from tests.python.keep_alive import KeepAliveLoad
from tests.python.wire import PATIENCE_S, Wire, eventually, get, request

multi_process = mr.patterns.multi_process
INNER = list(mr.patterns.all())
over_inner = pytest.mark.parametrize("inner", INNER, ids=repr)


@pytest.fixture
def app() -> mr.App:
    app = mr.App()
    app.get("/pid")(lambda request: str(os.getpid()))
    app.get("/echo/{mark}")(lambda request: f"{os.getpid()} {request.path_params['mark']}")
    return app


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def is_stopped(pid):
    """Whether no thread of a process runs."""
    stats = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/stat")]
    return {text.rpartition(")")[2].split()[0] for text in stats} == {"T"}


def pids(server):
    return [row.pid for row in server.workers()]


def serving(server, count):
    """Return the processes once there are so many that serve, and no others."""
    return eventually(
        lambda: (
            (rows := list(server.workers()))
            and [row.state for row in rows] == ["serving"] * count
            and rows
        )
    )


# --- serving --------------------------------------------------------------------------------------


@pytest.mark.parametrize("listener", ["shared", "reuseport"])
@over_inner
def test_every_inner_pattern_serves_in_every_process(serve, app, inner, listener):
    server = serve(app, pattern=multi_process(2, inner=inner, listener=listener))
    # The kernel may give connections that come one by one to the same process every time.
    fewest = 1 if inner.wakeup == "epoll_exclusive" and listener == "shared" else 2
    seen = set()
    eventually(lambda: seen.add(int(get(server, "/pid").text)) or len(seen) >= fewest)
    assert seen <= set(pids(server))
    assert os.getpid() not in seen


def test_the_counters_of_all_processes_add_up(serve, app):
    server = serve(app, pattern=multi_process(2))
    for number in range(40):
        assert get(server, f"/echo/{number}").text.endswith(f" {number}")
    stats = eventually(lambda: (s := server.stats()).total("requests") == 40 and s)
    assert stats.total("connections_opened") == stats.total("accepts") == 40
    assert len(stats.loops) == 2
    assert len(stats["threads"]["loops"]) == 2
    assert sum(row.requests for row in server.workers()) == 40


def test_the_journeys_of_all_processes_are_merged_exactly(serve, app):
    server = serve(app, pattern=multi_process(3))
    for number in range(30):
        get(server, f"/echo/{number}")
    journey = eventually(lambda: (j := server.journey()).requests == 30 and j)
    parts = [server._core._workers[n].report["journey"] for n in list(server._core._workers)]
    buckets = {}
    for part in parts:
        for name, _, rows in part["stages"]:
            for lowest, count in rows:
                buckets[name, lowest] = buckets.get((name, lowest), 0) + count
    merged = {
        (stage.name, lowest): count
        for stage in journey.stages
        for lowest, _, count in stage.times.buckets()
    }
    assert merged == buckets
    server.reset_journey()
    assert server.journey().requests == 0


def test_a_process_that_logs_all_the_time_still_reports(serve, app, caplog):
    @app.lifespan
    async def talkative(app):
        async def talk():
            while True:
                logging.getLogger("talk").warning("still here")
                await asyncio.sleep(0.02)

        talking = asyncio.create_task(talk())
        yield
        talking.cancel()

    server = serve(app, pattern=multi_process(1))
    get(server, "/pid")
    (worker,) = server._core._workers.values()
    # Unasked: what is counted here is what is left of a process that is killed.
    eventually(lambda: observe.Stats(worker.report["stats"]).total("requests") == 1)
    assert "still here" in caplog.text


def test_each_process_has_a_lifespan_and_a_state_of_its_own(serve, tmp_path):
    app = mr.App()

    @app.lifespan
    async def life(app):
        app.state.number = os.getpid()
        (tmp_path / f"entered-{os.getpid()}").touch()
        yield
        (tmp_path / f"left-{os.getpid()}").touch()

    app.get("/")(lambda request: str(request.app.state.number))
    server = serve(app, pattern=multi_process(2))
    running = set(pids(server))
    assert int(get(server, "/").text) in running
    assert not hasattr(app.state, "number")
    server.stop()
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {f"{what}-{pid}" for what in ("entered", "left") for pid in running}


def test_log_records_come_out_in_the_supervisors_process(serve, caplog):
    app = mr.App()

    @app.get("/")
    def handler(request):
        logging.getLogger("shop").warning("sold %d", 3)
        raise ValueError("no more")

    server = serve(app, pattern=multi_process(1))
    assert get(server, "/").status == 500
    eventually(lambda: "no more" in caplog.text)
    (record,) = [record for record in caplog.records if record.name == "shop"]
    assert record.getMessage() == "sold 3"
    assert record.process == pids(server)[0]
    assert "Traceback" in caplog.text


def test_what_runs_elsewhere_is_refused_here(serve, app):
    server = serve(app, pattern=multi_process(1))

    async def work():
        pass

    with pytest.raises(RuntimeError, match="served by worker processes"):
        app.spawn(work())
    with pytest.raises(RuntimeError, match="stop its server"):
        app.respond("/late", "no")
    alone = serve(mr.App())
    for call in (alone.workers, alone.roll):
        with pytest.raises(RuntimeError, match="one process"):
            call()
    server.stop()
    with pytest.raises(RuntimeError, match="not running"):
        server.workers()


def test_constant_routes_middleware_and_included_apps_travel(serve):
    inner, app = mr.App(), mr.App()
    inner.respond("/constant", {"a": [1, 2]}, headers={"x-a": "1"})
    app.include("/api", inner)

    @app.middleware
    def mark(request, call_next):
        response = call_next(request)
        response.headers["x-pid"] = str(os.getpid())
        return response

    @app.on_error(KeyError)
    def missing(request, error):
        return mr.Response("missing", status=404)

    @app.get("/raise")
    def handler(request):
        raise KeyError

    server = serve(app, pattern=multi_process(1))
    constant = get(server, "/api/constant")
    assert (constant.json(), constant.header("x-a")) == ({"a": [1, 2]}, "1")
    answer = get(server, "/raise")
    assert (answer.status, answer.text) == (404, "missing")
    assert answer.header("x-pid") == str(pids(server)[0])


def test_what_cannot_be_sent_to_a_worker_is_named():
    app, lock = mr.App(), threading.Lock()

    @app.get("/locked")
    def handler(request):
        with lock:
            return "ok"

    with pytest.raises(errors.NotPicklable, match=r"handler of GET /locked .*uses 'lock', a lock"):
        mr.Server(app, pattern=multi_process(1)).start()
    stateful = mr.App()
    stateful.state.pool = threading.Lock()
    with pytest.raises(TypeError, match=r"app\.state\.pool cannot be sent .*lifespan"):
        mr.Server(stateful, pattern=multi_process(1)).start()


# --- starting and stopping ------------------------------------------------------------------------


def children():
    """Processes that this one has started."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == os.getpid():
            found.add(int(path.parent.name))
    return found


def test_a_worker_that_cannot_start_is_the_reason_why_the_server_does_not(app):
    @app.lifespan
    async def life(app):
        raise ValueError("no database")
        yield

    before = children()
    server = mr.Server(app, pattern=multi_process(2))
    with pytest.raises(errors.WorkerFailed, match=r"worker \d could not start: .*no database"):
        server.start()
    assert not server.is_running
    assert children() <= before


def test_a_worker_that_hangs_at_start_is_killed(app):
    @app.lifespan
    async def life(app):
        await asyncio.Event().wait()
        yield

    before = children()
    with pytest.raises(errors.WorkerFailed, match=r"not ready within start_timeout \(1.5 s\)"):
        mr.Server(app, pattern=multi_process(1, start_timeout=1.5)).start()
    assert children() <= before


def test_a_worker_that_hangs_at_stop_is_killed_and_reported(app, caplog):
    @app.lifespan
    async def life(app):
        yield
        await asyncio.Event().wait()

    before = children()
    server = mr.Server(app, pattern=multi_process(1, stop_timeout=0.3)).start()
    server.stop(drain=0)
    assert children() <= before
    assert "did not leave within stop_timeout (0.3 s) and was killed" in caplog.text


def test_a_unix_path_that_somebody_else_has_taken_stays(app, tmp_path):
    path = tmp_path / "socket"
    with mr.Server(app, bind=f"unix:{path}", pattern=multi_process(1)):
        path.unlink()
        path.write_text("somebody else's")
    assert path.exists()
    path.unlink()
    with mr.Server(app, bind=f"unix:{path}", pattern=multi_process(1)):
        assert path.is_socket()
    assert not path.exists()


def test_requests_under_way_finish_when_the_server_stops(tmp_path):
    app = mr.App()

    @app.get("/slow")
    async def slow(request):
        (tmp_path / "entered").touch()
        while not (tmp_path / "go-on").exists():
            await asyncio.sleep(0.01)
        return "done"

    server = mr.Server(app, pattern=multi_process(2), drain="20s").start()
    with Wire(server) as wire:
        wire.send(request("GET", "/slow"))
        eventually((tmp_path / "entered").exists)
        stopping = threading.Thread(target=server.stop)
        stopping.start()
        (tmp_path / "go-on").touch()
        assert wire.read().text == "done"
        stopping.join(PATIENCE_S)
    assert not server.is_running
    assert server.stats().total("requests") == 1  # of its last run


def test_a_drain_that_is_over_cuts_off_and_says_what(app, caplog):
    caplog.set_level(logging.INFO)

    @app.get("/forever")
    async def forever(request):
        await asyncio.Event().wait()

    server = mr.Server(app, pattern=multi_process(1)).start()
    with Wire(server) as wire:
        wire.send(request("GET", "/forever"))
        eventually(lambda: server.stats()["in_flight"] == 1)
        server.stop(drain=0.3)
    assert "cut off" in caplog.text
    assert "GET /forever" in caplog.text


def test_workers_leave_when_their_supervisor_is_killed(script):
    program = script(
        "import os, signal, millrace as mr\n"
        "app = mr.App()\n"
        "app.get('/')(lambda request: 'ok')\n"
        "server = mr.Server(app, pattern=mr.patterns.multi_process(2)).start()\n"
        "print(*[row.pid for row in server.workers()], flush=True)\n"
        "signal.pause()\n"
    )
    workers = [int(text) for text in program.process.stdout.readline().split()]
    assert len(workers) == 2
    assert all(map(is_alive, workers))
    program.process.kill()
    eventually(lambda: not any(map(is_alive, workers)))


# --- replacing ------------------------------------------------------------------------------------


def test_a_killed_worker_is_replaced_and_its_counters_stay(serve, app, caplog):
    server = serve(app, pattern=multi_process(2))
    for _ in range(20):
        get(server, "/pid")
    eventually(lambda: server.stats().total("requests") == 20)  # and so every worker has reported
    victim = server.workers()[0]
    os.kill(victim.pid, signal.SIGKILL)
    eventually(lambda: victim.pid not in pids(server))
    rows = serving(server, 2)
    assert [row.restarts for row in rows] == [1, 0]
    assert rows[0].last_exit == "was ended by signal 9"
    assert server.stats().total("requests") == 20
    assert server.journey().requests == 20
    assert server.stats().total("connections_open") == 0
    assert f"worker 1 (pid {victim.pid}) was ended by signal 9" in caplog.text
    assert get(server, "/pid").status == 200


@pytest.mark.parametrize("listener", ["shared", "reuseport"])
def test_connections_that_wait_for_a_dead_worker_go_to_its_successor(serve, app, listener):
    server = serve(app, pattern=multi_process(2, listener=listener))
    old = pids(server)
    for pid in old:
        os.kill(pid, signal.SIGSTOP)
    eventually(lambda: all(map(is_stopped, old)))  # nobody accepts
    wires = [Wire(server) for _ in range(40)]
    for number, wire in enumerate(wires):
        wire.send(request("GET", f"/echo/{number}"))
    for pid in old:
        os.kill(pid, signal.SIGKILL)
    for number, wire in enumerate(wires):
        pid, mark = wire.read().text.split()
        assert mark == str(number)
        assert int(pid) not in old
        wire.socket.close()


def test_a_worker_that_gets_sigterm_leaves_and_is_replaced(serve, app):
    server = serve(app, pattern=multi_process(2))
    old = pids(server)
    os.kill(old[0], signal.SIGTERM)
    eventually(lambda: old[0] not in pids(server))
    rows = serving(server, 2)
    assert rows[0].last_exit == "it was told to by a signal; ended with exit code 0"


@pytest.mark.parametrize("limit", ["max_requests", "max_lifetime", "max_memory"])
def test_a_worker_that_wore_out_is_replaced_without_loss(serve, app, limit):
    value = {"max_requests": 50, "max_lifetime": 1.0, "max_memory": 1000}[limit]
    server = serve(app, pattern=multi_process(2, **{limit: value}))
    before = set(pids(server))
    with KeepAliveLoad(server) as load:
        eventually(lambda: len(load.seen.pids - before) >= 2)
    assert load.seen.failures == []
    assert load.seen.wrong == []


@over_inner
def test_a_roll_under_load_loses_nothing(serve, app, inner):
    rolls = 3 if inner == INNER[0] else 1
    server = serve(app, pattern=multi_process(2, inner=inner))
    old = set(pids(server))
    with KeepAliveLoad(server) as load:
        eventually(lambda: load.seen.answers > 200)
        for _ in range(rolls):
            server.roll()
        answers = load.seen.answers
        eventually(lambda: load.seen.answers > answers + 200)
    rows = serving(server, 2)
    assert [row.restarts for row in rows] == [rolls, rolls]
    new = {row.pid for row in rows}
    assert not old & new
    assert rows[0].last_exit == "it was rolled; ended with exit code 0"
    assert load.seen.failures == []
    assert load.seen.wrong == []
    # Which worker of a generation takes how many of the connections is the kernel's to say.
    assert load.seen.pids & old
    assert load.seen.pids & new
    assert len(load.seen.pids) <= 2 + 2 * rolls
    assert server.stats().total("requests") == load.seen.answers


def test_a_roll_to_code_that_does_not_start_leaves_the_old_workers(serve, tmp_path):
    app = mr.App()

    @app.lifespan
    async def life(app):
        if (tmp_path / "broken").exists():
            raise RuntimeError("broken")
        yield

    app.get("/pid")(lambda request: str(os.getpid()))
    server = serve(app, pattern=multi_process(2))
    old = pids(server)
    (tmp_path / "broken").touch()
    with pytest.raises(errors.WorkerFailed, match="broken"):
        server.roll()
    assert pids(server) == old
    assert int(get(server, "/pid").text) in old
    (tmp_path / "broken").unlink()
    server.roll()
    assert not set(pids(server)) & set(old)


def test_a_crash_loop_ends_the_server(tmp_path, caplog):
    app = mr.App()

    @app.lifespan
    async def life(app):
        if (tmp_path / "broken").exists():
            raise RuntimeError("broken")
        yield

    server = mr.Server(app, pattern=multi_process(1, crash_limit=3)).start()
    (tmp_path / "broken").touch()
    os.kill(pids(server)[0], signal.SIGKILL)
    with pytest.raises(errors.WorkerFailed, match=r"broken.*the end of 3 workers in a row"):
        server.serve_forever()
    assert not server.is_running
    assert "the server stops: worker 1 could not start: RuntimeError: broken" in caplog.text


# A minute (`make check-killing`) shows what a few seconds may not; it is too long for every run.
KILLING_S = float(os.environ.get("MILLRACE_TEST_KILLING_S", "2"))


@over_inner
def test_workers_killed_at_random_lose_only_what_they_had(serve, app, inner):
    """One each second. Only connections of a killed worker may fail."""
    server = serve(app, pattern=multi_process(3, inner=inner))
    chance, killed = random.Random(1), []
    until = time.monotonic() + KILLING_S
    with KeepAliveLoad(server) as load:
        while time.monotonic() < until:
            victim = chance.choice([row for row in server.workers() if row.state == "serving"])
            killed.append(victim.pid)
            os.kill(victim.pid, signal.SIGKILL)
            threading.Event().wait(1.0)
        answers = load.seen.answers
        eventually(lambda: load.seen.answers > answers + 100)
    assert server.is_running
    assert load.seen.wrong == []
    assert load.seen.answers > 100 * len(killed)
    failures = load.seen.failures
    assert {failure.kind for failure in failures} <= {"reset", "lost"}
    assert {failure.pid for failure in failures} <= {*killed, None}
    assert len(failures) <= 64 * len(killed)
    assert sum(row.restarts for row in serving(server, 3)) == len(killed)
