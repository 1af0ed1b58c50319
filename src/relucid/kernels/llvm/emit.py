"""A :class:`~relucid.kernels.contract.Loop` as LLVM code on vectors.

Vectors are written out as such, so nothing is left to a vectoriser, and the tail of a row runs
the same operations under a mask: an element's bits cannot depend on its place.

The compiled functions take one pointer to 8-byte words: :class:`Header`, then the addresses of
:attr:`Loop.addresses`, then the strides from row to row of the arrays and outputs.
``whole_KEY(words)`` does all rows; ``share_KEY(words)`` those of the calling OpenMP thread.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

from llvmlite import ir

from relucid.kernels.contract import Loop
from relucid.kernels.llvm.elements import Elements
from relucid.kernels.llvm.header import HEADER, Header
from relucid.kernels.llvm.operations import Operations
from relucid.kernels.llvm.places import counted, own_share, place, word

I1, I8, I32, I64 = (ir.IntType(n) for n in (1, 8, 32, 64))
POINTER, DOUBLE = ir.PointerType(), ir.DoubleType()


@dataclass
class _Given:
    """The words that a compiled function was called with."""

    length: Any
    row: Any
    channels: Any
    stream: Any
    strides: list[Any]
    """From one row to the next, of each array and then of each output."""
    arrays: list[Any]
    masks: list[Any]
    parameters: list[Any]
    outputs: list[Any]
    mask_outputs: list[Any]
    sums: list[Any]
    flags: list[Any]

    def starting(self, builder: ir.IRBuilder, row: Any, element: ir.Type) -> _Given:
        """The same with arrays and outputs that start at ``row``."""
        moved = [
            place(builder, address, builder.mul(row, stride), element)
            for address, stride in zip((*self.arrays, *self.outputs), self.strides, strict=True)
        ]
        count = len(self.arrays)
        return replace(self, arrays=moved[:count], outputs=moved[count:])


@dataclass
class _Run:
    """What is common to the vectors of a row, or of a column: parameters and running totals."""

    parameters: Sequence[Any]
    totals: Sequence[Any]
    flags: Sequence[Any]


class Emitter:
    """Writes one module, whose functions have ``key`` in their names."""

    def __init__(self, loop: Loop, lanes: int, key: str) -> None:
        self.loop, self.lanes, self.key = loop, lanes, key
        self.module = ir.Module(name=loop.name)
        self.elements = Elements(loop.storage, loop.tape.bits, lanes)
        self.operations = Operations(loop.tape, lanes)
        self.numbers = ir.VectorType(DOUBLE, lanes)
        self.truths = ir.VectorType(I1, lanes)

    def emit(self) -> str:
        """Return the text of the module."""
        part = self._rows() if self.loop.layout == "rows" else self._columns()
        self._entry("whole", part, shared=False)
        self._entry("share", part, shared=True)
        return str(self.module)

    def _function(self, name: str, *types: Any) -> tuple[ir.Function, ir.IRBuilder]:
        kind = ir.FunctionType(ir.VoidType(), types)
        function = ir.Function(self.module, kind, name=f"{name}_{self.key}")
        return function, ir.IRBuilder(function.append_basic_block())

    def _entry(self, name: str, part: ir.Function, shared: bool) -> None:
        """A function that runs ``part`` from the first to the last row or block."""
        function, builder = self._function(name, POINTER)
        (words,) = function.args
        per_row = word(builder, words, Header.row)
        parts = _quotient_up(builder, word(builder, words, Header.length), per_row)
        if self.loop.layout == "columns":
            parts = _quotient_up(builder, parts, word(builder, words, Header.block))
        first, last = I64(0), parts
        if shared:
            asked = Header.thread, Header.threads
            first, last, _ = own_share(builder, words, parts, asked)
        builder.call(part, (words, first, last))
        builder.ret_void()

    def _given(self, builder: ir.IRBuilder, words: Any) -> _Given:
        length, row, channels, stream = (word(builder, words, slot) for slot in range(4))
        slots = count(HEADER)
        groups = [
            [builder.inttoptr(word(builder, words, next(slots)), POINTER) for _ in group]
            for group in self.loop.addresses
        ]
        streamed = (*self.loop.arrays, *self.loop.outputs)
        strides = [word(builder, words, next(slots)) for _ in streamed]
        return _Given(length, row, channels, stream, strides, *groups)

    def _rows(self) -> ir.Function:
        """``rows(words, first, last)``: the rows from first up to but not including last."""
        function, builder = self._function("rows", POINTER, I64, I64)
        words, first, last = function.args
        given = self._given(builder, words)
        with counted(builder, first, last, 1) as row:
            begin = builder.mul(row, given.row)
            size = _smaller(builder, builder.sub(given.length, begin), given.row)
            channel = builder.urem(row, given.channels)
            parameters = [self._one(builder, p, channel) for p in given.parameters]
            run = self._started(builder, parameters)
            here = given.starting(builder, row, self.elements.element)
            for offset, mask in self._vectors(builder, size):
                self._vector(builder, here, offset, builder.add(begin, offset), run, mask)
            for address, total in zip(given.sums, run.totals, strict=True):
                added = _added(builder, builder.load(total, typ=self.numbers), self.lanes)
                builder.store(added, place(builder, address, row, DOUBLE))
            for address, flag in zip(given.flags, run.flags, strict=True):
                bits = builder.bitcast(builder.load(flag, typ=self.truths), ir.IntType(self.lanes))
                any_set = builder.icmp_unsigned("!=", bits, bits.type(0))
                builder.store(builder.zext(any_set, I8), place(builder, address, row, I8))
        builder.ret_void()
        return function

    def _columns(self) -> ir.Function:
        """``columns(words, first, last)``: the blocks of rows from first to before last."""
        function, builder = self._function("columns", POINTER, I64, I64)
        words, first, last = function.args
        given = self._given(builder, words)
        rows, many = builder.udiv(given.length, given.row), word(builder, words, Header.block)
        with counted(builder, first, last, 1) as block:
            top = builder.mul(block, many)
            bottom = _smaller(builder, rows, builder.add(top, many))
            for column, mask in self._vectors(builder, given.row):
                parameters = [self._many(builder, p, column, mask) for p in given.parameters]
                run = self._started(builder, parameters)
                with counted(builder, top, bottom, 1) as row:
                    here = given.starting(builder, row, self.elements.element)
                    self._vector(builder, here, column, None, run, mask)
                at = builder.add(builder.mul(block, given.row), column)
                for address, total in zip(given.sums, run.totals, strict=True):
                    added = builder.load(total, typ=self.numbers)
                    self.elements.store_numbers(builder, added, address, at, mask)
        builder.ret_void()
        return function

    def _vectors(self, builder: ir.IRBuilder, size: Any) -> Iterable[tuple[Any, Any]]:
        """Yields, for the code of each: the offset in a loop of whole vectors, then of the rest."""
        whole = builder.and_(size, I64(-self.lanes))
        with counted(builder, I64(0), whole, self.lanes) as offset:
            yield offset, None
        rest = builder.sub(size, whole)
        with builder.if_then(builder.icmp_unsigned("!=", rest, I64(0))):
            places = ir.Constant(ir.VectorType(I64, self.lanes), list(range(self.lanes)))
            yield whole, builder.icmp_unsigned("<", places, self.operations.splat(builder, rest))

    def _started(self, builder: ir.IRBuilder, parameters: Sequence[Any]) -> _Run:
        totals = [self._cleared(builder, self.numbers, 0.0) for _ in self.loop.sums]
        flags = [self._cleared(builder, self.truths, False) for _ in self.loop.flags]
        return _Run(parameters, totals, flags)

    def _cleared(self, builder: ir.IRBuilder, kind: ir.VectorType, zero: Any) -> Any:
        with builder.goto_entry_block():
            total = builder.alloca(kind)
        builder.store(ir.Constant(kind, zero), total)
        return total

    def _vector(
        self, builder: ir.IRBuilder, given: _Given, at: Any, bit: Any, run: _Run, mask: Any
    ) -> None:
        """One vector: the elements of a row from ``at`` on, and the packed bits from ``bit``."""
        loop, elements = self.loop, self.elements
        inputs = dict(zip(loop.parameters, run.parameters, strict=True))
        for name, address in zip(loop.arrays, given.arrays, strict=True):
            inputs[name] = elements.load(builder, address, at, mask)
        for name, address in zip(loop.masks, given.masks, strict=True):
            inputs[name] = elements.load_bits(builder, address, bit)
        results = iter(self.operations.compute(builder, inputs, loop.results))
        for address in given.outputs:
            elements.store(builder, next(results), address, at, mask, given.stream)
        for address in given.mask_outputs:
            elements.store_bits(builder, next(results), address, bit, mask)
        for total in run.totals:
            self._add(builder, total, next(results), mask)
        for flag in run.flags:
            found = next(results) if mask is None else builder.and_(next(results), mask)
            builder.store(builder.or_(builder.load(flag, typ=self.truths), found), flag)

    def _add(self, builder: ir.IRBuilder, total: Any, value: Any, mask: Any) -> None:
        wide = value if value.type == self.numbers else builder.fpext(value, self.numbers)
        if mask is not None:
            wide = builder.select(mask, wide, ir.Constant(self.numbers, 0.0))
        builder.store(builder.fadd(builder.load(total, typ=self.numbers), wide), total)

    def _one(self, builder: ir.IRBuilder, address: Any, channel: Any) -> Any:
        """The parameter of one channel in all lanes."""
        number = builder.load(place(builder, address, channel, DOUBLE), typ=DOUBLE)
        if self.loop.tape.bits == 32:
            number = builder.fptrunc(number, ir.FloatType())
        return self.operations.splat(builder, number)

    def _many(self, builder: ir.IRBuilder, address: Any, column: Any, mask: Any) -> Any:
        """The parameters of neighbouring columns."""
        numbers = self.elements.load_numbers(builder, address, column, mask)
        return (
            numbers
            if self.loop.tape.bits == 64
            else builder.fptrunc(numbers, self.operations.float)
        )


def _quotient_up(builder: ir.IRBuilder, a: Any, b: Any) -> Any:
    return builder.udiv(builder.add(a, builder.sub(b, I64(1))), b)


def _smaller(builder: ir.IRBuilder, a: Any, b: Any) -> Any:
    return builder.select(builder.icmp_unsigned("<", a, b), a, b)


def _added(builder: ir.IRBuilder, vector: Any, lanes: int) -> Any:
    """The sum of the lanes, in halves: one order whatever the length."""
    parts = [builder.extract_element(vector, I32(k)) for k in range(lanes)]
    while len(parts) > 1:
        half = len(parts) // 2
        parts = [builder.fadd(a, b) for a, b in zip(parts[:half], parts[half:], strict=True)]
    return parts[0]
