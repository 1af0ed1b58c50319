"""The distribution of a site's pre-activations with the activation drawn over it."""

from __future__ import annotations

from typing import Any

from relucid.records import SiteRecord
from relucid.report.charts.density import Density, density_of
from relucid.report.charts.drawing import INK, MUTED, by_colour, chart_of, drawn
from relucid.report.charts.svg import tidy
from relucid.report.summary import share
from relucid.report.words import figure, one_line, percent


def distribution_chart(record: SiteRecord) -> str | None:
    """Draw the distribution of z with the activation over it, or None where z was not kept."""
    import altair as alt

    density = density_of(record.histogram) if record.histogram is not None else None
    if density is None:
        return None
    layers = [_bars(density)]
    if density.holds_zero:
        rule = chart_of([{"z": 0.0}]).mark_rule(color=MUTED, strokeDash=[3, 3])
        layers.append(rule.encode(x="z:Q"))
    if density.curve:
        layers.append(_curve(density))
    chart = alt.layer(*layers).resolve_scale(y="independent").properties(width=340, height=170)
    return tidy(drawn(chart), _words(record, density))


def _bars(density: Density) -> Any:
    import altair as alt

    axis = alt.Axis(tickCount=6, grid=False, title="pre-activation z")
    across = alt.Scale(domain=[density.edges[0], density.edges[-1]], nice=False)
    upward = alt.Scale(domain=[0, 1])
    bars = chart_of(density.bars()).mark_rect()
    return bars.encode(
        x=alt.X("low:Q", axis=axis, scale=across),
        x2="high:Q",
        y=alt.Y("height:Q", axis=None, scale=upward),
        y2=alt.datum(0),
        color=by_colour(),
    )


def _curve(density: Density) -> Any:
    import altair as alt

    axis = alt.Axis(orient="right", tickCount=4, grid=False, title="activation h")
    line = chart_of([{"z": z, "h": h} for z, h in density.curve])
    return line.mark_line(color=INK, strokeWidth=2).encode(
        x="z:Q", y=alt.Y("h:Q", axis=axis, scale=alt.Scale(zero=False))
    )


def _words(record: SiteRecord, density: Density) -> str:
    low, middle, high = map(figure, density.quartiles)
    fired = share(record.fired, record)
    above = f"{percent(fired)} are above zero, " if fired is not None else ""
    drawn_over = f" The function {one_line(record.site.activation)} is drawn over it."
    return (
        f"Distribution of the pre-activations of {one_line(record.site.name)}: {above}"
        f"half lie between {low} and {high}, the median is {middle}."
        + (drawn_over if density.curve else "")
    )
