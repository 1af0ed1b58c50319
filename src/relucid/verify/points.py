"""At which inputs a function is measured: every float32, or a sample that leaves out no exponent.

A float32 is named by its bit pattern, an integer from 0 to 2**32 - 1: first 0 and the positive
numbers in rising order, infinity, NaNs, then -0 and the negative ones by size.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from relucid.functions import Elementwise

Patterns = NDArray[np.uint32]

ALL_PATTERNS = 1 << 32
INFINITY = 0x7F800000
"""The pattern of infinity; those above it, the sign aside, are NaN."""
STRATA = 2 * 256
"""Exponents of both signs, that of infinity and NaN among them."""
NEAR = 40
"""A sample takes this many neighbours on both sides of every joint and root."""


def joints(activation: Elementwise) -> list[float]:
    """Kinks, seams and zero: where formulas change."""
    return sorted({0.0, *(kink.at for kink in activation.kinks), *activation.seams})


@lru_cache(maxsize=256)
def roots(activation: Elementwise) -> tuple[float, ...]:
    """Where the derivative crosses zero continuously, found on abs(x) <= 1e6.

    A derivative that touches zero (tanhshrink) or stays there (relu) has full relative accuracy
    beside it and is no root here.
    """

    def slope(x: Any) -> Any:
        return activation.derivative(np.asarray(x, dtype=np.float64))

    far = np.geomspace(30.0, 1e6, 20_000)
    grid = np.concatenate([-far[::-1], np.linspace(-30.0, 30.0, 60_011)[1:-1], far])
    signs = np.sign(slope(grid))
    crossings = np.flatnonzero(signs[1:] * signs[:-1] < 0)
    found = [brentq(slope, grid[i], grid[i + 1], xtol=1e-14) for i in crossings]
    return tuple(root for root in found if abs(slope(root)) < 1e-9)


def around(point: float, dtype: Any, width: int = 2) -> NDArray[Any]:
    """A point and ``width`` neighbours in ``dtype`` on both sides, in rising order."""
    points = [np.array(point, dtype=dtype)]
    for _ in range(width):
        points = [
            np.nextafter(points[0], np.array(-np.inf, dtype)),
            *points,
            np.nextafter(points[-1], np.array(np.inf, dtype)),
        ]
    return np.array(points, dtype=dtype)


def stratified(activation: Elementwise, size: int, seed: int = 0) -> Patterns:
    """About ``size`` patterns in rising order, without doubles: the same for the same arguments.

    Half of them are random significands in equal numbers in every exponent of both signs; half
    are spread where functions bend, 2**-12 to 2**8. Added are the first and last pattern of every
    exponent, and the neighbours of every joint and every root of the derivative.
    """
    rng = np.random.default_rng(seed)
    strata = np.arange(STRATA, dtype=np.uint32) << 23
    each = -(-size // (2 * STRATA))
    even = strata[:, None] | rng.integers(0, 1 << 23, (STRATA, each), dtype=np.uint32)
    bend = rng.integers((127 - 12) << 23, (127 + 8) << 23, size // 2, dtype=np.uint32)
    bend[::2] |= 1 << 31
    marks = [*joints(activation), *roots(activation)]
    near = [around(mark, np.float32, NEAR).view(np.uint32) for mark in marks]
    return np.unique(np.concatenate([even.ravel(), bend, strata, strata + 0x7FFFFF, *near]))


def finite(patterns: Patterns) -> NDArray[np.float32]:
    """The finite numbers among the patterns."""
    return patterns[patterns & 0x7FFFFFFF < INFINITY].view(np.float32)


def edges(function: Callable[[Any], Any], patterns: Patterns, level: float) -> Patterns:
    """The patterns between which abs(``function``) crosses ``level``, each with its neighbours.

    ``function`` takes and returns float64 arrays; ``patterns`` are in rising order and near
    enough to one another that no two crossings lie between neighbours.
    """

    def above(bits: NDArray[np.int64]) -> Any:
        return np.abs(function(bits.astype(np.uint32).view(np.float32).astype(np.float64))) >= level

    kept = patterns[patterns & 0x7FFFFFFF < INFINITY].astype(np.int64)
    states = above(kept)
    crossing = np.flatnonzero((states[1:] != states[:-1]) & (kept[1:] >> 31 == kept[:-1] >> 31))
    low, high = kept[crossing], kept[crossing + 1]
    for _ in range(32):
        middle = (low + high) // 2
        same = above(middle) == states[crossing]
        low, high = np.where(same, middle, low), np.where(same, high, middle)
    close = low[:, None] + np.arange(-2, 4)
    inside: Patterns = np.clip(close, 0, ALL_PATTERNS - 1).astype(np.uint32).ravel()
    return inside


def sample64(activation: Elementwise, size: int, seed: int = 0) -> NDArray[np.float64]:
    """Finite float64: over all exponents, where functions bend, evenly on [-45, 45], at joints."""
    rng = np.random.default_rng(seed)
    exponents = rng.integers(-1074, 1024, size // 3)
    everywhere = np.ldexp(rng.uniform(0.5, 1.0, size // 3), exponents)
    bend = np.exp2(rng.uniform(-12, 8, size // 3))
    wide = np.concatenate([everywhere, bend]) * rng.choice([-1.0, 1.0], 2 * (size // 3))
    uniform = rng.uniform(-45.0, 45.0, size // 3)
    return np.concatenate([wide, uniform, *(around(j, np.float64) for j in joints(activation))])
