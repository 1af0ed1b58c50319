"""Loops that pack numbers: one bit for each that says whether it is zero, and those that are not.

A number is an unsigned integer of 8, 16, 32 or 64 bits, zero where all its bits are 0: -0.0 is
not, and comes back. Numbers are taken in groups of 64, whose bits are one word of the mask, and
in blocks of :data:`BLOCK`, of which each knows where its values begin: so several threads work.

- ``scan``: source to mask; per block the count of nonzeros, and the OR and AND of their bits.
- ``gather``: source, mask, starts to values.
- ``scatter``: mask, starts, values to target.
- ``fill``: mask and one value to target.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir

from relucid.kernels.llvm.packing_groups import Groups
from relucid.kernels.llvm.packing_header import BLOCK, GROUP, Header, Operation
from relucid.kernels.llvm.places import I64, counted, own_share, place, word
from relucid.kernels.llvm.values import Held, declared, folded, splat

POINTER = ir.PointerType()


class Emitter:
    """Writes the module of one operation, whose functions have ``key`` in their names.

    ``lanes`` numbers fit in a register. ``moves`` says whether the processor has instructions
    that move the lanes of a register together, and apart (AVX-512; for 8 and 16 bits VBMI2);
    elsewhere the bits of a word are gone through one by one, without a branch for each number.
    """

    def __init__(self, operation: Operation, bits: int, lanes: int, moves: bool, key: str) -> None:
        self.operation, self.moves, self.key = operation, moves, key
        self.module = ir.Module(name=f"packing_{operation}_{bits}")
        self.numbers = Groups(bits, lanes)

    def emit(self) -> str:
        """Return the text of the module."""
        blocks = self._blocks(getattr(self, f"_{self.operation}"))
        self._entry("whole", blocks, shared=False)
        self._entry("share", blocks, shared=True)
        return str(self.module)

    def _function(self, name: str, *types: Any) -> tuple[ir.Function, ir.IRBuilder]:
        kind = ir.FunctionType(ir.VoidType(), types)
        function = ir.Function(self.module, kind, name=f"{name}_{self.key}")
        return function, ir.IRBuilder(function.append_basic_block())

    def _entry(self, name: str, blocks: ir.Function, shared: bool) -> None:
        """A function that runs all blocks, or those of the calling OpenMP thread."""
        function, builder = self._function(name, POINTER)
        (words,) = function.args
        length = word(builder, words, Header.length)
        many = builder.udiv(builder.add(length, I64(BLOCK - 1)), I64(BLOCK))
        first, last = I64(0), many
        if shared:
            asked = Header.thread, Header.threads
            first, last, _ = own_share(builder, words, many, asked)
        builder.call(blocks, (words, first, last))
        builder.ret_void()

    def _blocks(self, body: Callable[..., None]) -> ir.Function:
        """``blocks(words, first, last)``: the blocks from first to before last."""
        function, builder = self._function("blocks", POINTER, I64, I64)
        words, first, last = function.args
        length = word(builder, words, Header.length)
        with counted(builder, first, last, 1) as block:
            begin = builder.mul(block, I64(BLOCK))
            end = builder.add(begin, I64(BLOCK))
            end = builder.select(builder.icmp_unsigned("<", end, length), end, length)
            body(builder, words, block, begin, end)
        builder.ret_void()
        return function

    def _addresses(self, builder: ir.IRBuilder, words: Any, count: int) -> list[Any]:
        slots = range(len(Header), len(Header) + count)
        return [builder.inttoptr(word(builder, words, slot), POINTER) for slot in slots]

    # The four operations on a block.

    def _scan(self, builder: ir.IRBuilder, words: Any, block: Any, begin: Any, end: Any) -> None:
        source, mask, counts, ors, ands = self._addresses(builder, words, 5)
        nothing, all_set = self.numbers.splat(0), self.numbers.splat(-1)
        count, union, common = (Held(builder, start) for start in (I64(0), nothing, all_set))
        for group, rest in self.numbers.groups(builder, begin, end):
            bits: Any = I64(0)
            for part, inside in self.numbers.parts(builder, rest):
                x = self.numbers.load(builder, source, builder.add(group, I64(part)), inside)
                there = builder.icmp_unsigned("!=", x, nothing)
                bits = builder.or_(bits, self.numbers.as_bits(builder, there, part))
                union.set(builder.or_(union.get(), x))
                common.set(builder.and_(common.get(), builder.select(there, x, all_set)))
            builder.store(bits, self.numbers.mask(builder, mask, group), align=8)
            count.set(builder.add(count.get(), builder.ctpop(bits)))
        builder.store(count.get(), place(builder, counts, block, I64))
        for total, address, join in ((union, ors, builder.or_), (common, ands, builder.and_)):
            joined = folded(builder, total.get(), join)
            wide = joined if self.numbers.bits == 64 else builder.zext(joined, I64)
            builder.store(wide, place(builder, address, block, I64))

    def _gather(self, builder: ir.IRBuilder, words: Any, block: Any, begin: Any, end: Any) -> None:
        source, mask, starts, values = self._addresses(builder, words, 4)
        at = Held(builder, builder.load(place(builder, starts, block, I64), typ=I64))
        after = builder.add(block, I64(1))
        stop = builder.load(place(builder, starts, after, I64), typ=I64)
        for group, rest in self.numbers.groups(builder, begin, end):
            bits = builder.load(self.numbers.mask(builder, mask, group), typ=I64)
            if not self.moves:
                for index in self.numbers.set_bits(builder, bits):
                    here = place(builder, source, builder.add(group, index), self.numbers.number)
                    there = place(builder, values, at.get(), self.numbers.number)
                    builder.store(builder.load(here, align=1, typ=self.numbers.number), there)
                    at.set(builder.add(at.get(), I64(1)))
                continue
            # A whole register is stored, what is behind the last value too: as long as that is
            # this block's own memory. The next block's may be another thread's.
            roomy = builder.icmp_unsigned("<=", builder.add(at.get(), I64(GROUP)), stop)
            with builder.if_else(roomy) as (inside_block, at_its_end):
                for exactly, place_of in ((False, inside_block), (True, at_its_end)):
                    with place_of:
                        self._gather_group(builder, source, values, group, rest, bits, at, exactly)

    def _gather_group(
        self, builder: ir.IRBuilder, source: Any, values: Any, group: Any, rest: Any, bits: Any,
        at: Held, exactly: bool,
    ) -> None:  # fmt: skip
        for part, inside in self.numbers.parts(builder, rest):
            some = self.numbers.part_of(builder, bits, part)
            x = self.numbers.load(builder, source, builder.add(group, I64(part)), inside)
            name = f"llvm.x86.avx512.mask.compress.{self.numbers.suffix}"
            vector, truths = self.numbers.vector, self.numbers.truths
            compress = declared(builder, name, vector, vector, vector, truths)
            together = builder.call(
                compress, (x, self.numbers.splat(0), builder.bitcast(some, truths))
            )
            count = builder.ctpop(some)
            spot = place(builder, values, at.get(), self.numbers.number)
            if exactly:
                self.numbers.masked_store(
                    builder, together, spot, self.numbers.first(builder, count)
                )
            else:
                builder.store(together, spot, align=1)
            wide = count if self.numbers.lanes == 64 else builder.zext(count, I64)
            at.set(builder.add(at.get(), wide))

    def _scatter(self, builder: ir.IRBuilder, words: Any, block: Any, begin: Any, end: Any) -> None:
        mask, starts, values, target = self._addresses(builder, words, 4)
        at = Held(builder, builder.load(place(builder, starts, block, I64), typ=I64))
        for group, rest in self.numbers.groups(builder, begin, end):
            bits = builder.load(self.numbers.mask(builder, mask, group), typ=I64)
            for part, inside in self.numbers.parts(builder, rest):
                x = self.numbers.splat(0)
                if self.moves:
                    some = self.numbers.part_of(builder, bits, part)
                    spot = place(builder, values, at.get(), self.numbers.number)
                    name = f"llvm.masked.expandload.{self.numbers.suffix}"
                    vector, truths = self.numbers.vector, self.numbers.truths
                    expand = declared(builder, name, vector, POINTER, truths, vector)
                    there = builder.bitcast(some, truths)
                    x = builder.call(expand, (spot, there, self.numbers.splat(0)))
                    count = builder.ctpop(some)
                    wide = count if self.numbers.lanes == 64 else builder.zext(count, I64)
                    at.set(builder.add(at.get(), wide))
                self.numbers.store(builder, x, target, builder.add(group, I64(part)), inside)
            if not self.moves:
                for index in self.numbers.set_bits(builder, bits):
                    here = place(builder, values, at.get(), self.numbers.number)
                    there = place(builder, target, builder.add(group, index), self.numbers.number)
                    builder.store(builder.load(here, align=1, typ=self.numbers.number), there)
                    at.set(builder.add(at.get(), I64(1)))

    def _fill(self, builder: ir.IRBuilder, words: Any, block: Any, begin: Any, end: Any) -> None:
        mask, value, target = self._addresses(builder, words, 3)
        number = builder.load(value, typ=self.numbers.number)
        everywhere = splat(builder, number, self.numbers.lanes)
        for group, rest in self.numbers.groups(builder, begin, end):
            bits = builder.load(self.numbers.mask(builder, mask, group), typ=I64)
            for part, inside in self.numbers.parts(builder, rest):
                truths = builder.bitcast(
                    self.numbers.part_of(builder, bits, part), self.numbers.truths
                )
                x = builder.select(truths, everywhere, self.numbers.splat(0))
                self.numbers.store(builder, x, target, builder.add(group, I64(part)), inside)
