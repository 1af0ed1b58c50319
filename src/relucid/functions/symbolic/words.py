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

    def normal_decay(self, x: Any) -> tuple[Expr, Expr]:
        return sympy.exp(-(exact(x) ** 2) / 2), sympy.S.One

    def normal_tail(self, x: Any) -> Expr:
        return erfcx(sympy.Abs(exact(x)) / _SQRT_TWO) / 2

    def tanh_residual(self, x: Any) -> Expr:
        return tanh_residual(exact(x))

    def gelu_decay(self, x: Any) -> tuple[Expr, Expr]:
        number = exact(x)
        cubic = sympy.Rational("0.044715")
        u = sympy.sqrt(2 / sympy.pi) * (number + cubic * number**3)
        return sympy.exp(-2 * sympy.Abs(u)), sympy.S.One


WORDS = SymbolicWords()
VOCABULARY = tuple(name for name in dir(SymbolicWords) if not name.startswith("_"))
