"""Sites over time: one map of all, a line of each, and four panels of those that changed most."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

import numpy as np

from relucid.report.charts.drawing import FIRE, ILL, ILL_TINT, INK, LINE
from relucid.report.charts.plane import Plane, Reals, as_text, picture, put_path, put_text
from relucid.report.courses import Course
from relucid.report.words import figure, one_line, percent, plural

ROWS, COLUMNS = 48, 60
"""Rows and columns of the map, at most; where there are more sites, neighbours share a row."""
LINE_POINTS, PANEL_POINTS = 64, 128
"""Points of a line in a list and in a panel, at most: a point is about two pixels wide."""
LEVELS = (0.18, 0.38, 0.58, 0.78, 1.0)
"""How strongly a cell is coloured, by fifths of the units."""
_NAMED = 8
_WIDTH, _LEFT, _TOP = 430, 40, 4

Span = tuple[float, float]


@dataclass(frozen=True)
class Panel:
    """One quantity of one site over time."""

    title: str
    words: str
    svg: str


def map_chart(courses: Sequence[Course], span: Span) -> str | None:
    """Draw the share of dead units, a row a site over time, or None where no unit was counted."""
    counted = [course for course in courses if course.counts_units]
    if not counted:
        return None
    columns = min(COLUMNS, max(len(course.step) for course in counted))
    together = -(-len(counted) // ROWS)
    groups = [counted[i : i + together] for i in range(0, len(counted), together)]
    shares = np.array([_row(group, span, columns) for group in groups])
    height = min(max(240 // len(groups), 5), 20)
    svg = picture(_WIDTH, _TOP + height * len(groups) + 38, _map_words(counted, span), "chart")
    plane = Plane(_LEFT, _WIDTH - 10, _TOP, _TOP + height * len(groups), span)
    put_path(svg, _box(plane), fill="var(--none-tint)")
    for level, opacity in enumerate(LEVELS, 1):
        cells = _cells(plane, np.ceil(shares * len(LEVELS)) == level, height)
        put_path(svg, cells, fill=ILL, fill_opacity=f"{opacity}")
    every = -(-len(groups) // max(1, 240 // 26))
    for i, group in list(enumerate(groups))[::every]:
        put_text(svg, _LEFT - 6, _TOP + height * i + height // 2 + 4, f"{group[0].number}", "end")
    for step, anchor in ((span[0], "start"), (sum(span) / 2, "middle"), (span[1], "end")):
        put_text(svg, plane.across(step), plane.bottom + 18, f"{step:,.0f}", anchor)
    put_text(svg, plane.across(sum(span) / 2), plane.bottom + 34, "step", "middle")
    return as_text(svg)


def line_chart(course: Course, span: Span) -> str:
    """Draw dead units as an area and the fire rate as a line, from 0 to 1, for a row of a list."""
    plane = Plane(0, 240, 2, 48, span)
    name = one_line(course.record.site.name)
    course = course.in_points(LINE_POINTS)
    rates, dead = _ends(course.fire_rate, percent), _ends(course.dead, percent)
    svg = picture(240, 50, f"{name} over time: fire rate {rates}; dead units {dead}.", "spark")
    svg.set("preserveAspectRatio", "none")
    put_path(svg, plane.area(course.step, course.dead), fill=ILL, fill_opacity="0.6")
    put_path(svg, plane.line(course.step, course.fire_rate), stroke=FIRE, fill="none")
    return as_text(svg)


def panels(course: Course, span: Span) -> tuple[Panel, ...]:
    """Draw fire rate, dead units, gradient and scale; what is not known is left out."""
    course = course.in_points(PANEL_POINTS)
    drawn = (
        _fires(course, span),
        _dies(course, span),
        _sizes(course, "gradient, rms", course.gradient, span),
        _sizes(course, "scale, rms of z", course.scale, span),
    )
    return tuple(panel for panel in drawn if panel is not None)


def _row(group: Sequence[Course], span: Span, columns: int) -> Reals:
    """Return the share of dead units in each column: of the site with the most, if several."""
    edges = np.linspace(*span, columns + 1)
    middles = (edges[1:] + edges[:-1]) / 2
    nearest = [np.abs(c.step[:, None] - middles).argmin(0) for c in group]
    values = [np.nan_to_num(c.dead)[near] for c, near in zip(group, nearest, strict=True)]
    return np.asarray(np.max(values, axis=0))


def _cells(plane: Plane, chosen: np.ndarray, height: int) -> str:
    """Return a path around the chosen cells; neighbours of a row make one box."""
    parts, columns = [], chosen.shape[1]
    for i, row in enumerate(chosen):
        ends = np.flatnonzero(np.diff(np.concatenate([[0], row, [0]])))
        for first, last in ends.reshape(-1, 2):
            left, right = (
                plane.left + round((plane.right - plane.left) * int(e) / columns)
                for e in (first, last)
            )
            top = plane.top + height * i
            parts.append(f"M{left},{top}H{right}v{height - 1}H{left}Z")
    return "".join(parts)


def _box(plane: Plane) -> str:
    return f"M{plane.left},{plane.top}H{plane.right}V{plane.bottom}H{plane.left}Z"


def _fires(course: Course, span: Span) -> Panel | None:
    if not course.counts_units:
        return None
    words = _ends(course.fire_rate, percent)
    svg, plane = _frame(course, "fire rate", words, span, ("0", "100%"))
    put_path(svg, plane.line(course.step, course.fire_rate), stroke=FIRE, fill="none")
    return Panel("fire rate", words, as_text(svg))


def _dies(course: Course, span: Span) -> Panel | None:
    """Dead units in a pass as an area, and those that are window-dead as a dashed line."""
    if not course.counts_units:
        return None
    units = course.record.site.units
    words = f"{_count(course.dead, units)} of {units:,}"
    gone = bool((course.window_dead > 0.0).any())
    if gone:
        words += f"; window-dead {_count(course.window_dead, units)}"
    svg, plane = _frame(course, "dead units", words, span, ("0", f"{units:,}"))
    put_path(svg, plane.area(course.step, course.dead), fill=ILL_TINT)
    put_path(svg, plane.line(course.step, course.dead), stroke=ILL, fill="none")
    window = plane.line(course.step, course.window_dead) if gone else ""
    put_path(svg, window, stroke=INK, fill="none", stroke_dasharray="4 3")
    return Panel("dead units", words, as_text(svg))


def _sizes(course: Course, title: str, values: Reals, span: Span) -> Panel | None:
    """A size over powers of ten; zeros lie on the lower edge, and what is infinite on the upper."""
    positive = values[np.isfinite(values) & (values > 0)]
    if not len(positive):
        return None
    low = math.floor(math.log10(positive.min()))
    high = max(math.ceil(math.log10(positive.max())), low + 1)
    words = _ends(values, figure)
    svg, plane = _frame(
        course, title, words, span, (figure(10.0**low), figure(10.0**high)), (low, high)
    )
    logs = np.log10(np.maximum(values, 10.0**low)).clip(max=high)
    put_path(svg, plane.line(course.step, logs), stroke=FIRE, fill="none")
    return Panel(title, words, as_text(svg))


def _frame(
    course: Course,
    title: str,
    words: str,
    span: Span,
    ends: tuple[str, str],
    scale: Span = (0.0, 1.0),
) -> tuple[ElementTree.Element, Plane]:
    """Return a panel with its axes, whose lower and upper end say ``ends``."""
    name, (first, last) = one_line(course.record.site.name), span
    label = f"{title} of {name} over steps {first:,.0f} to {last:,.0f}: {words}."
    svg = picture(220, 116, label[0].upper() + label[1:], "chart panel")
    plane = Plane(46, 214, 8, 92, span, scale)
    edges = f"M{plane.left},{plane.top}V{plane.bottom}H{plane.right}"
    put_path(svg, edges, stroke=LINE, fill="none")
    put_text(svg, plane.left - 6, plane.bottom + 1, ends[0], "end")
    put_text(svg, plane.left - 6, plane.top + 8, ends[1], "end")
    put_text(svg, plane.left, 110, f"{first:,.0f}", "start")
    put_text(svg, plane.right, 110, f"step {last:,.0f}", "end")
    return svg, plane


def _ends(values: Reals, say: Callable[[float], str]) -> str:
    """What it was first and last, and the extremes between that lie beyond both."""
    known = values[~np.isnan(values)]
    if not len(known):
        return "not known"
    first, last = float(known[0]), float(known[-1])
    words = f"{say(first)} to {say(last)}"
    for extreme, name in ((float(known.min()), "lowest"), (float(known.max()), "highest")):
        if say(extreme) not in (say(first), say(last)):
            words += f", {name} {say(extreme)}"
    return words


def _count(shares: Reals, units: int) -> str:
    return _ends(shares * units, lambda count: f"{count:,.0f}")


def _map_words(courses: Sequence[Course], span: Span) -> str:
    """Which sites lost half of their units, and when; the earliest first."""
    died = [(c.half_dead, one_line(c.record.site.name)) for c in courses]
    since = sorted((step, name) for step, name in died if step is not None)
    told = [f"{name} from step {step:,.0f} on" for step, name in since[:_NAMED]]
    more = f" and {len(since) - _NAMED:,} more" if len(since) > _NAMED else ""
    which = f": {', '.join(told)}{more}" if told else ""
    return (
        f"Share of dead units at {plural(len(courses), 'site')} over steps {span[0]:,.0f} to "
        f"{span[1]:,.0f}. Half of the units or more are dead to the end at {len(since):,} of "
        f"them{which}."
    )
