"""The axis of a comparison's metric, whatever height it is drawn at."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relucid.report.charts.ticks import evenly, powers
from relucid.report.learning import Height

if TYPE_CHECKING:
    import altair as alt

Ends = tuple[float, float]


def quality_of(field: str, height: Height, ends: Ends) -> alt.Y:
    """Encode heights in ``field``, from the foot to the top of a picture."""
    import altair as alt

    values = (powers if height.logarithmic else evenly)(*ends)
    title = f"{height.metric} on held-out samples"
    axis = alt.Axis(title=title, values=values, format="~g")
    if height.metric == "accuracy":
        axis = alt.Axis(title=title, values=values, labelExpr="format(1 - datum.value, '.3~%')")
    scale = alt.Scale(
        type="log" if height.logarithmic else "linear",
        domain=sorted(ends),
        nice=False,
        reverse=ends[0] > ends[1],
    )
    return alt.Y(f"{field}:Q", scale=scale, axis=axis)
