"""The product that skips zeros, of inputs with a neuron-major matrix, as LLVM code.

y = bias + the sum of h_i row_i over those i where h_i is not 0. What is no number or infinite
counts as active, so it reaches y as it does in the dense product (of finite weights). All active
neurons are counted first: where they are too many, nothing else is done.

A unit of work is a vector of columns; every thread goes through all inputs itself.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from relucid.kernels.contract import Storage
from relucid.kernels.llvm.places import I64, counted, place, word
from relucid.kernels.llvm.products import (
    FLOAT,
    I8,
    I32,
    POINTER,
    VOID,
    Products,
    address_in,
    each,
    in_groups,
    smaller,
    zeros,
)
from relucid.kernels.llvm.products_header import SkippingHeader as Header
from relucid.kernels.llvm.values import Held, declared, splat

GROUPS = (8, 4, 1)
"""Rows that are added to the sums at once: as many as are left, the largest groups first."""


class Skipping(Products):
    """Writes the product that skips zeros."""

    def __init__(self, storage: Storage, key: str) -> None:
        super().__init__(storage, key)
        self.add = self.function("add", VOID, *[POINTER] * 4, *[I64] * 3)
        self._write_add()

    def write_units(self, function: ir.Function) -> None:
        """Write the product for the columns of some units."""
        builder = ir.IRBuilder(function.append_basic_block())
        words, first, last, me = function.args
        columns = word(builder, words, Header.columns)
        begin, end = (builder.mul(k, I64(self.lanes)) for k in (first, last))
        end = smaller(builder, end, columns)
        active = self._count(builder, words)
        builder.store(active, place(builder, address_in(builder, words, Header.results), me, I64))
        few = builder.icmp_unsigned("<=", active, word(builder, words, Header.limit))
        some = builder.icmp_unsigned("<", begin, end)
        with builder.if_then(builder.and_(few, some)):
            self._begin(builder, words, begin, end)
            self._chunks(builder, words, me, begin, end)
            if self.storage != "float32":
                self._finish(builder, words, begin, end)
        builder.ret_void()

    def _count(self, builder: ir.IRBuilder, words: Any) -> Any:
        """How many inputs are not 0."""
        tokens, neurons = (word(builder, words, k) for k in (Header.tokens, Header.neurons))
        inputs = address_in(builder, words, Header.inputs)
        total = Held(builder, I64(0))
        bits = ir.IntType(self.lanes)
        popcount = declared(builder, f"llvm.ctpop.i{self.lanes}", bits, bits)
        for offset, (mask,) in self.vectors(builder, builder.mul(tokens, neurons)):
            value = self.elements.load(builder, inputs, offset, mask)
            active = builder.fcmp_unordered("!=", value, zeros(FLOAT, self.lanes))
            number = builder.call(popcount, (builder.bitcast(active, bits),))
            total.set(builder.add(total.get(), builder.zext(number, I64)))
        return total.get()

    def _begin(self, builder: ir.IRBuilder, words: Any, begin: Any, end: Any) -> None:
        """Set the sums to the bias."""
        bias = place(builder, address_in(builder, words, Header.bias), begin, FLOAT)
        with each(builder, word(builder, words, Header.tokens)) as token:
            sums = self._sums(builder, words, token, begin)
            for offset, (mask,) in self.vectors(builder, builder.sub(end, begin)):
                value = self.floats.load(builder, bias, offset, mask)
                self.floats.store(builder, value, sums, offset, mask, I64(0))

    def _chunks(self, builder: ir.IRBuilder, words: Any, me: Any, begin: Any, end: Any) -> None:
        neurons, chunk = word(builder, words, Header.neurons), word(builder, words, Header.chunk)
        columns, weight = (
            word(builder, words, Header.columns),
            address_in(builder, words, Header.weight),
        )
        offset = builder.mul(me, word(builder, words, Header.stride))
        numbers, factors = (
            place(builder, address_in(builder, words, slot), offset, I8)
            for slot in (Header.numbers, Header.factors)
        )
        parts = builder.udiv(builder.add(neurons, builder.sub(chunk, I64(1))), chunk)
        with each(builder, parts) as part:
            first = builder.mul(part, chunk)
            last = smaller(builder, builder.add(first, chunk), neurons)
            with each(builder, word(builder, words, Header.tokens)) as token:
                count = self._listed(builder, words, token, first, last, numbers, factors)
                builder.call(self.add, (
                    place(builder, weight, begin, self.elements.element), numbers, factors,
                    self._sums(builder, words, token, begin),
                    count, columns, builder.sub(end, begin),
                ))  # fmt: skip

    def _listed(self, builder: ir.IRBuilder, words: Any, token: Any, first: Any, last: Any,
                numbers: Any, factors: Any) -> Any:  # fmt: skip
        """List the inputs of a chunk that are not 0."""
        begin = builder.mul(token, word(builder, words, Header.neurons))
        inputs = place(
            builder, address_in(builder, words, Header.inputs), begin, self.elements.element
        )
        count, zero = Held(builder, I64(0)), ir.Constant(FLOAT, 0.0)
        with counted(builder, first, last, 1) as neuron:
            value = builder.extract_element(self.single.load(builder, inputs, neuron, None), I32(0))
            builder.store(value, place(builder, factors, count.get(), FLOAT))
            active = builder.fcmp_unordered("!=", value, zero)
            count.set(self.append(builder, numbers, count.get(), neuron, active))
        return count.get()

    def _sums(self, builder: ir.IRBuilder, words: Any, token: Any, begin: Any) -> Any:
        at = builder.add(builder.mul(token, word(builder, words, Header.columns)), begin)
        return place(builder, address_in(builder, words, Header.sums), at, FLOAT)

    def _finish(self, builder: ir.IRBuilder, words: Any, begin: Any, end: Any) -> None:
        """Round the sums, once."""
        outputs = address_in(builder, words, Header.outputs)
        with each(builder, word(builder, words, Header.tokens)) as token:
            at = builder.add(builder.mul(token, word(builder, words, Header.columns)), begin)
            sums = self._sums(builder, words, token, begin)
            rounded = place(builder, outputs, at, self.elements.element)
            for offset, (mask,) in self.vectors(builder, builder.sub(end, begin)):
                value = self.floats.load(builder, sums, offset, mask)
                self.elements.store(builder, value, rounded, offset, mask, I64(0))

    def _write_add(self) -> None:
        """``add(weight, numbers, factors, sums, count, columns, size)``: add the rows of a list."""
        builder = ir.IRBuilder(self.add.append_basic_block())
        weight, numbers, factors, sums, count, columns, size = self.add.args
        for at, group in in_groups(builder, count, GROUPS):
            rows, weights = [], []
            for k in range(group):
                spot = builder.add(at, I64(k))
                number = builder.load(place(builder, numbers, spot, I32), typ=I32)
                factor = builder.load(place(builder, factors, spot, FLOAT), typ=FLOAT)
                row = builder.mul(builder.zext(number, I64), columns)
                rows.append(place(builder, weight, row, self.elements.element))
                weights.append(splat(builder, factor, self.lanes))
            for offset, (mask,) in self.vectors(builder, size):
                value = zeros(FLOAT, self.lanes)  # sums of a few first: fewer roundings in a row
                for row, factor in zip(rows, weights, strict=True):
                    left = self.elements.load(builder, row, offset, mask)
                    value = self.fma(builder, left, factor, value)
                whole = builder.fadd(self.floats.load(builder, sums, offset, mask), value)
                self.floats.store(builder, whole, sums, offset, mask, I64(0))
        builder.ret_void()
