"""``millrace demo``: its verdicts and its page from invented numbers, its measuring for real."""

import pickle
import re
from html.parser import HTMLParser
from typing import get_args

import pytest
from millrace.lab import chart_style, charts, demo, report_html
from millrace.lab.conclusions import conclusions
from millrace.lab.machine import CpuUse, Machine
from millrace.lab.pattern_comparison import Cell, Comparison, cells, run
from millrace.lab.predictions import Runs, Setup, predict, predict_placement
from millrace.lab.verdicts import Finding, Prediction, Verdict, judge, overall
from millrace.lab.wakeups import Wakeup, WakeupRun, compare_wakeups, predict_wakeups
from millrace.lab.work import WORKS, Price, Work, python_work

CPU, WAIT, SKEW = WORKS
CONNECTIONS = {
    "one": (8,),
    "queue": (8,),
    "round_robin": (2, 2, 2, 2),
    "first_waiting": (2, 2, 1, 3),
    "hash": (1, 4, 0, 3),
}


def setup_of(placement, work, handler=Runs.NATIVE, *, threads=4, cores=2):
    threads = 1 if placement == "one" else threads
    return Setup("p", placement, work, handler, threads, connections=8, cores=cores)


def invented(off=None):
    """Return a comparison in which everything is as predicted, but for ``off(setup, name)``."""
    machine = Machine(cores=2, processor="<two> & cores", kernel="6.0", python="CPython")
    comparison = Comparison(machine=machine, seconds=2.4, connections=8)
    for _, setup in cells(cores=2):
        placed = CONNECTIONS[setup.placement]
        expected = predict(setup, placed, requests=1000)
        findings = {}
        for name, prediction in expected.items():
            factor = off(setup, name) if off else 1.0
            findings[name] = judge((prediction.low + prediction.high) / 2 * factor, prediction)
        if (placement := predict_placement(setup)) is not None:
            findings["fullest"] = judge(max(placed), placement)
        comparison.cells.append(
            Cell(
                setup=setup,
                placed=placed,
                shares=(1.0,),
                requests=1000,
                errors=0,
                involuntary=0.0,
                in_system=8.0,
                doubts=(),
                findings=findings,
            )
        )
    for wakeup in get_args(Wakeup):
        sleeps, busiest = predict_wakeups(wakeup, threads=4)
        share = busiest.low if busiest else 0.5
        comparison.wakeups.append(
            WakeupRun(wakeup, 4, 100, (share,), judge(sleeps.low, sleeps), judge(share, busiest))
        )
    return comparison


# --- predictions ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("placement", "work", "handler", "expected"),
    [
        ("one", CPU, Runs.NATIVE, 200),
        ("round_robin", CPU, Runs.NATIVE, 400),  # two cores
        ("queue", CPU, Runs.NATIVE, 400),
        ("hash", CPU, Runs.NATIVE, 400),  # three of four loops have clients
        ("round_robin", CPU, Runs.PYTHON, 200),  # one GIL
        ("one", WAIT, Runs.PYTHON, 20),
        ("round_robin", WAIT, Runs.PYTHON, 80),
        ("hash", WAIT, Runs.NATIVE, 60),
        ("one", WAIT, Runs.COROUTINE, 160),
        ("one", SKEW, Runs.NATIVE, 1 / 0.00595),
        ("queue", SKEW, Runs.NATIVE, 4 / 0.00595),
    ],
)
def test_capacity_is_predicted_from_threads_cores_and_clients(placement, work, handler, expected):
    setup = setup_of(placement, work, handler)
    capacity = predict(setup, CONNECTIONS[placement], requests=1000)["capacity"]
    assert capacity.low == capacity.high == pytest.approx(expected)


def test_more_cores_help_native_work_up_to_the_threads_and_python_not_at_all():
    native = predict(setup_of("queue", CPU, cores=8), (8,), 1000)["capacity"]
    python = predict(setup_of("queue", CPU, Runs.PYTHON, cores=8), (8,), 1000)["capacity"]
    assert (native.low, python.low) == (800, 200)


def test_a_slow_request_is_felt_by_all_clients_of_its_loop_and_by_no_other_client_of_a_queue():
    late = {
        placement: predict(setup_of(placement, SKEW), CONNECTIONS[placement], 1000)["late"].low
        for placement in ("one", "round_robin", "queue")
    }
    assert late["one"] == pytest.approx(0.077, abs=0.001)
    assert late["round_robin"] == pytest.approx(0.020, abs=0.001)
    assert late["queue"] == pytest.approx(0.010, abs=0.001)


def test_p99_is_no_test_where_it_falls_on_the_step_and_one_where_it_does_not():
    queue = predict(setup_of("queue", SKEW), (8,), 1000)["p99"]
    single = predict(setup_of("one", SKEW), (8,), 1000)["p99"]
    assert queue.no_test
    assert not single.no_test
    assert single.low == pytest.approx(0.135)  # seven usual and one slow


def test_round_robin_has_to_be_even_and_a_hash_may_be_uneven():
    even, chance = (predict_placement(setup_of(how, CPU)) for how in ("round_robin", "hash"))
    assert (even.low, even.high) == (2, 2)
    assert chance.low == 2
    assert 5 <= chance.high <= 7
    assert predict_placement(setup_of("one", CPU)) is None


def test_sleeps_follow_from_who_has_to_wait():
    of = {
        (placement, work.name): predict(setup_of(placement, work), CONNECTIONS[placement], 1000)[
            "sleeps"
        ]
        for placement in ("one", "first_waiting", "queue")
        for work in (CPU, WAIT)
    }
    assert of["one", "cpu"].high == 0
    assert of["one", "wait"].low == of["one", "wait"].high == 1
    assert of["first_waiting", "wait"].low == 1.25  # one loop of four has a single client
    # With all cores busy that client may be as quick as two.
    assert (of["first_waiting", "cpu"].low, of["first_waiting", "cpu"].high) == (0, 0.25)
    assert (of["queue", "cpu"].low, of["queue", "cpu"].high) == (0.5, 2)


# --- verdicts ------------------------------------------------------------------------------------


def test_tolerances_apply_outside_the_band_on_either_side():
    band = Prediction(10.0, 20.0, "band", relative=0.1, absolute=1.0)
    accepted = [band.accepts(value) for value in (7.9, 8.0, 15.0, 23.0, 23.1)]
    assert accepted == [False, True, True, True, False]


def test_doubts_make_a_miss_inconclusive_and_leave_a_hit_alone():
    exact = Prediction(10.0, 10.0, "exact", relative=0.1)
    assert judge(10.5, exact, ["busy"]).verdict == Verdict.REPRODUCED
    assert judge(20.0, exact, ["busy"]).verdict == Verdict.INCONCLUSIVE
    assert judge(20.0, exact, ["busy"]).reason == "busy"
    assert judge(20.0, exact).verdict == Verdict.NOT_REPRODUCED


def test_what_no_measurement_could_contradict_is_not_judged():
    loose = Prediction(0.0, 1.0, "anything", no_test="too wide")
    assert judge(5.0, loose).verdict is None
    assert judge(5.0, None).verdict is None


def test_overall_verdict_is_the_least_favourable():
    def finding(verdict):
        return Finding(1.0, None, verdict)

    good, open_, bad = map(
        finding, (Verdict.REPRODUCED, Verdict.INCONCLUSIVE, Verdict.NOT_REPRODUCED)
    )
    assert overall([good, finding(None)]) == Verdict.REPRODUCED
    assert overall([good, open_]) == Verdict.INCONCLUSIVE
    assert overall([good, open_, bad]) == Verdict.NOT_REPRODUCED
    assert overall([finding(None)]) == Verdict.INCONCLUSIVE


def test_use_of_the_cores_by_others_is_a_doubt_and_our_own_is_not():
    start = CpuUse(when=0.0, own=0.0, machine=0.0, stolen=0.0)
    ours = CpuUse(when=10.0, own=20.0, machine=20.5, stolen=0.0)
    assert ours.doubts_since(start, cores=2) == []
    others = CpuUse(when=10.0, own=10.0, machine=16.0, stolen=2.0)
    assert others.doubts_since(start, cores=2) == [
        "the hypervisor took 10% of the cores",
        "other programs used 30% of the cores",
    ]


# --- what is told --------------------------------------------------------------------------------


def test_sentences_name_what_the_invented_numbers_show():
    computing, waiting, slow = conclusions(invented())
    assert "take acceptor_readers" in computing
    assert "2.0 times what one thread did" in computing
    assert "in Python stay with single_thread" in computing
    assert "80 requests/s" in waiting
    assert "a coroutine beat that on a single thread with 160" in waiting
    assert "take acceptor_queue_workers" in slow
    assert "7.7% with single_thread" in slow


def test_sentences_do_not_claim_what_was_not_measured():
    def nothing_scales(setup, name):
        if name == "capacity" and setup.threads > 1 and setup.work is CPU:
            return 0.5
        return 0.1 if name == "late" and setup.pattern == "reuseport_shards" else 1.0

    computing, _, slow = conclusions(invented(nothing_scales))
    assert "take single_thread" in computing
    assert "times what one thread did" not in computing
    assert "take reuseport_shards" in slow
    assert "any free worker" not in slow


class Outline(HTMLParser):
    """Collects what a browser would fetch, and whether every element is closed."""

    VOID = frozenset({"meta", "img", "source", "br"})

    def __init__(self):
        super().__init__()
        self.open, self.fetched, self.text = [], [], []

    def handle_starttag(self, tag, attributes):
        if tag not in self.VOID:
            self.open.append(tag)
        self.fetched += [
            value for name, value in attributes if name in {"src", "srcset", "href", "action"}
        ]

    def handle_startendtag(self, tag, attributes):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture(scope="module")
def outline():
    parsed = Outline()
    parsed.feed(report_html.page(invented()))
    parsed.close()
    return parsed


def test_page_needs_nothing_but_itself(outline):
    assert outline.open == []
    assert all(address.startswith("data:image/png;base64,") for address in outline.fetched)
    style = "".join(outline.text)
    assert not re.search(r"url\(|@import|https?:", style)


def test_page_shows_every_run_with_its_verdict_and_escapes_text(outline):
    text = " ".join(outline.text)
    assert text.count("reproduced") >= 34
    assert "<two> & cores" in text
    for sentence in conclusions(invented()):
        assert sentence in text


def test_page_says_in_words_which_value_is_off():
    def too_slow(setup, name):
        return 0.5 if name == "capacity" and setup.pattern == "single_thread" else 1.0

    page = report_html.page(invented(too_slow))
    assert "off: capacity" in page
    assert "not reproduced" in page


def test_charts_are_png_files_in_both_themes():
    pytest.importorskip("matplotlib")
    for work in WORKS:
        for theme in chart_style.THEMES:
            assert charts.draw(invented(), work.name, theme).startswith(b"\x89PNG\r\n")


# --- for real ------------------------------------------------------------------------------------


def test_python_work_makes_the_same_requests_slow_as_native_work():
    quick = Work("w", "w", Price(), Price(wait=0.002), 0.1)
    is_slow = quick.native(seed=3).is_slow
    handler = python_work(quick, seed=3)
    assert [handler(None) for _ in range(3)] == ["done"] * 3
    slow = [ordinal for ordinal in range(1000) if is_slow(ordinal)]
    assert [ordinal // 10 for ordinal in slow] == list(range(100))


def test_native_work_that_was_sent_to_another_process_is_the_same():
    quick = Work("w", "w", Price(0.001, 0.002), Price(0.003, 0.004), 0.1).native(seed=3)
    sent = pickle.loads(pickle.dumps(quick))
    assert (
        sent.__getstate__()
        == quick.__getstate__()
        == (10**6, 2 * 10**6, 3 * 10**6, 4 * 10**6, 0.1, 3)
    )


def test_native_work_refuses_what_is_no_share():
    with pytest.raises(ValueError, match="slow_fraction"):
        Work("w", "w", Price(), slow_fraction=2.0).native()


@pytest.mark.parametrize("handler", [Runs.NATIVE, Runs.PYTHON, Runs.COROUTINE])
def test_cell_counts_what_was_served(handler):
    contender, setup = next(
        (contender, setup)
        for contender, setup in cells(cores=2)
        if setup.work is WAIT and setup.handler == handler
    )
    cell = run(contender, setup, seconds=0.4)
    assert cell.errors == 0
    assert sum(cell.placed) == setup.connections
    assert sum(cell.shares) == pytest.approx(1.0)
    # Counted, not timed: one thread that sleeps 50 ms can do no more than this, however fast.
    most = 160 if handler == Runs.COROUTINE else 20
    assert 0 < cell.requests <= (0.4 * most + 8) * 1.5


def test_wakeups_differ_in_whom_they_wake():
    runs = {run.wakeup: run for run in compare_wakeups(threads=3, connections=40)}
    assert {run.connections for run in runs.values()} == {40}
    for one in runs.values():
        assert sum(one.shares) == pytest.approx(1.0)
    # Counts, and only their order: on a busy machine a thread may not have gone back to sleep.
    assert runs["epoll"].sleeps.measured > runs["epoll_exclusive"].sleeps.measured
    assert runs["blocking"].busiest.measured < runs["epoll_exclusive"].busiest.measured


def test_command_measures_every_cell_and_writes_the_report(tmp_path, capsys):
    assert demo.main(["--seconds", "0.1", "--out", str(tmp_path / "out")]) == 0
    told = capsys.readouterr().out
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert str(tmp_path / "out" / "report.html") in told.replace("\n", "")
    assert "34 runs in" in told
    assert told.count("• ") == 3
    assert page.startswith("<!doctype html>")
    if chart_style.available():
        assert sorted(path.name for path in (tmp_path / "out").glob("*.png")) == [
            "cpu.png",
            "skew.png",
            "wait.png",
        ]


@pytest.mark.parametrize("arguments", [["--seconds", "0"], ["--seconds", "soon"], ["--fast"]])
def test_command_refuses_what_it_does_not_know(arguments, capsys):
    with pytest.raises(SystemExit) as left:
        demo.main(arguments)
    assert left.value.code == 2
    assert arguments[0] in capsys.readouterr().err
