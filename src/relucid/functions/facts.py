"""Facts of a function that follow from its value, derivative and kinks.

They are computed once, in float64, from dense samples that are refined at every turning point;
the tests check them against the symbolic view.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Function = Callable[[Any], Any]
Points = NDArray[np.float64]

_REACH = 40.0
"""Gaussian moments are integrated over [-40, 40]: the rest weighs less than 1e-340."""


@dataclass(frozen=True)
class Gain:
    """1/sqrt(E[phi(z)^2]) and 1/sqrt(E[phi'(z)^2]) for z ~ N(0, 1)."""

    forward: float
    backward: float


def gain(function: Any, kinks: Sequence[float]) -> Gain:
    """Integrate between the kinks by Gauss-Legendre panels, so that no kink costs accuracy.

    Mean-field theory's factors (Poole et al. 2016, arXiv:1606.05340): second moments, not
    variances.
    """
    nodes, weights = _panels(kinks)
    weights = weights * np.exp(-nodes * nodes / 2.0) / math.sqrt(2.0 * math.pi)

    def moment(f: Function) -> float:
        return float(np.sum(weights * np.square(f(nodes))))

    with np.errstate(divide="ignore"):
        forward, backward = np.float64(moment(function)), np.float64(moment(function.derivative))
        return Gain(float(1.0 / np.sqrt(forward)), float(1.0 / np.sqrt(backward)))


def _panels(kinks: Sequence[float], width: float = 0.25) -> tuple[Points, Points]:
    inside = [k for k in kinks if abs(k) < _REACH]
    breaks = np.unique([*np.arange(-_REACH, _REACH + width, width), *inside])
    unit_nodes, unit_weights = np.polynomial.legendre.leggauss(20)
    half = np.diff(breaks)[:, None] / 2.0
    middle = (breaks[:-1] + breaks[1:])[:, None] / 2.0
    return (middle + half * unit_nodes).ravel(), (half * unit_weights).ravel()


def samples(kinks: Sequence[float]) -> Points:
    """Points that show a function's shape: dense near 0 and the kinks, sparse far away."""
    near = np.linspace(-12.0, 12.0, 4801)
    far = np.logspace(math.log10(12.0), 8.0, 400)
    around = [np.nextafter(k, direction) for k in kinks for direction in (-math.inf, math.inf)]
    return np.unique(np.concatenate([-far, near, far, kinks, around]))


def extent(function: Function, kinks: Sequence[float]) -> tuple[float, float]:
    """Infimum and supremum, the limits included."""
    points = samples(kinks)
    values = np.asarray(function(points), dtype=np.float64)
    ends = [float(function(-math.inf)), float(function(math.inf))]
    best = []
    for pick, choose in ((np.argmin, min), (np.argmax, max)):
        i = int(pick(values))
        low, high = points[max(i - 1, 0)], points[min(i + 1, len(points) - 1)]
        refined = _refine(function, low, high, choose)
        best.append(_snap(choose(float(values[i]), refined, *ends)))
    return best[0], best[1]


def _refine(function: Function, low: float, high: float, choose: Any) -> float:
    """The extreme value between two neighbouring samples, by golden sections."""
    ratio = (math.sqrt(5.0) - 1.0) / 2.0
    for _ in range(60):
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        if choose(float(function(left)), float(function(right))) == float(function(left)):
            high = right
        else:
            low = left
    return float(function((low + high) / 2.0))


def _snap(value: float) -> float:
    """An extreme that is a whole number but for rounding is that number."""
    nearest = float(round(value)) if math.isfinite(value) else value
    return nearest if math.isfinite(value) and abs(value - nearest) < 1e-12 else value


def monotone(
    function: Any, kinks: Sequence[float]
) -> Literal["increasing", "decreasing", "constant", "none"]:
    """Whether the value ever falls or rises, between samples that include both infinities."""
    points = np.concatenate([[-math.inf], samples(kinks), [math.inf]])
    values = np.asarray(function(points), dtype=np.float64)
    with np.errstate(invalid="ignore"):
        scale = np.maximum(np.abs(values[1:]), np.abs(values[:-1]))
        steps = values[1:] - values[:-1]
    tolerance = np.where(np.isfinite(scale), scale, 0.0) * 1e-14
    rises, falls = bool((steps > tolerance).any()), bool((steps < -tolerance).any())
    if rises and falls:
        return "none"
    return "increasing" if rises else ("decreasing" if falls else "constant")


def zero_region(function: Function, kinks: Sequence[float]) -> tuple[float, float] | None:
    """The union of adjoining intervals between kinks on which all values are exactly 0."""
    edges = [-math.inf, *kinks, math.inf]
    regions = [
        (low, high)
        for low, high in pairwise(edges)
        if np.all(np.asarray(function(inside(low, high))) == 0.0)
    ]
    return (regions[0][0], regions[-1][1]) if regions else None


def inside(low: float, high: float) -> Points:
    """Points between two ends, which they leave out; near the finite one where the other is not."""
    start = low if math.isfinite(low) else (high if math.isfinite(high) else 0.0) - 20.0
    stop = high if math.isfinite(high) else (low if math.isfinite(low) else 0.0) + 20.0
    return np.linspace(start, stop, 103)[1:-1]


def piecewise_constant(function: Function, kinks: Sequence[float]) -> bool:
    """Whether the function takes a single value on each interval between kinks."""
    edges = [-math.inf, *kinks, math.inf]
    return all(
        np.ptp(np.asarray(function(inside(low, high)))) == 0.0 for low, high in pairwise(edges)
    )


def jumps(function: Function, at: float) -> bool:
    """Whether the value itself jumps at a kink."""
    step = max(abs(at), 1.0) * 1e-9
    left, right = float(function(at - step)), float(function(at + step))
    return abs(right - left) > 1e-6 * max(1.0, abs(left), abs(right))
