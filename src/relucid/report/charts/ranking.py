"""The differences of all candidates to the baseline: an interval a candidate, on one scale."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from relucid.records import Difference
from relucid.records.comparison import Ending, Trained, Verdict
from relucid.report import comparison_words as words
from relucid.report.charts.candidates import label
from relucid.report.charts.drawing import FIRE, ILL, INK, MUTED, Row, by_colour, chart_of, drawn
from relucid.report.charts.svg import tidy
from relucid.report.charts.ticks import evenly

_COLOURS = {Verdict.BETTER: FIRE, Verdict.WORSE: ILL}
_FAR = 4.0
"""Times the middle one's: differences larger than this end at the edge of the picture."""
_TIMES = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 10.0)
_WIDE = 30.0
"""Ratio of the ends of a scale from which only powers of ten are marked."""
_FURTHEST = math.log(1e12)
"""Ratios beyond these powers of ten end at the edge of the picture."""
_LEAST = 1e-300
_PADDING = {"left": 26, "right": 12, "top": 5, "bottom": 5}


@dataclass(frozen=True)
class _Scale:
    """Of differences, as numbers in which no difference is 0 and as much more as less is as far."""

    ratio: bool
    metric: str
    ends: tuple[float, float] = (-1.0, 1.0)

    @property
    def title(self) -> str:
        """What stands below the axis."""
        return {
            (True, "loss"): "loss, compared with the baseline's",
            (False, "accuracy"): "accuracy less the baseline's, in points",
        }.get((self.ratio, self.metric), "loss less the baseline's")

    @property
    def form(self) -> str:
        """Vega's expression for what stands at a tick."""
        number = "exp(datum.value) - 1, '+.2~%'" if self.ratio else "datum.value, '+.3~g'"
        return f"datum.value == 0 ? '0' : format({number})"

    def of(self, value: float) -> float:
        """Return where a number of a difference lies; it may be infinite."""
        if self.ratio:
            return math.log(value) if value > 0.0 else -math.inf if value == 0.0 else math.nan
        return 100.0 * value if self.metric == "accuracy" else value

    def held(self, value: float) -> float:
        """Return where it is drawn: at the edge where it lies beyond."""
        return min(max(value, self.ends[0]), self.ends[1])

    def ticks(self) -> list[float]:
        """Return where the axis is marked: at round percents or points."""
        if not self.ratio:
            return evenly(*self.ends)
        low, high = (math.exp(end) for end in self.ends)
        if high < 3.0 * low:
            return [math.log1p(tick) for tick in evenly(low - 1.0, high - 1.0, 5)]
        times = _TIMES if high < _WIDE * low else (*(10.0**n for n in range(-12, 13, 2)), 0.1, 10.0)
        return [math.log(one) for one in times if low <= one <= high]


def ranking_chart(rows: Sequence[words.Row]) -> str | None:
    """Draw the difference of each candidate with its interval and its seeds, or None without any.

    Full marks are differences that were shown, hollow ones were not. What lies far beyond the
    others ends at the edge. Differences on another scale than the first one's are left out.
    """
    import altair as alt

    found = [(row, row.standing.difference) for row in rows if row.standing.difference]
    if not found:
        return None
    ratio, metric = found[0][1].scale == "ratio", rows[0].comparison.metric
    alike = [(row, one) for row, one in found if (one.scale == "ratio") == ratio]
    scale = _Scale(ratio, metric, _ends(alike, _Scale(ratio, metric)))
    names = [label(row) for row in rows if row.is_baseline or row.standing.difference]
    chart = alt.layer(
        _neutral(scale),
        _seeds(alike, scale, names),
        _intervals(alike, scale, names),
        *_means(alike, scale, names),
        *_baseline([row for row in rows if row.is_baseline], scale, names),
    ).properties(width=270, height=30 * len(names) + 6, padding=_PADDING)
    return tidy(drawn(chart), _words(rows))


def _ends(found: Sequence[tuple[words.Row, Difference]], scale: _Scale) -> tuple[float, float]:
    """Return what the axis holds: all but what lies far beyond the middle one, and 0."""
    each = [[scale.of(v) for v in (one.low, one.mean, one.high)] for _, one in found]
    reach = [max(map(abs, known)) for known in map(_finite, each) if known]
    far = _FAR * median(reach) if reach else math.inf
    seeds = [list(_pairs(row, scale)) for row, _ in found]
    held = [v for known in map(_finite, [*each, *seeds]) for v in known if abs(v) <= far]
    low, high = min([0.0, *held]), max([0.0, *held])
    if scale.ratio:
        low, high = max(low, -_FURTHEST), min(high, _FURTHEST)
    room = 0.06 * (high - low) or (0.1 if scale.ratio else 1.0)
    return low - room, high + room


def _finite(values: Iterable[float]) -> list[float]:
    return [value for value in values if math.isfinite(value)]


def _encoded(held: list[Row], scale: _Scale, names: list[str]) -> Any:
    import altair as alt

    values = alt.Axis(title=scale.title, values=scale.ticks(), labelExpr=scale.form, grid=False)
    lines = alt.Axis(title=None, domain=False, ticks=False, labelLimit=150)
    return chart_of(held).encode(
        x=alt.X("at:Q", scale=alt.Scale(domain=list(scale.ends), nice=False), axis=values),
        y=alt.Y("name:N", scale=alt.Scale(domain=names), axis=lines),
        color=by_colour(),
    )


def _neutral(scale: _Scale) -> Any:
    import altair as alt

    line = chart_of([{"at": 0.0}]).mark_rule(color=MUTED, strokeDash=[4, 3])
    return line.encode(x=alt.X("at:Q", scale=alt.Scale(domain=list(scale.ends), nice=False)))


def _intervals(
    found: Sequence[tuple[words.Row, Difference]], scale: _Scale, names: list[str]
) -> Any:
    held: list[Row] = [
        {
            "name": label(row),
            "at": scale.held(scale.of(one.low)),
            "to": scale.held(scale.of(one.high)),
            "colour": _COLOURS.get(row.standing.verdict, MUTED),
        }
        for row, one in found
    ]
    return _encoded(held, scale, names).encode(x2="to:Q").mark_rule(strokeWidth=3)


def _means(
    found: Sequence[tuple[words.Row, Difference]], scale: _Scale, names: list[str]
) -> Iterator[Any]:
    """Yield full marks, hollow ones, and triangles at the edge beyond which a mean lies."""
    held: dict[tuple[str, bool], list[Row]] = {}
    for row, one in found:
        at, verdict = scale.of(one.mean), row.standing.verdict
        if math.isnan(at):
            continue
        left, right = at < scale.ends[0], at > scale.ends[1]
        shape = "triangle-left" if left else "triangle-right" if right else "circle"
        colour = _COLOURS.get(verdict, MUTED)
        marks = held.setdefault((shape, verdict in _COLOURS), [])
        marks.append({"name": label(row), "at": scale.held(at), "colour": colour})
    for (shape, full), marks in held.items():
        # A hollow mark has the colour of the page inside, so that its interval does not show.
        inside = {} if full else {"fill": "var(--page)", "strokeWidth": 2}
        yield _encoded(marks, scale, names).mark_point(
            filled=full, shape=shape, size=80, opacity=1, **inside
        )


def _baseline(rows: Sequence[words.Row], scale: _Scale, names: list[str]) -> Iterator[Any]:
    for row in rows:
        held: list[Row] = [{"name": label(row), "at": 0.0, "colour": INK}]
        yield _encoded(held, scale, names).mark_point(
            filled=True, shape="diamond", size=90, opacity=1
        )


def _seeds(found: Sequence[tuple[words.Row, Difference]], scale: _Scale, names: list[str]) -> Any:
    held: list[Row] = [
        {
            "name": label(row),
            "at": scale.held(at),
            "colour": _COLOURS.get(row.standing.verdict, MUTED),
        }
        for row, _ in found
        for at in _pairs(row, scale)
    ]
    return _encoded(held, scale, names).mark_point(filled=True, size=18, opacity=0.5, yOffset=8)


def _pairs(row: words.Row, scale: _Scale) -> Iterator[float]:
    """Yield the difference of each run to the baseline's of its seed, where both have an end.

    Where only one of them diverged the ratio is infinite, or 0; where both did there is none.
    """
    comparison = row.comparison
    own = {run.seed: run for run in comparison.runs if run.candidate == comparison.baseline}
    for run in row.runs:
        ends = [_end(one) for one in (run, own.get(run.seed)) if one is not None]
        if len(ends) < 2 or any(map(math.isnan, ends)) or all(map(math.isinf, ends)):
            continue
        its, beside = ends
        yield scale.of(its / max(beside, _LEAST) if scale.ratio else its - beside)


def _end(run: Trained) -> float:
    """Return the quality at the end, infinite for a loss that was lost; NaN without an end."""
    if run.ending not in (Ending.COMPLETE, Ending.DIVERGED) or run.last is None:
        return math.nan
    quality = run.last.quality
    return quality if math.isfinite(quality) else math.inf


def _words(rows: Sequence[words.Row]) -> str:
    said = (
        f"{label(row)} {row.difference}, {row.standing.verdict.value}"
        for row in rows
        if row.standing.difference
    )
    return f"Difference of each candidate to the baseline, with 95% interval: {'; '.join(said)}."
