"""Where the time goes: durations, the journey and the counters, as a user sees them."""

import base64
import math
import re
import struct
import sys
import urllib.request
import zlib

import millrace as mr
import pytest
from millrace import _core, human
from millrace.observe import Durations, Journey, Stats

from tests.python.wire import eventually

STAGES = [
    *("accept", "read", "decrypt", "parse", "decode", "queue", "process", "encode", "encrypt"),
    *("write", "total"),
]


@pytest.fixture
def app():
    app = mr.App()
    app.respond("/native", "ok")

    @app.get("/")
    def hello(request):
        return "Hello"

    @app.post("/echo")
    def echo(request):
        return request.body

    return app


def ask(url, data=None):
    with urllib.request.urlopen(url, data=data) as answer:
        return answer.read()


# --- durations ----------------------------------------------------------------------------------


def test_durations_are_seconds_and_at_most_a_64th_too_long():
    times = Durations.of([0.001 * n for n in range(1, 101)])
    assert times.count == 100
    for percent, exact in ((1, 0.001), (50, 0.050), (99, 0.099), (100, 0.100)):
        assert exact <= times.percentile(percent) <= exact * (1 + 1 / 64)
    assert times.p50 == times.percentile(50)
    assert times.p999 == times.max
    assert times.mean == pytest.approx(0.0505, rel=1 / 64)


def test_durations_of_nothing_are_zero():
    none = Durations.of([])
    assert (none.count, none.min, none.max, none.mean, none.p99) == (0, 0, 0, 0, 0)
    assert none.buckets() == []
    assert repr(none) == "Durations(none)"


def test_durations_count_those_above_a_limit():
    times = Durations.of([0.001] * 7 + [0.1] * 3)
    assert times.count_above(0.01) == 3
    assert times.count_above(1) == 0


def test_buckets_hold_every_duration_once():
    times = Durations.of([1e-9, 1e-6, 1e-3, 1.0, 1.0])
    buckets = times.buckets()
    assert [count for _, _, count in buckets] == [1, 1, 1, 2]
    for (lowest, highest, _), nanoseconds in zip(buckets, (1, 1e3, 1e6, 1e9), strict=True):
        assert lowest <= nanoseconds <= highest


def test_hdr_encoding_holds_the_counts_behind_its_compressed_cookie():
    framed = base64.b64decode(Durations.of([0.002] * 5).to_hdr())
    cookie, length = struct.unpack(">II", framed[:8])
    assert cookie == 0x1C849314
    assert length == len(framed) - 8
    plain = zlib.decompress(framed[8:])
    assert struct.unpack(">I", plain[:4]) == (0x1C849313,)
    assert plain[-1] == 5 * 2, "the last count, ZigZag"


def test_histograms_add_up():
    first, second = _core.Histogram(), _core.Histogram()
    first.record(10)
    second.record(20, 3)
    first.add(second)
    assert (first.count, first.min, first.max) == (4, 10, 20)


# --- the journey --------------------------------------------------------------------------------


def test_journey_has_one_row_per_stage_and_counts_every_request(app):
    with mr.Server(app) as server:
        for _ in range(20):
            assert ask(server.url) == b"Hello"
        journey = server.journey()
    assert list(journey) == STAGES
    assert journey.requests == 20
    assert journey.is_enabled
    for name in ("read", "parse", "process", "encode", "write", "total"):
        assert journey[name].times.count == 20, name
    assert journey["accept"].times.count == 20, "urllib opens a connection per request"
    assert journey["total"].times.max >= journey["process"].times.max


def test_stages_that_did_not_occur_say_so(app):
    with mr.Server(app) as server:
        ask(server.url)
        journey = server.journey()
    for name in ("decrypt", "encrypt", "queue"):
        assert not journey[name].occurred
        assert re.search(rf"^ *{name} +did not occur$", repr(journey), re.M), name
    assert "decrypt" in journey._repr_html_()
    assert "did not occur" in journey._repr_html_()


def test_a_request_body_is_decoded_and_a_queue_is_waited_in(app):
    pattern = mr.patterns.acceptor_queue_workers(workers=1)
    with mr.Server(app, pattern=pattern) as server:
        assert ask(server.url + "/echo", b"abc") == b"abc"
        # The client may have its answer before the loop has written down how that went.
        eventually(lambda: server.stats().total("requests") == 1)
        journey = server.journey()
    assert journey["decode"].occurred
    assert journey["queue"].occurred


def test_reset_forgets_what_was_recorded(app):
    with mr.Server(app) as server:
        ask(server.url)
        server.reset_journey()
        assert server.journey().requests == 0
        ask(server.url)
        assert server.journey().requests == 1


def test_a_server_without_a_journey_records_nothing_and_says_so(app):
    with mr.Server(app, journey=False) as server:
        ask(server.url)
        journey = server.journey()
    assert not journey.is_enabled
    assert journey.requests == 0
    assert not any(stage.occurred for stage in journey.stages)
    assert "journey=False" in repr(journey)


def test_journey_is_a_frame_with_a_row_per_stage(app):
    pytest.importorskip("pandas")
    with mr.Server(app) as server:
        ask(server.url)
        frame = server.journey().to_pandas()
    assert list(frame.index) == STAGES
    assert frame.loc["parse", "count"] == 1
    assert frame.loc["parse", "p50"] > 0
    assert math.isnan(frame.loc["decrypt", "p50"])


def test_journey_plots_every_stage(app):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    with mr.Server(app) as server:
        ask(server.url)
        axes = server.journey().plot()
    assert [label.get_text() for label in axes.get_yticklabels()] == STAGES[::-1]
    assert sum(text.get_text() == "did not occur" for text in axes.texts) >= 3
    axes.figure.clear()


@pytest.mark.parametrize(
    ("method", "module"), [("to_pandas", "pandas"), ("plot", "matplotlib.pyplot")]
)
def test_a_missing_library_is_named_with_the_command_that_installs_it(
    app, monkeypatch, method, module
):
    monkeypatch.setitem(sys.modules, module, None)
    with mr.Server(app) as server:
        journey = server.journey()
    with pytest.raises(ImportError, match=r'pip install "millrace\[lab\]"'):
        getattr(journey, method)()


def test_journey_prints_on_a_console(app):
    from rich.console import Console

    with mr.Server(app) as server:
        ask(server.url)
        journey = server.journey()
    assert isinstance(journey, Journey)
    console = Console(width=120, record=True, file=open("/dev/null", "w"))  # noqa: PTH123, SIM115
    console.print(journey)
    text = console.export_text()
    assert "Journey of 1 requests" in text
    assert "did not occur" in text


# --- counters -----------------------------------------------------------------------------------


def test_stats_count_what_the_server_did(app):
    with mr.Server(app) as server:
        for _ in range(3):
            ask(server.url + "/native")
        ask(server.url)
        stats = server.stats()
    assert isinstance(stats, Stats)
    assert stats.total("requests") == 4
    assert stats.total("requests_native") == 3
    assert len(stats.loops) == 1
    assert "requests" in repr(stats)
    assert "<table>" in stats._repr_html_()


def test_stats_show_a_column_per_loop_and_name_what_stayed_zero():
    stats = Stats(
        {
            "connections": 2,
            "loops": [
                {"requests": 1200, "bytes_in": 5_000_000, "gil_wait_ns": 1_500_000, "timeouts": 0},
                {"requests": 1, "bytes_in": 0, "gil_wait_ns": 0, "timeouts": 0},
            ],
            "queue": {"depth_max": 3},
        }
    )
    lines = repr(stats).splitlines()
    assert lines[1].split() == ["counter", "total", "loop", "0", "loop", "1"]
    assert "1,201" in lines[2]
    assert "5 MB" in lines[3]
    assert "1.5 ms" in lines[4]
    assert lines[5:] == ["connections 2", "queue: depth_max 3", "zero: timeouts"]


def test_stats_are_a_mapping():
    stats = Stats({"connections": 2, "loops": []})
    assert dict(stats) == {"connections": 2, "loops": []}
    assert stats.total("requests") == 0
    assert repr(stats)


# --- numbers for people -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (1e-9, "1 ns"),
        (999.4e-9, "999 ns"),
        (999.6e-9, "1 µs"),
        (1.234e-3, "1.23 ms"),
        (0.0123, "12.3 ms"),
        (0.5, "500 ms"),
        (61.5, "61.5 s"),
    ],
)
def test_durations_are_written_with_three_digits_and_a_unit(seconds, text):
    assert human.duration(seconds) == text
