"""How each copy of a trial came out: loss, dead units and gradient, a dot a run."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from relucid.records import Outcome, Run, Trials
from relucid.report.charts.drawing import FIRE, ILL, INK, MUTED, Row, by_colour, chart_of, drawn
from relucid.report.charts.svg import tidy
from relucid.report.words import figure, percent

_COLOURS = {Outcome.HELPS: FIRE, Outcome.HURTS: ILL}
_PADDING = {"left": 18, "right": 5, "top": 5, "bottom": 5}
"""Room for words that a reader's letters make wider than those they were measured with."""


@dataclass(frozen=True)
class _Quantity:
    """Something measured of every copy."""

    title: str
    of: Callable[[Run], float | None]
    logarithmic: bool
    say: Callable[[float], str]
    form: str


_QUANTITIES = (
    _Quantity("loss", lambda run: run.loss, True, figure, "~g"),
    _Quantity("share of dead units", lambda run: run.dead, False, percent, "~%"),
    _Quantity("gradient, first site over last", lambda run: run.gradient, True, figure, "~g"),
)


@dataclass(frozen=True)
class _Group:
    """The copies that had the same done to them."""

    name: str
    colour: str
    values: tuple[float, ...]
    """What was measured; infinite for a copy that diverged."""

    @property
    def finite(self) -> list[float]:
        return [value for value in self.values if math.isfinite(value)]


def runs_charts(trials: Trials) -> tuple[str, ...]:
    """Draw each quantity that was measured: the model before, untouched copies, each change."""
    charts = (_chart(trials, quantity) for quantity in _QUANTITIES)
    return tuple(chart for chart in charts if chart is not None)


def _chart(trials: Trials, quantity: _Quantity) -> str | None:
    """A row a group; None where no changed copy has this quantity, or none is finite."""
    tried = {f"{i}": (t.outcome, t.runs) for i, t in enumerate(trials.tried, 1) if t.runs}
    changed = [
        _group(name, _COLOURS.get(outcome, MUTED), runs, quantity)
        for name, (outcome, runs) in tried.items()
    ]
    start = _group("before", INK, _start(trials), quantity)
    groups = [start, _group("untouched", MUTED, trials.untouched, quantity), *changed]
    domain = _domain([value for group in groups for value in group.finite], quantity)
    if domain is None or not any(group.values for group in changed):
        return None
    return tidy(drawn(_picture(groups, quantity, domain)), _words(groups, quantity))


def _start(trials: Trials) -> tuple[Run, ...]:
    if trials.at_start is not None:
        return (trials.at_start,)
    return () if trials.before is None else (Run(-1, trials.before),)


def _group(name: str, colour: str, runs: Sequence[Run], quantity: _Quantity) -> _Group:
    found = [quantity.of(run) for run in runs]
    known = (value for value in found if value is not None)
    return _Group(name, colour, tuple(v if math.isfinite(v) else math.inf for v in known))


def _domain(values: Sequence[float], quantity: _Quantity) -> tuple[float, float] | None:
    """From a little below the least value to a little above the largest; None without one."""
    if not values:
        return None
    if not _is_logarithmic(min(values), quantity):
        low, high = min(0.0, *values), max(0.0, *values)
        return (low, high + 0.1 * (high - low)) if high > low else (0.0, 1.0)
    # A margin within the range of floats, so that the ends are such too.
    positive = [min(max(value, 1e-300), 1e300) for value in values if value > 0.0]
    return (min(positive) / 1.5, max(positive) * 1.5) if positive else None


def _is_logarithmic(least: float, quantity: _Quantity) -> bool:
    """Whether powers are drawn: not of losses below 0, and never of shares."""
    return quantity.logarithmic and least >= 0.0


def _picture(groups: Sequence[_Group], quantity: _Quantity, domain: tuple[float, float]) -> Any:
    """Dots, a bar at their median, and a triangle at the right end for what diverged."""
    import altair as alt

    low, high = domain
    powers = _is_logarithmic(low, quantity) and low > 0.0
    scale = alt.Scale(type="log" if powers else "linear", domain=[low, high], nice=False)
    values = alt.Axis(title=quantity.title, format=quantity.form, tickCount=4, grid=False)
    names = alt.Axis(title=None, domain=False, ticks=False, grid=True)
    rows = alt.Scale(domain=[group.name for group in groups])

    def marks(found: list[tuple[_Group, float]]) -> Any:
        held: list[Row] = [
            {"group": g.name, "value": min(max(v, low), high), "colour": g.colour} for g, v in found
        ]
        return chart_of(held).encode(
            x=alt.X("value:Q", scale=scale, axis=values),
            y=alt.Y("group:N", scale=rows, axis=names),
            color=by_colour(),
        )

    dots = marks([(g, v) for g in groups for v in g.finite])
    middles = marks([(g, median(g.finite)) for g in groups if g.finite])
    lost = marks([(g, v) for g in groups for v in g.values if math.isinf(v)])
    return alt.layer(
        dots.mark_point(filled=True, size=45, opacity=0.55),
        middles.mark_tick(thickness=3, size=16),
        lost.mark_point(filled=True, size=70, shape="triangle-right", opacity=1),
    ).properties(width=220, height=26 * len(groups), padding=_PADDING)


def _words(groups: Sequence[_Group], quantity: _Quantity) -> str:
    said = "; ".join(_said(group, quantity) for group in groups)
    return f"{quantity.title[0].upper()}{quantity.title[1:]} of every copy: {said}."


def _said(group: _Group, quantity: _Quantity) -> str:
    finite, lost = group.finite, len(group.values) - len(group.finite)
    words = f"{group.name} {quantity.say(median(finite)) if finite else 'not known'}"
    if len(finite) > 1:
        words += f" ({quantity.say(min(finite))} to {quantity.say(max(finite))})"
    return f"{words}, {lost} diverged" if lost else words
