"""Paired statistics: what one change does to the loss, over runs that differ in nothing else."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np

from relucid.records import Difference, Outcome

CONFIDENCE = 0.95
MARGIN = 0.05
"""Least change of the loss that is worth a recommendation, as a part of it."""


def paired(
    changed: Sequence[float],
    untouched: Sequence[float],
    *,
    comparisons: int = 1,
    scale: Literal["ratio", "difference"] = "ratio",
) -> Difference:
    """Compare the losses of runs in pairs, with a t interval over their differences.

    A pair gives 2(a - b)/(a + b), the difference relative to the mean, which is what the
    logarithm of the ratio is for small differences, but stays within -2 and 2: a run that
    diverged (NaN, infinite) counts as infinitely bad and is not dropped. The mean is given as the
    ratio that it stands for. Losses that are not all positive have no ratio; then it is the plain
    difference, as where the ``scale`` says so.

    ``comparisons`` intervals share an error of 5% by Bonferroni's inequality, which holds whatever
    their dependence. Dunnett's test, made for many treatments against one control, takes the
    groups to be independent and of one variance; here they are paired, and a control that
    diverges varies a thousand times as much as a change that helps.
    """
    pairs = list(zip(changed, untouched, strict=True))
    finite = [loss for pair in pairs for loss in pair if math.isfinite(loss)]
    confidence = 1.0 - (1.0 - CONFIDENCE) / max(comparisons, 1)
    if scale == "ratio" and all(loss > 0.0 for loss in finite):
        mean, low, high = map(_ratio, _interval([_relative(*pair) for pair in pairs], confidence))
        return Difference("ratio", len(pairs), mean, low, high, confidence)
    mean, low, high = _interval([a - b for a, b in pairs], confidence)
    return Difference("difference", len(pairs), mean, low, high, confidence)


def outcome(difference: Difference) -> Outcome:
    """Read a difference of losses: a whole interval must lie beyond what is worth a change.

    A ratio must be below 0.95 to help, and above its inverse to hurt; a plain difference below
    or above 0.
    """
    ratio = difference.scale == "ratio"
    low, high = (1.0 - MARGIN, 1.0 / (1.0 - MARGIN)) if ratio else (0.0, 0.0)
    if difference.high < low:
        return Outcome.HELPS
    if difference.low > high:
        return Outcome.HURTS
    if low <= difference.low and difference.high <= high:
        return Outcome.NO_DIFFERENCE
    return Outcome.NO_EVIDENCE


def _relative(a: float, b: float) -> float:
    first, second = math.isfinite(a), math.isfinite(b)
    if not (first and second):
        return 2.0 * (second - first)
    return 2.0 * ((a - b) / (a + b))


def _ratio(relative: float) -> float:
    """Return the ratio that a relative difference stands for; there is none below 0."""
    within = max(relative, -2.0)
    return math.inf if within >= 2.0 else (2.0 + within) / (2.0 - within)


def _interval(values: Sequence[float], confidence: float) -> tuple[float, float, float]:
    """Return the mean and its t interval; nothing bounds that of a single or infinite value."""
    from scipy.stats import t

    if not all(map(math.isfinite, values)):
        return math.nan, -math.inf, math.inf
    mean = float(np.mean(values))
    if len(values) < 2:
        return mean, -math.inf, math.inf
    error = float(np.std(values, ddof=1)) / math.sqrt(len(values))
    reach = float(t.ppf((1.0 + confidence) / 2.0, len(values) - 1)) * error
    return mean, mean - reach, mean + reach
