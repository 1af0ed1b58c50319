"""Arranging an expression as a text would: constants in front, roots below, short decimals."""

from __future__ import annotations

from functools import reduce
from typing import Any

import sympy

from relucid.functions.symbolic.atoms import GATE, Expr, X, sigmoid, textbook

_LARGEST_FRACTION = 100
_DIGITS = 7


def readable(expression: Expr) -> Expr:
    """Return an equal expression in the order and form in which it should be read."""
    return _arranged(textbook(expression).replace(_is_opposite, lambda e: 1 - sigmoid(-e.args[0])))


class Root(sympy.Function):
    """A square root of a constant that stays where it is put: 1/sqrt(2), not sqrt(2)/2."""

    nargs = 1

    def _sympystr(self, printer: Any) -> str:
        inside = printer.doprint(self.args[0])
        return f"√{inside}" if inside.isalnum() else f"√({inside})"

    def _latex(self, printer: Any, **_: Any) -> str:
        return rf"\sqrt{{{printer.doprint(self.args[0])}}}"


def _arranged(e: Expr) -> Expr:
    if e.is_number:
        parts = [part for part in _constant(e) if part != 1] or [sympy.S.One]
        return reduce(lambda a, b: sympy.Mul(a, b, evaluate=False), parts)
    if e.is_Add:
        content, rest = _content(e)
        return _product(content, [rest]) if content != 1 else _sum(e)
    if e.is_Mul:
        numbers = [f for f in e.args if f.is_number]
        return _product(sympy.Mul(*numbers), [f for f in e.args if not f.is_number])
    if e.is_Pow:
        return sympy.Pow(_arranged(e.base), _arranged(e.exp) if not e.exp.is_number else e.exp)
    if isinstance(e, sympy.Derivative):
        return sympy.Derivative(_arranged(e.args[0]), e.args[1][0], evaluate=False)
    return e.func(*map(_arranged, e.args)) if e.args else e


def _is_opposite(e: Expr) -> bool:
    """Whether it is sigmoid(-u), which texts write 1 - sigmoid(u)."""
    return isinstance(e, sigmoid) and bool(e.args[0].could_extract_minus_sign())


def _sum(e: Expr) -> Expr:
    terms = sorted(e.as_ordered_terms(), key=_rank_of_polynomial)
    if not e.is_polynomial(X, GATE):
        terms.sort(key=lambda t: (t.could_extract_minus_sign(), t.count_ops()))
    return sympy.Add(*map(_arranged, terms), evaluate=False)


def _rank_of_polynomial(term: Expr) -> tuple[bool, bool]:
    return term.could_extract_minus_sign(), not term.has(X, GATE)


def _product(coefficient: Expr, factors: list[Expr]) -> Expr:
    arranged = []
    for factor in factors:
        content, rest = _content(factor) if factor.is_Add else (sympy.S.One, factor)
        coefficient *= content
        arranged.append(_sum(rest) if rest.is_Add else _arranged(rest))
    numbers = [c for c in _constant(coefficient) if c != 1]
    parts = [*numbers, *sorted(arranged, key=_rank_of_factor)]
    return sympy.Mul(*parts, evaluate=False) if len(parts) > 1 else parts[0]


def _rank_of_factor(factor: Expr) -> int:
    """Constants, parameters, x, functions, sums, pending derivatives."""
    base = factor.base if factor.is_Pow else factor
    if isinstance(base, sympy.Derivative):
        return 5
    if base.is_Add:
        return 4
    return 2 * base.has(X, GATE) + bool(base.args)


def _content(e: Expr) -> tuple[Expr, Expr]:
    """Return the common rational factor of a sum and the rest, where the factor is a simple one."""
    content, rest = e.primitive()
    same = all(abs(t.as_coeff_Mul()[0]) == 1 for t in rest.as_ordered_terms())
    return (content, rest) if same or content.q <= 12 else (sympy.S.One, e)


def _constant(value: Expr) -> list[Expr]:
    """Return the factors in which a constant is shown."""
    if value.is_Rational:
        return [_short(value)]
    square = sympy.nsimplify(sympy.simplify(value**2))
    rational, rest = square.as_coeff_Mul()
    if value.is_negative or rest not in (1, sympy.pi, 1 / sympy.pi) or not rational.is_Rational:
        return [-1, *_constant(-value)] if value.is_negative and value != -1 else [value]
    above, rooted_above = _rooted(rational.p)
    below, rooted_below = _rooted(rational.q)
    top = rooted_above * (sympy.pi if rest == sympy.pi else 1)
    bottom = rooted_below * (sympy.pi if rest == 1 / sympy.pi else 1)
    number = [_short(sympy.Rational(above, below))]
    if top != 1 and bottom != 1:
        return [*number, Root(top / bottom)]
    return [*number, Root(top) if top != 1 else sympy.Pow(Root(bottom), -1)]


def is_divisor(factor: Expr) -> bool:
    """Whether a factor of a product is written below the fraction bar."""
    return bool(factor.is_Pow and factor.exp.is_number and factor.exp.is_negative)


def _rooted(n: int) -> tuple[int, int]:
    """Return (a, b) with n = a**2 * b and b free of squares."""
    outside, inside = 1, 1
    for prime, power in sympy.factorint(n).items():
        outside *= prime ** (power // 2)
        inside *= prime ** (power % 2)
    return outside, inside


def _short(value: Expr) -> Expr:
    if max(abs(value.p), value.q) <= _LARGEST_FRACTION or value.q == 1:
        return value
    return sympy.Float(value, _DIGITS)
