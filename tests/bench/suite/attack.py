"""What served requests cost while 1,000 slow clients attack, beside what they cost in peace.

Rounds alternate between the two on one server, whose limits are the defaults: attackers that it
ends come back at once, which is part of the cost. All CPU time of the server counts, that which the
attackers cause too. What they cause alone is measured at the end, without other load.
"""

import json
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from suite import process_tree, wrk
from suite.children import on_core
from suite.measure import Plan
from suite.rows import ROWS
from suite.running import RunningServer
from suite.servers import SERVERS
from suite.tools import BENCH, Unavailable
from suite.verdict import Verdict

ATTACKERS = 1000
BOUND = 1.10
SETTLE_S = 0.5  # until the server has seen attackers come, or leave
GRACE_S = 30


@dataclass
class AttackCost:
    """CPU microseconds per served request, one entry a round, and what came of the attackers."""

    calm_us: list[float] = field(default_factory=list)
    attacked_us: list[float] = field(default_factory=list)
    returned: int = 0
    """Attackers that the server ended and that came back, over all rounds."""
    alone_share: float = 0.0
    """Of one core: what the server spends on the attackers when nothing else is to be done."""

    @property
    def ratios(self) -> list[float]:
        return [a / c for a, c in zip(self.attacked_us, self.calm_us, strict=True)]

    def judge(self) -> Verdict:
        ratio = statistics.median(self.ratios)
        return Verdict(ratio < BOUND, "" if ratio < BOUND else f"{ratio:.2f} times calm")


def measure_attack(plan: Plan) -> AttackCost:
    """Rounds in peace and under attack, in turn.

    Raises
    ------
    Unavailable
        The server cannot run, a served request failed, or the attackers did.
    """
    cost = AttackCost()
    server = next(server for server in SERVERS if server.name == "millrace")
    with RunningServer(server, plan.tools, plan.cores.server) as running:
        _cost_us(plan, running)  # a warm-up
        for _ in range(plan.rounds):
            cost.calm_us.append(_cost_us(plan, running))
            with Attackers(plan, running.port) as attackers:
                cost.attacked_us.append(_cost_us(plan, running))
                cost.returned += attackers.finish()
        with Attackers(plan, running.port):
            before = process_tree.cpu_time_ns(running.tree())
            time.sleep(plan.seconds)
            spent = process_tree.cpu_time_ns(running.tree()) - before
            cost.alone_share = spent / 1e9 / plan.seconds
    return cost


class Attackers:
    """All of them, in a process on the load generator's core, of which they need little."""

    def __init__(self, plan: Plan, port: int) -> None:
        # fmt: off
        command = [
            sys.executable, str(BENCH / "attackers.py"), str(port),
            "--connections", str(ATTACKERS), "--timeout", str(plan.seconds + GRACE_S),
        ]
        # fmt: on
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=on_core(plan.cores.load),
        )

    def __enter__(self) -> Self:
        self._expect("attacking")
        time.sleep(SETTLE_S)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.communicate()
        time.sleep(SETTLE_S)

    def finish(self) -> int:
        """How many came back; they attack no more."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.stdin = None
        return self._expect("returned")

    def _expect(self, key: str) -> int:
        """They bound their own time, so that this read ends."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        try:
            message = json.loads(line)
        except ValueError:
            raise Unavailable(f"the attackers ended early: {line.strip()!r}") from None
        if key not in message:
            raise Unavailable(f"the attackers failed: {message.get('error', line.strip())}")
        return int(message[key])


def _cost_us(plan: Plan, running: RunningServer) -> float:
    request = next(row for row in ROWS if row.name == "constant").request
    before = process_tree.cpu_time_ns(running.tree())
    try:
        load = wrk.run(plan.tools, request, running.port, plan.seconds, plan.cores.load)
    except wrk.LoadFailed as error:
        raise Unavailable(str(error)) from error
    spent = process_tree.cpu_time_ns(running.tree()) - before
    return spent / 1000 / load.requests
