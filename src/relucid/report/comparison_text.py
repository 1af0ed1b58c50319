"""A comparison of activations for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from relucid.records.comparison import Comparison, Verdict
from relucid.report.bare_tables import bare_table, facts_table
from relucid.report.comparison_words import (
    Row,
    ending,
    facts,
    how_to_read,
    refusals,
    rows,
    unfinished,
)
from relucid.report.pen import Pen
from relucid.report.words import figure, one_line, percent

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.table import Table

_SIGNS = {
    Verdict.BASELINE: ("·", "-", "bold"),
    Verdict.BETTER: ("✓", "+", "green"),
    Verdict.WORSE: ("✗", "x", "red"),
    Verdict.SAME: ("=", "=", ""),
    Verdict.NOT_SHOWN: ("?", "?", ""),
    Verdict.GIVEN_UP: ("–", "-", "dim"),
    Verdict.NOT_RUN: ("–", "-", "dim"),
}
_DIFFERENCE = 22
_WIDE = 100
"""Columns of a difference, at most, in a terminal that has fewer than so many."""
_TOLD = 20
"""Runs that did not come to an end which are listed, at most."""


def comparison_text(comparison: Comparison) -> RenderableType:
    """Return a Rich renderable of a comparison: the advice, the ranking, and how it was measured.

    It fits 80 columns, tells verdicts by signs and words as well as by colour, and keeps to
    ASCII where the terminal does.
    """
    return _Report(comparison)


class _Report:
    """Known to Rich by ``__rich_console__``, where the terminal's letters are known at last."""

    def __init__(self, comparison: Comparison) -> None:
        self.comparison = comparison

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterator[RenderableType]:
        from rich.rule import Rule

        pen, comparison = Pen(narrow=options.ascii_only), self.comparison
        found = rows(comparison)
        yield pen.write(one_line(comparison.title), "bold")
        yield Rule(characters=pen.sign(("─", "-")), style="dim")
        yield pen.write(one_line(comparison.advice), "bold")
        if stopped := ending(comparison):
            yield pen.write(stopped, "yellow")
        yield ""
        yield _ranking(pen, comparison, found, options.max_width)
        yield pen.write(how_to_read(comparison), "dim")
        yield ""
        yield _costs(pen, comparison, found)
        yield pen.write(_about_costs(comparison), "dim")
        yield ""
        yield facts_table(pen, facts(comparison))
        yield from _refused(pen, comparison)
        yield from _lost(pen, comparison)
        yield ""


def _ranking(pen: Pen, comparison: Comparison, found: Sequence[Row], width: int) -> Table:
    table = bare_table(1, expand=True)
    table.add_column("#", justify="right")
    table.add_column("candidate", overflow="fold", max_width=18)
    table.add_column(comparison.metric, justify="right", no_wrap=True)
    most = _DIFFERENCE if width < _WIDE else None
    table.add_column("difference", justify="right", overflow="fold", max_width=most)
    table.add_column("verdict", overflow="fold", ratio=1)
    for row in found:
        *signs, style = _SIGNS[row.standing.verdict]
        cells = (f"{row.number}", row.name, row.quality, row.difference)
        table.add_row(
            *(pen.write(cell, "bold" if row.is_baseline else "") for cell in cells),
            pen.write(f"{pen.sign(signs)} {row.verdict} {row.seeds}".rstrip(), style),
        )
    return table


def _costs(pen: Pen, comparison: Comparison, found: Sequence[Row]) -> Table:
    """What candidates cost, what their units do at the end, and how their runs ended."""
    table = bare_table(1, expand=True)
    table.add_column("candidate", overflow="fold", max_width=18)
    names = ["over all", "ms/step", "memory", "dead", "zeros", "gradient"]
    for name in (["loss"] if comparison.metric == "accuracy" else []) + names:
        table.add_column(name, justify="right", overflow="fold")
    table.add_column("runs", overflow="fold", ratio=1)
    for row in found:
        its = row.standing
        units = (percent(its.dead), percent(its.sparsity), figure(its.gradient))
        loss = [figure(row.loss)] if comparison.metric == "accuracy" else []
        cells = (row.name, *loss, row.area, row.time, row.memory, *units, row.ends)
        table.add_row(*(pen.write(cell, "bold" if row.is_baseline else "") for cell in cells))
    return table


def _about_costs(comparison: Comparison) -> str:
    return (
        f"Over all: mean {comparison.metric} over the training. Memory: kept by a step for its "
        "backward pass. Dead units and zeros after training. Gradient: first site over last."
    )


def _refused(pen: Pen, comparison: Comparison) -> Iterator[RenderableType]:
    for names, sites in refusals(comparison):
        yield ""
        yield pen.write(f"Sites that kept the model's own activation with {names}:")
        yield from (pen.indent(site, 2) for site in sites)


def _lost(pen: Pen, comparison: Comparison) -> Iterator[RenderableType]:
    lost = unfinished(comparison)
    if lost:
        yield ""
        yield pen.write("Runs that did not come to an end:")
    for run in lost[:_TOLD]:
        why = f": {one_line(run.why)}" if run.why else ""
        yield pen.indent(f"{one_line(run.candidate)}, seed {run.seed}: {run.ending.value}{why}", 2)
    if len(lost) > _TOLD:
        yield pen.indent(f"and {len(lost) - _TOLD:,} more, in the JSON and HTML forms", 2)
