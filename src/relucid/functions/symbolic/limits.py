"""Limits at infinity: read off in high precision where that decides, else by SymPy.

SymPy's ``limit`` takes seconds on nested hyperbolic functions and is now and then wrong (1.14
gives 0 for the derivative of SiLU at plus infinity), so it is asked only where a function settles
slowly, and believed only where it agrees with the numbers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import mpmath
import sympy

from relucid.functions.symbolic.atoms import Expr, X, plain
from relucid.functions.symbolic.numerics import DIGITS, evaluator, known

_FAR = (10**3, 10**6, 10**9)
_SETTLED = mpmath.mpf(10) ** -60


def limit(expression: Expr, side: int, numbers: Mapping[Expr, float]) -> Expr:
    """Return the limit for x to plus (side 1) or minus (-1) infinity; NaN where there is none."""
    if not expression.has(X):
        return expression.xreplace(known(numbers))
    if not expression.has(sympy.sin, sympy.cos):
        decided = _decided(expression, side, numbers)
        if decided is not None:
            return decided
    return _by_sympy(expression, side, numbers)


def _decided(expression: Expr, side: int, numbers: Mapping[Expr, float]) -> Expr | None:
    with mpmath.workdps(DIGITS):
        near, far, farther = map(evaluator(expression, numbers), (side * x for x in _FAR))
        before, after = abs(far - near), abs(farther - far)
        if after < _SETTLED:
            return _tidy(farther)
        if after >= 0.9 * before:
            return sympy.oo if farther > 0 else -sympy.oo
    return None


def _by_sympy(expression: Expr, side: int, numbers: Mapping[Expr, float]) -> Expr:
    found = sympy.limit(plain(expression).xreplace(known(numbers)), X, side * sympy.oo)
    if found.is_infinite:
        return found
    if not found.is_number or isinstance(found, sympy.AccumBounds):
        return sympy.nan
    with mpmath.workdps(DIGITS):
        far = float(evaluator(expression, numbers)(side * _FAR[-1]))
    return found if math.isclose(float(found), far, rel_tol=1e-3, abs_tol=1e-3) else sympy.nan


def _tidy(value: mpmath.mpf) -> Expr:
    """Return the simple fraction that a value is but for rounding, else its digits."""
    simple = sympy.Rational(float(value)).limit_denominator(1000)
    near = abs(value - mpmath.mpf(simple.p) / simple.q) < _SETTLED
    return simple if near else sympy.Float(value, 30)
