"""The operations of a program, each as an LLVM instruction on vectors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from llvmlite import ir

from relucid.kernels.llvm.values import declared, splat
from relucid.kernels.program import Operand, Tape, Value, needed

_FLOAT = {"add": "fadd", "sub": "fsub", "mul": "fmul", "div": "fdiv", "neg": "fneg"}
_INTEGER = {
    "add": "add", "sub": "sub", "mul": "mul", "and": "and_", "or": "or_", "xor": "xor",
    "shl": "shl", "shr": "lshr",
}  # fmt: skip
_COMPARED = {"lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "ne": "!="}


class Operations:
    """Emits what ``tape`` recorded, on vectors of ``lanes`` numbers."""

    def __init__(self, tape: Tape, lanes: int) -> None:
        self.tape, self.lanes = tape, lanes
        self.float = ir.VectorType(ir.FloatType() if tape.bits == 32 else ir.DoubleType(), lanes)
        self.int = ir.VectorType(ir.IntType(tape.bits), lanes)
        self.bool = ir.VectorType(ir.IntType(1), lanes)

    def compute(
        self, builder: ir.IRBuilder, inputs: Mapping[str, Any], wanted: Sequence[Operand]
    ) -> list[Any]:
        """Emit what ``wanted`` needs and return it as vectors."""
        known: dict[int, Any] = {}
        for value in needed(self.tape.values, wanted):
            known[id(value)] = self._emit(builder, value, inputs, known)
        return [
            known[id(w)] if isinstance(w, Value) else self._constant(w, self.float) for w in wanted
        ]

    def splat(self, builder: ir.IRBuilder, number: Any) -> Any:
        """A vector of equal numbers."""
        return splat(builder, number, self.lanes)

    def _emit(
        self, builder: ir.IRBuilder, value: Value, inputs: Mapping[str, Any], known: dict[int, Any]
    ) -> Any:
        operation = value.operation
        if operation == "input":
            return inputs[value.arguments[0]]
        kind = self._type_of_arguments(value)
        given = [
            known[id(a)] if isinstance(a, Value) else self._constant(a, kind)
            for a in value.arguments
        ]
        special: Callable[..., Any] | None = getattr(self, f"_{operation}", None)
        if special is not None:
            return special(builder, *given)
        if operation in _COMPARED:
            return self._compare(builder, operation, kind, given)
        names = _FLOAT if kind is self.float else _INTEGER
        return getattr(builder, names[operation])(*given)

    def _type_of_arguments(self, value: Value) -> ir.Type:
        typed = value.arguments[1:] if value.operation == "where" else value.arguments
        kinds = [a.kind for a in typed if isinstance(a, Value)] or ["float"]
        return {"float": self.float, "int": self.int, "bool": self.bool}[kinds[0]]

    def _constant(self, number: float | int, kind: ir.VectorType) -> Any:
        exact = number if kind is not self.float else float(number)
        return ir.Constant(kind, exact)

    def _compare(self, builder: ir.IRBuilder, operation: str, kind: Any, given: list[Any]) -> Any:
        sign = _COMPARED[operation]
        if kind is not self.float:
            return builder.icmp_signed(sign, *given)
        if operation == "ne":  # NaN differs from itself
            return builder.fcmp_unordered(sign, *given)
        return builder.fcmp_ordered(sign, *given)

    def _intrinsic(self, builder: ir.IRBuilder, name: str, *given: Any) -> Any:
        full = f"llvm.{name}.v{self.lanes}f{self.tape.bits}"
        function = declared(builder, full, self.float, *[self.float] * len(given))
        return builder.call(function, given)

    def _fma(self, builder: ir.IRBuilder, a: Any, b: Any, c: Any) -> Any:
        return self._intrinsic(builder, "fma", a, b, c)

    def _sqrt(self, builder: ir.IRBuilder, x: Any) -> Any:
        return self._intrinsic(builder, "sqrt", x)

    def _abs(self, builder: ir.IRBuilder, x: Any) -> Any:
        return self._intrinsic(builder, "fabs", x)

    def _not(self, builder: ir.IRBuilder, x: Any) -> Any:
        return builder.not_(x)

    def _where(self, builder: ir.IRBuilder, condition: Any, a: Any, b: Any) -> Any:
        return builder.select(condition, a, b)

    def _as_bits(self, builder: ir.IRBuilder, x: Any) -> Any:
        return builder.bitcast(x, self.int)

    def _from_bits(self, builder: ir.IRBuilder, pattern: Any) -> Any:
        return builder.bitcast(pattern, self.float)
