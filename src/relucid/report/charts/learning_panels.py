"""The runs of one candidate beside those of the baseline.

Written as SVG here: by way of Vega a picture takes 40 to 80 ms, and a page has one a candidate.
"""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np

from relucid.records.comparison import Ending
from relucid.report.charts.candidates import label
from relucid.report.charts.drawing import ILL, LINE, MUTED
from relucid.report.charts.plane import Plane, as_text, picture, put_path, put_text
from relucid.report.charts.quality import Ends
from relucid.report.comparison_words import metric, short
from relucid.report.learning import Broken, Height, Learning, Reals
from relucid.report.words import percent

_MARK = 3
"""Half the width of the mark at the end of a run."""


def learning_panel(
    curve: Learning, baseline: Learning | None, height: Height, ends: Ends, colour: str
) -> str:
    """Draw the mean and the range of a candidate's seeds over those of the baseline.

    A run that did not come to its end is a line of its own, with a cross where it was lost and a
    bar where it was given up.
    """
    comparison = curve.row.comparison
    plane = Plane(46, 214, 8, 92, (0.0, float(comparison.steps)))
    panel = _Panel(picture(220, 116, _words(curve), "chart panel"), plane, height, ends)
    edges = f"M{plane.left},{plane.top}V{plane.bottom}H{plane.right}"
    put_path(panel.svg, edges, stroke=LINE, fill="none")
    if baseline is not None and baseline is not curve:
        panel.put_curve(baseline, MUTED, "3 2")
    panel.put_curve(curve, colour, "none")
    for run in curve.broken:
        panel.put_broken(run)
    for end, y in zip(ends, (plane.bottom + 1, plane.top + 8), strict=True):
        said = percent(1.0 - end) if height.metric == "accuracy" else short(end)
        put_text(panel.svg, plane.left - 6, y, said, "end")
    put_text(panel.svg, plane.left, 110, "0", "start")
    put_text(panel.svg, plane.right, 110, f"step {comparison.steps:,}", "end")
    return as_text(panel.svg)


class _Panel:
    """A picture in which heights have a place."""

    def __init__(self, svg: ElementTree.Element, plane: Plane, height: Height, ends: Ends) -> None:
        self.svg, self.plane, self.height, self.ends = svg, plane, height, ends

    def put_curve(self, curve: Learning, colour: str, dashes: str) -> None:
        """Draw the range of the seeds as a band, and their mean as a line."""
        there_and_back = np.concatenate([curve.step, curve.step[::-1]])
        around = np.concatenate([self._parts(curve.high), self._parts(curve.low)[::-1]])
        if len(curve.step) > 1:
            band = self.plane.line(there_and_back, around)
            put_path(self.svg, f"{band}Z", fill=colour, fill_opacity="0.2")
        line = self.plane.line(curve.step, self._parts(curve.mean))
        put_path(self.svg, line, stroke=colour, fill="none", stroke_dasharray=dashes)

    def put_broken(self, run: Broken) -> None:
        """Draw a run that did not come to its end."""
        colour = MUTED if run.ending is Ending.PRUNED else ILL
        parts = self._parts(run.quality)
        put_path(self.svg, self.plane.line(run.step, parts), stroke=colour, fill="none")
        x, y, m = self.plane.across(float(run.step[-1])), self.plane.up(float(parts[-1])), _MARK
        cross = f"M{x - m},{y - m}l{2 * m},{2 * m}m0,{-2 * m}l{-2 * m},{2 * m}"
        bar = f"M{x},{y - m}v{2 * m}"
        put_path(
            self.svg, bar if run.ending is Ending.PRUNED else cross, stroke=colour, fill="none"
        )

    def _parts(self, quality: Reals) -> Reals:
        return self.height.part(self.height.of(quality), self.ends)


def _words(curve: Learning) -> str:
    comparison = curve.row.comparison
    text = f"{comparison.metric} of {label(curve.row)} over {comparison.steps:,} steps"
    if len(curve.step):
        first, last = (metric(float(curve.mean[i]), comparison) for i in (0, -1))
        least, most = (metric(float(v[-1]), comparison) for v in (curve.low, curve.high))
        text += f": {first} to {last}, seeds from {least} to {most}"
    return f"{text[0].upper()}{text[1:]}; runs complete: {curve.row.ends}."
