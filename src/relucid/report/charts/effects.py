"""What each change did to the loss: an interval a change, on one scale."""

from __future__ import annotations

import math
from collections.abc import Iterator

from relucid.records import Outcome, Trials, Tried
from relucid.report.charts.drawing import FIRE, ILL, MUTED, QUIET, Row, by_colour, chart_of, drawn
from relucid.report.charts.svg import tidy
from relucid.report.words import figure

_LOWEST, _HIGHEST = 1e-2, 1e2
_TICKS = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0]
_LEAST = 1e-300
_COLOURS = {Outcome.HELPS: FIRE, Outcome.HURTS: ILL}


def effects_chart(trials: Trials) -> str | None:
    """Draw the intervals of all changes over the loss of the untouched copies, or None.

    Below each interval stand the pairs of runs that it is worked out from, a small dot a seed. The
    scale is logarithmic; what lies beyond a hundredth or a hundred times ends there. Losses
    that have no ratio are not drawn.
    """
    import altair as alt

    shown = [
        (i, tried)
        for i, tried in enumerate(trials.tried, 1)
        if tried.difference is not None and tried.difference.scale == "ratio"
    ]
    if not shown:
        return None
    rows = [_row(i, tried) for i, tried in shown]
    dots = [row for i, tried in shown for row in _pairs(i, tried, trials)]
    upward = alt.Scale(domain=[len(trials.tried) + 0.5, 0.5], nice=False)
    across = alt.Scale(type="log", domain=_domain([*rows, *dots]), nice=False)
    times = alt.Axis(title="times the loss of the untouched copies", format="~g", values=_TICKS)
    numbers = alt.Axis(title=None, values=list(range(1, len(trials.tried) + 1)), grid=False)
    x, y = alt.X("low:Q", scale=across, axis=times), alt.Y("at:Q", scale=upward, axis=numbers)
    intervals = chart_of(rows).encode(x=x, x2="high:Q", y=y, color=by_colour())
    means = chart_of(rows).encode(x=alt.X("mean:Q", scale=across), y=y, color=by_colour())
    each = chart_of(dots).encode(x=alt.X("mean:Q", scale=across), y=y, color=by_colour())
    neutral = chart_of([{"one": 1.0}]).encode(x=alt.X("one:Q", scale=across))
    chart = alt.layer(
        neutral.mark_rule(color=MUTED, strokeDash=[4, 3]),
        each.mark_point(filled=True, size=24, opacity=0.5, yOffset=9),
        intervals.mark_rule(strokeWidth=3),
        means.mark_point(filled=True, size=70, opacity=1),
    ).properties(width=350, height=34 * len(trials.tried) + 10)
    return tidy(drawn(chart), _words(trials))


def _row(number: int, tried: Tried) -> Row:
    found = tried.difference
    assert found is not None
    colour = _COLOURS.get(tried.outcome, QUIET)
    low, mean, high = (_within(value) for value in (found.low, found.mean, found.high))
    return {"at": number, "low": low, "mean": mean, "high": high, "colour": colour}


def _pairs(number: int, tried: Tried, trials: Trials) -> Iterator[Row]:
    """Yield each changed copy's loss over that of the untouched copy of the same seed.

    Where only one of them diverged the ratio is infinite, or 0; where both did there is none.
    """
    untouched = {run.seed: run.loss for run in trials.untouched}
    for run in tried.runs:
        before = untouched.get(run.seed)
        if before is None or not (math.isfinite(before) or math.isfinite(run.loss)):
            continue
        ratio = _loss(run.loss) / max(_loss(before), _LEAST)
        colour = _COLOURS.get(tried.outcome, QUIET)
        yield {"at": number, "mean": _within(ratio), "colour": colour}


def _loss(value: float) -> float:
    return value if math.isfinite(value) else math.inf


def _within(value: float) -> float:
    return min(max(value, _LOWEST), _HIGHEST) if not math.isnan(value) else 1.0


def _domain(rows: list[Row]) -> list[float]:
    """From the lowest end or dot to the highest, with a margin, and 1 within."""
    low = min(float(str(row.get("low", row["mean"]))) for row in rows)
    high = max(float(str(row.get("high", row["mean"]))) for row in rows)
    return [min(low, 0.5) / 1.1, max(high, 2.0) * 1.1]


def _words(trials: Trials) -> str:
    parts = [
        f"{i} {figure(t.difference.mean)} ({figure(t.difference.low)} to "
        f"{figure(t.difference.high)})"
        for i, t in enumerate(trials.tried, 1)
        if t.difference is not None
    ]
    return "Loss after each change, times that of the untouched copies: " + ", ".join(parts) + "."
