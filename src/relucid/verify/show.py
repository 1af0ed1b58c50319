"""A run of verify for a terminal: one table, then what breaks the contract."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from relucid.records.accuracy import Accuracy, FunctionAccuracy
from relucid.verify.contract import Row, Verdict
from relucid.verify.reference import WHICH
from relucid.verify.words import TITLES, error, normal, quantity

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


def show(accuracy: Accuracy, verdict: Verdict, console: Console | None = None) -> None:
    """Print the table and the verdict to ``console``, by default the standard output."""
    from rich.console import Console

    console = console or Console(highlight=False)
    console.print("Worst float32 results in units in the last place (0.5 is the best there is).")
    console.print(_table(accuracy))
    for line, style in verdict_lines(verdict):
        console.print(line, style=style, markup=False, soft_wrap=True)


def _table(accuracy: Accuracy) -> Table:
    from rich.table import Table

    present = {library.name for f in accuracy.functions for library in f.libraries}
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    table.add_column("function", overflow="fold")
    table.add_column("")
    for library in (name for name in TITLES if name in present):
        table.add_column(TITLES[library], overflow="fold")
    table.add_column("near root", justify="right")
    for function in accuracy.functions:
        for which in WHICH:
            table.add_row(*_cells(function, which, present))
    return table


def _cells(function: FunctionAccuracy, which: str, present: set[str]) -> Iterator[str]:
    own = quantity(function, "relucid", which)
    assert own is not None  # relucid is always measured
    yield function.id if which == "value" else ""
    yield which
    yield from (normal(function, name, which) for name in TITLES if name in present)
    yield error(own.tally.near_root.error) if own.tally.near_root.error else ""


def verdict_lines(verdict: Verdict) -> Iterator[tuple[str, str]]:
    """Sentences on the contract, each with its style."""
    for row in verdict.broken:
        yield f"broken: {_sentence(row)}", "bold red"
    for row, known in verdict.stale:
        yield f"no exception any more: {_sentence(row)}, below {known.bound:g}", "yellow"
    for row in verdict.excused:
        yield f"known exception: {_sentence(row)}", "dim"
    if verdict.kept:
        yield "The accuracy contract is kept.", "green"
    if verdict.stale:
        yield "Take those that are none any more off KNOWN in relucid/verify/contract.py.", ""


def _sentence(row: Row) -> str:
    place = f"{row.function}, {row.which}, {row.measure}"
    if row.bound == 0.0:  # a count of results
        first = "" if row.at is None else f", first at {row.at!r}"
        return f"{place}: {row.found:,.0f} wrong{first}"
    where = "" if row.at is None else f" at {row.at!r}"
    return f"{place}: {error(row.found)}{where}, contract {row.bound:g}"
