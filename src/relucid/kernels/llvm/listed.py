"""The product of only those rows of a matrix that are wanted, as LLVM code.

Which ones: those that are not certified (:class:`Certified`), or those of which another product
is above a level (:class:`Selected`). The others give 0.

**The certificate.** A row w has a shadow of 8-bit numbers q and a scale s; the input x is rounded
to 16-bit numbers t with a scale r. Then, exactly,

    w·x = s r q·t + (w - s q)·x + s q·(x - r t),

and by Cauchy-Schwarz the last two are at most ‖w - s q‖ ‖x‖ + ‖s q‖ ‖x - r t‖. q·t is a whole
number that is computed exactly. The rest is computed in float64 with bounds that are rounded up;
they also cover all that float32 can do to the dense product, in any order of summation
(:mod:`relucid.sparse.shadow` computes them). So a row that is certified is at or below the level
in exact arithmetic, and in the dense product too.

A unit of work is four rows, whose sums do not wait for each other.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from llvmlite import ir

from relucid.kernels.contract import Storage
from relucid.kernels.llvm.compile import machine
from relucid.kernels.llvm.places import I64, counted, place, word
from relucid.kernels.llvm.products import (
    DOUBLE,
    FLOAT,
    I8,
    I16,
    I32,
    POINTER,
    VOID,
    Products,
    address_in,
    double_in,
    each,
    in_groups,
    smaller,
    zeros,
)
from relucid.kernels.llvm.products_header import BLOCK, CHUNK, LIST
from relucid.kernels.llvm.products_header import ListedHeader as Header
from relucid.kernels.llvm.values import Held, declared, folded, picked, splat


class Listed(Products):
    """The skeleton: measure the inputs, then list rows and compute them, chunk by chunk."""

    def __init__(self, storage: Storage, key: str) -> None:
        super().__init__(storage, key)
        self.half = ir.VectorType(I16, 2 * self.lanes)
        self.measure = self.function("measure", VOID, *[POINTER] * 4, I64, I64, DOUBLE)
        self.dots = self.function("dots", VOID, *[POINTER] * 5, I64, I64)
        self._write_measure()
        self._write_dots()

    groups: Sequence[int] = (1,)
    """Tokens that are gone through side by side: as many as are left, the largest groups first."""

    @abstractmethod
    def listed(self, builder: ir.IRBuilder, words: Any, token: Any, group: int, first: Any,
               last: Any, own: dict[str, Any]) -> Sequence[Any]:  # fmt: skip
        """List the rows that are wanted of some tokens; returns how many they are of each."""

    def write_units(self, function: ir.Function) -> None:
        """Write the whole product for the rows of some units."""
        builder = ir.IRBuilder(function.append_basic_block())
        words, first, last, me = function.args
        tokens, rows = word(builder, words, Header.tokens), word(builder, words, Header.rows)
        own = self._own(builder, words, me)
        results = place(builder, address_in(builder, words, Header.results), me, _PAIR)
        bad = self._measured(builder, words, own)
        builder.store(builder.zext(bad, I64), results)
        with builder.if_then(builder.not_(bad)):
            total = Held(builder, I64(0))
            begin, end = (builder.mul(k, I64(BLOCK)) for k in (first, last))
            with counted(builder, begin, end, CHUNK) as start:
                stop = smaller(builder, builder.add(start, I64(CHUNK)), end)
                kept = smaller(builder, stop, rows)
                for token, group in in_groups(builder, tokens, self.groups):
                    counts = self.listed(builder, words, token, group, start, stop, own)
                    for k, count in enumerate(counts):
                        here = builder.add(token, I64(k))
                        numbers = place(builder, own["numbers"], I64(k * LIST), I32)
                        self._clear(builder, words, here, start, kept)
                        self._computed(builder, words, here, numbers, count, own)
                        total.set(builder.add(total.get(), count))
            builder.store(total.get(), place(builder, results, I64(1), I64))
        builder.ret_void()

    def _own(self, builder: ir.IRBuilder, words: Any, me: Any) -> dict[str, Any]:
        """Addresses of the calling thread's scratch memory."""
        offset = builder.mul(me, word(builder, words, Header.stride))
        slots = (Header.rounded, Header.wide, Header.measures, Header.numbers)
        return {
            slot.name: place(builder, address_in(builder, words, slot), offset, I8)
            for slot in slots
        }

    def _measured(self, builder: ir.IRBuilder, words: Any, own: dict[str, Any]) -> Any:
        """Round all tokens; true if one of them is so large, or no number, that the rest is off."""
        width, padded = word(builder, words, Header.width), word(builder, words, Header.padded)
        inputs = address_in(builder, words, Header.inputs)
        most, reach = (
            double_in(builder, words, Header.most),
            double_in(builder, words, Header.reach),
        )
        bad = Held(builder, ir.IntType(1)(0))
        with each(builder, word(builder, words, Header.tokens)) as token:
            measures = place(builder, own["measures"], token, _TRIPLE)
            begin = builder.mul(token, padded)
            builder.call(self.measure, (
                place(builder, inputs, builder.mul(token, width), self.elements.element),
                place(builder, own["rounded"], begin, I16),
                place(builder, own["wide"], begin, FLOAT),
                measures, width, padded, reach,
            ))  # fmt: skip
            norm = builder.load(place(builder, measures, I64(1), DOUBLE), typ=DOUBLE)
            off = builder.fcmp_unordered(">", norm, most)
            bad.set(builder.or_(bad.get(), off))
        return bad.get()

    def _clear(self, builder: ir.IRBuilder, words: Any, token: Any, first: Any, last: Any) -> None:
        """Zeros for the rows of a chunk."""
        rows = word(builder, words, Header.rows)
        output = address_in(builder, words, Header.outputs)
        begin = place(
            builder, output, builder.add(builder.mul(token, rows), first), self.elements.element
        )
        nothing = zeros(FLOAT, self.lanes)
        for offset, (mask,) in self.vectors(builder, builder.sub(last, first)):
            self.elements.store(builder, nothing, begin, offset, mask, I64(0))

    def _computed(self, builder: ir.IRBuilder, words: Any, token: Any, numbers: Any, count: Any,
                  own: dict[str, Any]) -> None:  # fmt: skip
        width, rows = word(builder, words, Header.width), word(builder, words, Header.rows)
        if self.storage == "float32":
            inputs, begin = address_in(builder, words, Header.inputs), builder.mul(token, width)
        else:
            begin = builder.mul(token, word(builder, words, Header.padded))
            inputs = own["wide"]
        outputs = address_in(builder, words, Header.outputs)
        builder.call(self.dots, (
            place(builder, inputs, begin, FLOAT),
            address_in(builder, words, Header.weight),
            address_in(builder, words, Header.bias),
            place(builder, outputs, builder.mul(token, rows), self.elements.element),
            numbers, count, width,
        ))  # fmt: skip

    def _write_measure(self) -> None:
        """``measure(x, rounded, wide, measures, width, padded, reach)`` of one token."""
        function, lanes = self.measure, self.lanes
        builder = ir.IRBuilder(function.append_basic_block())
        x, rounded, wide, measures, width, padded, reach = function.args
        largest, squares = Held(builder, zeros(FLOAT, lanes)), Held(builder, zeros(DOUBLE, lanes))
        for offset, (mask,) in self.vectors(builder, width):
            value = self.elements.load(builder, x, offset, mask)
            size = self.size_of(builder, value)
            known = largest.get()
            largest.set(builder.select(builder.fcmp_ordered(">", size, known), size, known))
            exact = builder.fpext(value, ir.VectorType(DOUBLE, lanes))
            squares.set(self.fma(builder, exact, exact, squares.get()))
            if self.storage != "float32":
                self.floats.store(builder, value, wide, offset, mask, I64(0))
        top = builder.fpext(folded(builder, largest.get(), _larger(builder)), DOUBLE)
        norm = self._root(builder, folded(builder, squares.get(), builder.fadd))
        empty = builder.fcmp_ordered("==", top, DOUBLE(0.0))
        up = builder.select(empty, DOUBLE(0.0), builder.fdiv(reach, top))
        scale = builder.fdiv(top, reach)
        error = self._rounding(builder, x, rounded, width, padded, up, scale)
        for k, number in enumerate((scale, norm, error)):
            builder.store(number, place(builder, measures, I64(k), DOUBLE))
        builder.ret_void()

    def _rounding(self, builder: ir.IRBuilder, x: Any, rounded: Any, width: Any, padded: Any,
                  up: Any, scale: Any) -> Any:  # fmt: skip
        """Write the int16 of a token; returns the norm of what that loses. Not for NaN."""
        lanes = self.lanes
        exact = ir.VectorType(DOUBLE, lanes)
        errors = Held(builder, zeros(DOUBLE, lanes))
        factor, back = splat(builder, up, lanes), splat(builder, builder.fneg(scale), lanes)
        rint = declared(builder, f"llvm.rint.v{lanes}f64", exact, exact)
        for offset, (mask,) in self.vectors(builder, width):
            value = builder.fpext(self.elements.load(builder, x, offset, mask), exact)
            near = builder.call(rint, (builder.fmul(value, factor),))
            lost = self.fma(builder, near, back, value)
            errors.set(self.fma(builder, lost, lost, errors.get()))
            short = builder.fptosi(near, ir.VectorType(I16, lanes))
            # Lanes past the end are 0, and there is room for them: rows are padded.
            builder.store(short, place(builder, rounded, offset, I16), align=2)
        written = builder.and_(builder.add(width, I64(lanes - 1)), I64(-lanes))
        with counted(builder, written, padded, lanes) as offset:
            builder.store(zeros(I16, lanes), place(builder, rounded, offset, I16), align=2)
        return self._root(builder, folded(builder, errors.get(), builder.fadd))

    def _root(self, builder: ir.IRBuilder, number: Any) -> Any:
        return builder.call(declared(builder, "llvm.sqrt.f64", DOUBLE, DOUBLE), (number,))

    def _write_dots(self) -> None:
        """``dots(x, weight, bias, z, numbers, count, width)``: z of the rows of a list."""
        function, lanes, at_once = self.dots, self.lanes, 2
        builder = ir.IRBuilder(function.append_basic_block())
        x, weight, bias, z, numbers, count, width = function.args
        last = builder.sub(count, I64(1))
        with counted(builder, I64(0), count, BLOCK) as at:
            rows = [  # past the end of the list its last row is computed again, to the same
                self._number(builder, numbers, smaller(builder, builder.add(at, I64(k)), last))
                for k in range(2 * BLOCK)
            ]
            places = [place(builder, weight, builder.mul(row, width), self.elements.element)
                      for row in rows]  # fmt: skip
            rows, begins, soon = rows[:BLOCK], places[:BLOCK], places[BLOCK:]
            sums = [[Held(builder, zeros(FLOAT, lanes)) for _ in range(at_once)] for _ in rows]
            for offset, masks in self.vectors(builder, width, at_once):
                for k, mask in enumerate(masks):
                    spot = builder.add(offset, I64(k * lanes))
                    right = self.floats.load(builder, x, spot, mask)
                    for begin in soon if mask is None else ():
                        self.ask_for(builder, place(builder, begin, spot, self.elements.element))
                    for begin, held in zip(begins, sums, strict=True):
                        left = self.elements.load(builder, begin, spot, mask)
                        held[k].set(self.fma(builder, left, right, held[k].get()))
            for row, held in zip(rows, sums, strict=True):
                whole = builder.fadd(held[0].get(), held[1].get())
                total = folded(builder, whole, builder.fadd)
                shift = builder.load(place(builder, bias, row, FLOAT), typ=FLOAT)
                value = splat(builder, builder.fadd(total, shift), 1)
                self.single.store(builder, value, z, row, None, I64(0))
        builder.ret_void()

    def _number(self, builder: ir.IRBuilder, numbers: Any, at: Any) -> Any:
        return builder.zext(builder.load(place(builder, numbers, at, I32), typ=I32), I64)


class Certified(Listed):
    """Rows that are not certified to be at or below the level."""

    groups = (4, 1)

    def __init__(self, storage: Storage, key: str) -> None:
        super().__init__(storage, key)
        self.certify = {group: self._write_certify(group) for group in self.groups}

    def listed(self, builder: ir.IRBuilder, words: Any, token: Any, group: int, first: Any,
               last: Any, own: dict[str, Any]) -> Sequence[Any]:  # fmt: skip
        """List the rows whose shadow leaves open whether they are above the level."""
        padded, units = word(builder, words, Header.padded), word(builder, words, Header.units)
        with builder.goto_entry_block():
            counts = builder.alloca(I64, group)
        builder.call(self.certify[group], (
            place(builder, own["rounded"], builder.mul(token, padded), I16),
            place(builder, own["measures"], token, _TRIPLE),
            address_in(builder, words, Header.shadow),
            address_in(builder, words, Header.facts),
            own["numbers"], counts, first, last, padded, builder.mul(units, I64(BLOCK)),
            double_in(builder, words, Header.level),
        ))  # fmt: skip
        return [builder.load(place(builder, counts, I64(k), I64), typ=I64) for k in range(group)]

    def _write_certify(self, group: int) -> ir.Function:
        """List what is open of the rows from first to before last, for neighbouring tokens.

        The sums of their products with four rows stay in registers.
        """
        kinds = (*[POINTER] * 6, *[I64] * 4, DOUBLE)
        function = self.function(f"certify{group}", VOID, *kinds)
        builder = ir.IRBuilder(function.append_basic_block())
        x, measures, shadow, facts, numbers, counts, first, last, padded, rows, level = (
            function.args
        )
        scales, norms, errors = (
            [builder.load(place(builder, measures, I64(3 * token + k), DOUBLE), typ=DOUBLE)
             for token in range(group)]
            for k in range(3)
        )  # fmt: skip
        found = [Held(builder, I64(0)) for _ in range(group)]
        with counted(builder, first, last, BLOCK) as row:
            facts_here = [
                builder.load(
                    place(builder, facts, builder.add(builder.mul(rows, I64(k)), row), DOUBLE),
                    typ=ir.VectorType(DOUBLE, BLOCK), align=8,
                )
                for k in range(4)
            ]  # fmt: skip
            whole = self._whole_products(builder, x, shadow, row, padded, group)
            for token, products in enumerate(whole):
                measured = scales[token], norms[token], errors[token]
                bound = self._bound(builder, products, facts_here, measured)
                opens = builder.fcmp_unordered(">", bound, splat(builder, level, BLOCK))
                mine, count = place(builder, numbers, I64(token * LIST), I32), found[token]
                for k in range(BLOCK):
                    number = builder.add(row, I64(k))
                    wanted = builder.extract_element(opens, I32(k))
                    count.set(self.append(builder, mine, count.get(), number, wanted))
        for token, count in enumerate(found):
            builder.store(count.get(), place(builder, counts, I64(token), I64))
        builder.ret_void()
        return function

    def _bound(self, builder: ir.IRBuilder, products: Any, facts: Sequence[Any],
               measured: Sequence[Any]) -> Any:  # fmt: skip
        """What four pre-activations are at most."""
        scale, norm, error = (splat(builder, number, BLOCK) for number in measured)
        scales, above, per_norm, per_error = facts
        exact = builder.sitofp(products, ir.VectorType(DOUBLE, BLOCK))
        bound = self.fma(builder, builder.fmul(exact, scale), scales, above)
        return self.fma(builder, per_error, error, self.fma(builder, per_norm, norm, bound))

    def _whole_products(self, builder: ir.IRBuilder, x: Any, shadow: Any, row: Any, padded: Any,
                        group: int) -> list[Any]:  # fmt: skip
        """The exact products of four rows of the shadow with each rounded input."""
        numbers = 2 * self.lanes
        begins = [
            place(builder, shadow, builder.mul(builder.add(row, I64(k)), padded), I8)
            for k in range(BLOCK)
        ]
        inputs = [place(builder, x, builder.mul(padded, I64(k)), I16) for k in range(group)]
        sums = [[Held(builder, zeros(I32, self.lanes)) for _ in begins] for _ in inputs]
        block = builder.mul(padded, I64(BLOCK))
        with counted(builder, I64(0), padded, numbers) as offset:
            for begin in begins:
                self.ask_for(builder, place(builder, begin, builder.add(offset, block), I8))
            short = ir.VectorType(I8, numbers)
            lefts = [
                builder.sext(
                    builder.load(place(builder, begin, offset, I8), typ=short, align=1), self.half
                )
                for begin in begins
            ]
            for spot, of_token in zip(inputs, sums, strict=True):
                right = builder.load(place(builder, spot, offset, I16), typ=self.half, align=2)
                for left, held in zip(lefts, of_token, strict=True):
                    held.set(builder.add(held.get(), self._pairs(builder, left, right)))
        return [self._four(builder, of_token) for of_token in sums]

    def _four(self, builder: ir.IRBuilder, sums: Sequence[Held]) -> Any:
        four = ir.Constant(ir.VectorType(I32, BLOCK), ir.Undefined)
        for k, held in enumerate(sums):
            number = folded(builder, held.get(), builder.add)
            four = builder.insert_element(four, number, I32(k))
        return four

    def _pairs(self, builder: ir.IRBuilder, left: Any, right: Any) -> Any:
        """Products of int16, two of them added: an instruction of its own on x86."""
        long = ir.VectorType(I32, 2 * self.lanes)
        products = builder.mul(builder.sext(left, long), builder.sext(right, long))
        if machine().triple.startswith("x86"):
            chosen = range(0, 2 * self.lanes, 2), range(1, 2 * self.lanes, 2)
        else:
            chosen = range(self.lanes), range(self.lanes, 2 * self.lanes)
        return builder.add(*(picked(builder, products, lanes) for lanes in chosen))


class Selected(Listed):
    """Rows of which another product, of as many rows, is above the level."""

    def listed(self, builder: ir.IRBuilder, words: Any, token: Any, group: int, first: Any,
               last: Any, own: dict[str, Any]) -> Sequence[Any]:  # fmt: skip
        """List the rows whose gate is open, or no number."""
        rows = word(builder, words, Header.rows)
        gate, level = (
            address_in(builder, words, Header.gate),
            double_in(builder, words, Header.level),
        )
        gates = place(builder, gate, builder.mul(token, rows), self.elements.element)
        limit = splat(builder, builder.fptrunc(level, FLOAT), 1)
        count = Held(builder, I64(0))
        with counted(builder, first, smaller(builder, last, rows), 1) as row:
            value = self.single.load(builder, gates, row, None)
            opened = builder.extract_element(builder.fcmp_unordered(">", value, limit), I32(0))
            count.set(self.append(builder, own["numbers"], count.get(), row, opened))
        return [count.get()]


_PAIR = ir.ArrayType(I64, 2)
_TRIPLE = ir.ArrayType(DOUBLE, 3)


def _larger(builder: ir.IRBuilder) -> Any:
    return lambda a, b: builder.select(builder.fcmp_ordered(">", a, b), a, b)
