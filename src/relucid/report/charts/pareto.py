"""Quality against what it costs: time a step, and memory that a step keeps."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from relucid.report.charts.candidates import label
from relucid.report.charts.drawing import FIRE, INK, MUTED, by_colour, chart_of, drawn
from relucid.report.charts.drawing import Row as Mark
from relucid.report.charts.quality import quality_of
from relucid.report.charts.svg import tidy
from relucid.report.charts.ticks import evenly, powers
from relucid.report.comparison_words import Row
from relucid.report.learning import Height

_PAGE = "var(--page)"
_WIDE = 8.0
"""Ratio of the dearest to the cheapest from which the scale is one of powers."""
_PADDING = {"left": 5, "right": 18, "top": 5, "bottom": 5}


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

    Returns None where fewer than two have both a quality and this cost.
    """
    import altair as alt

    found = [
        (row, price)
        for row in rows
        if (price := cost.of(row) or 0.0) > 0.0 and math.isfinite(row.standing.quality)
    ]
    if len(found) < 2:
        return None
    heights = height.of(np.array([row.standing.quality for row, _ in found]))
    ends = height.ends(float(heights.min()), float(heights.max()))
    marks = [_mark(r, price, y) for (r, price), y in zip(found, heights.tolist(), strict=True)]
    # The front is drawn last, over what may lie below it.
    marks.sort(key=lambda mark: mark["place"] == "front")
    points = chart_of(marks).encode(
        x=_across([price for _, price in found], cost), y=quality_of("height", height, ends)
    )
    circles = points.encode(
        fill=alt.Fill("fill:N", scale=None), stroke=alt.Stroke("stroke:N", scale=None)
    )
    chart = alt.layer(
        circles.mark_point(size=270, strokeWidth=1.5, opacity=1),
        points.mark_text(fontSize=11).encode(text="number:N", color=by_colour()),
    ).properties(width=300, height=230, padding=_PADDING)
    return tidy(drawn(chart), _words([row for row, _ in found], cost))


def _mark(row: Row, price: float, y: float) -> Mark:
    edge = INK if row.is_baseline else FIRE if row.standing.pareto else MUTED
    front = row.standing.pareto
    return {
        "place": "front" if front else "behind",
        "price": price,
        "height": y,
        "number": str(row.number),
        "stroke": edge,
        "fill": edge if front else _PAGE,
        "colour": _PAGE if front else edge,
    }


def _across(prices: Sequence[float], cost: Cost) -> Any:
    import altair as alt

    low, high = min(prices), max(prices)
    wide = high > _WIDE * low
    gap = 0.08 * (high - low) or 0.5 * high
    room = (high / low) ** 0.08
    ends = (low / room, high * room) if wide else (low - gap, high + gap)
    values = (powers if wide else evenly)(ends[0], ends[1], 5)
    axis = alt.Axis(title=cost.title, values=values, format="~g", grid=False)
    scale = alt.Scale(type="log" if wide else "linear", domain=list(ends), nice=False)
    return alt.X("price:Q", axis=axis, scale=scale)


def _words(rows: Sequence[Row], cost: Cost) -> str:
    said = (
        f"{label(row)} {row.quality} at {cost.said(row)}{', on the front' * row.standing.pareto}"
        for row in rows
    )
    metric = rows[0].comparison.metric
    return f"{metric.capitalize()} on held-out samples against {cost.title}: {'; '.join(said)}."
