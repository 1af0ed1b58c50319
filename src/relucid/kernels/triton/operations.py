"""The operations of a program, each as a line of Triton."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Sequence

from relucid.errors import KernelError
from relucid.kernels.program import Kind, Operand, Tape, Value, needed

_SIGNS = {
    "add": "+", "sub": "-", "mul": "*", "and": "&", "or": "|", "xor": "^", "shl": "<<",
    "lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "ne": "!=",
}  # fmt: skip


class Operations:
    """Writes what ``tape`` recorded as lines that assign to ``v0``, ``v1``, ...

    Every constant gets the type of the computation: Triton would take a number by its own rules,
    and a subnormal as float64. Products are fused with ``zero``, which is -0.0 and so changes
    nothing, but which the compiler cannot see: a plain product that is then added to something
    may be contracted to one rounding, which the programs do not allow. Triton has an option
    against that, and torch.compile (2.13) does not hand it on.
    """

    def __init__(self, tape: Tape) -> None:
        self.tape = tape
        self.float, self.int = f"tl.float{tape.bits}", f"tl.int{tape.bits}"

    def lines(
        self, wanted: Sequence[Operand], inputs: Sequence[str]
    ) -> tuple[list[str], list[str]]:
        """The lines that compute ``wanted``, and its names; input number i is called ``in{i}``."""
        names: dict[int, str] = {}
        lines: list[str] = []
        for value in needed(self.tape.values, wanted):
            if value.operation == "input":
                names[id(value)] = f"in{inputs.index(value.arguments[0])}"
                continue
            names[id(value)] = f"v{len(lines)}"
            lines.append(f"v{len(lines)} = {self._expression(value, names)}")
        return lines, [self._operand(operand, "float", names) for operand in wanted]

    def _expression(self, value: Value, names: dict[int, str]) -> str:
        operation, kind = value.operation, _kind_of_arguments(value)
        given = [self._operand(a, kind, names) for a in value.arguments]
        special = getattr(self, f"_{operation}", None)
        if special is not None and (operation != "mul" or kind == "float"):
            return str(special(*given))
        if operation not in _SIGNS:
            raise KernelError(f"the operation {operation!r} has no form in Triton")
        return f" {_SIGNS[operation]} ".join(given)

    def _operand(self, operand: Operand, kind: Kind, names: dict[int, str]) -> str:
        if isinstance(operand, Value):
            return names[id(operand)]
        if kind == "float":
            return self._number(float(operand))
        if kind == "int":
            return f"tl.full([], {_signed(int(operand), self.tape.bits)}, {self.int})"
        return f"tl.full([], {bool(operand)}, tl.int1)"

    def _number(self, number: float) -> str:
        if self.tape.bits == 32:
            number = ctypes.c_float(number).value
        if number == 0.0 and math.copysign(1.0, number) < 0.0:
            # Some versions of Triton take -0.0 for 0.0.
            return self._from_bits(f"tl.full([], {-(1 << (self.tape.bits - 1))}, {self.int})")
        text = repr(number) if math.isfinite(number) else f'float("{number}")'
        return f"tl.full([], {text}, {self.float})"

    def _mul(self, a: str, b: str) -> str:
        return f"tl.fma({a}, {b}, zero)"

    def _div(self, a: str, b: str) -> str:
        # Triton's / is an approximation in float32; div_rn exists for float32 alone.
        return f"tl.div_rn({a}, {b})" if self.tape.bits == 32 else f"{a} / {b}"

    def _sqrt(self, x: str) -> str:
        return f"tl.sqrt_rn({x})" if self.tape.bits == 32 else f"tl.sqrt({x})"

    def _fma(self, a: str, b: str, c: str) -> str:
        return f"tl.fma({a}, {b}, {c})"

    def _neg(self, x: str) -> str:
        return f"{x} * {self._number(-1.0)}"  # -x is 0 - x, and so 0 for 0, in some versions

    def _abs(self, x: str) -> str:
        return f"tl.abs({x})"

    def _not(self, x: str) -> str:
        return f"~{x}"

    def _where(self, condition: str, a: str, b: str) -> str:
        return f"tl.where({condition}, {a}, {b})"

    def _as_bits(self, x: str) -> str:
        return f"{x}.to({self.int}, bitcast=True)"

    def _from_bits(self, pattern: str) -> str:
        return f"{pattern}.to({self.float}, bitcast=True)"

    def _shr(self, pattern: str, count: str) -> str:
        """Zeros come in from the left only for unsigned integers."""
        unsigned = self.int.replace("int", "uint")
        shifted = f"({pattern}.to({unsigned}, bitcast=True) >> {count}.to({unsigned}))"
        return f"{shifted}.to({self.int}, bitcast=True)"


def _kind_of_arguments(value: Value) -> Kind:
    typed = value.arguments[1:] if value.operation == "where" else value.arguments
    kinds: list[Kind] = [a.kind for a in typed if isinstance(a, Value)]
    return kinds[0] if kinds else value.kind


def _signed(number: int, bits: int) -> int:
    """The signed integer that has the same bits."""
    half = 1 << (bits - 1)
    return (number + half) % (2 * half) - half
