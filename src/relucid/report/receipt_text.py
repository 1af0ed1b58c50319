"""The receipt of a shrink for a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from relucid.records.receipt import Guarantee, Receipt
from relucid.report.bare_tables import bare_table, facts_table
from relucid.report.pen import Pen
from relucid.report.receipt_words import (
    SHORT,
    agreement_note,
    agreement_rows,
    facts,
    guarantees,
    headline,
    layer_rows,
    promise,
    quality_words,
    refusals,
    size_rows,
)
from relucid.report.words import one_line, plural

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.table import Table

_TOLD = 30
"""Layers and reasons that are listed, at most."""
_COLOURS = {Guarantee.OBSERVED: "yellow", Guarantee.PRUNED: "red"}


def receipt_text(receipt: Receipt) -> RenderableType:
    """Return a Rich renderable of a receipt: what went, what it gave, and what was measured.

    It fits 80 columns and keeps to ASCII where the terminal does.
    """
    return _Report(receipt)


class _Report:
    """Known to Rich by ``__rich_console__``, where the terminal's letters are known at last."""

    def __init__(self, receipt: Receipt) -> None:
        self.receipt = receipt

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterator[RenderableType]:
        from rich.rule import Rule

        pen, receipt = Pen(narrow=options.ascii_only), self.receipt
        yield pen.write(one_line(receipt.title), "bold")
        yield Rule(characters=pen.sign(("─", "-")), style="dim")
        yield pen.write(headline(receipt), "bold")
        weakest = receipt.weakest
        yield pen.write(promise(receipt), _COLOURS.get(weakest, "") if weakest else "")
        yield from (pen.write(words) for words in quality_words(receipt))
        yield ""
        yield _sizes(pen, receipt)
        yield ""
        yield from _layers(pen, receipt)
        yield from _agreements(pen, receipt)
        yield from _refused(pen, receipt)
        yield facts_table(pen, facts(receipt))
        yield from (pen.write(note, "dim") for note in receipt.notes)
        yield ""


def _sizes(pen: Pen, receipt: Receipt) -> Table:
    table = bare_table(2, expand=True)
    table.add_column("")
    for name in ("before", "after"):
        table.add_column(name, justify="right", overflow="fold")
    table.add_column("", overflow="fold", ratio=1)
    for row in size_rows(receipt):
        table.add_row(*(pen.write(x) for x in (row.name, row.before, row.after, row.change)))
    return table


def _layers(pen: Pen, receipt: Receipt) -> Iterator[RenderableType]:
    rows = layer_rows(receipt)
    changed = [row for row in rows if row.changed]
    if not changed:
        return
    always_on = any(row.always_on for row in rows)
    table = bare_table(2, expand=True)
    table.add_column("layer", overflow="fold", ratio=1)
    table.add_column("function", overflow="fold", max_width=12)
    table.add_column("units", justify="right", no_wrap=True)
    for guarantee in guarantees(receipt):
        table.add_column(SHORT[guarantee], justify="right", overflow="fold")
    if always_on:
        table.add_column("always on", justify="right", overflow="fold")
    for row in changed[:_TOLD]:
        name = f"{row.path} ({one_line(row.layer.note)})" if row.layer.note else row.path
        cells = [name, one_line(row.layer.function), row.units, *(f"{n:,}" for n in row.counts)]
        table.add_row(*map(pen.write, [*cells, *([f"{row.always_on:,}"] if always_on else [])]))
    yield table
    yield from _not_listed(pen, len(changed), len(rows) - len(changed))
    yield ""


def _not_listed(pen: Pen, changed: int, same: int) -> Iterator[RenderableType]:
    parts = []
    if changed > _TOLD:
        parts.append(f"{changed - _TOLD:,} more, in the JSON and HTML forms")
    if same:
        parts.append(f"{plural(same, 'layer')} as {'it was' if same == 1 else 'they were'}")
    if parts:
        yield pen.write(f"And {'; '.join(parts)}.", "dim")


def _agreements(pen: Pen, receipt: Receipt) -> Iterator[RenderableType]:
    rows = list(agreement_rows(receipt))
    if not rows:
        return
    table = bare_table(2, expand=True)
    table.add_column("outputs compared on", overflow="fold", ratio=1)
    table.add_column("samples", justify="right")
    table.add_column("largest difference", justify="right")
    for row in rows:
        table.add_row(*map(pen.write, row))
    yield table
    yield pen.write(agreement_note(receipt), "dim")
    yield ""


def _refused(pen: Pen, receipt: Receipt) -> Iterator[RenderableType]:
    found = list(refusals(receipt))
    if not found:
        return
    yield pen.write("What could have gone, and stayed:")
    for place, why in found[:_TOLD]:
        yield pen.indent(f"{place}: {one_line(why)}", 2)
    if len(found) > _TOLD:
        yield pen.indent(f"and {len(found) - _TOLD:,} more, in the JSON and HTML forms", 2)
    yield ""
