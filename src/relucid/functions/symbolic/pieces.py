"""A formula as smooth pieces on neighbouring intervals of the real line."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import sympy
from sympy.core.relational import Relational

from relucid.functions.symbolic.atoms import Expr, X
from relucid.functions.symbolic.numerics import crossings, known, number

_SWITCHES = (sympy.Abs, sympy.sign, sympy.Max, sympy.Min)


@dataclass(frozen=True)
class Joint:
    """A point where two pieces meet: in terms of the parameters, and its present value."""

    symbol: Expr
    at: float


@dataclass(frozen=True)
class Piece:
    """One smooth expression of x and the parameters, between two joints (None: no end)."""

    low: Joint | None
    high: Joint | None
    expression: Expr

    @property
    def inside(self) -> float:
        """A point of the open interval."""
        return _between(self.low, self.high)


def pieces(expression: Expr, numbers: Mapping[Expr, float]) -> tuple[Piece, ...]:
    """Split where a comparison, ``abs``, ``sign``, ``maximum`` or ``minimum`` changes over.

    ``numbers`` gives the parameters' present values, which decide the order of the joints.
    Neighbours with the same expression are one piece. Where the point of change is no root of a
    polynomial, it is found to 30 digits.
    """
    return _merged(_split(_resolved_parameters(expression, numbers), None, None, numbers))


def _split(
    expression: Expr, low: Joint | None, high: Joint | None, numbers: Mapping[Expr, float]
) -> list[Piece]:
    switch = _innermost(expression)
    if switch is None:
        return [Piece(low, high, expression)]
    ends = [low, *_changes(switch, low, high, numbers), high]
    found = []
    for left, right in pairwise(ends):
        point = sympy.Rational(_between(left, right))
        decided = expression.xreplace({switch: _decide(switch, point, numbers)})
        found += _split(decided, left, right, numbers)
    return found


def _innermost(expression: Expr) -> Expr | None:
    """Return a switch that depends on x and holds no other switch."""
    for node in sympy.postorder_traversal(expression):
        if isinstance(node, _SWITCHES) or isinstance(node, Relational):
            if node.has(X):
                return node
    return None


def _changes(
    switch: Expr, low: Joint | None, high: Joint | None, numbers: Mapping[Expr, float]
) -> list[Joint]:
    """Where the switch may change over, strictly between the ends, in rising order."""
    joints: dict[float, Joint] = {}
    for difference in _differences(switch):
        for root in _roots(difference, numbers):
            at = number(root, numbers)
            inside = (low is None or low.at < at) and (high is None or at < high.at)
            if math.isfinite(at) and inside:
                joints.setdefault(at, Joint(root, at))
    return [joints[at] for at in sorted(joints)]


def _differences(switch: Expr) -> list[Expr]:
    """Expressions of which at least one is zero wherever the switch changes over."""
    if isinstance(switch, Relational):
        return [switch.lhs - switch.rhs]
    if isinstance(switch, sympy.Abs | sympy.sign):
        return [switch.args[0]]
    args = switch.args
    return [a - b for i, a in enumerate(args) for b in args[i + 1 :]]


def _roots(u: Expr, numbers: Mapping[Expr, float]) -> list[Expr]:
    if not u.has(X):
        return []
    u = sympy.expand(u)
    slope = u.coeff(X, 1)
    rest = u - slope * X
    if not rest.has(X):
        return [sympy.simplify(-rest / slope)]
    settled = u.xreplace(known(numbers))
    if settled.is_polynomial(X):
        return list(dict.fromkeys(sympy.real_roots(settled, X)))
    return list(crossings(u, numbers))


def _decide(switch: Expr, point: Expr, numbers: Mapping[Expr, float]) -> Expr:
    """Return what the switch is on an interval, seen at one inner point of it."""
    if isinstance(switch, Relational):
        if switch.rel_op in ("==", "!="):
            return sympy.true if switch.rel_op == "!=" else sympy.false
        return sympy.true if _holds(switch, point, numbers) else sympy.false
    if isinstance(switch, sympy.Abs | sympy.sign):
        (u,) = switch.args
        side = 1 if _value(u, point, numbers) > 0 else -1
        return side * u if isinstance(switch, sympy.Abs) else sympy.Integer(side)
    choose = max if isinstance(switch, sympy.Max) else min
    return choose(switch.args, key=lambda a: _value(a, point, numbers))


def _holds(comparison: Expr, point: Expr, numbers: Mapping[Expr, float]) -> bool:
    difference = _value(comparison.lhs - comparison.rhs, point, numbers)
    return difference > 0 if comparison.rel_op in (">", ">=") else difference < 0


def _value(u: Expr, point: Expr, numbers: Mapping[Expr, float]) -> float:
    return number(u.xreplace({X: point}), numbers)


def _resolved_parameters(expression: Expr, numbers: Mapping[Expr, float]) -> Expr:
    """Decide the switches that depend on parameters alone."""
    switches = [
        node
        for node in sympy.postorder_traversal(expression)
        if isinstance(node, _SWITCHES) and not node.has(X)
    ]
    return expression.xreplace({s: _decide(s, sympy.S.Zero, numbers) for s in switches})


def _between(low: Joint | None, high: Joint | None) -> float:
    if low and high:
        return (low.at + high.at) / 2.0
    if low:
        return low.at + max(1.0, abs(low.at))
    return high.at - max(1.0, abs(high.at)) if high else 0.625


def _merged(found: list[Piece]) -> tuple[Piece, ...]:
    kept: list[Piece] = []
    for piece in found:
        if kept and kept[-1].expression == piece.expression:
            kept[-1] = Piece(kept[-1].low, piece.high, piece.expression)
        else:
            kept.append(piece)
    return tuple(kept)
