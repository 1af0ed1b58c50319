"""Functions of a vector as formulas of one output, y_i, and one entry of the Jacobian."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sympy

from relucid.errors import DeclarationError
from relucid.functions.symbolic.atoms import Expr, exact
from relucid.functions.symbolic.words import SymbolicWords
from relucid.functions.vector import Vector

LENGTH, ROW, COLUMN, INDEX = sympy.symbols("n i j k", integer=True, positive=True)
INPUT, OUTPUT = sympy.IndexedBase("x"), sympy.IndexedBase("y")


class Block(sympy.Function):
    """The part of a vector from one index to another, both included."""

    nargs = 3


class largest(sympy.Function):
    """The largest entry of a part of a vector."""

    nargs = 1


class argmax(sympy.Function):
    """The index of the first largest entry of a part of a vector."""

    nargs = 1


class VectorWords(SymbolicWords):
    """The words, and those that speak of a whole vector. Indices count from 1."""

    def total(self, term: Callable[[Expr], Any]) -> Expr:
        """Return the sum of ``term(k)`` over all k."""
        return sympy.Sum(exact(term(INDEX)), (INDEX, 1, LENGTH))

    def delta(self, i: Any, j: Any) -> Expr:
        """1 where i = j, else 0."""
        return sympy.KroneckerDelta(i, j)

    def largest(self, x: Any, first: Any = 1, last: Any = LENGTH) -> Expr:
        """Return the largest of the entries from ``first`` to ``last``."""
        return largest(Block(x.args[0], exact(first), exact(last)))

    def argmax(self, x: Any, first: Any = 1, last: Any = LENGTH) -> Expr:
        """Return the index of the first of them that is largest."""
        return argmax(Block(x.args[0], exact(first), exact(last)))


def entry(activation: Vector) -> tuple[Expr, Expr]:
    """Return y_i in terms of x, and dy_i/dx_j in terms of x and y.

    Raises :class:`~relucid.errors.DeclarationError` where the declaration has none.
    """
    if activation.entry is None or activation.entry_derivative is None:
        raise DeclarationError(
            f"{activation.name} declares no formula of one entry; give entry=... and "
            "entry_derivative=... for its card"
        )
    words, parameters = VectorWords(), {n: exact(v) for n, v in activation.arguments.items()}
    value = activation.entry(words, INPUT, ROW, **parameters)
    slope = activation.entry_derivative(words, INPUT, OUTPUT, ROW, COLUMN, **parameters)
    return exact(value), exact(slope)


def evaluate(expression: Expr, x: list[float], y: list[float], i: int, j: int) -> float:
    """Return the number that an entry's formula gives for these vectors and 1-based indices."""
    known = {LENGTH: sympy.Integer(len(x)), ROW: sympy.Integer(i), COLUMN: sympy.Integer(j)}
    found = expression.subs(known).doit()
    found = found.replace(largest, lambda block: sympy.Float(max(_part(block, x))))
    found = found.replace(argmax, lambda block: _first_largest(block, x))
    values = {INPUT[k]: v for k, v in enumerate(x, 1)} | {OUTPUT[k]: v for k, v in enumerate(y, 1)}
    return float(found.subs(values))


def _part(block: Expr, x: list[float]) -> list[float]:
    _, first, last = block.args
    return x[int(first) - 1 : int(last)]


def _first_largest(block: Expr, x: list[float]) -> Expr:
    part = _part(block, x)
    return sympy.Integer(int(block.args[1]) + part.index(max(part)))
