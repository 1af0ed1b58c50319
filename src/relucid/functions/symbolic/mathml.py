"""Presentation MathML, which browsers show without scripts or fonts from elsewhere."""

from __future__ import annotations

from typing import Any

import sympy
from sympy.printing.mathml import MathMLPresentationPrinter

from relucid.functions.symbolic.arrange import is_divisor, readable
from relucid.functions.symbolic.atoms import Expr
from relucid.functions.symbolic.greek import GREEK, SIGNS

_TIMES = "\u2062"  # invisible, for readers that speak


def mathml(expression: Expr) -> str:
    """Presentation MathML without the outer ``math`` element."""
    text = str(_MathML({"order": "none"}).doprint(readable(expression)))
    return text.replace("<mo>-</mo>", "<mo>−</mo>")


class _MathML(MathMLPresentationPrinter):
    def _print_Symbol(self, expr: Expr, style: str = "plain") -> Any:
        return self._leaf("mi", GREEK.get(expr.name, expr.name))

    def _print_sigmoid(self, expr: Expr) -> Any:
        return self._applied("σ", expr.args[0])

    def _print_erf(self, expr: Expr) -> Any:
        return self._applied("erf", expr.args[0])

    def _print_largest(self, expr: Expr) -> Any:
        return self._applied("max", expr.args[0])

    def _print_argmax(self, expr: Expr) -> Any:
        return self._applied("argmax", expr.args[0])

    def _print_Block(self, expr: Expr) -> Any:
        x, first, last = expr.args
        ends = (self._subscripted(x, first), self._subscripted(x, last))
        return self._row(ends[0], self._leaf("mo", ", …, "), ends[1])

    def _print_Relational(self, expr: Expr) -> Any:
        sign = self._leaf("mo", SIGNS.get(expr.rel_op, expr.rel_op))
        return self._row(self._print(expr.lhs), sign, self._print(expr.rhs))

    def _print_Between(self, expr: Expr) -> Any:
        low, with_low, x, with_high, high = expr.args
        signs = [self._leaf("mo", SIGNS["<="] if c else "<") for c in (with_low, with_high)]
        middle = (signs[0], self._print(x), signs[1])
        return self._row(self._print(low), *middle, self._print(high))

    def _print_Indexed(self, expr: Expr) -> Any:
        return self._subscripted(expr.base, expr.indices[0])

    def _print_KroneckerDelta(self, expr: Expr) -> Any:
        i, j = map(self._print, expr.args)
        indices = self._row(i, self._leaf("mo", ","), j)
        delta = self.dom.createElement("msub")
        delta.appendChild(self._leaf("mi", "δ"))
        delta.appendChild(indices)
        return delta

    def _subscripted(self, base: Any, index: Expr) -> Any:
        element = self.dom.createElement("msub")
        element.appendChild(self._leaf("mi", str(base)))
        element.appendChild(self._print(index))
        return element

    def _print_Root(self, expr: Expr) -> Any:
        root = self.dom.createElement("msqrt")
        root.appendChild(self._print(expr.args[0]))
        return root

    def _print_Mul(self, expr: Expr) -> Any:
        factors = list(expr.args)
        if factors[0].is_number and factors[0].is_negative:
            rest = [f for f in (-factors[0], *factors[1:]) if f != 1]
            return self._row(self._leaf("mo", "-"), self._fraction(rest))
        return self._fraction(factors)

    def _fraction(self, factors: list[Expr]) -> Any:
        above = [sympy.Integer(f.p) if f.is_Rational else f for f in factors if not is_divisor(f)]
        below = [1 / f for f in factors if is_divisor(f)]
        below += [sympy.Integer(f.q) for f in factors if f.is_Rational and f.q != 1]
        over = self._times([f for f in above if f != 1])
        if not below:
            return over
        fraction = self.dom.createElement("mfrac")
        fraction.appendChild(over)
        fraction.appendChild(self._times(below))
        return fraction

    def _times(self, factors: list[Expr]) -> Any:
        if len(factors) < 2:
            return self._print(factors[0] if factors else sympy.S.One)
        row: list[Any] = []
        for factor in factors:
            row += [self._leaf("mo", _TIMES)] if row else []
            row += self._bracketed(factor, "(", ")") if factor.is_Add else [self._print(factor)]
        return self._row(*row)

    def _print_Exp1(self, expr: Expr) -> Any:
        return self._leaf("mi", "e")

    def _print_Derivative(self, expr: Expr) -> Any:
        fraction = self.dom.createElement("mfrac")
        fraction.appendChild(self._leaf("mi", "d"))
        fraction.appendChild(self._row(self._leaf("mi", "d"), self._print(expr.args[1][0])))
        return self._row(fraction, *self._bracketed(expr.args[0], "[", "]"))

    def _applied(self, name: str, argument: Expr) -> Any:
        return self._row(self._leaf("mi", name), *self._bracketed(argument, "(", ")"))

    def _bracketed(self, inside: Expr, left: str, right: str) -> list[Any]:
        return [self._leaf("mo", left), self._print(inside), self._leaf("mo", right)]

    def _row(self, *children: Any) -> Any:
        row = self.dom.createElement("mrow")
        for child in children:
            row.appendChild(child)
        return row

    def _leaf(self, tag: str, text: str) -> Any:
        leaf = self.dom.createElement(tag)
        leaf.appendChild(self.dom.createTextNode(str(text)))
        return leaf
