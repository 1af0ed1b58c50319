"""Where a function rises and falls: the sign of its derivative, in high precision."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import mpmath

from relucid.functions.symbolic.atoms import Expr, X
from relucid.functions.symbolic.numerics import DIGITS, crossing, evaluator, grid, sign
from relucid.functions.symbolic.pieces import Piece

Direction = Literal["rising", "falling", "constant"]


@dataclass(frozen=True)
class Stretch:
    """An interval (its ends may be infinite) and what the function does on it."""

    low: float
    high: float
    direction: Direction


def stretches(
    slopes: Sequence[tuple[Piece, Expr]], numbers: Mapping[Expr, float]
) -> tuple[Stretch, ...]:
    """Split the real line where the derivative changes its sign.

    A point where the derivative only touches 0 does not split. Turning points closer than 0.1
    to each other, or further than 24,000 from 0, may be missed.
    """
    found: list[Stretch] = []
    with mpmath.workdps(DIGITS):
        for piece, slope in slopes:
            low = piece.low.at if piece.low else -math.inf
            high = piece.high.at if piece.high else math.inf
            points = grid(low, high) if slope.has(X) else [piece.inside]
            found += _within(evaluator(slope, numbers), low, high, points)
    return _joined(found)


def _within(slope: Any, low: float, high: float, points: Sequence[float]) -> list[Stretch]:
    signs = [(x, s) for x in points if (s := sign(slope(x)))]
    if not signs:
        return [Stretch(low, high, "constant")]
    turns = [
        (float(crossing(slope, a, b)), after)
        for (a, before), (b, after) in pairwise(signs)
        if before != after
    ]
    starts = [(low, signs[0][1]), *turns]
    ends = [*(at for at, _ in turns), high]
    return [
        Stretch(start, end, "rising" if side > 0 else "falling")
        for (start, side), end in zip(starts, ends, strict=True)
    ]


def _joined(found: list[Stretch]) -> tuple[Stretch, ...]:
    kept: list[Stretch] = []
    for stretch in found:
        if kept and kept[-1].direction == stretch.direction:
            kept[-1] = Stretch(kept[-1].low, stretch.high, stretch.direction)
        else:
            kept.append(stretch)
    return tuple(kept)
