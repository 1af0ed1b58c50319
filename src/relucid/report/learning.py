"""Learning curves of candidates: means and ranges over seeds, on a height fit to be drawn."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from relucid.records.comparison import Comparison, Ending, Trained
from relucid.report.comparison_words import Row

Reals = NDArray[np.float64]


@dataclass(frozen=True)
class Broken:
    """A run that did not come to its end, as far as it can be drawn."""

    step: Reals
    quality: Reals
    ending: Ending


@dataclass(frozen=True)
class Learning:
    """The runs of one candidate."""

    row: Row
    step: Reals
    """Steps at which every run was measured that is complete or was given up."""
    mean: Reals
    low: Reals
    """Of the seeds, the least at each step."""
    high: Reals
    broken: tuple[Broken, ...]


@dataclass(frozen=True)
class Height:
    """How high a quality is drawn: powers of a loss, or of the share that is wrong.

    On a plain scale all that happens after the first steps lies in a line. An accuracy of 1 has no
    place on the scale of powers and is drawn as half a held-out sample wrong.
    """

    metric: str
    logarithmic: bool
    least: float
    """Lowest share or loss that has a place on the scale."""

    def of(self, quality: Reals) -> Reals:
        """Return the height of qualities; what is infinite or not known is NaN."""
        values = np.where(np.isfinite(quality), quality, np.nan)
        values = 1.0 - values if self.metric == "accuracy" else values
        return np.asarray(np.maximum(values, self.least) if self.logarithmic else values)

    def part(self, heights: Reals, ends: tuple[float, float]) -> Reals:
        """Return where heights lie between the ends of an axis: 0 at the first, 1 at the second."""
        put = np.log(heights) if self.logarithmic else heights
        low, high = np.log(ends) if self.logarithmic else np.array(ends)
        return np.asarray((put - low) / ((high - low) or 1.0))

    def ends(self, best: float, worst: float) -> tuple[float, float]:
        """Return the foot and the top of an axis that holds these heights with some room."""
        room = 0.05 * (worst - best) or 1.0
        low, high = best - room, worst + room
        if self.logarithmic:
            worst = max(worst, 1.01 * best)
            factor = min(1.15, (worst / best) ** 0.15)
            low, high = best / factor, worst * factor
        if self.metric == "accuracy":
            return min(high, 1.0), low
        return low, high

    def at(self, part: float, ends: tuple[float, float]) -> float:
        """Return the height that lies at a part of an axis."""
        if self.logarithmic:
            return float(ends[0] * (ends[1] / ends[0]) ** part)
        return ends[0] + part * (ends[1] - ends[0])


def learning(rows: Sequence[Row]) -> tuple[Learning, ...]:
    """Return the curves of all candidates that have a run which was measured."""
    return tuple(_learning(row) for row in rows if any(run.curve for run in row.runs))


def _learning(row: Row) -> Learning:
    # With those that were given up the mean ends where the first of them did: beyond, it would be
    # that of the lucky ones.
    counted = [
        {point.step: point.quality for point in run.curve}
        for run in row.runs
        if run.ending in (Ending.COMPLETE, Ending.PRUNED)
    ]
    steps = sorted(set.intersection(*map(set, counted))) if counted else []
    values = np.array([[run[step] for run in counted] for step in steps], dtype=np.float64)
    values = values.reshape(len(steps), max(len(counted), 1))  # no steps: means of nothing
    with np.errstate(over="ignore", invalid="ignore"):  # beyond the largest number is infinite
        mean = values.mean(axis=1)
    broken = (_broken(run) for run in row.runs if run.ending is not Ending.COMPLETE)
    return Learning(
        row=row,
        step=np.array(steps, dtype=np.float64),
        mean=mean,
        low=values.min(axis=1),
        high=values.max(axis=1),
        broken=tuple(run for run in broken if len(run.step)),
    )


def _broken(run: Trained) -> Broken:
    points = [p for p in run.curve if math.isfinite(p.loss) and math.isfinite(p.quality)]
    return Broken(
        np.array([point.step for point in points], dtype=np.float64),
        np.array([point.quality for point in points], dtype=np.float64),
        run.ending,
    )


def height_of(comparison: Comparison) -> Height:
    """Return the height for this comparison's metric: powers where all values allow them."""
    if comparison.metric == "accuracy":
        return Height("accuracy", True, 0.5 / max(comparison.held_out, 1))
    values = [p.quality for run in comparison.runs for p in run.curve if math.isfinite(p.quality)]
    positive = [value for value in values if value > 0.0]
    if positive and min(values) >= 0.0:
        return Height("loss", True, min(positive))
    return Height("loss", False, -math.inf)


def ends_of(found: Iterable[Learning], height: Height) -> tuple[float, float] | None:
    """Return the heights at the foot and at the top of a picture of curves; None without any.

    What is worse than where training began lies beyond: a run that rose by powers of ten before
    it was lost would press all others into one line.
    """
    curves = list(found)
    all_ = [height.of(v) for c in curves for v in (c.low, c.high, *(b.quality for b in c.broken))]
    first = [height.of(v[:1]) for c in curves for v in (c.mean, *(b.quality for b in c.broken))]
    known, begun = _finite(all_), _finite(first)
    if not len(known):
        return None
    worst = float(min(known.max(), begun.max() if len(begun) else np.inf))
    return height.ends(float(known.min()), worst)


def _finite(arrays: Sequence[Reals]) -> Reals:
    values = np.concatenate([*arrays, np.empty(0)])
    return np.asarray(values[np.isfinite(values)])
