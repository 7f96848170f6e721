"""What an experiment has measured, and the verdicts on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from millrace import human
from millrace.lab.verdicts import Finding, Verdict, judge_rounds, overall
from millrace.tables import ShownAsTable, TextTable, optional_module

if TYPE_CHECKING:
    import pandas
    from matplotlib.figure import Figure

    from millrace.lab.experiment import Claim, Experiment, Quantity

__all__ = ["Measurement", "Result"]

_EXIT_CODES = {Verdict.REPRODUCED: 0, Verdict.NOT_REPRODUCED: 1, Verdict.INCONCLUSIVE: 2}


@dataclass(frozen=True)
class Measurement:
    """What one arm measured in one round, and reasons why that round was no fair test."""

    round: int
    arm: str
    values: Mapping[str, float]
    doubts: tuple[str, ...] = ()


@dataclass(repr=False)
class Result(ShownAsTable):
    """All measurements of one run of an experiment, with a verdict on each claim.

    Attributes
    ----------
    experiment:
        What was run.
    seed, quick, without_cause:
        How.
    measurements:
        What was measured, in the order in which it was.
    environment:
        Machine, kernel and settings.
    skipped:
        Why nothing was measured; empty where something was.
    elapsed_s:
        Seconds it took.
    """

    experiment: Experiment
    seed: int
    quick: bool
    without_cause: bool
    measurements: list[Measurement] = field(default_factory=list)
    environment: dict[str, Any] = field(default_factory=dict)
    skipped: str = ""
    elapsed_s: float = 0.0

    @cached_property
    def findings(self) -> list[tuple[Claim, Finding]]:
        """The verdict on each claim; none where nothing was measured."""
        if self.skipped:
            return []
        return [(claim, self._judge(claim)) for claim in self.experiment.claims]

    @property
    def verdict(self) -> Verdict:
        """The least favourable verdict on any claim; inconclusive where nothing was measured."""
        return overall(finding for _, finding in self.findings)

    @property
    def exit_code(self) -> int:
        """0 reproduced, 1 not reproduced, 2 inconclusive."""
        return _EXIT_CODES[self.verdict]

    @property
    def rounds(self) -> int:
        """How often each arm measured."""
        return len({measurement.round for measurement in self.measurements})

    def values(self, arm: str, quantity: str) -> list[float]:
        """Return what each round measured."""
        return [
            measurement.values[quantity]
            for measurement in self.measurements
            if measurement.arm == arm and quantity in measurement.values
        ]

    def quantity(self, name: str) -> Quantity:
        """Return one of the experiment's quantities by its name."""
        return next(one for one in self.experiment.quantities if one.name == name)

    def check(self) -> None:
        """Raise where the experiment was not reproduced, for tests.

        Raises
        ------
        AssertionError
            A claim does not hold, or cannot be decided; the message is the whole table.
        """
        if self.verdict != Verdict.REPRODUCED:
            raise AssertionError(repr(self))

    def to_pandas(self) -> pandas.DataFrame:
        """Return one row per arm and round.

        Raises
        ------
        ImportError
            pandas is not installed: ``pip install "millrace[lab]"``.
        """
        frames = optional_module("pandas", "Result.to_pandas()")
        frame: pandas.DataFrame = frames.DataFrame(
            [
                {"round": one.round, "arm": one.arm, **one.values, "doubts": "; ".join(one.doubts)}
                for one in self.measurements
            ]
        )
        return frame

    def plot(self) -> Figure:
        """Draw every round, and the predictions beside them.

        Raises
        ------
        ImportError
            matplotlib is not installed: ``pip install "millrace[lab]"``.
        """
        from millrace.lab.experiment_chart import draw

        optional_module("matplotlib", "Result.plot()")
        return draw(self)

    def save(self, folder: str | Path = "millrace-runs") -> Path:
        """Write everything into ``folder/name/time`` and return that path.

        ``result.json``, ``env.json``, ``samples.csv``, ``report.html``, and a figure where
        matplotlib is installed. ``folder/name/latest`` leads to it.
        """
        from millrace.lab.experiment_files import save

        return save(self, Path(folder))

    def _judge(self, claim: Claim) -> Finding:
        doubts: list[str] = []
        if claim.by == "clock":
            of_the_arm = [one for one in self.measurements if one.arm == claim.arm]
            # One reason is enough; the report has those of every round.
            doubts = [doubt for one in of_the_arm for doubt in one.doubts][:1]
        return judge_rounds(self.values(claim.arm, claim.quantity), claim.prediction, doubts)

    def _table(self) -> TextTable:
        table = TextTable(
            f"{self.experiment.name}: {self.verdict.value.upper()}",
            ("arm", "quantity", "predicted", "measured", "rounds", "verdict"),
            labels=2,
        )
        for claim, finding in self.findings:
            quantity = self.quantity(claim.quantity)
            values = self.values(claim.arm, claim.quantity)
            table.add(
                claim.arm,
                quantity.heading,
                quantity.write_band(claim.prediction.low, claim.prediction.high),
                quantity.write(finding.measured),
                quantity.write_band(min(values), max(values)),
                _word(finding),
            )
        table.notes.extend(self._notes())
        return table

    def _notes(self) -> list[str]:
        notes = [self.experiment.question]
        if self.skipped:
            notes.append(f"skipped: {self.skipped}")
        if self.without_cause:
            notes.append(f"Without {self.experiment.without_cause}. Now a claim has to fail.")
        notes += [
            f"{_word(finding)}: {claim.says}" + (f" ({finding.reason})" if finding.reason else "")
            for claim, finding in self.findings
        ]
        notes += [f"left out: {arm}: {why}" for arm, why in self.experiment.left_out.items()]
        count, seconds = self.rounds, human.duration(self.elapsed_s)
        notes.append(f"{count} round{'' if count == 1 else 's'} in {seconds}, seed {self.seed}")
        return notes


def _word(finding: Finding) -> str:
    return finding.verdict.value if finding.verdict else "no test"
