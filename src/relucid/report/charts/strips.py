"""Each unit's fire rate as a bar, a row of bars for a site."""

from __future__ import annotations

from relucid.records import SiteRecord
from relucid.report.charts.drawing import (
    ALWAYS_ON,
    FIRE,
    ILL,
    ILL_TINT,
    Row,
    by_colour,
    chart_of,
    drawn,
)
from relucid.report.charts.svg import tidy
from relucid.report.strip import Cell, Strip, strip_of
from relucid.report.words import one_line, percent, plural

CELLS = 192
"""Cells of a strip, at most: 3 to 4 pixels each on a desk, and still 2 on a telephone."""

_WIDEST_WITH_GAPS = 96


def strip_chart(record: SiteRecord) -> str | None:
    """Draw the fire rate of each unit, or return None where no unit was counted.

    Dead units hang below the base line on a tinted ground and always-on units carry a cap, so
    that position tells them as well as colour.
    """
    import altair as alt

    strip = strip_of(record, CELLS)
    if strip is None:
        return None
    width = len(strip.cells)
    across = alt.Scale(domain=[0, width], nice=False)
    upward = alt.Scale(domain=[-0.3, 1.2], nice=False)
    bars = chart_of(_rows(strip)).mark_rect()
    chart = bars.encode(
        x=alt.X("x:Q", axis=None, scale=across),
        x2="x2:Q",
        y=alt.Y("y:Q", axis=None, scale=upward),
        y2="y2:Q",
        color=by_colour(),
    ).properties(width=4 * width, height=60, padding=0)
    return tidy(drawn(chart), _words(record.site.name, strip), stretch=True)


def _rows(strip: Strip) -> list[Row]:
    gap = 0.18 if len(strip.cells) <= _WIDEST_WITH_GAPS else 0.0
    return [
        {"x": i + gap / 2, "x2": i + 1 - gap / 2, **part}
        for i, cell in enumerate(strip.cells)
        for part in _parts(cell)
    ]


def _parts(cell: Cell) -> list[Row]:
    if cell.kind == "dead":
        ground = {"y": 0.0, "y2": 1.0, "colour": ILL_TINT}
        return [ground, {"y": -0.3, "y2": 0.0, "colour": ILL}]
    # A unit that fires at all is seen: two hundredths are about one pixel.
    bar: Row = {"y": 0.0, "y2": max(cell.rate, 0.02), "colour": FIRE}
    cap: Row = {"y": 1.0, "y2": 1.2, "colour": ALWAYS_ON}
    return [bar, cap] if cell.kind == "always on" else [bar]


def _words(name: str, strip: Strip) -> str:
    return (
        f"Fire rate of the {plural(strip.units, 'unit')} of {one_line(name)}, lowest first: "
        f"{strip.dead:,} dead, {strip.always_on:,} always on, median {percent(strip.median)}."
    )
