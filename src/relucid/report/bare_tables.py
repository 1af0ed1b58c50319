"""Tables for a terminal, without lines: what several reports share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from relucid.report.pen import Pen

if TYPE_CHECKING:
    from rich.table import Table


def bare_table(gap: int, *, expand: bool = False) -> Table:
    """Return a table to be filled, its columns ``gap`` letters apart, as wide as it needs."""
    from rich.table import Table

    return Table(
        box=None, padding=(0, gap, 0, 0), pad_edge=False, header_style="bold", expand=expand
    )


def facts_table(pen: Pen, facts: Iterable[tuple[str, str]]) -> Table:
    """Return names, dim, and beside each what is to be said of it."""
    table = bare_table(2)
    table.show_header = False
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, words in facts:
        table.add_row(pen.write(name), pen.write(words))
    return table
