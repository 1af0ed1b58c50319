"""Groups of 64 numbers in LLVM code: their registers, their bits, and their memory."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from llvmlite import ir

from relucid.kernels.llvm.packing_header import GROUP
from relucid.kernels.llvm.places import I32, I64, counted, place
from relucid.kernels.llvm.values import declared, splat

I1, POINTER = ir.IntType(1), ir.PointerType()


class Groups:
    """Emits code on groups of numbers of ``bits`` bits, ``lanes`` of which are a register."""

    def __init__(self, bits: int, lanes: int) -> None:
        self.bits, self.lanes = bits, lanes
        self.number = ir.IntType(bits)
        self.vector = ir.VectorType(self.number, lanes)
        self.truths = ir.VectorType(I1, lanes)
        self.some = ir.IntType(lanes)

    def groups(self, builder: ir.IRBuilder, begin: Any, end: Any) -> Iterable[tuple[Any, Any]]:
        """Yields, for the code of each: the start in a loop of whole groups, then of the rest."""
        size = builder.sub(end, begin)
        whole = builder.add(begin, builder.and_(size, I64(-GROUP)))
        with counted(builder, begin, whole, GROUP) as group:
            yield group, None
        rest = builder.and_(size, I64(GROUP - 1))
        with builder.if_then(builder.icmp_unsigned("!=", rest, I64(0))):
            yield whole, rest

    def parts(self, builder: ir.IRBuilder, rest: Any) -> Iterable[tuple[int, Any]]:
        """For each register of a group: its place, and which lanes are before the end."""
        for part in range(0, GROUP, self.lanes):
            if rest is None:
                yield part, None
                continue
            kind = ir.VectorType(I64, self.lanes)
            places = ir.Constant(kind, [part + lane for lane in range(self.lanes)])
            yield part, builder.icmp_unsigned("<", places, splat(builder, rest, self.lanes))

    def set_bits(self, builder: ir.IRBuilder, bits: Any) -> Iterable[Any]:
        """Yields, for the code of a loop, the index of each bit that is set."""
        before = builder.block
        head, body, after = (builder.append_basic_block() for _ in range(3))
        builder.branch(head)
        builder.position_at_end(head)
        left = builder.phi(I64)
        left.add_incoming(bits, before)
        builder.cbranch(builder.icmp_unsigned("!=", left, I64(0)), body, after)
        builder.position_at_end(body)
        yield builder.cttz(left, I1(True))
        left.add_incoming(builder.and_(left, builder.sub(left, I64(1))), builder.block)
        builder.branch(head)
        builder.position_at_end(after)

    def mask(self, builder: ir.IRBuilder, mask: Any, group: Any) -> Any:
        """The address of a group's word."""
        return place(builder, mask, builder.lshr(group, I64(6)), I64)

    def as_bits(self, builder: ir.IRBuilder, truths: Any, part: int) -> Any:
        """Truth values as bits of a group's word, at the place of a part."""
        bits = builder.bitcast(truths, self.some)
        wide = bits if self.lanes == GROUP else builder.zext(bits, I64)
        return builder.shl(wide, I64(part))

    def part_of(self, builder: ir.IRBuilder, bits: Any, part: int) -> Any:
        """The bits of a part, out of its group's word."""
        moved = builder.lshr(bits, I64(part))
        return moved if self.lanes == GROUP else builder.trunc(moved, self.some)

    def first(self, builder: ir.IRBuilder, count: Any) -> Any:
        """The truth values of which the first ``count`` hold."""
        wide = count if self.lanes == GROUP else builder.zext(count, I64)
        ones = builder.lshr(I64(-1), builder.sub(I64(GROUP), wide))  # undefined for none
        some = builder.select(builder.icmp_unsigned("==", wide, I64(0)), I64(0), ones)
        narrow = some if self.lanes == GROUP else builder.trunc(some, self.some)
        return builder.bitcast(narrow, self.truths)

    @property
    def suffix(self) -> str:
        """How LLVM names the vector in an intrinsic."""
        return f"v{self.lanes}i{self.bits}"

    def splat(self, number: int) -> Any:
        """A vector of equal numbers."""
        return ir.Constant(self.vector, [number] * self.lanes)

    def load(self, builder: ir.IRBuilder, address: Any, at: Any, inside: Any) -> Any:
        """A register's numbers; 0 for those that are not ``inside``."""
        spot = place(builder, address, at, self.number)
        if inside is None:
            return builder.load(spot, align=1, typ=self.vector)
        name = f"llvm.masked.load.{self.suffix}.p0"
        load = declared(builder, name, self.vector, POINTER, I32, self.truths, self.vector)
        return builder.call(load, (spot, I32(1), inside, self.splat(0)))

    def store(self, builder: ir.IRBuilder, x: Any, address: Any, at: Any, inside: Any) -> None:
        """Store a register's numbers, those that are ``inside``."""
        spot = place(builder, address, at, self.number)
        if inside is None:
            builder.store(x, spot, align=1)
        else:
            self.masked_store(builder, x, spot, inside)

    def masked_store(self, builder: ir.IRBuilder, x: Any, spot: Any, truths: Any) -> None:
        """Store the numbers for which the truth values hold."""
        name = f"llvm.masked.store.{self.suffix}.p0"
        store = declared(builder, name, ir.VoidType(), self.vector, POINTER, I32, self.truths)
        builder.call(store, (x, spot, I32(1), truths))
