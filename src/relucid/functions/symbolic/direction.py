"""Where a function rises and falls: the sign of its derivative, in high precision."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import mpmath
import sympy

from relucid.functions.symbolic.atoms import Expr, X, plain
from relucid.functions.symbolic.pieces import Piece, known

_DIGITS = 150
_NEAR = 24.0
_STEPS = 480
_FAR = tuple(_NEAR * 10.0 ** (k / 8) for k in range(1, 25))

Direction = Literal["rising", "falling", "constant"]


@dataclass(frozen=True)
class Stretch:
    """An interval (its ends may be infinite) and what the function does on it."""

    low: float
    high: float
    direction: Direction


def evaluator(expression: Expr, numbers: Mapping[Expr, float]) -> Callable[[Any], Any]:
    """Return the expression as a function on mpmath numbers, at the present parameters."""
    function = sympy.lambdify(X, plain(expression).xreplace(known(numbers)), "mpmath")
    return lambda x: mpmath.mpmathify(function(mpmath.mpmathify(x)))


def stretches(
    slopes: Sequence[tuple[Piece, Expr]], numbers: Mapping[Expr, float]
) -> tuple[Stretch, ...]:
    """Split the real line where the derivative changes its sign.

    A point where the derivative only touches 0 does not split. Turning points closer than 0.1
    to each other may be missed.
    """
    found: list[Stretch] = []
    with mpmath.workdps(_DIGITS):
        for piece, slope in slopes:
            low = piece.low.at if piece.low else -math.inf
            high = piece.high.at if piece.high else math.inf
            found += _within(evaluator(slope, numbers), low, high, constant=not slope.has(X))
    return _joined(found)


def _within(slope: Any, low: float, high: float, constant: bool) -> list[Stretch]:
    points = [(low + high) / 2.0] if constant and math.isfinite(low + high) else _grid(low, high)
    signs = [(x, int(mpmath.sign(slope(x)))) for x in points[:1] if constant] or [
        (x, sign) for x in points if (sign := _sign(slope, x))
    ]
    if not signs or not any(sign for _, sign in signs):
        return [Stretch(low, high, "constant")]
    turns = [
        (_turn(slope, a, b), sign) for (a, before), (b, sign) in pairwise(signs) if before != sign
    ]
    starts = [(low, signs[0][1]), *turns]
    ends = [*(at for at, _ in turns), high]
    return [
        Stretch(start, end, "rising" if sign > 0 else "falling")
        for (start, sign), end in zip(starts, ends, strict=True)
    ]


def _sign(slope: Any, x: float) -> int:
    return int(mpmath.sign(mpmath.chop(slope(x), tol=mpmath.mpf(10) ** (20 - _DIGITS))))


def _grid(low: float, high: float) -> list[float]:
    near = [_NEAR * k / (_STEPS // 2) + 0.0137 for k in range(-_STEPS // 2, _STEPS // 2)]
    points = [*(-x for x in reversed(_FAR)), *near, *_FAR]
    if math.isfinite(low) and math.isfinite(high):
        points += [low + (high - low) * (k + 0.5) / 64 for k in range(64)]
    edges = [low + 1e-6 * max(1.0, abs(low)), high - 1e-6 * max(1.0, abs(high))]
    return sorted(x for x in (*points, *edges) if low < x < high and math.isfinite(x))


def _turn(slope: Any, a: float, b: float) -> float:
    """Return the point between a and b where the derivative changes its sign, by bisection."""
    before = mpmath.sign(slope(a))
    for _ in range(70):
        middle = (a + b) / 2.0
        a, b = (middle, b) if mpmath.sign(slope(middle)) == before else (a, middle)
    return (a + b) / 2.0


def _joined(found: list[Stretch]) -> tuple[Stretch, ...]:
    kept: list[Stretch] = []
    for stretch in found:
        if kept and kept[-1].direction == stretch.direction:
            kept[-1] = Stretch(kept[-1].low, stretch.high, stretch.direction)
        else:
            kept.append(stretch)
    return tuple(kept)
