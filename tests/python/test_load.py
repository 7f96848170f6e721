"""The load generator against servers of this package, and against a socket that misbehaves."""

import inspect
import re
import signal
import socket
import sys
import threading
import time
from contextlib import contextmanager

import millrace as mr
import pytest
from millrace import _core
from millrace.errors import ConnectError, InvalidOption
from millrace.lab import Load, load


@pytest.fixture
def server():
    app = mr.App()
    app.respond("/", "ok")

    @app.get("/agent")
    def agent(request):
        return request.headers["x-agent"]

    @app.post("/echo")
    def echo(request):
        return request.body

    with mr.Server(app) as server:
        yield server


@contextmanager
def raw_server(answer):
    """A socket that sends the same bytes to whoever connects, and closes."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve():
        while True:
            try:
                peer, _ = listening.accept()
            except OSError:
                return
            with peer:
                peer.recv(65536)
                peer.sendall(answer)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join()


def test_every_request_of_a_closed_loop_is_counted_on_both_sides(server):
    result = load(server.url, connections=8, requests=2000)
    assert result.requests == 2000
    assert result.errors == 0
    assert result.statuses == {200: 2000}
    assert result.latency.count == result.ttfb.count == 2000
    assert result.connect.count == 8
    assert result.intended.count == 0
    assert server.stats().total("requests") == 2000
    assert 0 < result.p50 <= result.p90 <= result.p99 <= result.p999 <= result.max
    assert result.throughput == pytest.approx(2000 / result.elapsed)


@pytest.mark.parametrize("arrivals", ["constant", "poisson"])
def test_every_request_of_an_open_loop_is_counted_on_both_sides(server, arrivals):
    result = load(server.url, connections=4, rate=5000, arrivals=arrivals, requests=500)
    assert result.requests == result.intended.count == result.latency.count == 500
    assert result.unsent == 0
    assert (result.rate, result.arrivals) == (5000, arrivals)
    assert server.stats().total("requests") == 500
    assert result.intended.mean >= result.latency.mean


@pytest.mark.parametrize("pattern", ["single_thread", "acceptor_queue_workers", "reuseport_shards"])
def test_threads_share_the_work(pattern):
    app = mr.App()
    app.respond("/", "ok")
    with mr.Server(app, pattern=getattr(mr.patterns, pattern)()) as server:
        result = load(server.url, connections=7, threads=3, requests=1000)
    assert result.requests == 1000
    assert result.connect.count == 7


def test_a_stall_shows_in_the_intended_times_of_all_requests_that_were_due():
    """Coordinated omission: the same run, seen from the send and from when it should have been."""
    app = mr.App()
    seen = 0

    @app.get("/")
    def stalls_once(request):
        nonlocal seen
        seen += 1
        if seen == 200:
            time.sleep(0.3)
        return "ok"

    with mr.Server(app) as server:
        result = load(server.url, connections=4, rate=1000, requests=1000)
    assert result.requests == 1000
    from_send, from_due = result.latency.count_above(0.05), result.intended.count_above(0.05)
    assert 1 <= from_send <= 8, "at most those under way, and what a busy machine adds"
    # One was due per millisecond; those of the first 250 of 300 ms were late by more than 50.
    assert 240 <= from_due <= 700
    assert result.intended.p99 > 10 * result.latency.percentile(98)


def test_sends_method_headers_and_body_and_compares_the_answer(server):
    echoed = load(
        server.url + "/echo", method="POST", body=b"\x00\xff" * 5000, requests=50, connections=2,
        expect_body=b"\x00\xff" * 5000,
    )  # fmt: skip
    assert (echoed.requests, echoed.error_kinds) == (50, {})
    assert echoed.bytes_out > 50 * 10_000

    wrong = load(server.url, requests=20, connections=2, expect_body="no")
    assert (wrong.requests, wrong.error_kinds) == (0, {"unexpected_body": 20})

    named = load(
        server.url + "/agent", requests=5, connections=1, headers={"X-Agent": "me"},
        expect_body="me",
    )  # fmt: skip
    assert named.requests == 5


def test_counts_answers_by_status(server):
    result = load(server.url + "/nothing", requests=30, connections=3)
    assert result.statuses == {404: 30}
    assert result.errors == 0


def test_connects_anew_where_the_server_closes(server):
    result = load(server.url, requests=40, connections=2, headers=[("Connection", "close")])
    assert result.requests == 40
    assert 38 <= result.reconnects <= 40


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"", "incomplete_message"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab", "incomplete_message"),
        (b"220 smtp.example ESMTP\r\n\r\n", "malformed_message"),
    ],
)
def test_names_what_went_wrong(answer, kind):
    with raw_server(answer) as url:
        result = load(url, requests=5, connections=1)
    assert result.requests == 0
    assert result.error_kinds == {kind: 5}
    assert result.errors == 5
    assert kind in repr(result)


def test_gives_up_on_an_answer_after_its_timeout():
    app = mr.App()
    release = threading.Event()

    @app.get("/")
    def waits(request):
        release.wait(60)
        return "late"

    pattern = mr.patterns.acceptor_queue_workers(workers=1)
    with mr.Server(app, pattern=pattern) as server:
        try:
            result = load(server.url, requests=2, connections=1, timeout="50ms")
        finally:
            release.set()
    assert result.error_kinds == {"header_timeout": 2}


def test_a_server_that_is_not_there_is_an_error():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    with pytest.raises(ConnectError) as caught:
        load(f"http://127.0.0.1:{port}/", requests=10)
    assert caught.value.code == "connection_refused"
    assert caught.value.safe_to_retry
    assert str(port) in str(caught.value)


@pytest.mark.parametrize(
    "options",
    [
        {"url": "https://127.0.0.1/"},
        {"url": "127.0.0.1:8000"},
        {"rate": 0},
        {"rate": -5},
        {"connections": 0},
        {"requests": 0},
        {"threads": 2, "connections": 1},
        {"arrivals": "poisson"},
        {"arrivals": "bursty", "rate": 10},
        {"duration": "5 parsecs"},
        {"method": "HEAD", "expect_body": b"x"},
        {"headers": {"Content-Length": "3"}},
    ],
)
def test_wrong_options_are_refused_with_a_sentence(options):
    with pytest.raises(ValueError) as caught:
        load(**{"url": "http://127.0.0.1:1/", **options})
    assert len(str(caught.value)) > 15


def test_wrong_options_of_the_engine_are_invalid_options():
    with pytest.raises(InvalidOption):
        load("http://127.0.0.1:1/", arrivals="poisson")


def test_warm_up_is_sent_and_not_recorded(server):
    result = load(server.url, connections=2, requests=50, warmup="50ms")
    assert result.requests == 50
    assert server.stats().total("requests") > 50


def test_ends_after_its_duration_and_counts_what_was_under_way(server):
    result = load(server.url, connections=2, duration="100ms")
    assert result.elapsed >= 0.1
    assert result.requests == server.stats().total("requests")


def test_ctrl_c_ends_a_run_and_leaves_nothing_behind(server):
    threads = set(threading.enumerate())
    timer = threading.Timer(0.3, signal.raise_signal, (signal.SIGINT,))
    # The handler runs in the main thread, whichever thread raised the signal.
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        load(server.url, connections=2, duration=600)
    timer.join()
    assert set(threading.enumerate()) <= threads


def test_runs_in_a_thread_beside_others(server):
    results = []
    threads = [
        threading.Thread(target=lambda: results.append(load(server.url, requests=300)))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [result.requests for result in results] == [300] * 3


def test_progress_goes_to_standard_error(server, capfd):
    result = load(server.url, connections=2, duration="300ms", progress=True)
    assert result.requests > 0
    assert capfd.readouterr().out == ""


def test_defaults_are_the_engines():
    options, signature = _core.LoadOptions(), inspect.signature(load)
    stated = {name: parameter.default for name, parameter in signature.parameters.items()}
    for name in ("connections", "warmup", "timeout", "threads", "method", "body", "seed"):
        assert stated[name] == getattr(options, name), name
    assert stated["arrivals"] == options.arrivals
    assert (options.rate, options.requests, options.duration) == (0, 0, 5)


# --- reports ------------------------------------------------------------------------------------


@pytest.fixture
def open_loop(server):
    return load(server.url, connections=4, rate=2000, requests=200)


def test_shows_both_views_of_latency_side_by_side(open_loop):
    assert isinstance(open_loop, Load)
    text = repr(open_loop)
    assert re.search(r"^ *intended +due -> end +200 ", text, re.M)
    assert re.search(r"^ *latency +sent -> end +200 ", text, re.M)
    assert "open loop" in text
    assert "<table>" in open_loop._repr_html_()
    assert max(map(len, text.splitlines()[1:6])) <= 80


def test_is_a_frame_with_a_row_per_histogram(open_loop):
    pytest.importorskip("pandas")
    frame = open_loop.to_pandas()
    assert list(frame.index) == ["intended", "latency", "ttfb", "connect"]
    assert frame.loc["intended", "count"] == 200


def test_plots_both_views(open_loop):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    axes = open_loop.plot()
    assert len(axes.lines) == 2
    axes.figure.clear()


def test_says_what_to_install_for_a_plot(open_loop, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r'pip install "millrace\[lab\]"'):
        open_loop.plot()


def test_writes_a_log_that_hdr_tools_read(open_loop, tmp_path):
    path = tmp_path / "latency.hlog"
    open_loop.to_hlog(path)
    lines = path.read_text().splitlines()
    assert lines[0] == "#[Histogram log format version 1.3]"
    tagged = [line for line in lines if line.startswith("Tag=")]
    assert [line.split(",")[0] for line in tagged] == [
        "Tag=intended", "Tag=latency", "Tag=ttfb", "Tag=connect",
    ]  # fmt: skip
    assert all(line.split(",")[4].startswith("HISTFAA") for line in tagged)
