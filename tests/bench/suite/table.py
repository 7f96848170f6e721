"""A table of text, printed three ways: with rich where it is installed, plain, or as Markdown."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

FILE_WIDTH = 120
"""Columns when printing to a file or pipe, which has no width of its own."""


@dataclass
class Table:
    title: str
    columns: Sequence[str]
    """The first goes left, as does one whose name ends in a space; the others are numbers."""
    rows: list[Sequence[str]] = field(default_factory=list)
    note: str = ""

    def add(self, *cells: str) -> None:
        self.rows.append(cells)

    def is_text(self, column: int) -> bool:
        return column == 0 or self.columns[column].endswith(" ")


def show(table: Table) -> None:
    """Print for a person at a terminal."""
    try:
        _show_rich(table)
    except ImportError:
        print(plain(table))


def plain(table: Table) -> str:
    widths = [max(len(line[i]) for line in (table.columns, *table.rows)) for i in _indices(table)]
    lines = [table.title, _plain_line(table, table.columns, widths)]
    lines += [_plain_line(table, row, widths) for row in table.rows]
    return "\n".join([*lines, *([table.note] if table.note else []), ""])


def markdown(table: Table, level: int = 2) -> str:
    marks = ["---" if table.is_text(i) else "---:" for i in _indices(table)]
    lines = [
        f"{'#' * level} {table.title}\n",
        _markdown_line([column.strip() for column in table.columns]),
        _markdown_line(marks),
        *(_markdown_line(row) for row in table.rows),
    ]
    return "\n".join([*lines, *(["", table.note] if table.note else []), ""])


def _show_rich(table: Table) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table as RichTable

    drawn = RichTable(
        title=table.title,
        title_justify="left",
        caption=table.note or None,
        caption_justify="left",
        box=SIMPLE_HEAD,
    )
    for index, column in enumerate(table.columns):
        side: Literal["left", "right"] = "left" if table.is_text(index) else "right"
        may_wrap = table.is_text(index) and index > 0
        drawn.add_column(column.strip(), justify=side, no_wrap=not may_wrap, overflow="fold")
    for row in table.rows:
        drawn.add_row(*(escape(cell) for cell in row))
    Console(width=None if sys.stdout.isatty() else FILE_WIDTH).print(drawn)


def _indices(table: Table) -> range:
    return range(len(table.columns))


def _plain_line(table: Table, cells: Sequence[str], widths: Sequence[int]) -> str:
    placed = [
        cell.ljust(width) if table.is_text(index) else cell.rjust(width)
        for index, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return "  ".join(placed).rstrip()


def _markdown_line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
