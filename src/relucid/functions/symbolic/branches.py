"""The branches of a function with their derivatives, and what happens where they meet."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import sympy

from relucid.functions.symbolic.atoms import Between, Expr, X, plain
from relucid.functions.symbolic.differentiate import Step, derivation
from relucid.functions.symbolic.numerics import number
from relucid.functions.symbolic.pieces import Joint, Piece, pieces
from relucid.functions.symbolic.stable import gates


@dataclass(frozen=True)
class Branch:
    """One smooth piece of the function: its value, derivative and how that is found."""

    piece: Piece
    derivative: Expr
    steps: tuple[Step, ...]
    holds_low: bool
    """Whether the value at the lower end is this branch's."""
    holds_high: bool

    def condition(self, *, open_ends: bool = False) -> Expr:
        """Return the interval as a condition on x, ``x <= 0``; without its ends if asked."""
        low, high = self.piece.low, self.piece.high
        with_low, with_high = self.holds_low and not open_ends, self.holds_high and not open_ends
        if low and high:
            return Between(low.symbol, int(with_low), X, int(with_high), high.symbol)
        if low:
            return (sympy.Ge if with_low else sympy.Gt)(X, low.symbol, evaluate=False)
        if high:
            return (sympy.Le if with_high else sympy.Lt)(X, high.symbol, evaluate=False)
        return sympy.true


@dataclass(frozen=True)
class Meeting:
    """What happens where two branches meet. All are expressions of the parameters."""

    joint: Joint
    value_left: Expr
    value: Expr
    value_right: Expr
    slope_left: Expr
    slope_right: Expr
    jump: Literal["value", "slope", "curvature", "none"]
    """The first of value, derivative and second derivative that jumps at the present numbers."""


def branches_of(expression: Expr, numbers: Mapping[Expr, float]) -> tuple[Branch, ...]:
    """Split an expression into branches, from left to right."""
    split = pieces(expression, numbers)
    held = [_held(expression, left, numbers) for left in split[:-1]]
    return tuple(
        _branch(piece, low=i > 0 and not held[i - 1], high=i < len(held) and held[i])
        for i, piece in enumerate(split)
    )


def meetings_of(branches: Sequence[Branch], numbers: Mapping[Expr, float]) -> Iterator[Meeting]:
    """Return what happens at each joint, from left to right."""
    for left, right in pairwise(branches):
        if right.piece.low is not None:
            yield _meeting(left, right, right.piece.low, numbers)


def shortest(expression: Expr) -> Expr:
    """Return the shortest of a few equal forms of a derivative."""
    shares = gates(expression)
    return min(expression, shares, sympy.factor_terms(shares), key=sympy.count_ops)


def _branch(piece: Piece, low: bool, high: bool) -> Branch:
    slope, steps = derivation(piece.expression, X)
    return Branch(piece, shortest(slope), steps, low, high)


def _held(expression: Expr, left: Piece, numbers: Mapping[Expr, float]) -> bool:
    """Whether the value at the upper end of a piece is the piece's own."""
    at = {X: left.high.symbol if left.high else sympy.nan}
    here = number(expression.xreplace(at), numbers)
    return not _differ(here, number(left.expression.xreplace(at), numbers))


def _meeting(left: Branch, right: Branch, joint: Joint, numbers: Mapping[Expr, float]) -> Meeting:
    at = joint.symbol
    values = _sides(left.piece.expression, right.piece.expression, at)
    slopes = _sides(left.derivative, right.derivative, at)
    bends = _sides(derivation(left.derivative, X)[0], derivation(right.derivative, X)[0], at)
    order = (("value", values), ("slope", slopes), ("curvature", bends))
    jump: Any = next(
        (name for name, pair in order if _differ(*(number(e, numbers) for e in pair))), "none"
    )
    here = left if left.holds_high else right
    value = sympy.simplify(here.piece.expression.subs(X, at))
    return Meeting(joint, values[0], value, values[1], *slopes, jump)


def _sides(left: Expr, right: Expr, at: Expr) -> tuple[Expr, Expr]:
    return _approached(left, at, "-"), _approached(right, at, "+")


def _approached(expression: Expr, at: Expr, side: str) -> Expr:
    found = expression.subs(X, at)
    if found.has(sympy.nan, sympy.zoo, sympy.oo):
        found = sympy.limit(plain(expression), X, at, side)
    return sympy.simplify(found)


def _differ(a: float, b: float) -> bool:
    return a != b and not math.isclose(a, b, rel_tol=1e-12, abs_tol=1e-14)
