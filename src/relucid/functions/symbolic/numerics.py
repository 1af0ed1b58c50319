"""Numbers from expressions: exact parameters, high precision, roots by bisection."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from typing import Any

import mpmath
import sympy

from relucid.functions.symbolic.atoms import Expr, X, exact, plain

DIGITS = 150
_NEAR = 24.0
_STEPS = 480
_FAR = tuple(_NEAR * 10.0 ** (k / 8) for k in range(1, 25))
_HALVINGS = 500


def known(numbers: Mapping[Expr, float]) -> dict[Expr, Expr]:
    """Return the parameters' values as exact numbers, to be put in place of their symbols."""
    return {symbol: exact(value) for symbol, value in numbers.items()}


def number(u: Expr, numbers: Mapping[Expr, float]) -> float:
    """Return the value of an expression of the parameters."""
    return float(plain(u.xreplace(known(numbers))).evalf(30))


def evaluator(expression: Expr, numbers: Mapping[Expr, float]) -> Callable[[Any], Any]:
    """Return the expression as a function on mpmath numbers, at the present parameters."""
    function = sympy.lambdify(X, plain(expression).xreplace(known(numbers)), "mpmath")
    return lambda x: mpmath.mpmathify(function(mpmath.mpmathify(x)))


def grid(low: float, high: float) -> list[float]:
    """Return points strictly between two numbers, dense near 0 and where the interval is short."""
    near = [_NEAR * k / (_STEPS // 2) + 0.0137 for k in range(-_STEPS // 2, _STEPS // 2)]
    points = [*(-x for x in _FAR), *near, *_FAR]
    if math.isfinite(low) and math.isfinite(high):
        points += [low + (high - low) * (k + 0.5) / 64 for k in range(64)]
    points += [low + 1e-6 * max(1.0, abs(low)), high - 1e-6 * max(1.0, abs(high))]
    return sorted(x for x in points if low < x < high and math.isfinite(x))


def sign(value: Any) -> int:
    """Return -1, 0 or 1; what is 0 but for the precision's rounding is 0."""
    return 0 if abs(value) < mpmath.mpf(10) ** (20 - DIGITS) else int(mpmath.sign(value))


def crossing(function: Any, low: Any, high: Any) -> Any:
    """Return the point between two where the function changes its sign."""
    before = sign(function(low))
    low, high = mpmath.mpf(low), mpmath.mpf(high)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if high - low < mpmath.mpf(10) ** -40 * max(1, abs(middle)):
            break
        low, high = (middle, high) if sign(function(middle)) == before else (low, middle)
    return (low + high) / 2


def crossings(u: Expr, numbers: Mapping[Expr, float]) -> Iterator[Expr]:
    """Yield each point, to 30 digits, where an expression of x is seen to change its sign."""
    with mpmath.workdps(DIGITS):
        function = evaluator(u, numbers)
        signs = [(x, s) for x in grid(-math.inf, math.inf) if (s := sign(function(x)))]
        for (a, before), (b, after) in pairwise(signs):
            if before != after:
                yield sympy.Float(crossing(function, a, b), 30)
