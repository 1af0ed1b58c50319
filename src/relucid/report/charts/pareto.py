"""Quality against what it costs: time a step, and memory that a step keeps."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from relucid.report.charts.apart import apart
from relucid.report.charts.candidates import label
from relucid.report.charts.drawing import FIRE, INK, MUTED, by_colour, chart_of, drawn
from relucid.report.charts.drawing import Row as Mark
from relucid.report.charts.quality import quality_of
from relucid.report.charts.svg import tidy
from relucid.report.charts.ticks import evenly, powers
from relucid.report.comparison_words import Row
from relucid.report.learning import Height, Reals

_PAGE = "var(--page)"
_WIDE = 8.0
"""Ratio of the dearest to the cheapest from which the scale is one of powers."""
_PADDING = {"left": 5, "right": 18, "top": 5, "bottom": 5}
_ROOM = (300.0, 230.0)
"""Pixels across and up."""
_AREA, _SIZE = 270, 20.0
"""Of a circle in square pixels, and its diameter with its edge."""


@dataclass(frozen=True)
class Cost:
    """Something that a candidate costs."""

    title: str
    of: Callable[[Row], float | None]
    said: Callable[[Row], str]


COSTS = (
    Cost("milliseconds a step", lambda row: row.candidate.milliseconds, lambda row: row.time),
    Cost(
        "megabytes kept a step",
        lambda row: None if row.candidate.kept is None else row.candidate.kept / 1e6,
        lambda row: row.memory,
    ),
)


def pareto_chart(rows: Sequence[Row], cost: Cost, height: Height) -> str | None:
    """Draw each candidate by its number, those of the Pareto front filled, the baseline dark.

    Numbers that would lie on each other are moved, and a line leads to where they belong. Returns
    None where fewer than two candidates have both a quality and this cost.
    """
    import altair as alt

    found = [
        (row, price)
        for row in rows
        if (price := cost.of(row) or 0.0) > 0.0 and math.isfinite(row.standing.quality)
    ]
    if len(found) < 2:
        return None
    # The front comes first, so that it stays in its place.
    found.sort(key=lambda one: not one[0].standing.pareto)
    heights = height.of(np.array([row.standing.quality for row, _ in found]))
    ends = height.ends(float(heights.min()), float(heights.max()))
    line = _Line.of([price for _, price in found])
    points = chart_of(_marks(found, line, heights, height, ends)).encode(
        x=_across(line, cost), y=quality_of("height", height, ends)
    )
    moved = points.encode(x2="price:Q", y2="place:Q")
    circles = points.encode(
        fill=alt.Fill("fill:N", scale=None), stroke=alt.Stroke("stroke:N", scale=None)
    )
    chart = alt.layer(
        moved.mark_rule(color=MUTED),
        circles.mark_point(size=_AREA, strokeWidth=1.5, opacity=1),
        points.mark_text(fontSize=11).encode(text="number:N", color=by_colour()),
    ).properties(width=_ROOM[0], height=_ROOM[1], padding=_PADDING)
    return tidy(drawn(chart), _words(sorted((row for row, _ in found), key=_number), cost))


@dataclass(frozen=True)
class _Line:
    """The axis of what it costs."""

    low: float
    high: float
    wide: bool
    """Whether it is one of powers."""

    @classmethod
    def of(cls, prices: Sequence[float]) -> _Line:
        low, high = min(prices), max(prices)
        if high > _WIDE * low:
            room = (high / low) ** 0.08
            return cls(low / room, high * room, True)
        gap = 0.08 * (high - low) or 0.5 * high
        return cls(low - gap, high + gap, False)

    def part(self, price: float) -> float:
        if self.wide:
            return math.log(price / self.low) / math.log(self.high / self.low)
        return (price - self.low) / (self.high - self.low)

    def at(self, part: float) -> float:
        if self.wide:
            return float(self.low * (self.high / self.low) ** part)
        return self.low + part * (self.high - self.low)


def _marks(
    found: Sequence[tuple[Row, float]],
    line: _Line,
    heights: Reals,
    height: Height,
    ends: tuple[float, float],
) -> list[Mark]:
    """Return the circles with where they stand and where they belong."""
    parts = height.part(heights, ends).tolist()
    spots = [
        (_ROOM[0] * line.part(price), _ROOM[1] * up)
        for (_, price), up in zip(found, parts, strict=True)
    ]
    return [
        {
            **_look(row),
            "at": line.at(x / _ROOM[0]),
            "height": height.at(y / _ROOM[1], ends),
            "price": price,
            "place": place,
        }
        for (row, price), place, (x, y) in zip(
            found, heights.tolist(), apart(spots, _SIZE, _ROOM), strict=True
        )
    ]


def _look(row: Row) -> Mark:
    edge = INK if row.is_baseline else FIRE if row.standing.pareto else MUTED
    front = row.standing.pareto
    return {
        "number": str(row.number),
        "stroke": edge,
        "fill": edge if front else _PAGE,
        "colour": _PAGE if front else edge,
    }


def _across(line: _Line, cost: Cost) -> Any:
    import altair as alt

    values = (powers if line.wide else evenly)(line.low, line.high, 5)
    # Not by a format, of which a scale of powers makes its own: 10 would be 1e+1.
    axis = alt.Axis(
        title=cost.title, values=values, labelExpr="format(datum.value, '.6~g')", grid=False
    )
    scale = alt.Scale(
        type="log" if line.wide else "linear", domain=[line.low, line.high], nice=False
    )
    return alt.X("at:Q", axis=axis, scale=scale)


def _number(row: Row) -> int:
    return row.number


def _words(rows: Sequence[Row], cost: Cost) -> str:
    said = (
        f"{label(row)} {row.quality} at {cost.said(row)}{', on the front' * row.standing.pareto}"
        for row in rows
    )
    metric = rows[0].comparison.metric
    return f"{metric.capitalize()} on held-out samples against {cost.title}: {'; '.join(said)}."
