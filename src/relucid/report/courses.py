"""What sites did over time, in no more points than are drawn, and in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from relucid.records import SiteRecord
from relucid.report.words import percent

Reals = NDArray[np.float64]
POINTS = 256
"""Points of a course, at most: as many as a watch keeps."""
HALF = 0.5
_DECADES = 4.0
"""Powers of ten that a gradient or a scale has to move by to count as a change of everything."""


@dataclass(frozen=True)
class Course:
    """A site's history as it is drawn. What is not known is NaN."""

    number: int
    """That of the site on the page, from 1."""
    record: SiteRecord
    passes: Reals
    """Sampled passes that each point stands for."""
    step: Reals
    fire_rate: Reals
    dead: Reals
    """Share of units that fired for no value of a pass."""
    window_dead: Reals
    """Share of units that fired in none of the last passes of the window."""
    gradient: Reals
    scale: Reals

    @property
    def counts_units(self) -> bool:
        """Whether dead units are known: not for a function of a vector."""
        return self.record.site.units > 0 and bool(np.isfinite(self.dead).any())

    @property
    def half_dead(self) -> float | None:
        """The step from which half of the units or more are dead until the end, or None."""
        below = np.flatnonzero(~(self.dead >= HALF))
        first = int(below[-1]) + 1 if len(below) else 0
        return float(self.step[first]) if first < len(self.step) else None

    @property
    def last_dead(self) -> float:
        """Share of units dead at the end."""
        return float(self.dead[-1])

    @property
    def change(self) -> float:
        """How much the site changed while it was watched: 0 for not at all, 1 for wholly."""
        logs = [_spread(_logarithm(values)) / _DECADES for values in (self.gradient, self.scale)]
        return max(_spread(self.dead), _spread(self.fire_rate), *logs)

    def in_points(self, limit: int) -> Course:
        """Return the same in at most ``limit`` points: means of equally many neighbours."""
        starts = np.arange(0, len(self.step), max(-(-len(self.step) // limit), 1))

        def mean(values: Reals) -> Reals:
            return _mean(values, self.passes, starts)

        def rms(values: Reals) -> Reals:
            with np.errstate(over="ignore"):  # beyond the largest number it is drawn as infinite
                return np.sqrt(mean(values**2))

        return replace(
            self,
            passes=np.add.reduceat(self.passes, starts),
            step=mean(self.step),
            fire_rate=mean(self.fire_rate),
            dead=mean(self.dead),
            window_dead=mean(self.window_dead),
            gradient=rms(self.gradient),
            scale=rms(self.scale),
        )


def course_of(number: int, record: SiteRecord) -> Course | None:
    """Return the course of a site, or None where it was watched for fewer than two points."""
    history = record.history
    if history is None or len(history.step) < 2:
        return None
    units = max(record.site.units, 1)
    course = Course(
        number=number,
        record=record,
        passes=history.passes.astype(np.float64),
        step=history.step,
        fire_rate=history.fire_rate,
        dead=history.dead / units,
        window_dead=history.window_dead / units,
        gradient=history.gradient,
        scale=history.scale,
    )
    return course.in_points(POINTS)


def span_of(courses: Sequence[Course]) -> tuple[float, float]:
    """Return the first and the last step of all courses: one axis of time for all."""
    return min(c.step[0] for c in courses), max(c.step[-1] for c in courses)


def in_short(course: Course) -> tuple[str, str]:
    """Return the share of units that are dead at the end, and since when half of them are."""
    if not course.counts_units:
        return "", "no units to count"
    half = course.half_dead
    since = "" if half is None else f"half from step {half:,.0f} on"
    return f"{percent(course.last_dead)} dead", since


def _mean(values: Reals, passes: Reals, starts: NDArray[np.int64]) -> Reals:
    """Return the mean over neighbours, each point for as many passes as it stands for.

    Points that are not known are left out; a gradient that is infinite stays so.
    """
    weights = np.where(np.isnan(values), 0.0, passes)
    sums = np.add.reduceat(np.where(weights > 0, values, 0.0) * weights, starts)
    known = np.add.reduceat(weights, starts)
    return np.asarray(sums / np.where(known > 0, known, np.nan))


def _logarithm(values: Reals) -> Reals:
    positive = np.isfinite(values) & (values > 0)
    return np.log10(np.where(positive, values, np.nan))


def _spread(values: Reals) -> float:
    known = values[np.isfinite(values)]
    return float(np.ptp(known)) if len(known) else 0.0
