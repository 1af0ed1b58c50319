"""Elements in memory and their vectors: loads, conversions and stores, under a mask at the end."""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from relucid.kernels.contract import Storage
from relucid.kernels.llvm.header import ALIGNED
from relucid.kernels.llvm.places import place
from relucid.kernels.llvm.values import declared

I8, I16, I32, I64 = (ir.IntType(n) for n in (8, 16, 32, 64))
_TYPES = {
    "float64": ir.DoubleType(),
    "float32": ir.FloatType(),
    "float16": ir.HalfType(),
    "bfloat16": I16,
}


class Elements:
    """Vectors of ``lanes`` elements stored as ``storage`` and computed in ``bits`` bits."""

    def __init__(self, storage: Storage, bits: int, lanes: int) -> None:
        self.storage, self.bits, self.lanes = storage, bits, lanes
        self.element = _TYPES[storage]
        self.vector = ir.VectorType(self.element, lanes)
        self.computed = self._of(ir.FloatType() if bits == 32 else ir.DoubleType())
        self.single = self._of(ir.FloatType())

    def _of(self, element: Any) -> ir.VectorType:
        return ir.VectorType(element, self.lanes)

    def load(self, builder: ir.IRBuilder, address: Any, at: Any, mask: Any) -> Any:
        """The elements from index ``at`` on, in the type of the computation."""
        spot = place(builder, address, at, self.element)
        if mask is None:
            raw = builder.load(spot, align=_bytes(self.vector), typ=self.vector)
        else:
            raw = self._masked_load(builder, spot, mask, self.vector)
        return self._widen(builder, raw)

    def store(
        self, builder: ir.IRBuilder, value: Any, address: Any, at: Any, mask: Any, stream: Any
    ) -> None:
        """Store a computed vector; past the caches where ``stream`` is not 0."""
        raw = self._narrow(builder, value)
        spot = place(builder, address, at, self.element)
        if mask is not None:
            self._masked_store(builder, raw, spot, mask)
            return
        streamed = builder.icmp_unsigned("!=", stream, I64(0))
        with builder.if_else(streamed) as (past_caches, ordinary):
            with past_caches:
                stored = builder.store(raw, spot, align=ALIGNED)
                hint = builder.module.add_metadata([I32(1)])
                stored.set_metadata("nontemporal", hint)
            with ordinary:
                builder.store(raw, spot, align=_bytes(self.vector))

    def load_bits(self, builder: ir.IRBuilder, address: Any, at: Any) -> Any:
        """One packed bit an element, as truth values."""
        kind = ir.IntType(self.lanes)
        spot = self._byte(builder, address, at)
        return builder.bitcast(builder.load(spot, align=1, typ=kind), self._of(ir.IntType(1)))

    def store_bits(
        self, builder: ir.IRBuilder, value: Any, address: Any, at: Any, mask: Any
    ) -> None:
        """Pack truth values; past the end of the elements the bits are 0."""
        if mask is not None:
            value = builder.and_(value, mask)
        packed = builder.bitcast(value, ir.IntType(self.lanes))
        builder.store(packed, self._byte(builder, address, at), align=1)

    def _byte(self, builder: ir.IRBuilder, address: Any, at: Any) -> Any:
        return place(builder, address, builder.lshr(at, I64(3)), I8)

    def load_numbers(self, builder: ir.IRBuilder, address: Any, at: Any, mask: Any) -> Any:
        """Neighbouring float64, of sums or parameters."""
        kind = self._of(ir.DoubleType())
        spot = place(builder, address, at, ir.DoubleType())
        if mask is None:
            return builder.load(spot, align=8, typ=kind)
        return self._masked_load(builder, spot, mask, kind)

    def store_numbers(
        self, builder: ir.IRBuilder, numbers: Any, address: Any, at: Any, mask: Any
    ) -> None:
        """Store neighbouring float64."""
        spot = place(builder, address, at, ir.DoubleType())
        if mask is None:
            builder.store(numbers, spot, align=8)
        else:
            self._masked_store(builder, numbers, spot, mask)

    def _masked_load(self, builder: ir.IRBuilder, spot: Any, mask: Any, kind: Any) -> Any:
        """Lanes past the end are 0, and what is computed of them is stored nowhere."""
        name = f"llvm.masked.load.{_suffix(kind)}.p0"
        function = declared(builder, name, kind, ir.PointerType(), I32, mask.type, kind)
        return builder.call(function, (spot, I32(_bytes(kind)), mask, ir.Constant(kind, 0)))

    def _masked_store(self, builder: ir.IRBuilder, raw: Any, spot: Any, mask: Any) -> None:
        name = f"llvm.masked.store.{_suffix(raw.type)}.p0"
        kinds = (raw.type, ir.PointerType(), I32, mask.type)
        function = declared(builder, name, ir.VoidType(), *kinds)
        builder.call(function, (raw, spot, I32(_bytes(raw.type)), mask))

    def _widen(self, builder: ir.IRBuilder, raw: Any) -> Any:
        if self.storage == "bfloat16":
            wide = builder.shl(builder.zext(raw, self._of(I32)), self._all(I32, 16))
            raw = builder.bitcast(wide, self.single)
        return raw if raw.type == self.computed else builder.fpext(raw, self.computed)

    def _narrow(self, builder: ir.IRBuilder, value: Any) -> Any:
        """Round once to the type in memory."""
        if value.type == self.vector:
            return value
        if self.storage == "float32":
            return builder.fptrunc(value, self.vector)
        if self.bits == 64:
            value = self._rounded_to_odd(builder, value)
        if self.storage == "float16":
            return builder.fptrunc(value, self.vector)
        return self._bfloat16(builder, value)

    def _rounded_to_odd(self, builder: ir.IRBuilder, value: Any) -> Any:
        """float32 with an odd last bit wherever it is inexact, so that the next rounding is right.

        No tie of a 16-bit type has an odd last bit in float32.
        """
        near = builder.fptrunc(value, self.single)
        back = builder.fpext(near, self.computed)
        pattern = builder.bitcast(near, self._of(I32))
        size = self._all(I32, 0x7FFFFFFF)
        inexact = builder.fcmp_ordered("!=", back, value)
        even = builder.icmp_unsigned(
            "==", builder.and_(pattern, self._all(I32, 1)), self._all(I32, 0)
        )
        finite = builder.icmp_unsigned("<", builder.and_(pattern, size), self._all(I32, 0x7F800000))
        outward = builder.fcmp_ordered(">", self._size(builder, back), self._size(builder, value))
        step = builder.select(outward, self._all(I32, 0xFFFFFFFF), self._all(I32, 1))
        wanted = builder.and_(builder.and_(inexact, even), finite)
        moved = builder.select(wanted, builder.add(pattern, step), pattern)
        return builder.bitcast(moved, self.single)

    def _size(self, builder: ir.IRBuilder, value: Any) -> Any:
        name = f"llvm.fabs.v{self.lanes}f64"
        return builder.call(declared(builder, name, self.computed, self.computed), (value,))

    def _bfloat16(self, builder: ir.IRBuilder, value: Any) -> Any:
        """The upper half of float32, rounded to even; the processor's own flushes subnormals."""
        pattern = builder.bitcast(value, self._of(I32))
        last = builder.and_(builder.lshr(pattern, self._all(I32, 16)), self._all(I32, 1))
        rounded = builder.add(builder.add(pattern, self._all(I32, 0x7FFF)), last)
        upper = builder.lshr(rounded, self._all(I32, 16))
        quiet = builder.or_(builder.lshr(pattern, self._all(I32, 16)), self._all(I32, 0x40))
        whole = builder.select(builder.fcmp_unordered("uno", value, value), quiet, upper)
        return builder.trunc(whole, self.vector)

    def _all(self, kind: Any, number: int) -> Any:
        return ir.Constant(self._of(kind), number)


def _bytes(vector: ir.VectorType) -> int:
    """Size of one element."""
    return _SIZES[str(vector.element)]


def _suffix(vector: ir.VectorType) -> str:
    """How LLVM names a vector type in an intrinsic: v16f32."""
    element = str(vector.element)
    return f"v{vector.count}{'i16' if element == 'i16' else f'f{8 * _SIZES[element]}'}"


_SIZES = {"double": 8, "float": 4, "half": 2, "i16": 2}
