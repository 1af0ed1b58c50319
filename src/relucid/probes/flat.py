"""Where an activation is nearly flat: the regions of z with a derivative close to zero."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from relucid.functions import Activation, Elementwise

NEARLY_FLAT = 0.01
"""abs(derivative) below this counts as saturated: less than 1% of the gradient passes."""

Region = tuple[float, float]


@lru_cache(maxsize=256)
def flat_regions(activation: Activation) -> tuple[Region, ...]:
    """Return the closed intervals of z in which abs(derivative) < :data:`NEARLY_FLAT`.

    Ends are found by bisection to the last bit; an interval that reaches beyond 1e8 is taken to
    go on to infinity.
    """
    if not isinstance(activation, Elementwise):
        return ()
    points = _points(tuple(kink.at for kink in activation.kinks))
    flat = _is_flat(activation, points)
    edges = np.flatnonzero(np.diff(flat.astype(np.int8)))
    bounds = [_last_flat(activation, points[i], points[i + 1], bool(flat[i])) for i in edges]
    if flat[0]:
        bounds.insert(0, -math.inf)
    if flat[-1]:
        bounds.append(math.inf)
    return tuple(zip(bounds[::2], bounds[1::2], strict=True))


def _points(kinks: tuple[float, ...]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    far = np.logspace(math.log10(20.0), 8.0, 200)
    near = np.linspace(-20.0, 20.0, 8001)
    around = [np.nextafter(k, way) for k in kinks for way in (-math.inf, math.inf)]
    return np.unique(np.concatenate([-far, near, far, kinks, around]))


def _is_flat(
    activation: Elementwise, z: np.ndarray[tuple[int], np.dtype[np.float64]]
) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    return np.abs(np.asarray(activation.derivative(z), dtype=np.float64)) < NEARLY_FLAT


def _last_flat(activation: Elementwise, low: float, high: float, low_is_flat: bool) -> float:
    """Return the flat point next to the border between two neighbours of which one is flat."""
    flat, steep = (low, high) if low_is_flat else (high, low)
    while (middle := (flat + steep) / 2.0) not in (flat, steep):
        if bool(_is_flat(activation, np.array([middle]))[0]):
            flat = middle
        else:
            steep = middle
    return float(flat)
