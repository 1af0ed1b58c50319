"""A difference between two candidates in words, rounded alike wherever it is written."""

from __future__ import annotations

import math

from relucid.records import Difference
from relucid.records.comparison import Metric
from relucid.report.words import figure

_MUCH = 1000.0
"""Percent beyond which a relative difference is written with three digits."""


def difference(found: Difference, metric: Metric) -> str:
    """Write a difference and its interval: ``+1.30 (+0.42 to +2.18)``, ``-12.0% (...)``."""
    mean = "not known" if math.isnan(found.mean) else _change(found.mean, found, metric)
    if math.isinf(found.high) and found.low <= (0.0 if found.scale == "ratio" else -math.inf):
        return f"{mean} (no interval)"
    return f"{mean} ({_ends(found, metric)})"


def size(found: Difference, metric: Metric) -> str:
    """Say how large it is: ``accuracy 1.30 points higher``, ``loss 12.0% lower``."""
    change = _change(found.mean, found, metric)
    direction = "higher" if found.mean > found.neutral else "lower"
    return f"{metric} {change.lstrip('+-')}{_points(found, metric)} {direction}"


def interval(found: Difference, metric: Metric) -> str:
    """Say where it lies, with the unit: ``+0.42 to +2.18 points``."""
    return f"{_ends(found, metric)}{_points(found, metric)}"


def about(count: int) -> str:
    """Write an estimated number with two digits: 147 as ``150``."""
    return f"{float(f'{count:.2g}'):,.0f}"


def unit(found: Difference, metric: Metric) -> str:
    """Say in what :func:`difference` writes it."""
    if found.scale == "ratio":
        return "in percent of its loss"
    return "in points (hundredths)" if metric == "accuracy" else "in units of the loss"


def _ends(found: Difference, metric: Metric) -> str:
    return " to ".join(_change(end, found, metric) for end in (found.low, found.high))


def _change(value: float, found: Difference, metric: Metric) -> str:
    """Write one number of a difference: in percent, in points, or as it is."""
    change = value - found.neutral
    sign = "+" if 0 < change < math.inf else ""
    if not math.isfinite(change) or (found.scale == "difference" and metric == "loss"):
        return sign + figure(change)
    change *= 100.0
    if found.scale == "difference":
        return f"{change:+.2f}"
    return f"{change:+.1f}%" if abs(change) < _MUCH else f"{sign}{figure(change)}%"


def _points(found: Difference, metric: Metric) -> str:
    return " points" if found.scale == "difference" and metric == "accuracy" else ""
