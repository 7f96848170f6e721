"""Pictures of a comparison, drawn with matplotlib (in the ``lab`` extra)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from millrace.lab import chart_style
from millrace.lab.chart_style import INKS, Ink, Theme, to_bytes
from millrace.lab.pattern_comparison import Cell, Comparison
from millrace.lab.predictions import Runs

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw"]

# Of these, a theme's first three colours.
_HANDLERS = (Runs.NATIVE, Runs.PYTHON, Runs.COROUTINE)
_BAR_HEIGHT = 0.36


def draw(comparison: Comparison, work: str, theme: Theme = "light") -> bytes:
    """Draw one kind of work: capacity and response times per pattern, predictions marked.

    Returns
    -------
    :
        A PNG file.

    Raises
    ------
    ImportError
        matplotlib is not installed: ``pip install 'millrace[lab]'``.
    """
    cells = [cell for cell in comparison.cells if cell.setup.work.name == work]
    has_late = any("late" in cell.findings for cell in cells)
    ink = INKS[theme]
    with chart_style.panels(3 if has_late else 2, ink) as (figure, panels):
        _bars(panels[0], cells, "capacity", 1.0, ink)
        panels[0].set_title("Capacity, requests per second")
        _ranges(panels[1], cells, ink)
        panels[1].set_title("Response time, p50 to p99, ms")
        if has_late:
            _bars(panels[2], cells, "late", 100.0, ink)
            panels[2].set_title("Late answers, % of requests")
        for panel in panels[1:]:
            panel.tick_params(labelleft=False)
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(
            handles, labels, loc="lower center", ncols=len(labels), frameon=False, fontsize=9
        )
        return to_bytes(figure)


def _bars(panel: Axes, cells: Sequence[Cell], name: str, scale: float, ink: Ink) -> None:
    shown = set()
    for cell, at in _rows(panel, cells):
        finding = cell.findings[name]
        label = cell.setup.handler if cell.setup.handler not in shown else None
        shown.add(cell.setup.handler)
        panel.barh(
            at,
            finding.measured * scale,
            height=_BAR_HEIGHT * 0.9,
            color=_colour(ink, cell),
            label=label,
        )
        if finding.prediction is not None:
            # Ends where predictions are bands.
            for bound in {finding.prediction.low, finding.prediction.high}:
                first = "predicted" not in shown
                shown.add("predicted")
                panel.plot(
                    [bound * scale] * 2,
                    [at - _BAR_HEIGHT / 2, at + _BAR_HEIGHT / 2],
                    color=ink.text,
                    linewidth=1.8,
                    label="predicted" if first else None,
                )
    panel.set_xlim(left=0)


def _ranges(panel: Axes, cells: Sequence[Cell], ink: Ink) -> None:
    for cell, at in _rows(panel, cells):
        colour = _colour(ink, cell)
        p50, p99 = cell.findings["p50"], cell.findings["p99"]
        panel.plot(
            [p50.measured * 1e3, p99.measured * 1e3],
            [at, at],
            color=colour,
            linewidth=5,
            solid_capstyle="round",
            alpha=0.55,
        )
        panel.plot([p50.measured * 1e3], [at], "o", color=colour, markersize=7)
        for finding in (p50, p99):
            if finding.prediction is not None and not finding.prediction.no_test:
                for bound in {finding.prediction.low, finding.prediction.high}:
                    panel.plot(
                        [bound * 1e3] * 2,
                        [at - _BAR_HEIGHT / 2, at + _BAR_HEIGHT / 2],
                        color=ink.text,
                        linewidth=1.8,
                    )
    panel.set_xlim(left=0)


def _rows(panel: Axes, cells: Sequence[Cell]) -> Iterator[tuple[Cell, float]]:
    """Yield each cell and its height: patterns from the top, native above Python."""
    names = list(dict.fromkeys(cell.setup.pattern for cell in cells))
    if any(cell.setup.handler == Runs.COROUTINE for cell in cells):
        names.append(Runs.COROUTINE)
    labels = [f"{name}, 1 thread" if name == Runs.COROUTINE else name for name in names]
    panel.set_yticks(range(len(names)), labels)
    panel.set_ylim(len(names) - 0.5, -0.5)
    for cell in cells:
        if cell.setup.handler == Runs.COROUTINE:
            yield cell, float(names.index(Runs.COROUTINE))
        else:
            side = -0.5 if cell.setup.handler == Runs.NATIVE else 0.5
            yield cell, names.index(cell.setup.pattern) + side * _BAR_HEIGHT


def _colour(ink: Ink, cell: Cell) -> str:
    return ink.series[_HANDLERS.index(cell.setup.handler)]
