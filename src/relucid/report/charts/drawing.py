"""What all charts share: inline rows, one style, and the way from Altair to SVG."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import altair as alt

Row = dict[str, object]

# CSS variables of `templates/style.css`.
ILL, ILL_TINT, ALWAYS_ON = "var(--ill)", "var(--ill-tint)", "var(--on)"
FIRE, QUIET = "var(--fire)", "var(--quiet)"
INK, MUTED, LINE = "var(--ink)", "var(--muted)", "var(--line)"

_AXIS = {
    "domainColor": LINE,
    "tickColor": LINE,
    "gridColor": LINE,
    "labelColor": MUTED,
    "titleColor": MUTED,
    "labelFontSize": 12,
    "titleFontSize": 12,
    "titleFontWeight": "normal",
    "titlePadding": 8,
    "tickSize": 4,
    "labelPadding": 4,
}


def chart_of(rows: Sequence[Row]) -> alt.Chart:
    """Return a chart over rows that travel inside it."""
    import altair as alt

    return alt.Chart(alt.InlineData(values=list(rows)))


def by_colour() -> alt.Color:
    """Return the encoding by which each row brings its own colour."""
    import altair as alt

    return alt.Color("colour:N", scale=None)


def drawn(chart: Any) -> str:
    """Return the SVG text of an Altair chart of any kind."""
    import vl_convert

    styled = chart.configure(background="transparent", aria=False)
    styled = styled.configure_view(stroke=None).configure_axis(**_AXIS)
    # Validation against the schema costs as much as drawing, and what is drawn is ours alone.
    return str(vl_convert.vegalite_to_svg(styled.to_dict(validate=False), allowed_base_urls=[]))
