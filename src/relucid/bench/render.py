"""Results for a terminal of 100 columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relucid.bench.record import Results
from relucid.bench.sheets import Sheet, machine_line, sheets

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_COLUMNS = 100
"""Width where the output is a file or a pipe."""
_STYLES = {"met": "green", "missed": "red", "open": "yellow"}


def show(results: Results, console: Console | None = None) -> None:
    """Print all tables to ``console``, by default the standard output; the conclusions last."""
    console = console or _standard_output()
    for sheet in sheets(results):
        console.print(sheet.title, style="bold", markup=False)
        console.print(_table(sheet))
        for note in sheet.notes:
            console.print(f"  {note}", style="dim", markup=False)
        console.print()
    console.print(machine_line(results), markup=False)
    if results.first_use is not None:
        first = results.first_use
        console.print(
            f"First use of {first.function}: {first.cold.median:.2f} s, in later processes "
            f"{first.cached.median * 1e3:.0f} ms."
        )


def _standard_output() -> Console:
    from rich.console import Console

    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=_COLUMNS)


def _table(sheet: Sheet) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for i, head in enumerate(sheet.heads):
        figures = i > 0 and all(line[i][:1].isdigit() or not line[i] for line in sheet.rows)
        table.add_column(head, justify="right" if figures else "left", overflow="fold")
    for line in sheet.rows:
        table.add_row(*(Text(cell, style=_STYLES.get(cell, "")) for cell in line))
    return table
