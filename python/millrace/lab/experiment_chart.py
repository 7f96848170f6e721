"""The picture of an experiment: every round of every arm, and where it was predicted to lie."""

from __future__ import annotations

import math
from statistics import median
from typing import TYPE_CHECKING

from millrace.lab import chart_style
from millrace.lab.chart_style import INKS, Ink, Theme
from millrace.lab.experiment_result import Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from millrace.lab.experiment import Quantity

__all__ = ["draw"]

_ROW_INCHES = 0.42
_MARGIN_INCHES = 1.3
# A panel whose values differ by more is drawn with a logarithmic axis.
_MOST_DECADES = 50
_HALF = 0.3


def draw(result: Result, theme: Theme = "light") -> Figure:
    """Draw one panel per quantity, one row per arm.

    A dot is a round, a bar reaches to their median. Upright strokes are the
    prediction, and a line between or around them what it may be off by.

    Raises
    ------
    ImportError
        matplotlib is not installed: ``pip install 'millrace[lab]'``.
    """
    shown = [one for one in result.experiment.quantities if _has_values(result, one)]
    arms = list(result.experiment.arms)
    ink = INKS[theme]
    height = _MARGIN_INCHES + _ROW_INCHES * max(3, len(arms))
    with chart_style.panels(max(1, len(shown)), ink, height=height) as (figure, panels):
        for panel, quantity in zip(panels, shown, strict=False):
            _panel(panel, result, quantity, ink)
            panel.tick_params(labelleft=panel is panels[0])
        panels[0].set_yticks(range(len(arms)), arms)
        panels[0].set_ylim(len(arms) - 0.5, -0.5)
        handles, labels = panels[0].get_legend_handles_labels()
        named = dict(zip(labels, handles, strict=True))
        figure.legend(
            named.values(),
            named.keys(),
            loc="lower center",
            ncols=len(named),
            frameon=False,
            fontsize=9,
        )
        figure.subplots_adjust(
            top=1 - 0.35 / height, bottom=0.85 / height, left=0.2, wspace=0.16, right=0.985
        )
    return figure


def _has_values(result: Result, quantity: Quantity) -> bool:
    return any(result.values(arm, quantity.name) for arm in result.experiment.arms)


def _panel(panel: Axes, result: Result, quantity: Quantity, ink: Ink) -> None:
    seen = []
    for at, arm in enumerate(result.experiment.arms):
        values = [value * quantity.scale for value in result.values(arm, quantity.name)]
        if not values:
            continue
        seen += values
        panel.barh(at, median(values), height=2 * _HALF * 0.8, color=ink.series[0], alpha=0.35)
        panel.plot(
            values,
            [at] * len(values),
            "o",
            color=ink.series[0],
            markersize=4.5,
            alpha=0.8,
            label="a round",
        )
        _predictions(panel, result, quantity, arm, at, ink)
    panel.set_title(quantity.title)
    panel.set_xlabel(quantity.unit)
    positive = [value for value in seen if value > 0]
    if positive and max(positive) > _MOST_DECADES * min(positive):
        # Linear up to the power of ten below the smallest value, so that zeros are shown too.
        panel.set_xscale("symlog", linthresh=10 ** math.floor(math.log10(min(positive))))
    panel.set_xlim(left=0)


def _predictions(
    panel: Axes, result: Result, quantity: Quantity, arm: str, at: int, ink: Ink
) -> None:
    for claim in result.experiment.claims:
        if (claim.arm, claim.quantity) != (arm, quantity.name):
            continue
        low, high = claim.prediction.low * quantity.scale, claim.prediction.high * quantity.scale
        for bound in {low, high} - {float("inf")}:
            panel.plot(
                [bound, bound],
                [at - _HALF, at + _HALF],
                color=ink.text,
                linewidth=1.8,
                label="predicted",
                clip_on=False,
            )
        least, most = (bound * quantity.scale for bound in claim.prediction.band)
        if most != float("inf"):
            panel.plot([max(0, least), most], [at + _HALF] * 2, color=ink.text, linewidth=0.8)
