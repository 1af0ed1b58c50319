"""The part of the page that shows what sites did over time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from relucid.records import Checkup, SiteRecord
from relucid.report import charts
from relucid.report.courses import Course, course_of, in_short, span_of
from relucid.report.words import plural

PANELS = 100
"""Sites of a checkup whose panels are drawn, at most: those that changed most. Each takes 5 kB."""


@dataclass(frozen=True)
class CourseView:
    """A site over time as the templates read it."""

    dead: str
    """Share of units dead at the end; empty where there are none to count."""
    since: str
    ailing: bool
    """Whether half of the units are dead at the end."""
    line_svg: str
    panels: tuple[charts.Panel, ...]


@dataclass(frozen=True)
class HistoryView:
    """All sites that were watched over time."""

    told: str
    map_svg: str | None
    sites: dict[str, CourseView]
    """By the names of sites."""
    panels: int
    """Sites whose panels are drawn."""


def view(checkup: Checkup, records: Sequence[SiteRecord]) -> HistoryView | None:
    """Draw the histories of a checkup's sites, in the order of the page; None without one."""
    found = [course_of(number, record) for number, record in enumerate(records, 1)]
    courses = [course for course in found if course is not None]
    if not courses:
        return None
    span = span_of(courses)
    chosen = sorted(courses, key=lambda course: -course.change)[:PANELS]
    drawn = {course.number for course in chosen}
    return HistoryView(
        told=_told(checkup, courses),
        map_svg=charts.map_chart(courses, span),
        sites={c.record.site.name: _course(c, span, c.number in drawn) for c in courses},
        panels=len(drawn),
    )


def _course(course: Course, span: tuple[float, float], drawn: bool) -> CourseView:
    dead, since = in_short(course)
    return CourseView(
        dead=dead,
        since=since,
        ailing=course.half_dead is not None,
        line_svg=charts.line_chart(course, span),
        panels=charts.panels(course, span) if drawn else (),
    )


def _told(checkup: Checkup, courses: Sequence[Course]) -> str:
    passes = max(int(c.record.history.passes.sum()) for c in courses if c.record.history)
    gone = sum(course.half_dead is not None for course in courses)
    counted = sum(course.counts_units for course in courses)
    several = "es" if passes != 1 else ""
    watched = f"{passes:,} pass{several} of {checkup.observation.model} were watched."
    if not counted:
        return watched
    if not gone:
        return f"{watched} No site lost half of its units for good."
    return f"{watched} {plural(gone, 'site')} of {counted:,} lost half of the units for good."
