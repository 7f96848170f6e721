"""Experiments: what they conclude from invented numbers, and the catalogue for real, both ways."""

from __future__ import annotations

import csv
import errno
import json
import math
import subprocess
import sys
from dataclasses import replace
from operator import add
from pathlib import Path
from types import SimpleNamespace

import millrace as mr
import pytest
from millrace import cli
from millrace.lab import chart_style, experiment_page, private_network
from millrace.lab.experiments import NAMES, find
from millrace.lab.kernel_counters import network_counters
from millrace.lab.machine import CpuUse
from millrace.lab.verdicts import judge_rounds

from tests.python.test_demo import Outline

TEN = mr.lab.Prediction(10, 10, "ten", relative=0.1)


def invented(*, by="count", values=(10.0, 10.0), without=0.0, quantity="x"):
    """Return an experiment whose arm measures one given value a round."""
    rounds = iter(values)

    def arm(run):
        return {"x": without if run.without_cause else next(rounds), "seed": run.seed}

    return mr.lab.Experiment(
        name="invented",
        question="Is it <ten>?",
        formula="ten",
        source="thin air",
        quantities=[mr.lab.Quantity("x", "X", "ms", 1000)],
        arms={"a": arm, "b": arm},
        claims=[mr.lab.Claim("a", quantity, TEN, "It is ten.", by=by)],
        without_cause="ten",
        rounds=len(values) // 2,
    )


# --- verdicts on several rounds ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ([9.0, 11.0], "reproduced"),
        ([8.9], "not reproduced"),
        ([11.1, 12.0], "not reproduced"),
        ([8.0, 10.0], "inconclusive"),
        ([10.0] * 9 + [50.0], "reproduced"),  # one round of ten does not move the median
        ([10.0] * 3 + [50.0] * 7, "inconclusive"),
    ],
)
def test_the_interval_of_the_median_has_to_lie_on_one_side(values, verdict):
    assert judge_rounds(values, TEN).verdict.value == verdict


def test_an_undecided_claim_says_how_many_rounds_are_missing():
    near = judge_rounds([10.5, 10.8, 11.2], TEN)
    assert (
        near.reason == "rounds between 10.5 and 11.2 lie on both sides of 11: 7 more may decide it"
    )
    on_the_edge = judge_rounds([10.0, 11.0, 12.0], TEN)
    assert on_the_edge.reason.endswith("more rounds hardly help so near to it")


def test_doubts_excuse_a_miss_and_no_hit():
    assert judge_rounds([20.0], TEN, ["busy"]).verdict == mr.lab.Verdict.INCONCLUSIVE
    assert judge_rounds([10.0], TEN, ["busy"]).verdict == mr.lab.Verdict.REPRODUCED


# --- the experiment ------------------------------------------------------------------------------


@pytest.fixture
def busy_machine(monkeypatch):
    """Other programs use half of the cores."""
    monkeypatch.setattr(CpuUse, "doubts_since", lambda *_: ["other programs used 50% of the cores"])


@pytest.fixture
def idle_machine(monkeypatch):
    monkeypatch.setattr(CpuUse, "doubts_since", lambda *_: [])


@pytest.mark.parametrize(("by", "code"), [("count", 1), ("clock", 2)])
def test_a_busy_machine_excuses_the_clock_and_not_the_count(busy_machine, by, code):
    result = invented(by=by, values=(20.0, 20.0)).run()
    assert result.exit_code == code
    if code == 2:
        assert "other programs used 50% of the cores" in repr(result)


def test_on_an_idle_machine_the_clock_counts(idle_machine):
    assert invented(by="clock", values=(20.0, 20.0)).run().exit_code == 1
    assert invented(by="clock").run().exit_code == 0


def test_without_its_cause_a_claim_fails_and_check_raises_the_evidence():
    result = invented().run(without_cause=True)
    assert result.exit_code == 1
    with pytest.raises(AssertionError, match="NOT REPRODUCED") as failure:
        result.check()
    assert "Without ten. Now a claim has to fail." in str(failure.value)


def test_arms_take_turns_in_an_order_that_the_seed_repeats():
    def order(seed):
        result = invented(values=(10.0,) * 40).run(seed=seed)
        assert [one.round for one in result.measurements] == [i // 2 for i in range(40)]
        return [(one.arm, one.values["seed"]) for one in result.measurements]

    assert order(seed=1) == order(seed=1)
    assert order(seed=1) != order(seed=2)
    arms = [arm for arm, _ in order(seed=1)]
    assert {tuple(arms[i : i + 2]) for i in range(0, 40, 2)} == {("a", "b"), ("b", "a")}


@pytest.mark.parametrize(
    ("change", "wrong"), [({"arms": {}}, "is no arm"), ({"quantities": []}, "is no quantity")]
)
def test_a_claim_about_nothing_is_refused(change, wrong):
    with pytest.raises(ValueError, match=wrong):
        replace(invented(), **change)
    with pytest.raises(ValueError, match="at least one is needed"):
        invented().run(rounds=0)


def test_a_result_shows_itself_and_becomes_a_frame():
    pytest.importorskip("pandas")
    result = invented(values=(10.0, 9.5, 10.5, 10.0)).run()
    assert "10,000" in repr(result)  # in its unit
    assert "<table>" in result._repr_html_()
    frame = result.to_pandas()
    assert list(frame.columns) == ["round", "arm", "x", "seed", "doubts"]
    assert len(frame) == 4


def test_what_our_own_children_compute_is_not_what_others_do():
    burn = "import time\nwhile time.process_time() < 0.3: pass\nprint(flush=True); input()"
    before = CpuUse.now()
    child = subprocess.Popen(
        [sys.executable, "-c", burn], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    child.stdout.readline()
    alive = CpuUse.now()
    child.communicate(b"\n")
    reaped = CpuUse.now()
    # In ticks of 10 ms.
    assert alive.own - before.own >= 0.28
    assert reaped.own >= alive.own - 0.02


# --- one directory per run -----------------------------------------------------------------------


def test_a_run_is_a_directory_that_latest_leads_to(tmp_path):
    result = invented().run(seed=7)
    first, second = result.save(tmp_path), result.save(tmp_path)
    assert first != second
    assert (tmp_path / "invented" / "latest").resolve() == second
    saved = json.loads((second / "result.json").read_text(encoding="utf-8"))
    assert (saved["schema_version"], saved["verdict"], saved["seed"]) == (1, "reproduced", 7)
    assert saved["claims"][0]["accepted"] == [9.0, 11.0]
    rows = list(csv.DictReader((second / "samples.csv").open(encoding="utf-8")))
    assert {row["arm"]: row["x"] for row in rows} == {"a": "10.0", "b": "10.0"}
    environment = json.loads((second / "env.json").read_text(encoding="utf-8"))
    assert environment["seed"] == 7
    assert environment["kernel"]["sysctls"]["net.ipv4.tcp_congestion_control"]
    if chart_style.available():
        assert (second / "figure.png").read_bytes().startswith(b"\x89PNG\r\n")
        assert b"<svg" in (second / "figure.svg").read_bytes()


def test_the_report_needs_nothing_but_itself_and_escapes_text():
    outline = Outline()
    outline.feed(experiment_page.page(invented(by="clock").run(without_cause=True)))
    outline.close()
    text = " ".join(outline.text)
    assert outline.open == []
    assert all(address.startswith("data:image/png;base64,") for address in outline.fetched)
    assert "Is it <ten>?" in text
    assert "Without ten." in text


def test_a_claim_without_upper_bound_is_saved_and_drawn(tmp_path):
    claim = mr.lab.Claim("a", "x", mr.lab.Prediction(1, math.inf, "any"), "It is large.")
    result = replace(invented(), claims=[claim]).run()
    assert "≥ 1,000" in repr(result)
    saved = json.loads((result.save(tmp_path) / "result.json").read_text(encoding="utf-8"))
    assert saved["claims"][0]["accepted"] == [1, None]


# --- a network of one's own ----------------------------------------------------------------------


@pytest.fixture
def network():
    try:
        with mr.lab.PrivateNetwork(patience_s=20) as private:
            yield private
    except mr.lab.PrivateNetworkUnavailable as unavailable:
        pytest.skip(str(unavailable))


def test_settings_of_a_private_network_are_its_own(network):
    setting = Path("/proc/sys/net/core/somaxconn")
    ours = setting.read_text(encoding="ascii")
    network.call(mr.lab.set_sysctl, "net.core.somaxconn", 7)
    assert network.call(Path.read_text, setting) == "7\n"
    assert setting.read_text(encoding="ascii") == ours
    assert network.call(network_counters)["TcpPassiveOpens"] == 0


def test_settings_of_the_machine_are_left_alone():
    with pytest.raises(RuntimeError, match="would change this machine"):
        mr.lab.set_sysctl("net.core.somaxconn", 7)


def test_a_private_network_refuses_what_it_cannot_send_and_returns_what_is_raised(network):
    with pytest.raises(TypeError, match="put it into a module"):
        network.call(lambda: 1)
    with pytest.raises(RuntimeError, match="unsupported operand"):
        network.call(add, 1, "x")
    assert network.call(add, 1, 2) == 3


@pytest.mark.parametrize("refused", ["root", "loopback"])
def test_a_namespace_that_is_of_no_use_is_no_private_network(monkeypatch, refused):
    """As with AppArmor on Ubuntu 24.04: unshare succeeds, and what comes after it does not."""

    def no(*arguments, **options):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    answers = iter([-1, 0] if refused == "root" else [0])
    libc = SimpleNamespace(unshare=lambda flags: next(answers))
    monkeypatch.setattr(private_network.ctypes, "CDLL", lambda *a, **k: libc)
    monkeypatch.setattr(private_network.os, "access", lambda *a: True)
    monkeypatch.setattr(private_network.Path, "write_text", no)
    monkeypatch.setattr(private_network, "_raise_loopback", no)
    with pytest.raises(mr.lab.PrivateNetworkUnavailable, match="apparmor_restrict") as said:
        private_network._enter()
    assert "Operation not permitted" in str(said.value)
    assert refused in str(said.value)
    assert not private_network._is_private


def test_a_private_network_that_cannot_be_entered_leaves_no_child(monkeypatch):
    children = []

    def fail(self, function):
        children.append(self._child)
        raise KeyboardInterrupt

    monkeypatch.setattr(mr.lab.PrivateNetwork, "call", fail)
    with pytest.raises(KeyboardInterrupt), mr.lab.PrivateNetwork():
        pass
    assert children[0].returncode is not None


def test_where_there_is_no_private_network_the_experiment_is_skipped(monkeypatch):
    def unavailable(self):
        raise mr.lab.PrivateNetworkUnavailable("not on this machine")

    monkeypatch.setattr(mr.lab.PrivateNetwork, "__enter__", unavailable)
    result = find("accept-queue").run(quick=True)
    assert result.exit_code == 2
    assert "skipped: not on this machine" in repr(result)
    assert "not on this machine" in experiment_page.page(result)


# --- the catalogue, for real ---------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_the_experiment_is_reproduced_and_fails_without_its_cause(name):
    with_cause = find(name).run(quick=True)
    if with_cause.skipped:
        pytest.skip(with_cause.skipped)
    without = find(name).run(quick=True, without_cause=True)
    counted = [
        (claim.says, finding.verdict.value)
        for claim, finding in with_cause.findings
        if claim.by == "count"
    ]
    # What the clock says depends on who else uses the machine; what is counted does not.
    assert {verdict for _, verdict in counted} <= {"reproduced"}, with_cause
    assert with_cause.verdict != mr.lab.Verdict.NOT_REPRODUCED, with_cause
    assert without.verdict != mr.lab.Verdict.REPRODUCED, without
    if counted:
        assert without.verdict == mr.lab.Verdict.NOT_REPRODUCED, without


def test_an_arm_that_cannot_be_had_is_left_out_with_the_reason():
    result = replace(invented(), left_out={"processes": "not here"}).run()
    assert "left out: processes: not here" in repr(result)
    assert "not here" in experiment_page.page(result)


# --- the command line ----------------------------------------------------------------------------


def test_list_names_every_experiment(capsys):
    assert cli.main(["lab", "list"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in told] == list(NAMES)


def test_run_prints_the_table_and_writes_the_report(tmp_path, capsys):
    code = cli.main(["lab", "run", "who-accepts", "--quick", "--out", str(tmp_path)])
    told = capsys.readouterr().out
    assert code == 0
    assert "who-accepts: REPRODUCED" in told
    assert (tmp_path / "who-accepts" / "latest" / "report.html").exists()


def test_run_without_the_cause_fails_and_says_so_in_json(tmp_path, capsys):
    arguments = ["lab", "run", "who-accepts", "--quick", "--remove-cause", "--json"]
    assert cli.main([*arguments, "--out", str(tmp_path)]) == 1
    assert json.loads(capsys.readouterr().out)["verdict"] == "not reproduced"


def test_check_expects_both(capsys):
    assert cli.main(["lab", "check", "who-accepts"]) == 0
    assert "ok" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments", [[], ["run", "nothing"], ["check"], ["check", "nothing"], ["run", "--rounds", "0"]]
)
def test_wrong_use_is_not_mistaken_for_a_verdict(arguments, capsys):
    try:
        code = cli.main(["lab", *arguments])
    except SystemExit as left:
        code = left.code
    assert code == 64
    assert "millrace lab" in capsys.readouterr().err
