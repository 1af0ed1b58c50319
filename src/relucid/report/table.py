"""The table of sites for a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from relucid.records import Checkup, SiteRecord
from relucid.report.bare_tables import bare_table
from relucid.report.pen import Pen
from relucid.report.strip import strip_of
from relucid.report.summary import function_name, has_units, in_order, share
from relucid.report.words import MISSING, figure, one_line, percent

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

_LEVELS = "▁▂▃▄▅▆▇", ".:-=+*%"
_DEAD, _ALWAYS_ON = ("×", "x"), ("█", "#")
_CELLS = 12


def sites_table(pen: Pen, checkup: Checkup) -> Iterator[RenderableType]:
    """Yield one row a site with a strip of its units, and what the strip's signs mean."""
    table = _empty()
    for record in in_order(checkup):
        table.add_row(*(pen.write(cell) for cell in _row(pen, record)))
    yield table
    levels = pen.sign(_LEVELS)
    yield pen.write(
        f"Each unit, lowest fire rate first: {pen.sign(_DEAD)} dead (never fires), "
        f"{levels[0]} to {levels[-1]} fires sometimes, {pen.sign(_ALWAYS_ON)} always on.",
        "dim",
    )
    yield ""


def _empty() -> Table:
    table = bare_table(1)
    table.add_column("site", overflow="fold", ratio=3)
    table.add_column("function", overflow="fold", max_width=14)
    for name in ("units", "dead", "on", "fires"):
        table.add_column(name, justify="right", overflow="fold")
    table.add_column("each unit", overflow="fold", width=_CELLS)
    table.add_column("gradient", justify="right", overflow="fold")
    return table


def _row(pen: Pen, record: SiteRecord) -> list[str]:
    gradient = figure(record.gradient.rms) if record.gradient is not None else MISSING
    names = [one_line(record.site.name), one_line(function_name(record))]
    if not has_units(record):
        return [*names, *[MISSING] * 5, gradient]
    counts = len(record.fired), len(record.dead), len(record.always_on)
    fires = percent(share(record.fired, record))
    return [*names, *(f"{count:,}" for count in counts), fires, _strip(pen, record), gradient]


def _strip(pen: Pen, record: SiteRecord) -> str:
    levels, strip = pen.sign(_LEVELS), strip_of(record, _CELLS)
    heights = {"dead": pen.sign(_DEAD), "always on": pen.sign(_ALWAYS_ON)}
    return "".join(
        heights.get(cell.kind) or levels[min(int(cell.rate * len(levels)), len(levels) - 1)]
        for cell in (strip.cells if strip is not None else ())
    )
