"""The catalogue for a terminal: one table, grouped by family, that fits 80 columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from relucid.records.cards import ListedFunction
from relucid.report.card_words import real
from relucid.report.pen import Pen

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType


def show_catalogue(rows: Sequence[ListedFunction], console: Console | None = None) -> None:
    """Print the table to ``console``, by default the standard output."""
    from rich.console import Console

    (console or Console()).print(_Catalogue(rows))


class _Catalogue:
    """Known to Rich by ``__rich_console__``, where the terminal's letters are known at last."""

    def __init__(self, rows: Sequence[ListedFunction]) -> None:
        self.rows = rows

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterator[RenderableType]:
        from rich.table import Table

        pen = Pen(narrow=options.ascii_only)
        table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, show_header=False)
        table.add_column("name", no_wrap=True)
        table.add_column("what it does", overflow="fold")
        for family, members in groupby(self.rows, key=lambda row: row.family):
            if table.row_count:
                table.add_row()
            table.add_row(pen.write(family, "bold"))
            for row in members:
                table.add_row(pen.write(f"  {row.name}", "cyan"), pen.write(_words(row)))
        yield table
        yield ""
        yield pen.write("`relucid explain NAME` prints all about one of them.", "dim")


def _words(row: ListedFunction) -> str:
    chosen = ", ".join(f"{name}={real(value)}" for name, value in row.parameters.items())
    return f"{row.summary} [{chosen}]" if chosen else row.summary
