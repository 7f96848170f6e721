"""A prediction, what was measured, and what the two say about each other."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

__all__ = ["Finding", "Prediction", "Verdict", "judge", "overall"]


class Verdict(Enum):
    """What a measurement says about a prediction; the same three words for every experiment."""

    REPRODUCED = "reproduced"
    NOT_REPRODUCED = "not reproduced"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True)
class Prediction:
    """Where a closed form says that a value lies, written down before anybody measures it.

    Attributes
    ----------
    low, high:
        The closed form's answer; a band where it leaves something to chance.
    formula:
        How it was computed, in a few words.
    relative, absolute:
        What the measurement may be off by on either side, as a share of the bound and in the
        value's own unit, for what the closed form leaves out.
    no_test:
        Why a measurement cannot contradict this prediction; empty when it can.
    """

    low: float
    high: float
    formula: str
    relative: float = 0.0
    absolute: float = 0.0
    no_test: str = ""

    def accepts(self, measured: float) -> bool:
        """Return whether the value lies in the band, tolerances added."""
        low = self.low * (1 - self.relative) - self.absolute
        high = self.high * (1 + self.relative) + self.absolute
        return low <= measured <= high


@dataclass(frozen=True)
class Finding:
    """One measured value beside its prediction.

    ``verdict`` is None where there is nothing to judge: no prediction, or one that no measurement
    could contradict.
    """

    measured: float
    prediction: Prediction | None
    verdict: Verdict | None
    reason: str = ""


def judge(measured: float, prediction: Prediction | None, doubts: Iterable[str] = ()) -> Finding:
    """Compare a measured value with its prediction.

    Parameters
    ----------
    measured:
        The value.
    prediction:
        What the closed form says; None where there is none.
    doubts:
        Reasons why this run is no fair test, such as other programs that used the cores. They turn
        "not reproduced" into "inconclusive"; a value that agrees in spite of them still agrees.

    Examples
    --------
    >>> expected = Prediction(400.0, 400.0, "cores / service", relative=0.10)
    >>> judge(390.0, expected).verdict
    <Verdict.REPRODUCED: 'reproduced'>
    >>> judge(300.0, expected, ["others used 40 % of the cores"]).verdict
    <Verdict.INCONCLUSIVE: 'inconclusive'>
    """
    if prediction is None or prediction.no_test:
        reason = prediction.no_test if prediction else ""
        return Finding(measured, prediction, None, reason)
    if prediction.accepts(measured):
        return Finding(measured, prediction, Verdict.REPRODUCED)
    doubt = "; ".join(doubts)
    verdict = Verdict.INCONCLUSIVE if doubt else Verdict.NOT_REPRODUCED
    return Finding(measured, prediction, verdict, doubt)


def overall(findings: Iterable[Finding]) -> Verdict:
    """Return the verdict on several findings of one run: the least favourable of them.

    Without a single judged finding the run is inconclusive.

    Examples
    --------
    >>> overall([])
    <Verdict.INCONCLUSIVE: 'inconclusive'>
    """
    verdicts = {finding.verdict for finding in findings if finding.verdict is not None}
    for worst in (Verdict.NOT_REPRODUCED, Verdict.INCONCLUSIVE):
        if worst in verdicts:
            return worst
    return Verdict.REPRODUCED if verdicts else Verdict.INCONCLUSIVE
