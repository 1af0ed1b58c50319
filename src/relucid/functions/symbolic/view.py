"""The symbolic view of an elementwise activation: what follows from its formula alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import sympy

from relucid.errors import ParameterError
from relucid.functions.elementwise import Elementwise
from relucid.functions.parameters import Parameter
from relucid.functions.symbolic.atoms import Choice, Expr, exact, textbook
from relucid.functions.symbolic.branches import Branch, Meeting, branches_of, meetings_of
from relucid.functions.symbolic.differentiate import Step
from relucid.functions.symbolic.direction import Stretch, stretches
from relucid.functions.symbolic.limits import limit
from relucid.functions.symbolic.numerics import number
from relucid.functions.symbolic.show import latex
from relucid.functions.symbolic.trace import trace


@dataclass(frozen=True)
class SymbolicView:
    """Value, derivative, steps, meetings, limits and direction, derived from the formula.

    Formulas keep the names of the parameters; whatever needs their values (the order of the
    branches, limits, direction) takes the activation's present ones.
    """

    activation: Elementwise
    expression: Expr
    """The formula for all x, before it is split into branches."""
    numbers: Mapping[Expr, float]
    """The present value of each parameter's symbol."""
    branches: tuple[Branch, ...]

    @property
    def whole(self) -> Expr | None:
        """The formula for all x, where it reads well without cases: ``x / (1 + abs(x))``."""
        if len(self.branches) == 1:
            return self.branches[0].piece.expression
        return None if self.expression.has(Choice, sympy.Max, sympy.Min) else self.expression

    @property
    def steps(self) -> tuple[Step, ...]:
        """The derivation, branch after branch, each rule once."""
        return tuple(dict.fromkeys(step for branch in self.branches for step in branch.steps))

    @property
    def latex(self) -> str:
        """The value in LaTeX."""
        if self.whole is not None:
            return latex(self.whole)
        return _cases([(b, b.piece.expression) for b in self.branches])

    @property
    def latex_derivative(self) -> str:
        """The derivative in LaTeX."""
        return _cases([(b, b.derivative) for b in self.branches])

    @cached_property
    def meetings(self) -> tuple[Meeting, ...]:
        """What happens at each joint, from left to right."""
        return tuple(meetings_of(self.branches, self.numbers))

    @property
    def kinks(self) -> tuple[Meeting, ...]:
        """Joints at which the value or the derivative jumps."""
        return tuple(m for m in self.meetings if m.jump in ("value", "slope"))

    @property
    def seams(self) -> tuple[Meeting, ...]:
        """Joints at which only the second derivative jumps."""
        return tuple(m for m in self.meetings if m.jump == "curvature")

    @cached_property
    def limits(self) -> tuple[Expr, Expr]:
        """The limits at minus and plus infinity; NaN where there is none."""
        first, last = self.branches[0].piece.expression, self.branches[-1].piece.expression
        return limit(first, -1, self.numbers), limit(last, 1, self.numbers)

    @cached_property
    def derivative_limits(self) -> tuple[Expr, Expr]:
        """The limits of the derivative at minus and plus infinity."""
        first, last = self.branches[0].derivative, self.branches[-1].derivative
        return limit(first, -1, self.numbers), limit(last, 1, self.numbers)

    @cached_property
    def direction(self) -> tuple[Stretch, ...]:
        """The intervals on which the function rises, falls or is constant."""
        return stretches([(b.piece, b.derivative) for b in self.branches], self.numbers)

    def number(self, expression: Expr) -> float:
        """Return the value of an expression of the parameters at their present values."""
        return number(expression, self.numbers)


def symbolic_view(activation: Elementwise) -> SymbolicView:
    """Derive the symbolic view of an elementwise activation.

    Raises :class:`~relucid.errors.DeclarationError` where its formula is not symbolic, and
    :class:`~relucid.errors.ParameterError` where a parameter is an array.
    """
    given, numbers = symbols_of(activation)
    expression = textbook(trace(activation.definition or activation.formula, given))
    return SymbolicView(activation, expression, numbers, branches_of(expression, numbers))


def symbols_of(activation: Elementwise) -> tuple[dict[str, Expr], dict[Expr, float]]:
    """Return the formula's arguments as symbols, fixed ones as numbers, and their values."""
    given: dict[str, Expr] = {n: exact(v) for n, v in activation.fixed.items()}
    numbers: dict[Expr, float] = {}
    for name, value in activation.parameters.items():
        declared = activation.parameters_declared[name]
        if not isinstance(value, float):
            raise ParameterError(
                f"the symbolic view of {activation.name} needs a number for {name}, and it is an "
                f"array; pass {name}={declared.default:g}, for example"
            )
        given[name] = _symbol(name, declared)
        numbers[given[name]] = value
    return given, numbers


def _symbol(name: str, declared: Parameter) -> Expr:
    if declared.low > 0 or (declared.low == 0 and declared.open_low):
        return sympy.Symbol(name, positive=True)
    return sympy.Symbol(name, nonnegative=True if declared.low >= 0 else None, real=True)


def _cases(rows: list[tuple[Branch, Expr]]) -> str:
    if len(rows) == 1:
        return latex(rows[0][1])
    lines = (rf"{latex(e)} & \text{{for }} {latex(b.condition())}" for b, e in rows)
    return r"\begin{cases} " + r" \\ ".join(lines) + r" \end{cases}"
