"""How all charts of the laboratory look, in a light and in a dark theme."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["INKS", "THEMES", "Ink", "Theme", "available", "panels", "to_bytes"]

Theme = Literal["light", "dark"]
THEMES: tuple[Theme, Theme] = ("light", "dark")


@dataclass(frozen=True)
class Ink:
    """The colours of a theme; the first of ``series`` is the main one."""

    text: str
    faint: str
    series: tuple[str, ...]
    ground: str


# Blue and orange are told apart by most colour-blind readers too; legends name them all the same.
INKS: dict[Theme, Ink] = {
    "light": Ink("#1c2733", "#c9d1da", ("#1f6fb2", "#d9772b", "#5b8c3e"), "#ffffff"),
    "dark": Ink("#e4e9ee", "#46515d", ("#6cb2eb", "#f0a35e", "#9ccc7a"), "#161b21"),
}


def available() -> bool:
    """Return whether matplotlib is here."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        return False
    return True


@contextmanager
def panels(count: int, ink: Ink, *, height: float = 3.5) -> Iterator[tuple[Figure, Sequence[Axes]]]:
    """Give a figure with panels side by side that share their vertical axis.

    Parameters
    ----------
    height:
        In inches; the figure is 10 wide.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    class Picture(Figure):
        """Shows itself in a notebook; a bare figure does so only where pyplot is in use."""

        def _repr_png_(self) -> bytes:
            return to_bytes(self)

    # A figure of its own instead of pyplot's: no window system, no global state.
    with rc_context(
        {
            "text.color": ink.text,
            "axes.labelcolor": ink.text,
            "axes.edgecolor": ink.faint,
            "axes.titlesize": 10,
            "axes.titleweight": "bold",
            "axes.titlelocation": "left",
            "xtick.color": ink.text,
            "ytick.color": ink.text,
            "font.size": 9,
        }
    ):
        figure = Picture(figsize=(10, height))
        axes = figure.subplots(1, count, sharey=True, squeeze=False)[0]
        figure.patch.set_facecolor(ink.ground)
        for panel in axes:
            panel.set_facecolor(ink.ground)
            panel.spines[["top", "right", "left"]].set_visible(False)
            panel.tick_params(length=0)
            panel.grid(axis="x", color=ink.faint, linewidth=0.6)
            panel.set_axisbelow(True)
        figure.subplots_adjust(left=0.19, right=0.985, top=0.91, bottom=0.2, wspace=0.08)
        yield figure, axes


def to_bytes(figure: Figure, form: Literal["png", "svg"] = "png") -> bytes:
    """Return a figure as a file's content."""
    target = io.BytesIO()
    figure.savefig(target, format=form, dpi=144, facecolor=figure.get_facecolor())
    return target.getvalue()
