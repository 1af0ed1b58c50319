"""SymPy as the mathematics that formulas speak: every word by its plain definition."""

from __future__ import annotations

from typing import Any

import sympy
from sympy.codegen.cfunctions import expm1, hypot, log1p

from relucid.functions.symbolic.atoms import Choice, Expr, erfcx, exact, sigmoid, tanh_residual

_SQRT_TWO = sympy.sqrt(2)


class SymbolicWords:
    """The words of :class:`relucid.functions.words.Words` on SymPy expressions.

    The words that carry rounding errors along have none to carry here, and mean what their
    docstrings say.
    """

    pi = sympy.pi

    def where(self, condition: Any, a: Any, b: Any) -> Expr:
        return Choice(exact(condition), exact(a), exact(b))

    def minimum(self, a: Any, b: Any) -> Expr:
        return sympy.Min(exact(a), exact(b))

    def maximum(self, a: Any, b: Any) -> Expr:
        return sympy.Max(exact(a), exact(b))

    def abs(self, x: Any) -> Expr:
        return sympy.Abs(exact(x))

    def sign(self, x: Any) -> Expr:
        return sympy.sign(exact(x))

    def sqrt(self, x: Any) -> Expr:
        return sympy.sqrt(exact(x))

    def exp(self, x: Any) -> Expr:
        return sympy.exp(exact(x))

    def expm1(self, x: Any) -> Expr:
        return expm1(exact(x))

    def log(self, x: Any) -> Expr:
        return sympy.log(exact(x))

    def log1p(self, x: Any) -> Expr:
        return log1p(exact(x))

    def sin(self, x: Any) -> Expr:
        return sympy.sin(exact(x))

    def cos(self, x: Any) -> Expr:
        return sympy.cos(exact(x))

    def tanh(self, x: Any) -> Expr:
        return sympy.tanh(exact(x))

    def arctan(self, x: Any) -> Expr:
        return sympy.atan(exact(x))

    def hypot(self, a: Any, b: Any) -> Expr:
        return hypot(exact(a), exact(b))

    def erf(self, x: Any) -> Expr:
        return sympy.erf(exact(x))

    def erfc(self, x: Any) -> Expr:
        return sympy.erfc(exact(x))

    def erfcx(self, x: Any) -> Expr:
        return erfcx(exact(x))

    def sigmoid(self, x: Any) -> Expr:
        return sigmoid(exact(x))

    def sigmoid_slope(self, x: Any, times: Any = 1) -> Expr:
        return exact(times) * sigmoid(exact(x)) * sigmoid(-exact(x))

    def expm1_times(self, factor: Any, x: Any) -> Expr:
        return exact(factor) * expm1(exact(x))

    def expm1_quotient(self, a: Any, b: Any) -> Expr:
        return exact(b) * expm1(exact(a) / exact(b))

    def scaled(self, x: Any, factor: Any) -> Expr:
        return exact(x) * exact(factor)

    def difference(self, a: Any, b: Any) -> Expr:
        return exact(a) - exact(b)

    def ramp(self, x: Any, shift: Any, width: Any) -> Expr:
        start, end = -exact(shift), exact(width) - exact(shift)
        inside = (exact(x) + exact(shift)) / exact(width)
        return self.where(x <= start, 0, self.where(x >= end, 1, inside))

    def excess(self, x: Any, b: Any, root: Any) -> Expr:
        return exact(b) / 4 / (exact(root) / 2 + sympy.Abs(exact(x)) / 2)

    def log1p_unit(self, x: Any, times: Any = 1) -> Expr:
        return exact(times) * log1p(exact(x))

    def two_product(self, a: Any, b: Any) -> tuple[Expr, Expr]:
        return exact(a) * exact(b), sympy.S.Zero

    def exp_product(self, a: Any, b: Any) -> Expr:
        return sympy.exp(exact(a) * exact(b))

    def exp_difference(self, a: Any, b: Any) -> Expr:
        return sympy.exp(exact(a) - exact(b))

    def exp_quotient(self, a: Any, b: Any) -> Expr:
        return sympy.exp(exact(a) / exact(b))

    def decay(self, a: Any, b: Any) -> tuple[Expr, Expr]:
        return sympy.exp(exact(a) * exact(b)), sympy.S.One

    def fma(self, a: Any, b: Any, c: Any) -> Expr:
        return exact(a) * exact(b) + exact(c)

    def normal_decay(self, x: Any) -> tuple[Expr, Expr]:
        return sympy.exp(-(exact(x) ** 2) / 2), sympy.S.One

    def normal_tail(self, x: Any) -> Expr:
        return erfcx(sympy.Abs(exact(x)) / _SQRT_TWO) / 2

    def normal_below(self, x: Any) -> Expr:
        size = sympy.Abs(exact(x))
        return size * sympy.erfc(size / _SQRT_TWO) / 2

    def normal_slope(self, x: Any) -> Expr:
        size = sympy.Abs(exact(x))
        density = sympy.exp(-(size**2) / 2) / sympy.sqrt(2 * sympy.pi)
        return sympy.erfc(size / _SQRT_TWO) / 2 - size * density

    def tanh_residual(self, x: Any) -> Expr:
        return tanh_residual(exact(x))

    def silu(self, x: Any, beta: Any) -> Expr:
        return exact(x) * sigmoid(exact(beta) * exact(x))

    def silu_slope(self, x: Any, beta: Any) -> Expr:
        v = exact(beta) * exact(x)
        return sigmoid(v) * (1 + v * sigmoid(-v))

    def gelu_tanh(self, x: Any) -> Expr:
        return exact(x) * sigmoid(2 * _gelu_argument(x))

    def gelu_tanh_slope(self, x: Any) -> Expr:
        v, number = 2 * _gelu_argument(x), exact(x)
        rise = sympy.sqrt(8 / sympy.pi) * (1 + 3 * sympy.Rational("0.044715") * number**2)
        return sigmoid(v) * (1 + number * rise * sigmoid(-v))

    def mish(self, x: Any) -> Expr:
        return exact(x) * sympy.tanh(log1p(sympy.exp(exact(x))))

    def mish_slope(self, x: Any) -> Expr:
        opened = sympy.tanh(log1p(sympy.exp(exact(x))))
        return opened + exact(x) * (1 - opened**2) * sigmoid(exact(x))

    def gelu_decay(self, x: Any) -> tuple[Expr, Expr]:
        return sympy.exp(-2 * sympy.Abs(_gelu_argument(x))), sympy.S.One


def _gelu_argument(x: Any) -> Expr:
    number = exact(x)
    return sympy.sqrt(2 / sympy.pi) * (number + sympy.Rational("0.044715") * number**3)


WORDS = SymbolicWords()
VOCABULARY = tuple(name for name in dir(SymbolicWords) if not name.startswith("_"))
