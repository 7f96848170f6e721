"""A prediction, what was measured, and what the two say about each other."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from statistics import median

__all__ = ["Finding", "Prediction", "Verdict", "judge", "judge_rounds", "overall"]

# How sure an interval of the median is, where there are rounds enough.
_SURE = 0.95
# More rounds than this are no remedy.
_MOST_MORE = 1000


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

    @property
    def band(self) -> tuple[float, float]:
        """Lowest and highest value that it accepts, tolerances added."""
        return (
            self.low * (1 - self.relative) - self.absolute,
            self.high * (1 + self.relative) + self.absolute,
        )

    def accepts(self, measured: float) -> bool:
        """Return whether the value lies in the band, tolerances added."""
        low, high = self.band
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


def judge_rounds(
    values: Sequence[float], prediction: Prediction, doubts: Iterable[str] = ()
) -> Finding:
    """Compare what several rounds measured with a prediction, by an interval of their median.

    Reproduced when the whole interval lies in the band, not reproduced when all of it lies
    outside, else inconclusive; the reason says how many more rounds may decide it. The interval is
    the one of order statistics, which assumes nothing about how values are spread: 95 % sure from
    six rounds on, and from the smallest to the largest value with fewer.

    Parameters
    ----------
    doubts:
        As of `judge`.

    Examples
    --------
    >>> expected = Prediction(10.0, 12.0, "formula")
    >>> judge_rounds([10.5, 11.0, 11.5], expected).verdict
    <Verdict.REPRODUCED: 'reproduced'>
    >>> judge_rounds([11.8, 11.5, 12.1], expected).reason
    'rounds between 11.5 and 12.1 lie on both sides of 12: 4 more may decide it'
    """
    low, high = _median_interval(values)
    middle = median(values)
    if prediction.no_test or (prediction.accepts(low) and prediction.accepts(high)):
        return judge(middle, prediction)
    least, most = prediction.band
    if high < least or low > most:
        return judge(middle, prediction, doubts)
    edge = least if low < least else most
    more = _more_rounds(len(values), (high - low) / 2, abs(middle - edge))
    remedy = f"{more} more may decide it" if more else "more rounds hardly help so near to it"
    reason = f"rounds between {low:.4g} and {high:.4g} lie on both sides of {edge:.4g}: {remedy}"
    return Finding(middle, prediction, Verdict.INCONCLUSIVE, "; ".join([reason, *doubts]))


def _median_interval(values: Sequence[float]) -> tuple[float, float]:
    """Return a distribution-free interval of the median (David & Nagaraja 2003, 7.1)."""
    ordered, n = sorted(values), len(values)
    left_out, outside = 0, 0.0
    while left_out < (n - 1) // 2:
        outside += math.comb(n, left_out) / 2**n
        if 2 * (outside + math.comb(n, left_out + 1) / 2**n) > 1 - _SURE:
            break
        left_out += 1
    return ordered[left_out], ordered[n - 1 - left_out]


def _more_rounds(n: int, half_width: float, distance: float) -> int | None:
    """Return how many are missing, as intervals shrink with the square root of the number."""
    if distance <= 0:
        return None
    more = math.ceil(n * (half_width / distance) ** 2) - n
    return max(1, more) if more <= _MOST_MORE else None


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
