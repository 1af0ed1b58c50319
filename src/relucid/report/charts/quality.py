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
    # Not by a format, of which a scale of powers makes its own: 10 would be 1e+1.
    number = "1 - datum.value, '.3~%'" if height.metric == "accuracy" else "datum.value, '.6~g'"
    axis = alt.Axis(title=title, values=values, labelExpr=f"format({number})")
    scale = alt.Scale(
        type="log" if height.logarithmic else "linear",
        domain=sorted(ends),
        nice=False,
        reverse=ends[0] > ends[1],
    )
    return alt.Y(f"{field}:Q", scale=scale, axis=axis)
