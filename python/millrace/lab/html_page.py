"""What all pages of the laboratory are made of: one file each, style and charts inside."""

from __future__ import annotations

import base64
from collections.abc import Callable
from html import escape
from importlib.resources import files

from millrace.lab.chart_style import THEMES, Theme
from millrace.lab.comparison_table import Entry
from millrace.lab.verdicts import Verdict

__all__ = ["document", "pill", "themed_chart", "value_cell"]


def document(title: str, body: str) -> str:
    """Return a whole page around its body."""
    style = files("millrace.lab").joinpath("report_page.css").read_text(encoding="utf-8")
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{style}</style>\n</head>\n"
        f"<body>\n<main>\n{body}</main>\n</body>\n</html>\n"
    )


def pill(verdict: Verdict, text: str = "") -> str:
    """Return a verdict as a coloured word, or another text in its colour."""
    css = verdict.value.replace(" ", "-")
    return f'<span class="pill {css}">{escape(text or verdict.value)}</span>'


def value_cell(value: Entry) -> str:
    """Return a table's cell: measured above predicted, and in words whether it is off."""
    state = {
        Verdict.NOT_REPRODUCED: (' class="off"', ' <span class="mark">off</span>'),
        Verdict.INCONCLUSIVE: (' class="doubtful"', ' <span class="mark">?</span>'),
    }
    css, mark = state.get(value.verdict, ("", "")) if value.verdict else ("", "")
    title = escape(f"{value.formula}. {value.reason}" if value.reason else value.formula)
    return (
        f'<td{css} title="{title}"><span class="measured">{value.measured}{mark}</span>'
        f'<span class="predicted">{value.predicted}</span></td>'
    )


def themed_chart(draw: Callable[[Theme], bytes], alternative: str) -> str:
    """Return a chart that follows the reader's theme; ``draw`` makes a PNG file."""
    light, dark = (base64.b64encode(draw(theme)).decode("ascii") for theme in THEMES)
    return (
        '<picture><source media="(prefers-color-scheme: dark)" '
        f'srcset="data:image/png;base64,{dark}"><img class="chart" alt="{escape(alternative)}" '
        f'src="data:image/png;base64,{light}"></picture>'
    )
