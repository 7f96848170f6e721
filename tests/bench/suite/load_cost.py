"""What millrace's own load generator costs per request, beside wrk, against the same server.

Start-up is left out by running each generator twice, for a short and a long time, and dividing the
difference in CPU time by the difference in requests: what both runs have in common cancels.
"""

import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from suite import wrk
from suite.children import on_core
from suite.cores import Cores
from suite.measure import Plan
from suite.rows import Request
from suite.running import RunningServer
from suite.servers import SERVERS
from suite.tools import Unavailable
from suite.verdict import Verdict

BOUND = 1.3
SHORT_S = 1
GRACE_S = 20
REQUEST = Request("/")


@dataclass(frozen=True)
class Run:
    cpu_us: float
    requests: int


@dataclass(frozen=True)
class LoadCost:
    """CPU microseconds per request of each generator, one entry a round."""

    wrk_us: list[float]
    millrace_us: list[float]

    @property
    def ratios(self) -> list[float]:
        return [ours / theirs for ours, theirs in zip(self.millrace_us, self.wrk_us, strict=True)]

    def judge(self) -> Verdict:
        ratio = statistics.median(self.ratios)
        return Verdict(ratio <= BOUND, "" if ratio <= BOUND else f"{ratio:.2f} times wrk")


def measure_load_cost(plan: Plan) -> LoadCost:
    """Both generators in turn against the raw loop.

    Raises
    ------
    Unavailable
        One of them cannot run, or saw errors.
    """
    server = next(server for server in SERVERS if server.name == "raw loop")
    wrk_us, millrace_us = [], []
    with RunningServer(server, plan.tools, plan.cores.server) as running:
        ours, theirs = _millrace(plan, running.port), _wrk(plan, running.port)
        for _ in range(plan.rounds):
            wrk_us.append(_cost_us(theirs, plan.seconds))
            millrace_us.append(_cost_us(ours, plan.seconds))
    return LoadCost(wrk_us, millrace_us)


def _cost_us(run: Callable[[int], Run], seconds: int) -> float:
    short, long = run(SHORT_S), run(SHORT_S + seconds)
    more_requests = long.requests - short.requests
    if more_requests <= 0:
        raise Unavailable("the longer run made no more requests than the shorter one")
    return (long.cpu_us - short.cpu_us) / more_requests


def _wrk(plan: Plan, port: int) -> Callable[[int], Run]:
    def run(seconds: int) -> Run:
        command = wrk.command(plan.tools, REQUEST, port, seconds)
        output, cpu_us = _run_counted(command, plan.cores, seconds)
        try:
            return Run(cpu_us, wrk.parse(output).requests)
        except wrk.LoadFailed as error:
            raise Unavailable(f"wrk: {error}") from error

    return run


def _millrace(plan: Plan, port: int) -> Callable[[int], Run]:
    def run(seconds: int) -> Run:
        # fmt: off
        command = [
            str(Path(plan.tools.python).parent / "millrace"), "load",
            f"http://127.0.0.1:{port}{REQUEST.path}",
            "--connections", str(REQUEST.connections), "--duration", f"{seconds}s", "--json",
        ]
        # fmt: on
        output, cpu_us = _run_counted(command, plan.cores, seconds)
        return Run(cpu_us, _requests_in(output))

    return run


def _requests_in(output: str) -> int:
    """The count in the JSON object, on one line or many, that `--json` prints."""
    start = output.find("{")
    try:
        report, _ = json.JSONDecoder().raw_decode(output[max(start, 0) :])
        return int(report["requests"])
    except (ValueError, KeyError, TypeError):
        raise Unavailable("millrace load --json printed no count of requests") from None


def _run_counted(command: list[str], cores: Cores, seconds: int) -> tuple[str, float]:
    """Output and CPU microseconds of a child, as wait4 accounts for it."""
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        try:
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                start_new_session=True,
                preexec_fn=on_core(cores.load),
            )
        except OSError as error:
            raise Unavailable(
                f"{Path(command[0]).name} cannot be started: {error.strerror}"
            ) from error
        status, cpu_us = _wait_counted(child, seconds + GRACE_S)
        if status != 0:
            raise Unavailable(f"{Path(command[0]).name} exited with {status}: {_tail(errors)}")
        output.seek(0)
        return output.read(), cpu_us


def _wait_counted(child: "subprocess.Popen[bytes]", timeout_s: float) -> tuple[int, float]:
    deadline = time.monotonic() + timeout_s
    try:
        while True:
            pid, status, usage = os.wait4(child.pid, os.WNOHANG)
            if pid == child.pid:
                child.returncode = os.waitstatus_to_exitcode(status)
                return child.returncode, (usage.ru_utime + usage.ru_stime) * 1e6
            if time.monotonic() > deadline:
                raise Unavailable(f"did not end {GRACE_S} s after its time")
            time.sleep(0.05)
    finally:
        if child.returncode is None:
            child.kill()
            child.wait()


def _tail(errors: IO[str]) -> str:
    errors.seek(0)
    lines = errors.read().strip().splitlines()
    return lines[-1] if lines else "no reason given"
