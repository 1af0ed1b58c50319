"""Differentiating an expression rule by rule, and keeping the steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sympy

from relucid.errors import DeclarationError
from relucid.functions.symbolic.atoms import Expr
from relucid.functions.symbolic.rules import ACCURATE, TEXTBOOK, Outer, rule_for


@dataclass(frozen=True)
class Step:
    """One rule applied: the derivative of ``expression`` is ``result``.

    Where the rule needs derivatives of inner parts, ``result`` holds them as unevaluated
    ``sympy.Derivative``; later steps give them.
    """

    rule: str
    expression: Expr
    result: Expr


def differentiate(expression: Expr, variable: Expr) -> Expr:
    """Return the derivative in the form that is accurate in floating point."""
    return _Differentiation(variable, ACCURATE).of(expression)


def derivation(expression: Expr, variable: Expr) -> tuple[Expr, tuple[Step, ...]]:
    """Return the derivative in textbook form, and the steps that lead to it."""
    work = _Differentiation(variable, TEXTBOOK)
    result = work.of(expression)
    if not work.steps:
        rule = "the variable itself" if expression == variable else "constant"
        work.steps.append(Step(rule, expression, result))
    return result, tuple(work.steps)


class _Differentiation:
    def __init__(self, variable: Expr, table: dict[type, Outer]) -> None:
        self.variable = variable
        self.table = table
        self.known: dict[Expr, Expr] = {variable: sympy.S.One}
        self.steps: list[Step] = []

    def of(self, expression: Expr) -> Expr:
        if not expression.has(self.variable):
            return sympy.S.Zero
        if expression not in self.known:
            self.known[expression] = self._apply(expression)
        return self.known[expression]

    def _apply(self, expression: Expr) -> Expr:
        rule = rule_for(expression, self.variable, self.table)
        if rule is None:
            raise DeclarationError(
                f"relucid knows no derivative of {expression.func.__name__}, found in "
                f"{expression}; declare the derivative: derivative=..."
            )
        pending = self._pending(rule.inside)
        self.steps.append(Step(rule.name, expression, rule.combine(pending)))
        return rule.combine([self.of(part) for part in rule.inside])

    def _pending(self, parts: Sequence[Expr]) -> list[Expr]:
        """Unevaluated derivatives of what is not trivial."""
        return [
            sympy.Derivative(part, self.variable, evaluate=False)
            if part.has(self.variable) and part != self.variable
            else self.of(part)
            for part in parts
        ]
