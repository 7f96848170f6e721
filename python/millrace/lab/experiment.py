"""An experiment: a question, a prediction with its source, arms in turn, claims that can fail."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Literal

from millrace.lab.environment import environment
from millrace.lab.experiment_result import Measurement, Result
from millrace.lab.machine import CpuUse, Machine
from millrace.lab.private_network import PrivateNetwork, PrivateNetworkUnavailable
from millrace.lab.verdicts import Prediction

__all__ = ["Claim", "Experiment", "Measure", "Quantity", "Run"]


@dataclass(frozen=True)
class Run:
    """What an arm is told when it measures one round.

    Attributes
    ----------
    seed:
        For whatever it draws; another one each round.
    quick:
        Fewer repetitions, please.
    without_cause:
        Take away what the experiment claims to be the cause.
    """

    seed: int = 1
    quick: bool = False
    without_cause: bool = False


Measure = Callable[[Run], Mapping[str, float]]


@dataclass(frozen=True)
class Quantity:
    """One thing that arms measure: its key in their answer, and how people read it.

    ``scale`` is what a value is multiplied with to be in ``unit``.
    """

    name: str
    title: str
    unit: str = ""
    scale: float = 1.0

    def write(self, value: float) -> str:
        """Return a value in the unit, with three digits or all before the point."""
        scaled = value * self.scale
        return f"{scaled:,.0f}" if abs(scaled) >= 100 else f"{scaled:.3g}"

    def write_band(self, low: float, high: float) -> str:
        """Return two bounds as one number, a band, or a lower bound.

        Examples
        --------
        >>> share = Quantity("share", "Share", "%", 100)
        >>> share.write_band(0.25, 0.25), share.write_band(0.2, 0.3), share.write_band(1, math.inf)
        ('25', '20–30', '≥ 100')
        """
        least, most = self.write(low), self.write(high)
        if high == math.inf:
            return f"≥ {least}"
        return least if least == most else f"{least}–{most}"

    @property
    def heading(self) -> str:
        """Title and unit."""
        return f"{self.title}, {self.unit}" if self.unit else self.title


@dataclass(frozen=True)
class Claim:
    """What one quantity of one arm has to be.

    Attributes
    ----------
    arm, quantity:
        Which value it is about.
    prediction:
        Where the value has to lie, and the formula that says so.
    says:
        The claim as a sentence.
    by:
        ``"count"``: other programs on the machine do not change it. ``"clock"``: they may, so a
        value that is off while they use the cores is inconclusive.
    """

    arm: str
    quantity: str
    prediction: Prediction
    says: str
    by: Literal["count", "clock"] = "count"


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """A question to this machine, and what the answer has to be before anybody measures it.

    Attributes
    ----------
    name, question:
        For tables and for people.
    formula, source:
        The prediction as a closed form, and where it is from.
    quantities:
        What the arms measure, in the order in which it is shown.
    arms:
        What is compared: functions that measure one round. They take turns, in an order that the
        seed draws anew each round, so that what drifts meets all of them alike.
    claims:
        What the values have to be.
    without_cause:
        What is taken away when the experiment runs without its cause. Then at least one claim has
        to fail; else the experiment would prove nothing.
    private_network:
        Run the arms in a `PrivateNetwork`. They must be functions of a module then, or
        `functools.partial` of such.
    rounds, quick_rounds:
        How often each arm measures.
    left_out:
        Arms that cannot be had here, with the reason.

    Raises
    ------
    ValueError
        A claim names an arm or a quantity that there is not.

    Examples
    --------
    >>> import math
    >>> def count_bits(run):
    ...     return {"bits": (1 if run.without_cause else 255).bit_length()}
    >>> experiment = Experiment(
    ...     name="bits",
    ...     question="How many bits does 255 have?",
    ...     formula="log2(255 + 1)",
    ...     source="arithmetic",
    ...     quantities=[Quantity("bits", "bits")],
    ...     arms={"255": count_bits},
    ...     claims=[Claim("255", "bits", Prediction(8, 8, "log2(255 + 1)"), "255 has 8 bits.")],
    ...     without_cause="another number",
    ... )
    >>> experiment.run(rounds=2).verdict.value
    'reproduced'
    >>> experiment.run(rounds=2, without_cause=True).verdict.value
    'not reproduced'
    """

    name: str
    question: str
    formula: str
    source: str
    quantities: Sequence[Quantity]
    arms: Mapping[str, Measure]
    claims: Sequence[Claim]
    without_cause: str
    private_network: bool = False
    rounds: int = 6
    quick_rounds: int = 2
    left_out: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        known = {quantity.name for quantity in self.quantities}
        for claim in self.claims:
            if claim.arm not in self.arms:
                raise ValueError(f"{claim.says!r}: {claim.arm!r} is no arm")
            if claim.quantity not in known:
                raise ValueError(f"{claim.says!r}: {claim.quantity!r} is no quantity")

    def run(
        self,
        *,
        rounds: int | None = None,
        quick: bool = False,
        seed: int = 1,
        without_cause: bool = False,
        progress: Callable[[str], None] = lambda what: None,
    ) -> Result:
        """Measure all arms and judge all claims.

        Parameters
        ----------
        rounds:
            Instead of the experiment's own number.
        quick:
            Few rounds of little; more of it is inconclusive.
        seed:
            Draws the order of the arms, and what the arms draw.
        without_cause:
            Take the cause away: now a claim has to fail.
        progress:
            Called with the name of each arm before it measures.

        Raises
        ------
        ValueError
            Less than one round.
        """
        rounds = rounds if rounds is not None else self.quick_rounds if quick else self.rounds
        if rounds < 1:
            raise ValueError(f"rounds={rounds}: at least one is needed")
        result = Result(self, seed=seed, quick=quick, without_cause=without_cause)
        started = time.monotonic()
        try:
            self._measure(result, rounds, progress)
        except PrivateNetworkUnavailable as unavailable:
            result.skipped = str(unavailable)
        result.elapsed_s = time.monotonic() - started
        return result

    def _measure(self, result: Result, rounds: int, progress: Callable[[str], None]) -> None:
        draw = random.Random(result.seed)
        cores = Machine.here().cores
        with ExitStack() as stack:
            network = stack.enter_context(PrivateNetwork()) if self.private_network else None
            result.environment = network.call(environment) if network else environment()
            for number in range(rounds):
                order = list(self.arms)
                draw.shuffle(order)
                for arm in order:
                    progress(arm)
                    run = Run(draw.getrandbits(32), result.quick, result.without_cause)
                    task = (self.arms[arm], run, cores)
                    values, doubts = (
                        network.call(_measure_arm, *task) if network else _measure_arm(*task)
                    )
                    result.measurements.append(Measurement(number, arm, values, doubts))


def _measure_arm(
    measure: Measure, run: Run, cores: int
) -> tuple[dict[str, float], tuple[str, ...]]:
    """Measure one arm once, here or in the child, and say who else used the cores meanwhile."""
    used = CpuUse.now()
    values = dict(measure(run))
    return values, tuple(CpuUse.now().doubts_since(used, cores))
