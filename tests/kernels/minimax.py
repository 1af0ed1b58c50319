"""Polynomials of least greatest error (Remez's exchange), computed with mpmath.

The kernels' coefficients were found by this file, and the tests of their errors use it again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from mpmath import mp, mpf

Function = Callable[[Any], Any]

GRID = 400
"""Points between which the extrema of an error are looked for."""


def minimax(
    function: Function, powers: Sequence[int], low: Any, high: Any, weight: Function
) -> list[Any]:
    """Return the coefficients of x**powers that minimise the largest weighted error.

    ``weight(x) * (function(x) - polynomial(x))`` is made to alternate between ``low`` and
    ``high``. Mind ``mp.prec``: float64 coefficients need 120 bits.
    """
    count = len(powers) + 1
    middle, half = (mpf(low) + high) / 2, (mpf(high) - low) / 2
    points = [middle - half * mp.cos(mp.pi * k / (count - 1)) for k in range(count)]
    grid = [middle - half * mp.cos(mp.pi * k / GRID) for k in range(GRID + 1)]
    values = [(x, function(x), weight(x)) for x in grid]
    coefficients: list[Any] = []
    for _ in range(12):
        coefficients = _levelled(function, powers, points, weight)
        errors = [w * (f - _evaluate(coefficients, powers, x)) for x, f, w in values]
        points, level = _extrema(grid, errors, count)
        if level < 1.02 or len(points) < count:
            break
    return coefficients


def rounded(
    function: Function, powers: Sequence[int], low: Any, high: Any, weight: Function, dtype: Any
) -> list[float]:
    """The same with coefficients that are numbers of ``dtype``, lowest power first.

    Each is rounded in turn and the ones after it are computed anew, which takes up most of what
    the rounding spoiled.
    """
    fixed: list[float] = []
    for k in range(len(powers)):

        def rest(x: Any) -> Any:
            return function(x) - _evaluate(fixed, powers[: len(fixed)], x)

        best = minimax(rest, powers[k:], low, high, weight)
        fixed.append(float(dtype(float(best[0]))))
    return fixed


def largest_error(
    function: Function, coefficients: Sequence[float], powers: Sequence[int],
    low: Any, high: Any, weight: Function, points: int = 2000,
) -> float:  # fmt: skip
    """The largest weighted error on an even grid."""
    grid = [mpf(low) + (mpf(high) - low) * k / points for k in range(points + 1)]
    return float(
        max(abs(weight(x) * (function(x) - _evaluate(coefficients, powers, x))) for x in grid)
    )


def _evaluate(coefficients: Sequence[Any], powers: Sequence[int], x: Any) -> Any:
    return mp.fsum(c * x**p for c, p in zip(coefficients, powers, strict=True))


def _levelled(
    function: Function, powers: Sequence[int], points: Sequence[Any], weight: Function
) -> list[Any]:
    """The polynomial whose weighted errors at the points are equal but for alternating signs."""
    rows = mp.matrix(len(points), len(points))
    right = mp.matrix(len(points), 1)
    for i, x in enumerate(points):
        scale = weight(x)
        for j, power in enumerate(powers):
            rows[i, j] = scale * x**power
        rows[i, len(points) - 1] = (-1) ** i
        right[i] = scale * function(x)
    return list(mp.lu_solve(rows, right))[:-1]


def _extrema(grid: Sequence[Any], errors: Sequence[Any], count: int) -> tuple[list[Any], float]:
    """``count`` alternating extrema, and how far the largest is above the smallest.

    Fewer where earlier, rounded coefficients leave an error that later ones cannot reach.
    """
    chosen: list[int] = []
    for i in range(len(grid)):
        if chosen and (errors[i] > 0) == (errors[chosen[-1]] > 0):
            if abs(errors[i]) > abs(errors[chosen[-1]]):
                chosen[-1] = i
        else:
            chosen.append(i)
    while len(chosen) > count:  # drop the smaller end
        chosen.pop(0 if abs(errors[chosen[0]]) < abs(errors[chosen[-1]]) else -1)
    sizes = [abs(errors[i]) for i in chosen]
    return [_refined(grid, errors, i) for i in chosen], float(max(sizes) / min(sizes))


def _refined(grid: Sequence[Any], errors: Sequence[Any], i: int) -> Any:
    """The vertex of the parabola through an extremum and its neighbours."""
    if i in (0, len(grid) - 1):
        return grid[i]
    x, y = grid[i - 1 : i + 2], errors[i - 1 : i + 2]
    slopes = (y[1] - y[0]) / (x[1] - x[0]), (y[2] - y[1]) / (x[2] - x[1])
    bend = (slopes[1] - slopes[0]) / (x[2] - x[0])
    if bend == 0:
        return x[1]
    return (x[0] + x[1]) / 2 - slopes[0] / bend / 2


def hexadecimal(coefficients: Sequence[float]) -> str:
    """The coefficients as Python writes them exactly, to be pasted."""
    return ", ".join(repr(float(np.float64(c))) for c in coefficients)
