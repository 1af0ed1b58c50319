"""The size of the gradient over the depth of the network."""

from __future__ import annotations

import math
from collections.abc import Sequence

from relucid.records import SiteRecord
from relucid.report.charts.drawing import FIRE, ILL, chart_of, drawn
from relucid.report.charts.svg import tidy
from relucid.report.words import figure, one_line

_NAMED_IN_FULL = 8


def gradient_chart(records: Sequence[SiteRecord]) -> str | None:
    """Draw the gradient's root mean square over depth, or None where all are 0 or not finite.

    The scale is logarithmic. A gradient of exactly 0 has no place on it and stands as a mark at
    the foot.
    """
    import altair as alt

    recorded = [(i, r.gradient.rms) for i, r in enumerate(records, 1) if r.gradient is not None]
    known = [(i, rms) for i, rms in recorded if math.isfinite(rms)]
    if not any(rms > 0 for _, rms in known):
        return None
    decades = _decades([rms for _, rms in known])
    ticks = list(range(1, len(records) + 1, -(-len(records) // 10)))
    sites = alt.Axis(title="site, in order of execution", values=ticks, grid=False)
    sizes = alt.Axis(title="gradient, root mean square", values=decades, format="~e")
    across = alt.Scale(domain=[0.5, len(records) + 0.5], nice=False)
    upward = alt.Scale(type="log", domain=[decades[0], decades[-1]])
    x, y = alt.X("site:Q", axis=sites, scale=across), alt.Y("rms:Q", axis=sizes, scale=upward)
    within = [(i, min(max(rms, decades[0]), decades[-1]), rms == 0) for i, rms in known]
    line, feet = (
        chart_of([{"site": i, "rms": rms} for i, rms, zero in within if zero is at_foot]).encode(
            x=x, y=y
        )
        for at_foot in (False, True)
    )
    chart = alt.layer(
        line.mark_line(color=FIRE, strokeWidth=2),
        line.mark_point(color=FIRE, filled=True, size=48, opacity=1),
        feet.mark_point(color=ILL, shape="triangle-down", filled=True, size=90, opacity=1),
    ).properties(width=350, height=190)
    return tidy(drawn(chart), _words(records))


def _decades(values: Sequence[float]) -> list[float]:
    """Return the powers of ten that enclose ``values``, with a free one below for zeros."""
    # A margin within the range of floats, so that the next power of ten is one too.
    positive = [min(max(value, 1e-300), 1e300) for value in values if value > 0]
    first = math.floor(math.log10(min(positive))) - (0.0 in values)
    last = max(math.ceil(math.log10(max(positive))), first + 1)
    step = -(-(last - first) // 6)
    return [10.0**k for k in range(first, last + step, step)]


def _words(records: Sequence[SiteRecord]) -> str:
    named = [(one_line(r.site.name), r.gradient.rms) for r in records if r.gradient is not None]
    if len(named) > _NAMED_IN_FULL:
        by_size = sorted((item for item in named if math.isfinite(item[1])), key=lambda i: i[1])
        chosen = {
            "first": named[0],
            "last": named[-1],
            "smallest": by_size[0],
            "largest": by_size[-1],
        }
        parts = [f"{role} {name} {figure(rms)}" for role, (name, rms) in chosen.items()]
    else:
        parts = [f"{name} {figure(rms)}" for name, rms in named]
    return "Root mean square of the gradient at each site: " + ", ".join(parts) + "."
