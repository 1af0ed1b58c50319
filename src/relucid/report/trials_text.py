"""The trials of prescriptions for a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from relucid.records import Outcome, Trials
from relucid.report.bare_tables import bare_table
from relucid.report.pen import Pen
from relucid.report.trials import TrialsView, view

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

_SIGNS = {
    Outcome.HELPS: ("✓", "+", "green"),
    Outcome.NO_DIFFERENCE: ("=", "=", ""),
    Outcome.NO_EVIDENCE: ("?", "?", ""),
    Outcome.HURTS: ("✗", "x", "red"),
    Outcome.NOT_TRIED: ("–", "-", "dim"),
}


def trials_text(pen: Pen, trials: Trials) -> Iterator[RenderableType]:
    """Yield the answer, how it was found, and a row for each change, the most helpful first."""
    seen = view(trials)
    yield pen.write(f"Trials. {seen.answer}", "bold")
    if seen.rows:
        yield pen.write(seen.conditions, "dim")
        yield ""
        yield _table(pen, seen)
    yield from (pen.write(said, "dim") for said in (seen.comparison, seen.ending) if said)
    yield ""


def _table(pen: Pen, seen: TrialsView) -> Table:
    table = bare_table(1)
    table.add_column("change", overflow="fold", ratio=3)
    for name in ("loss", "dead", seen.effect_title):
        table.add_column(name, justify="right", overflow="fold")
    table.add_column("outcome", overflow="fold", width=15)
    for row in seen.rows:
        *signs, style = _SIGNS[row.outcome]
        outcome = pen.write(f"{pen.sign(signs)} {row.outcome.value}", style)
        table.add_row(*map(pen.write, (row.change, row.loss, row.dead, row.effect)), outcome)
    return table
