"""Expressions as a person reads them: plain text, LaTeX and MathML."""

from __future__ import annotations

from functools import reduce
from typing import Any

import sympy
from sympy.printing.latex import LatexPrinter
from sympy.printing.mathml import MathMLPresentationPrinter
from sympy.printing.str import StrPrinter

from relucid.functions.symbolic.atoms import Expr, X, sigmoid, textbook

_GREEK = {
    "alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "theta": "θ", "lambda": "λ",
    "lambd": "λ", "mu": "μ", "sigma": "σ", "tau": "τ", "omega": "ω",
}  # fmt: skip
_LATEX_GREEK = {"lambd": r"\lambda", "lambda": r"\lambda"}
_RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
_LARGEST_FRACTION = 100
_DIGITS = 7


def plain_text(expression: Expr) -> str:
    """One line, in letters that any font has: ``α·(exp(x) - 1)``."""
    return str(_Text({"order": "none", "full_prec": False}).doprint(readable(expression)))


def latex(expression: Expr) -> str:
    """LaTeX, to stand between dollar signs."""
    settings = {"order": "none", "full_prec": False, "inv_trig_style": "full"}
    return str(_Latex(settings).doprint(readable(expression)))


def mathml(expression: Expr) -> str:
    """Presentation MathML without the outer ``math`` element."""
    return str(_MathML({"order": "none"}).doprint(readable(expression)))


def readable(expression: Expr) -> Expr:
    """The expression arranged as a text would: constants in front, roots below, short decimals."""
    return _arranged(textbook(expression))


class Root(sympy.Function):
    """A square root of a constant that stays where it is put: 1/sqrt(2), not sqrt(2)/2."""

    nargs = 1

    def _sympystr(self, printer: Any) -> str:
        inside = printer.doprint(self.args[0])
        return f"√{inside}" if inside.isalnum() else f"√({inside})"

    def _latex(self, printer: Any, **_: Any) -> str:
        return rf"\sqrt{{{printer.doprint(self.args[0])}}}"


class _Text(StrPrinter):
    def _print_Symbol(self, expr: Expr) -> str:  # noqa: N802  # SymPy's dispatch by class name
        return _GREEK.get(expr.name, expr.name)

    def _print_sigmoid(self, expr: Expr) -> str:
        return f"σ({self._print(expr.args[0])})"

    def _print_Pi(self, expr: Expr) -> str:  # noqa: N802
        return "π"

    def _print_Abs(self, expr: Expr) -> str:  # noqa: N802
        return f"|{self._print(expr.args[0])}|"

    def _print_atan(self, expr: Expr) -> str:
        return f"arctan({self._print(expr.args[0])})"

    def _print_Derivative(self, expr: Expr) -> str:  # noqa: N802
        return f"d/d{self._print(expr.args[1][0])}[{self._print(expr.args[0])}]"

    def _print_Pow(self, expr: Expr, rational: bool = False) -> str:  # noqa: N802
        base, exponent = expr.args
        if exponent.is_Integer and 1 < exponent < 10:
            body = self.parenthesize(base, sympy.printing.precedence.PRECEDENCE["Pow"])
            return f"{body}{str(exponent).translate(_RAISED)}"
        if exponent == sympy.S.Half:
            return f"√({self._print(base)})"
        if exponent.is_Integer and exponent < -1:
            return f"1/{self._print(sympy.Pow(base, -exponent))}"
        return str(super()._print_Pow(expr, rational))

    def _print_Mul(self, expr: Expr) -> str:  # noqa: N802
        return str(super()._print_Mul(expr)).replace("*", "·")


class _Latex(LatexPrinter):
    def _print_Symbol(self, expr: Expr, style: str = "plain") -> str:  # noqa: N802
        name = expr.name
        if name in _GREEK:
            return _LATEX_GREEK.get(name, f"\\{name}")
        return name if len(name) == 1 else rf"\mathrm{{{name.replace('_', chr(92) + '_')}}}"

    def _print_sigmoid(self, expr: Expr, exp: Any = None) -> str:
        power = f"^{{{exp}}}" if exp is not None else ""
        return rf"\sigma{power}{{\left({self._print(expr.args[0])} \right)}}"


class _MathML(MathMLPresentationPrinter):
    def _print_Symbol(self, expr: Expr, style: str = "plain") -> Any:  # noqa: N802
        return self._leaf("mi", _GREEK.get(expr.name, expr.name))

    def _print_sigmoid(self, expr: Expr) -> Any:
        return self._applied("σ", expr.args[0])

    def _print_erf(self, expr: Expr) -> Any:
        return self._applied("erf", expr.args[0])

    def _print_Root(self, expr: Expr) -> Any:  # noqa: N802
        root = self.dom.createElement("msqrt")
        root.appendChild(self._print(expr.args[0]))
        return root

    def _print_Exp1(self, expr: Expr) -> Any:  # noqa: N802
        return self._leaf("mi", "e")

    def _print_Derivative(self, expr: Expr) -> Any:  # noqa: N802
        fraction = self.dom.createElement("mfrac")
        fraction.appendChild(self._leaf("mi", "d"))
        fraction.appendChild(self._leaf("mi", f"d{_GREEK.get(str(expr.args[1][0]), expr.args[1][0])}"))
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


def _arranged(e: Expr) -> Expr:
    if e.is_number:
        return reduce(lambda a, b: sympy.Mul(a, b, evaluate=False), _constant(e))
    if e.is_Add:
        content, rest = _content(e)
        return _product(content, [rest]) if content != 1 else _sum(e)
    if e.is_Mul:
        numbers = [f for f in e.args if f.is_number]
        return _product(sympy.Mul(*numbers), [f for f in e.args if not f.is_number])
    if isinstance(e, sigmoid) and e.args[0].could_extract_minus_sign():
        return sympy.Add(1, -sigmoid(_arranged(-e.args[0])), evaluate=False)
    if e.is_Pow:
        return sympy.Pow(_arranged(e.base), _arranged(e.exp) if not e.exp.is_number else e.exp)
    if isinstance(e, sympy.Derivative):
        return sympy.Derivative(_arranged(e.args[0]), e.args[1][0], evaluate=False)
    return e.func(*map(_arranged, e.args)) if e.args else e


def _sum(e: Expr) -> Expr:
    terms = sorted(e.as_ordered_terms(), key=_rank_of_polynomial)
    if not e.is_polynomial(X):
        terms.sort(key=lambda t: (t.could_extract_minus_sign(), t.count_ops()))
    return sympy.Add(*map(_arranged, terms), evaluate=False)


def _rank_of_polynomial(term: Expr) -> tuple[bool, bool]:
    return term.could_extract_minus_sign(), not term.has(X)


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
    return 2 * base.has(X) + bool(base.args)


def _content(e: Expr) -> tuple[Expr, Expr]:
    """The common rational factor of a sum and the rest, where the factor is a simple one."""
    content, rest = e.primitive()
    same = all(abs(t.as_coeff_Mul()[0]) == 1 for t in rest.as_ordered_terms())
    return (content, rest) if same or content.q <= 12 else (sympy.S.One, e)


def _constant(value: Expr) -> list[Expr]:
    """The factors in which a constant is shown."""
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


def _rooted(n: int) -> tuple[int, int]:
    """(a, b) with n = a**2 * b and b free of squares."""
    outside, inside = 1, 1
    for prime, power in sympy.factorint(n).items():
        outside *= prime ** (power // 2)
        inside *= prime ** (power % 2)
    return outside, inside


def _short(value: Expr) -> Expr:
    if max(abs(value.p), value.q) <= _LARGEST_FRACTION or value.q == 1:
        return value
    return sympy.Float(value, _DIGITS)
