"""The rules of differentiation, one function each: what is inside, and how it is put together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import sympy
from sympy.codegen.cfunctions import expm1, hypot, log1p

from relucid.functions.symbolic.atoms import Choice, Expr, X, erfcx, sigmoid, tanh_residual

Outer = Callable[[Expr], Expr]

TEXTBOOK: dict[type, Outer] = {
    sympy.exp: lambda u: sympy.exp(u),
    sympy.log: lambda u: 1 / u,
    sympy.sin: lambda u: sympy.cos(u),
    sympy.cos: lambda u: -sympy.sin(u),
    sympy.tanh: lambda u: 1 - sympy.tanh(u) ** 2,
    sympy.atan: lambda u: 1 / (1 + u**2),
    sympy.erf: lambda u: 2 / sympy.sqrt(sympy.pi) * sympy.exp(-(u**2)),
    sympy.erfc: lambda u: -2 / sympy.sqrt(sympy.pi) * sympy.exp(-(u**2)),
    sigmoid: lambda u: sigmoid(u) * (1 - sigmoid(u)),
    expm1: lambda u: sympy.exp(u),
    log1p: lambda u: 1 / (1 + u),
    erfcx: lambda u: 2 * u * erfcx(u) - 2 / sympy.sqrt(sympy.pi),
    tanh_residual: lambda u: sympy.tanh(u) ** 2,
}
"""Derivatives of the elementary functions as texts print them; fractions by the quotient rule."""

ACCURATE: dict[type, Outer] = {
    **TEXTBOOK,
    sympy.tanh: lambda u: 4 * sigmoid(2 * u) * sigmoid(-2 * u),
    sigmoid: lambda u: sigmoid(u) * sigmoid(-u),
}
"""The same without the differences that cancel in floating point."""


@dataclass(frozen=True)
class Rule:
    """A rule at work: ``combine(derivatives of the inside parts)`` is the derivative."""

    name: str
    inside: tuple[Expr, ...]
    combine: Callable[[Sequence[Expr]], Expr]


def rule_for(expression: Expr, variable: Expr, table: dict[type, Outer]) -> Rule | None:
    """Return the rule for the outermost operation of an expression that holds ``variable``."""
    if expression.is_Add:
        return _sum(expression, variable)
    if expression.is_Mul:
        return _product(expression, variable, by_quotient=table is TEXTBOOK)
    if expression.is_Pow:
        return _power(expression, variable)
    if expression.func in table:
        return _function(expression, table[expression.func])
    special = _SPECIAL.get(expression.func)
    return special(expression) if special else None


def _sum(expression: Expr, variable: Expr) -> Rule:
    parts = tuple(term for term in expression.args if term.has(variable))
    name = "sum rule" if len(parts) > 1 else "constant term"
    return Rule(name, parts, lambda d: sympy.Add(*d))


def _product(expression: Expr, variable: Expr, by_quotient: bool) -> Rule:
    constant, rest = expression.as_independent(variable, as_Add=False)
    if constant != 1:
        return Rule("constant factor", (rest,), lambda d: constant * d[0])
    above, below = sympy.fraction(rest) if by_quotient else (rest, sympy.S.One)
    if above.has(variable) and below.has(variable):
        return Rule(
            "quotient rule",
            (above, below),
            lambda d: (d[0] * below - above * d[1]) / below**2,
        )
    factors = rest.args

    def combine(derivatives: Sequence[Expr]) -> Expr:
        terms = (
            sympy.Mul(*factors[:i], derivative, *factors[i + 1 :])
            for i, derivative in enumerate(derivatives)
        )
        return sympy.Add(*terms)

    return Rule("product rule", factors, combine)


def _power(expression: Expr, variable: Expr) -> Rule:
    base, exponent = expression.args
    if not exponent.has(variable):
        name = "reciprocal rule" if exponent == -1 else "power rule"
        name = "square root" if exponent == sympy.S.Half else name
        return Rule(name, (base,), lambda d: exponent * base ** (exponent - 1) * d[0])
    if not base.has(variable):
        return Rule("exponential", (exponent,), lambda d: expression * sympy.log(base) * d[0])
    return Rule(
        "power of both",
        (base, exponent),
        lambda d: expression * (d[1] * sympy.log(base) + exponent * d[0] / base),
    )


def _function(expression: Expr, outer: Outer) -> Rule:
    (inside,) = expression.args
    name = "known derivative" if inside.is_Symbol else "chain rule"
    return Rule(name, (inside,), lambda d: outer(inside) * d[0])


def _choice(expression: Expr) -> Rule:
    condition, a, b = expression.args
    return Rule("by cases", (a, b), lambda d: Choice(from_left(condition), *d))


def _absolute(expression: Expr) -> Rule:
    (u,) = expression.args
    return Rule("by cases", (u,), lambda d: Choice(positive(u), 1, -1) * d[0])


def _constant(expression: Expr) -> Rule:
    return Rule("by cases", (), lambda _: sympy.S.Zero)


def _largest(expression: Expr) -> Rule:
    first, *others = expression.args
    rest = sympy.Max(*others)
    return Rule("by cases", (first, rest), lambda d: Choice(positive(first - rest), *d))


def _smallest(expression: Expr) -> Rule:
    first, *others = expression.args
    rest = sympy.Min(*others)
    return Rule("by cases", (first, rest), lambda d: Choice(positive(rest - first), *d))


def _hypotenuse(expression: Expr) -> Rule:
    a, b = expression.args
    return Rule("square root", (a, b), lambda d: (a * d[0] + b * d[1]) / expression)


_SPECIAL: dict[type, Callable[[Expr], Rule]] = {
    Choice: _choice,
    sympy.Abs: _absolute,
    sympy.sign: _constant,
    sympy.Max: _largest,
    sympy.Min: _smallest,
    hypot: _hypotenuse,
}


def positive(u: Expr) -> Expr:
    """Return the condition u > 0, with the boundary always given to the left of x.

    So all pieces of a derivative change sides together, and at a point where two pieces of a
    formula meet, the derivative is the one from the left: at a smooth joint the true one.
    """
    slope = _slope(u)
    if slope is None:
        return sympy.Gt(u, 0)
    root = -(u - slope * X) / slope
    return sympy.Gt(X, root) if slope > 0 else sympy.Le(X, root)


def from_left(condition: Expr) -> Expr:
    """Return the condition with each comparison of x replaced by :func:`positive`'s form of it."""
    comparisons = condition.atoms(sympy.core.relational.Relational)
    return condition.xreplace({c: _oriented(c) for c in comparisons})


def _oriented(comparison: Expr) -> Expr:
    difference = comparison.lhs - comparison.rhs
    if comparison.rel_op in ("==", "!=") or _slope(difference) is None:
        return comparison
    return positive(difference if comparison.rel_op in (">", ">=") else -difference)


def _slope(u: Expr) -> Expr | None:
    """Return the a of u = a*x + b where a is a number other than 0, else None."""
    slope = u.coeff(X, 1)
    return slope if slope.is_number and slope != 0 and not (u - slope * X).has(X) else None
