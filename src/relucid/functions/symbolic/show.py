"""Expressions as a person reads them, in plain text and in LaTeX."""

from __future__ import annotations

from typing import Any

import sympy
from sympy.printing.latex import LatexPrinter
from sympy.printing.precedence import PRECEDENCE
from sympy.printing.str import StrPrinter

from relucid.functions.symbolic.arrange import readable
from relucid.functions.symbolic.atoms import Expr
from relucid.functions.symbolic.greek import GREEK, SIGNS

_LATEX_GREEK = {"lambd": r"\lambda", "lambda": r"\lambda"}
_RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def plain_text(expression: Expr) -> str:
    """One line, in letters that any font has: ``α·(exp(x) - 1)``."""
    return str(_Text({"order": "none", "full_prec": False}).doprint(readable(expression)))


def latex(expression: Expr) -> str:
    """LaTeX, to stand between dollar signs."""
    settings = {"order": "none", "full_prec": False, "inv_trig_style": "full"}
    return str(_Latex(settings).doprint(readable(expression)))


class _Text(StrPrinter):
    def _print_Symbol(self, expr: Expr) -> str:
        return GREEK.get(expr.name, expr.name)

    def _print_sigmoid(self, expr: Expr) -> str:
        return f"σ({self._print(expr.args[0])})"

    def _print_Pi(self, expr: Expr) -> str:
        return "π"

    def _print_Relational(self, expr: Expr) -> str:
        sign = SIGNS.get(expr.rel_op, expr.rel_op)
        return f"{self._print(expr.lhs)} {sign} {self._print(expr.rhs)}"

    def _print_Between(self, expr: Expr) -> str:
        low, with_low, x, with_high, high = expr.args
        signs = [SIGNS["<="] if closed else "<" for closed in (with_low, with_high)]
        parts = (self._print(low), signs[0], self._print(x), signs[1], self._print(high))
        return " ".join(parts)

    def _print_Abs(self, expr: Expr) -> str:
        return f"|{self._print(expr.args[0])}|"

    def _print_atan(self, expr: Expr) -> str:
        return f"arctan({self._print(expr.args[0])})"

    def _print_Derivative(self, expr: Expr) -> str:
        return f"d/d{self._print(expr.args[1][0])}[{self._print(expr.args[0])}]"

    def _print_Pow(self, expr: Expr, rational: bool = False) -> str:
        base, exponent = expr.args
        if exponent.is_Integer and 1 < exponent < 10:
            body = self.parenthesize(base, PRECEDENCE["Pow"])
            return f"{body}{str(exponent).translate(_RAISED)}"
        if exponent == sympy.S.Half:
            return f"√({self._print(base)})"
        if exponent.is_Integer and exponent < -1:
            return f"1/{self._print(sympy.Pow(base, -exponent))}"
        if exponent.is_number:
            return str(super()._print_Pow(expr, rational))
        tight = PRECEDENCE["Pow"]
        return f"{self.parenthesize(base, tight)}^{self.parenthesize(exponent, tight)}"

    def _print_Mul(self, expr: Expr) -> str:
        return str(super()._print_Mul(expr)).replace("*", "·")

    def _print_Sum(self, expr: Expr) -> str:
        return f"Σ_{self._print(expr.args[1][0])} {self._print(expr.args[0])}"

    def _print_KroneckerDelta(self, expr: Expr) -> str:
        return f"δ({', '.join(map(self._print, expr.args))})"

    def _print_Block(self, expr: Expr) -> str:
        x, first, last = map(self._print, expr.args)
        return f"{x}[{first}..{last}]"

    def _print_largest(self, expr: Expr) -> str:
        return f"max({self._print(expr.args[0])})"


class _Latex(LatexPrinter):
    def _print_Symbol(self, expr: Expr, style: str = "plain") -> str:
        name = expr.name
        if name in GREEK:
            return _LATEX_GREEK.get(name, f"\\{name}")
        return name if len(name) == 1 else rf"\mathrm{{{name.replace('_', chr(92) + '_')}}}"

    def _print_sigmoid(self, expr: Expr, exp: Any = None) -> str:
        power = f"^{{{exp}}}" if exp is not None else ""
        return rf"\sigma{power}{{\left({self._print(expr.args[0])} \right)}}"

    def _print_Between(self, expr: Expr) -> str:
        low, with_low, x, with_high, high = expr.args
        signs = [r"\leq" if closed else "<" for closed in (with_low, with_high)]
        parts = (self._print(low), signs[0], self._print(x), signs[1], self._print(high))
        return " ".join(parts)

    def _print_Block(self, expr: Expr) -> str:
        x, first, last = map(self._print, expr.args)
        return rf"{x}_{{{first}}}, \ldots, {x}_{{{last}}}"

    def _print_largest(self, expr: Expr, exp: Any = None) -> str:
        return rf"\max\left({self._print(expr.args[0])}\right)"

    def _print_argmax(self, expr: Expr, exp: Any = None) -> str:
        return rf"\operatorname{{argmax}}\left({self._print(expr.args[0])}\right)"
