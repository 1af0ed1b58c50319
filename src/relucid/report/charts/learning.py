"""The mean learning curves of all candidates in one picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from relucid.report.charts.candidates import label
from relucid.report.charts.drawing import MUTED, Row, by_colour, chart_of, drawn
from relucid.report.charts.quality import Ends, quality_of
from relucid.report.charts.svg import tidy
from relucid.report.comparison_words import metric
from relucid.report.learning import Height, Learning, Reals, ends_of

_WIDTH, _HEIGHT = 250, 270
_LINE = 15
"""Height of a line of letters."""
_BESIDE = 0.05
"""From the ends of the curves to their letters, as a part of the width."""
_PADDING = {"left": 5, "right": 32, "top": 5, "bottom": 5}
"""Room for words that a reader's letters make wider than those they were measured with."""


def learning_chart(
    found: Sequence[Learning], height: Height, colours: Mapping[str, str]
) -> str | None:
    """Draw the means over complete runs with their letters, or None where there is none.

    The baseline is dashed. Those that have no colour of their own are thin, without letters.
    """
    import altair as alt

    curves = [curve for curve in found if len(curve.step) > 1]
    ends = ends_of(curves, height)
    if ends is None:
        return None
    drawing = _Drawing(height, ends, colours, float(max(c.step[-1] for c in curves)))
    plain = [curve for curve in curves if drawing.colour(curve) == MUTED]
    told = [curve for curve in curves if curve not in plain]
    own = [curve for curve in told if not curve.row.is_baseline]
    baseline = [curve for curve in told if curve.row.is_baseline]
    letters = drawing.letters(told)
    chart = alt.layer(
        drawing.lines(plain).mark_line(strokeWidth=1, opacity=0.6),
        drawing.lines(own).mark_line(strokeWidth=2),
        drawing.lines(baseline).mark_line(strokeWidth=2, strokeDash=[5, 3]),
        letters.mark_rule(strokeWidth=1, opacity=0.6).encode(x2="beside:Q", y2="place:Q"),
        letters.mark_text(align="left", dx=3, fontSize=12).encode(
            x="beside:Q", y=quality_of("place", height, ends), text="label:N"
        ),
    ).properties(width=_WIDTH, height=_HEIGHT, padding=_PADDING)
    return tidy(drawn(chart), _words(curves))


@dataclass(frozen=True)
class _Drawing:
    """How curves are put on the picture."""

    height: Height
    ends: Ends
    colours: Mapping[str, str]
    last: float
    """Step at the right edge."""

    def colour(self, curve: Learning) -> str:
        return self.colours[curve.row.candidate.name]

    def lines(self, curves: Sequence[Learning]) -> Any:
        rows: list[Row] = [
            {"step": step, "height": y, "number": c.row.number, "colour": self.colour(c)}
            for c in curves
            for step, y in zip(c.step.tolist(), self._heights(c.mean).tolist(), strict=True)
        ]
        return self._encoded(rows).encode(detail="number:N")

    def letters(self, curves: Sequence[Learning]) -> Any:
        """Return the ends of curves, and the places beside them where their letters stand."""
        last = [self._heights(curve.mean[-1:]) for curve in curves]
        parts = np.array([float(self.height.part(y, self.ends)[0]) for y in last])
        rows: list[Row] = [
            {
                "step": float(curve.step[-1]),
                "height": float(y[0]),
                "beside": self.last * (1.0 + _BESIDE),
                "place": self.height.at(float(part), self.ends),
                "label": label(curve.row),
                "colour": self.colour(curve),
            }
            for curve, y, part in zip(curves, last, apart(parts, _LINE / _HEIGHT), strict=True)
        ]
        return self._encoded(rows)

    def _heights(self, quality: Reals) -> Reals:
        return np.clip(self.height.of(quality), min(self.ends), max(self.ends))

    def _encoded(self, rows: list[Row]) -> Any:
        import altair as alt

        steps = alt.Axis(title="step", format=",d", tickCount=4, grid=False)
        across = alt.Scale(domain=[0.0, self.last], nice=False)
        return chart_of(rows).encode(
            x=alt.X("step:Q", scale=across, axis=steps),
            y=quality_of("height", self.height, self.ends),
            color=by_colour(),
        )


def apart(parts: Reals, least: float) -> Reals:
    """Return parts of a height moved so far that they are ``least`` apart, within 0 and 1."""
    order = np.argsort(parts)
    places = parts[order].clip(0.0, 1.0)
    for i in range(1, len(places)):
        places[i] = max(places[i], places[i - 1] + least)
    top = 1.0
    for i in reversed(range(len(places))):
        places[i] = top = min(places[i], top)
        top -= least
    moved = np.empty_like(places)
    moved[order] = places
    return moved


def _words(curves: Sequence[Learning]) -> str:
    said = (
        f"{label(c.row)} from {metric(float(c.mean[0]), c.row.comparison)} "
        f"to {metric(float(c.mean[-1]), c.row.comparison)}"
        for c in curves
    )
    comparison = curves[0].row.comparison
    return (
        f"Mean {comparison.metric} on held-out samples over {comparison.steps:,} steps: "
        f"{'; '.join(said)}."
    )
