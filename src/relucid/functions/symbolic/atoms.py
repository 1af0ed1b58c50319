"""Functions that SymPy lacks, as inert atoms with their plain definitions.

``Choice`` stands for ``where``. SymPy's own ``Piecewise`` rewrites itself on every operation,
which costs time and scatters the branches; a ``Choice`` stays as it was written.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import sympy
from sympy.codegen.cfunctions import expm1, hypot, log1p

Expr = Any
"""A SymPy expression; SymPy is untyped here."""

X = sympy.Symbol("x", real=True)
"""The input of every elementwise formula."""
GATE, VALUE = sympy.symbols("g v", real=True)
"""The inputs of a two-input formula."""


class Choice(sympy.Function):
    """``Choice(condition, a, b)`` is a where the condition holds, else b."""

    nargs = 3

    @classmethod
    def eval(cls, condition: Expr, a: Expr, b: Expr) -> Expr:
        """Decide at once where nothing is left to choose."""
        if condition in (True, False):
            return a if condition else b
        return a if a == b else None

    def _eval_is_extended_real(self) -> bool | None:
        return _all_real(self.args[1:])


class sigmoid(sympy.Function):
    """1 / (1 + exp(-u))."""

    nargs = 1

    @classmethod
    def eval(cls, argument: Expr) -> Expr:
        """Give the known values at 0 and the infinities."""
        known = {sympy.S.Zero: sympy.S.Half, sympy.oo: sympy.S.One, -sympy.oo: sympy.S.Zero}
        return known.get(argument)

    def fdiff(self, argindex: int = 1) -> Expr:
        """Return sigmoid(u) * sigmoid(-u), which does not cancel for large u."""
        return sigmoid(self.args[0]) * sigmoid(-self.args[0])

    def _eval_is_extended_real(self) -> bool | None:
        return _all_real(self.args)

    def _eval_is_extended_positive(self) -> bool | None:
        return _all_real(self.args)


class erfcx(sympy.Function):
    """exp(u**2) * erfc(u)."""

    nargs = 1

    def fdiff(self, argindex: int = 1) -> Expr:
        """Return 2*u*erfcx(u) - 2/sqrt(pi)."""
        (u,) = self.args
        return 2 * u * erfcx(u) - 2 / sympy.sqrt(sympy.pi)

    def _eval_is_extended_real(self) -> bool | None:
        return _all_real(self.args)


class tanh_residual(sympy.Function):
    """u - tanh(u)."""

    nargs = 1

    def fdiff(self, argindex: int = 1) -> Expr:
        """Return tanh(u)**2."""
        return sympy.tanh(self.args[0]) ** 2

    def _eval_is_extended_real(self) -> bool | None:
        return _all_real(self.args)


class Between(sympy.Function):
    """``Between(a, 0, x, 1, b)`` is a < x <= b, to be shown; 1 says that an end belongs to it."""

    nargs = 5


def _all_real(arguments: Any) -> bool | None:
    return True if all(a.is_extended_real for a in arguments) else None


_TEXTBOOK = {
    expm1: lambda u: sympy.exp(u) - 1,
    log1p: lambda u: sympy.log(1 + u),
    hypot: lambda a, b: sympy.sqrt(a**2 + b**2),
    erfcx: lambda u: sympy.exp(u**2) * sympy.erfc(u),
    tanh_residual: lambda u: u - sympy.tanh(u),
}
_PLAIN = {**_TEXTBOOK, sigmoid: lambda u: 1 / (1 + sympy.exp(-u))}


def textbook(expression: Expr) -> Expr:
    """Write numerical words (``expm1``) as a text would; the sigmoid keeps its name."""
    return _rewritten(expression, _TEXTBOOK)


def plain(expression: Expr) -> Expr:
    """Write everything in SymPy's own functions, which it can take limits of and evaluate."""
    return _rewritten(expression, _PLAIN)


def _rewritten(expression: Expr, table: dict[Any, Any]) -> Expr:
    for function, definition in table.items():
        expression = expression.replace(function, definition)
    return expression


def exact(value: Any) -> Expr:
    """Return an expression in which every float is the fraction that it was written as."""
    expression = sympy.sympify(value)
    if not isinstance(expression, sympy.Basic):
        return expression
    floats = expression.atoms(sympy.Float)
    finite = [f for f in floats if f.is_finite]
    return expression.xreplace({f: _fraction(float(f)) for f in finite})


def _fraction(number: float) -> Expr:
    """Return the simple fraction that rounds to it (1/6), else its shortest decimal (0.044715)."""
    simple = Fraction(number).limit_denominator(1000)
    if float(simple) == number:
        return sympy.Rational(simple.numerator, simple.denominator)
    return sympy.Rational(repr(number))
