"""Values in LLVM code: what loops change, vectors, and LLVM's own functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir

from relucid.kernels.llvm.places import I32


def declared(builder: ir.IRBuilder, name: str, result: Any, *kinds: Any) -> ir.Function:
    """One of LLVM's own functions, in the module that is written."""
    found = builder.module.globals.get(name)
    return found or ir.Function(builder.module, ir.FunctionType(result, kinds), name=name)


class Held:
    """A number or vector that loops change: kept on the stack, which LLVM puts into registers."""

    def __init__(self, builder: ir.IRBuilder, start: Any) -> None:
        with builder.goto_entry_block():
            self._spot = builder.alloca(start.type)
        self._builder, self._kind = builder, start.type
        self.set(start)

    def get(self) -> Any:
        """The present value."""
        return self._builder.load(self._spot, typ=self._kind)

    def set(self, value: Any) -> None:
        """Replace it."""
        self._builder.store(value, self._spot)


def splat(builder: ir.IRBuilder, number: Any, lanes: int) -> Any:
    """The number in all lanes."""
    kind = ir.VectorType(number.type, lanes)
    single = builder.insert_element(ir.Constant(kind, ir.Undefined), number, I32(0))
    picks = ir.Constant(ir.VectorType(I32, lanes), 0)
    return builder.shuffle_vector(single, ir.Constant(kind, ir.Undefined), picks)


def picked(builder: ir.IRBuilder, vector: Any, lanes: Sequence[int]) -> Any:
    """Some lanes of a vector."""
    picks = ir.Constant(ir.VectorType(I32, len(lanes)), list(lanes))
    return builder.shuffle_vector(vector, ir.Constant(vector.type, ir.Undefined), picks)


def folded(builder: ir.IRBuilder, vector: Any, join: Callable[[Any, Any], Any]) -> Any:
    """All lanes joined to one number, in halves: one order whatever the length."""
    while vector.type.count > 1:
        half = vector.type.count // 2
        vector = join(
            picked(builder, vector, range(half)), picked(builder, vector, range(half, 2 * half))
        )
    return builder.extract_element(vector, I32(0))
