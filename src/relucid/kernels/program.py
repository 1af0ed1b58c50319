"""The straight-line program that a formula becomes: one value an operation, no branches.

A formula is called with a recording ``m`` and with :class:`Value` in place of arrays; every
operation appends to a :class:`Tape`. Equal operations are recorded once. What comes out has no
loops, calls or branches, so that any compiler can turn it into one vector loop.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from relucid.errors import KernelError
from relucid.kernels import constants

Kind = Literal["float", "int", "bool"]

Operand = Any
"""A :class:`Value`, or a Python number that stands for a constant."""

_COMPARISONS = frozenset({"lt", "le", "gt", "ge", "eq", "ne"})


class Value:
    """The result of one operation on a tape; arithmetic with it records further ones."""

    __hash__ = object.__hash__
    __slots__ = ("arguments", "kind", "operation", "tape")

    def __init__(
        self, tape: Tape, operation: str, arguments: tuple[Operand, ...], kind: Kind
    ) -> None:
        self.tape, self.operation, self.arguments, self.kind = tape, operation, arguments, kind

    def __add__(self, other: Operand) -> Value:
        return self.tape.arithmetic("add", self, other)

    def __radd__(self, other: Operand) -> Value:
        return self.tape.arithmetic("add", other, self)

    def __sub__(self, other: Operand) -> Value:
        return self.tape.arithmetic("sub", self, other)

    def __rsub__(self, other: Operand) -> Value:
        return self.tape.arithmetic("sub", other, self)

    def __mul__(self, other: Operand) -> Any:
        return self.tape.product(self, other)

    def __rmul__(self, other: Operand) -> Any:
        return self.tape.product(self, other)

    def __truediv__(self, other: Operand) -> Any:
        return self.tape.quotient(self, other)

    def __rtruediv__(self, other: Operand) -> Any:
        return self.tape.quotient(other, self)

    def __neg__(self) -> Value:
        return self.tape.record("neg", self)

    def __pos__(self) -> Value:
        return self

    def __abs__(self) -> Value:
        return self.tape.record("abs", self)

    def __pow__(self, power: Operand) -> Any:
        return self.tape.power(self, power)

    def __lt__(self, other: Operand) -> Any:
        return self.tape.comparison("lt", self, other)

    def __le__(self, other: Operand) -> Any:
        return self.tape.comparison("le", self, other)

    def __gt__(self, other: Operand) -> Any:
        return self.tape.comparison("gt", self, other)

    def __ge__(self, other: Operand) -> Any:
        return self.tape.comparison("ge", self, other)

    def __eq__(self, other: object) -> Any:
        return self.tape.comparison("eq", self, other)

    def __ne__(self, other: object) -> Any:
        return self.tape.comparison("ne", self, other)

    def __and__(self, other: Operand) -> Any:
        return self.tape.logical("and", self, other)

    __rand__ = __and__

    def __or__(self, other: Operand) -> Any:
        return self.tape.logical("or", self, other)

    __ror__ = __or__

    def __xor__(self, other: Operand) -> Value:
        return self.tape.record("xor", self, other)

    def __invert__(self) -> Value:
        return self.tape.record("not", self)

    def __lshift__(self, count: int) -> Value:
        return self.tape.record("shl", self, count)

    def __rshift__(self, count: int) -> Value:
        """The logical shift: zeros come in from the left."""
        return self.tape.record("shr", self, count)

    def __bool__(self) -> bool:
        raise KernelError(
            "the formula asks whether a number is true (by if, and, or, not, min or max), which "
            "differs from element to element; write m.where, &, |, m.minimum or m.maximum"
        )

    def __float__(self) -> float:
        raise KernelError("the formula makes a Python number of an array; use the words of m")

    __int__ = __float__

    def __repr__(self) -> str:
        return f"<{self.kind} {self.operation}>"


@dataclass
class Tape:
    """All operations of one formula, in an order in which they can be computed.

    ``bits`` is the width of the arithmetic: 32 or 64, for floats and integers alike.
    """

    bits: int
    values: list[Value] = field(default_factory=list)
    _known: dict[tuple[Any, ...], Value] = field(default_factory=dict)

    def input(self, name: str) -> Value:
        """Return the number that a kernel reads under ``name``."""
        return self.record("input", name, kind="float")

    def record(self, operation: str, *arguments: Operand, kind: Kind | None = None) -> Value:
        """Return the value of an operation, recorded unless it was before."""
        key = (operation, *map(_identity, arguments))
        if key not in self._known:
            kind = kind or _kind(operation, arguments)
            value = Value(self, operation, arguments, kind)
            self._known[key] = value
            self.values.append(value)
        return self._known[key]

    def arithmetic(self, operation: str, a: Operand, b: Operand) -> Value:
        """A sum or difference; one with a constant adds what float32 cannot hold of it last."""
        a, b = self._number(a), self._number(b)
        if self._inexact(b):
            high, rest = constants.nearest(b)
            return self.record(operation, self.record(operation, a, high), rest)
        if self._inexact(a):
            high, rest = constants.nearest(a)
            return self.record("add", self.record(operation, high, b), rest)
        return self.record(operation, a, b)

    def product(self, a: Operand, b: Operand) -> Any:
        """A product; times 1 is no operation, and times a constant is rounded once.

        The rest of the constant has its sign, so that an infinite product stays one.
        """
        a, b = self._number(a), self._number(b)
        if _is_number(b) and b == 1.0:
            return a
        if _is_number(b) and b == -1.0:
            return -a
        if self._inexact(b):
            high, rest = constants.inward(b)
            return self.record("fma", a, high, self.record("mul", a, rest))
        return self.record("mul", a, b)

    def quotient(self, a: Operand, b: Operand) -> Any:
        """A quotient; by a power of two it is an exact product."""
        a, b = self._number(a), self._number(b)
        if _is_number(b) and math.frexp(abs(b))[0] == 0.5 and 1e-30 < abs(b) < 1e30:
            return self.product(a, 1.0 / b)
        if self._inexact(b):
            high, rest = constants.outward(b)
            near = self.record("div", a, high)
            return self.record("fma", near, -rest / high, near)
        return self.record("div", a, b)

    def power(self, base: Value, power: Operand) -> Any:
        """A whole power by repeated squaring, half powers with a root, negative ones inverted."""
        if not (_is_number(power) and 0.5 <= abs(power) <= 64 and 2 * power == int(2 * power)):
            raise KernelError(
                f"the formula takes the power {power!r}; whole powers and those halfway between "
                "are compiled, from 1/2 to 64, and their inverses"
            )
        if power < 0:
            return self.quotient(1.0, self.power(base, -power))
        if power != int(power):
            root = self.record("sqrt", base)
            return root if power == 0.5 else self.power(base, power - 0.5) * root
        if power == 1:
            return base
        half = self.power(base, int(power) // 2)
        return half * half * base if int(power) % 2 else half * half

    def comparison(self, operation: str, a: Operand, b: Operand) -> Any:
        """A truth value for each element, or one Python bool where it does not depend on it."""
        if operation == "gt" and _is_number(b) and b == math.inf:
            return False
        if self._inexact(b):
            if operation in ("eq", "ne"):
                return operation == "ne"
            b = constants.below(b) if operation in ("le", "gt") else constants.above(b)
        return self.record(operation, a, b)

    def _number(self, operand: Operand) -> Operand:
        """A truth value as 1 or 0."""
        truth = isinstance(operand, Value) and operand.kind == "bool"
        return self.choice(operand, 1.0, 0.0) if truth else operand

    def _inexact(self, operand: Operand) -> bool:
        """Whether an operand is a constant that this arithmetic cannot hold."""
        if self.bits == 64 or not isinstance(operand, float) or not 1e-30 < abs(operand) < 1e30:
            return False
        return constants.nearest(operand)[1] != 0.0

    def logical(self, operation: str, a: Value, b: Operand) -> Any:
        """``&`` or ``|`` of truth values, one of which may be a Python bool, or of integers."""
        if isinstance(b, bool):
            return (b if operation == "or" else a) if b else (a if operation == "or" else b)
        return self.record(operation, a, b)

    def choice(self, condition: Any, a: Operand, b: Operand) -> Any:
        """A where the condition holds, else b."""
        if isinstance(condition, bool):
            return a if condition else b
        plain = self.record("where", condition, a, b)
        a, b = self._under(condition, True, a), self._under(condition, False, b)
        if _identity(a) == _identity(b):
            return a
        lean = self.record("where", condition, a, b)
        # What both branches share may have become two things.
        return (
            lean if len(needed(self.values, [lean])) < len(needed(self.values, [plain])) else plain
        )

    def _under(self, condition: Value, truth: bool, result: Operand) -> Operand:
        """What gives the same as ``result`` where ``condition`` is known to be ``truth``.

        Choices by that condition are no operations then: of ``where(x > 0, x, f(min(x, 0)))``
        remains ``where(x > 0, x, f(x))``.
        """
        changed: dict[int, Operand] = {}
        for value in needed(self.values, [result]):
            given = [changed.get(id(a), a) for a in value.arguments]
            if value.operation == "where" and value.arguments[0] is condition:
                changed[id(value)] = given[1 if truth else 2]
            elif any(new is not old for new, old in zip(given, value.arguments, strict=True)):
                changed[id(value)] = self.record(value.operation, *given, kind=value.kind)
        return changed.get(id(result), result)


def needed(values: Iterable[Value], outputs: Iterable[Operand]) -> list[Value]:
    """Those of ``values`` on which ``outputs`` depend, in their order."""
    wanted = {id(v) for v in outputs if isinstance(v, Value)}
    kept = []
    for value in reversed(list(values)):
        if id(value) in wanted:
            kept.append(value)
            wanted.update(id(a) for a in value.arguments if isinstance(a, Value))
    return kept[::-1]


def _identity(operand: Operand) -> Any:
    """A key that tells -0.0 from 0.0 and 1 from 1.0 and True."""
    if isinstance(operand, Value):
        return id(operand)
    return (type(operand).__name__, repr(operand))


def _is_number(operand: Operand) -> bool:
    return isinstance(operand, float | int)


def _kind(operation: str, arguments: tuple[Operand, ...]) -> Kind:
    if operation in _COMPARISONS:
        return "bool"
    if operation == "as_bits":
        return "int"
    if operation == "from_bits":
        return "float"
    typed = arguments[1:] if operation == "where" else arguments
    kinds: list[Kind] = [a.kind for a in typed if isinstance(a, Value)]
    return kinds[0] if kinds else "float"
