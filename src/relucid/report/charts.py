"""The pictures of the report: Altair describes them, vl-convert draws them, offline.

Each is a static SVG whose colours are CSS variables, so that one picture serves the light and
the dark theme. No text from the user's model enters a picture; names stand in the page around
it, and in the text alternative.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from relucid.records import SiteRecord
from relucid.report.density import Density, density_of
from relucid.report.strip import Strip, strip_of
from relucid.report.summary import share
from relucid.report.svg import tidy
from relucid.report.words import figure, one_line, percent, plural

CELLS = 192
"""Cells of a strip, at most: 3 to 4 pixels each on a desk, and still 2 on a telephone."""

_COLOURS = {"dead": "var(--ill)", "firing": "var(--fire)", "always on": "var(--on)"}
_INK, _MUTED, _GRID = "var(--ink)", "var(--muted)", "var(--line)"


def strip_chart(record: SiteRecord) -> str | None:
    """Draw the fire rate of each unit, or return None where no unit was counted.

    A cell's height is its fire rate. Dead units hang below the base line on a tinted ground and
    always-on units carry a cap, so that position tells them as well as colour.
    """
    import altair as alt

    strip = strip_of(record, CELLS)
    if strip is None:
        return None
    gap = 0.18 if len(strip.cells) <= 96 else 0.0
    rows = [row for i, cell in enumerate(strip.cells) for row in _bars(i, gap, cell.kind, cell.rate)]
    chart = (
        alt.Chart(alt.Data(values=rows))
        .mark_rect()
        .encode(
            x=alt.X("x:Q", axis=None, scale=alt.Scale(domain=[0, len(strip.cells)], nice=False)),
            x2="x2:Q",
            y=alt.Y("y:Q", axis=None, scale=alt.Scale(domain=[-0.3, 1.2], nice=False)),
            y2="y2:Q",
            color=alt.Color("colour:N", scale=None),
        )
        .properties(width=4 * max(len(strip.cells), 1), height=60, padding=0)
    )
    return tidy(_drawn(chart), strip_words(record.site.name, strip), stretch=True)


def strip_words(name: str, strip: Strip) -> str:
    """Say what a strip shows."""
    return (
        f"Fire rate of the {plural(strip.units, 'unit')} of {one_line(name)}, lowest first: "
        f"{strip.dead:,} dead, {strip.always_on:,} always on, median {percent(strip.median)}."
    )


def distribution_chart(record: SiteRecord) -> str | None:
    """Draw the distribution of z with the activation over it, or None where z was not kept."""
    import altair as alt

    density = density_of(record.histogram) if record.histogram is not None else None
    if record.histogram is None or density is None:
        return None
    axis = alt.Axis(tickCount=6, grid=False, title="pre-activation z")
    x = alt.X("low:Q", axis=axis, scale=alt.Scale(domain=list(density.domain), nice=False))
    bars = (
        alt.Chart(alt.Data(values=density.bars()))
        .mark_rect()
        .encode(
            x=x,
            x2="high:Q",
            y=alt.Y("height:Q", axis=None, scale=alt.Scale(domain=[0, 1])),
            y2=alt.datum(0),
            color=alt.Color("colour:N", scale=None),
        )
    )
    zero = alt.Chart(alt.Data(values=[{"z": 0.0}])).mark_rule(color=_MUTED, strokeDash=[3, 3])
    layers: list[Any] = [bars, zero.encode(x="z:Q")] if density.holds_zero else [bars]
    if density.curve:
        layers.append(_curve(density))
    chart = alt.layer(*layers).resolve_scale(y="independent").properties(width=400, height=170)
    return tidy(_drawn(chart), distribution_words(record, density))


def distribution_words(record: SiteRecord, density: Density) -> str:
    """Say what a distribution shows."""
    low, middle, high = map(figure, density.quartiles)
    fired = share(record.fired, record)
    above = f"{percent(fired)} are above zero, " if fired is not None else ""
    drawn = f" The function {one_line(record.site.activation)} is drawn over it."
    return (
        f"Distribution of the pre-activations of {one_line(record.site.name)}: {above}"
        f"half lie between {low} and {high}, the median is {middle}."
        + (drawn if density.curve else "")
    )


def gradient_chart(records: Sequence[SiteRecord]) -> str | None:
    """Draw the gradient's root mean square over depth, or None where none was recorded.

    The scale is logarithmic. A gradient of exactly 0 has no place on it and stands as a mark at
    the foot.
    """
    import altair as alt

    known = [(i + 1, r.gradient.rms) for i, r in enumerate(records) if r.gradient is not None]
    positive = [rms for _, rms in known if math.isfinite(rms) and rms > 0]
    if not known:
        return None
    low, high = (min(positive), max(positive)) if positive else (1e-3, 1.0)
    foot = 10.0 ** (math.floor(math.log10(low)) - (1 if any(r == 0 for _, r in known) else 0))
    domain = [foot, 10.0 ** max(math.ceil(math.log10(high)), math.log10(foot) + 1)]
    rows = [{"site": i, "rms": rms} for i, rms in known if math.isfinite(rms) and rms > 0]
    zeros = [{"site": i, "rms": foot} for i, rms in known if rms == 0]
    x = alt.X(
        "site:Q",
        axis=alt.Axis(title="site, in order of execution", tickMinStep=1, format="d", grid=False),
        scale=alt.Scale(domain=[0.5, len(records) + 0.5], nice=False),
    )
    decades = _decades(*domain)
    y = alt.Y(
        "rms:Q",
        axis=alt.Axis(title="gradient, root mean square", values=decades, format="~e"),
        scale=alt.Scale(type="log", domain=domain),
    )
    base = alt.Chart(alt.Data(values=rows)).encode(x=x, y=y)
    foot_marks = alt.Chart(alt.Data(values=zeros)).encode(x=x, y=y)
    chart = alt.layer(
        base.mark_line(color="var(--fire)", strokeWidth=2),
        base.mark_point(color="var(--fire)", filled=True, size=48, opacity=1),
        foot_marks.mark_point(color="var(--ill)", shape="triangle-down", filled=True, size=90),
    ).properties(width=430, height=200)
    return tidy(_drawn(chart), gradient_words(records))


def gradient_words(records: Sequence[SiteRecord]) -> str:
    """Say what the gradient chart shows."""
    known = [(r.site.name, r.gradient.rms) for r in records if r.gradient is not None]
    if len(known) > 8:
        named = sorted(known, key=lambda item: item[1])
        known = [known[0], known[-1], named[0], named[-1]]
        roles = ("first", "last", "smallest", "largest")
        parts = [f"{role} {one_line(n)} {figure(v)}" for role, (n, v) in zip(roles, known)]
    else:
        parts = [f"{one_line(name)} {figure(rms)}" for name, rms in known]
    return "Root mean square of the gradient at each site: " + ", ".join(parts) + "."


def _bars(index: int, gap: float, kind: str, rate: float) -> list[dict[str, object]]:
    left, right = index + gap / 2, index + 1 - gap / 2
    place = {"x": left, "x2": right}
    if kind == "dead":
        tint = {**place, "y": 0.0, "y2": 1.0, "colour": "var(--ill-tint)"}
        return [tint, {**place, "y": -0.3, "y2": 0.0, "colour": _COLOURS["dead"]}]
    bar = {**place, "y": 0.0, "y2": max(rate, 0.02), "colour": _COLOURS["firing"]}
    if kind == "always on":
        return [bar, {**place, "y": 1.0, "y2": 1.2, "colour": _COLOURS["always on"]}]
    return [bar]


def _curve(density: Density) -> Any:
    import altair as alt

    rows = [{"z": z, "h": h} for z, h in density.curve]
    axis = alt.Axis(orient="right", tickCount=4, grid=False, title="activation h")
    return (
        alt.Chart(alt.Data(values=rows))
        .mark_line(color=_INK, strokeWidth=2, clip=True)
        .encode(x="z:Q", y=alt.Y("h:Q", axis=axis, scale=alt.Scale(zero=False)))
    )


def _decades(low: float, high: float) -> list[float]:
    first, last = round(math.log10(low)), round(math.log10(high))
    step = max(1, -(-(last - first) // 6))
    return [10.0**k for k in range(first, last + 1, step)]


def _drawn(chart: Any) -> str:
    import vl_convert

    styled = (
        chart.configure(background="transparent", aria=False)
        .configure_view(stroke=None)
        .configure_axis(
            domainColor=_GRID,
            tickColor=_GRID,
            gridColor=_GRID,
            labelColor=_MUTED,
            titleColor=_MUTED,
            labelFontSize=12,
            titleFontSize=12,
            titleFontWeight="normal",
            titlePadding=8,
            tickSize=4,
            labelPadding=4,
        )
    )
    # Validation against the schema costs as much as drawing, and what is drawn is ours alone.
    return str(vl_convert.vegalite_to_svg(styled.to_dict(validate=False), allowed_base_urls=[]))
