"""One table, shown in a terminal, in a notebook and as plain text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import rich.table

__all__ = ["ShownAsTable", "TextTable", "optional_module"]


@dataclass
class TextTable:
    """Rows of text under headings.

    The first ``labels`` columns are words and stand to the left, the others are numbers and stand
    to the right.
    """

    title: str
    headings: Sequence[str]
    labels: int = 1
    rows: list[Sequence[str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, *row: str) -> None:
        """Add one row; missing entries at its end stay empty."""
        self.rows.append((*row, *[""] * (len(self.headings) - len(row))))

    def to_text(self) -> str:
        """Return the table for a log, a pytest failure or a plain prompt."""
        lines = [self.headings, *self.rows]
        widths = [max(len(line[i]) for line in lines) for i in range(len(self.headings))]
        text = [self.title, *(self._line(line, widths) for line in lines), *self.notes]
        return "\n".join(line.rstrip() for line in text)

    def _line(self, line: Sequence[str], widths: Sequence[int]) -> str:
        cells = (
            entry.ljust(width) if i < self.labels else entry.rjust(width)
            for i, (entry, width) in enumerate(zip(line, widths, strict=True))
        )
        return "  " + "  ".join(cells)

    def to_rich(self) -> rich.table.Table:
        """Return the table for a `rich` console."""
        from rich import box
        from rich.table import Table
        from rich.text import Text

        table = Table(
            title=Text(self.title),
            caption=Text("\n".join(self.notes)) if self.notes else None,
            box=box.SIMPLE_HEAD,
            title_justify="left",
            caption_justify="left",
        )
        for i, heading in enumerate(self.headings):
            table.add_column(Text(heading), justify="left" if i < self.labels else "right")
        for row in self.rows:
            table.add_row(*map(Text, row))
        return table

    def to_html(self) -> str:
        """Return the table for a notebook; looks are the notebook's."""

        def line(entries: Sequence[str], tag: str) -> str:
            cells = (
                f'<{tag} style="text-align:{"left" if i < self.labels else "right"}">'
                f"{escape(entry)}</{tag}>"
                for i, entry in enumerate(entries)
            )
            return f"<tr>{''.join(cells)}</tr>"

        rows = "".join(line(row, "td") for row in self.rows)
        notes = "".join(f"<p>{escape(note)}</p>" for note in self.notes)
        return (
            f"<div><p><strong>{escape(self.title)}</strong></p>"
            f"<table><thead>{line(self.headings, 'th')}</thead><tbody>{rows}</tbody></table>"
            f"{notes}</div>"
        )


class ShownAsTable:
    """What shows itself as one table: at a prompt, on a `rich` console, in a notebook."""

    def _table(self) -> TextTable:
        raise NotImplementedError

    def __repr__(self) -> str:
        return self._table().to_text()

    def __rich__(self) -> rich.table.Table:
        return self._table().to_rich()

    def _repr_html_(self) -> str:
        return self._table().to_html()


def optional_module(name: str, needed_by: str) -> ModuleType:
    """Import a module that only reports need.

    Raises
    ------
    ImportError
        It is not installed; the message says how to install it.
    """
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError as missing:
        package = name.partition(".")[0]
        raise ImportError(
            f'{needed_by} needs {package}: pip install "millrace[lab]"', name=package
        ) from missing
