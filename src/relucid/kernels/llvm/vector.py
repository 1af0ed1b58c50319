"""A :class:`~relucid.kernels.vector.VectorLoop` as LLVM code.

The compiled functions take one pointer to 8-byte words: :class:`Header`, the addresses of the
arrays, of the totals that are given, of the output and of the totals that are taken, and two
strides, from block to block and along the axis, of each array and of the output.

In layout ``rows`` a unit of work is one vector, whose elements are neighbours. In layout
``columns`` it is as many neighbouring vectors as a register has lanes, and the registers walk
along the axis: nothing is transposed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from llvmlite import ir

from relucid.kernels.llvm.elements import Elements
from relucid.kernels.llvm.operations import Operations
from relucid.kernels.llvm.places import I64, counted, own_share, place, word
from relucid.kernels.llvm.totals import Count, Lanes, Largest, Registers, Sum, Way
from relucid.kernels.llvm.vector_header import Header
from relucid.kernels.program import Operand, Value
from relucid.kernels.vector import VectorLoop, cone, inputs_of
from relucid.kernels.vector_words import Total

I32, DOUBLE, POINTER = ir.IntType(32), ir.DoubleType(), ir.PointerType()


@dataclass
class _Stream:
    """An array or the output: the address of its first element of a unit, and its strides."""

    address: Any
    block: Any
    along: Any


@dataclass
class _Given:
    """The words that a compiled function was called with."""

    header: list[Any]
    arrays: list[_Stream]
    output: _Stream
    given: list[Any]
    taken: list[Any]


class _Cut(Operations):
    """Operations whose values can be known beforehand."""

    def extend(
        self, builder: ir.IRBuilder, inputs: dict[str, Any], known: dict[int, Any],
        wanted: Iterable[Operand],
    ) -> list[Any]:  # fmt: skip
        """Emit what ``wanted`` needs beyond what is known, and return it as vectors."""
        wanted = list(wanted)
        for value in cone(wanted, known):
            known[id(value)] = self._emit(builder, value, inputs, known)
        return [
            known[id(w)] if isinstance(w, Value) else self._constant(w, self.float) for w in wanted
        ]


class Emitter:
    """Writes one module, whose functions have ``key`` in their names.

    A vector's sums have ``partial`` partial sums. ``registers`` says how many registers there are
    side by side: in layout ``columns`` of neighbouring vectors; in layout ``rows`` for a whole
    vector, which can then be no longer, or 0 for vectors of any length.
    """

    def __init__(self, loop: VectorLoop, partial: int, registers: int, key: str) -> None:
        self.loop, self.partial, self.registers, self.key = loop, partial, registers, key
        self.lanes = lanes = partial * (registers if loop.layout == "columns" else 1)
        self.module = ir.Module(name=loop.name)
        self.elements = Elements(loop.storage, loop.tape.bits, lanes)
        self.operations = _Cut(loop.tape, lanes)
        self.in_rows = loop.layout == "rows"
        self.shared = _Cut(loop.tape.shared, 1 if self.in_rows else lanes)

    def emit(self) -> str:
        """Return the text of the module."""
        units = self._units()
        self._entry("whole", units, self._everything)
        self._entry("share", units, self._part)
        return str(self.module)

    def _function(self, name: str, *types: Any) -> tuple[ir.Function, ir.IRBuilder]:
        kind = ir.FunctionType(ir.VoidType(), types)
        function = ir.Function(self.module, kind, name=f"{name}_{self.key}")
        return function, ir.IRBuilder(function.append_basic_block())

    def _entry(self, name: str, units: ir.Function, bounds: Callable[..., tuple[Any, Any]]) -> None:
        function, builder = self._function(name, POINTER)
        (words,) = function.args
        builder.call(units, (words, *bounds(builder, words)))
        builder.ret_void()

    def _everything(self, builder: ir.IRBuilder, words: Any) -> tuple[Any, Any]:
        return I64(0), word(builder, words, Header.units)

    def _part(self, builder: ir.IRBuilder, words: Any) -> tuple[Any, Any]:
        """The units of the calling OpenMP thread."""
        units, asked = word(builder, words, Header.units), (Header.thread, Header.threads)
        return own_share(builder, words, units, asked)[:2]

    def _units(self) -> ir.Function:
        """``units(words, first, last)``: the units from first up to but not including last."""
        function, builder = self._function("units", POINTER, I64, I64)
        words, first, last = function.args
        given = self._given(builder, words)
        with counted(builder, first, last, 1) as unit:
            if self.in_rows:
                here = self._moved(builder, given, unit, I64(0))
                (_Short if self.registers else _Rows)(self, builder, here, unit).emit()
            else:
                self._column_block(builder, given, unit)
        builder.ret_void()
        return function

    def _given(self, builder: ir.IRBuilder, words: Any) -> _Given:
        loop, slots = self.loop, iter(range(len(Header), 1 << 20))

        def take(count: int) -> list[Any]:
            return [word(builder, words, next(slots)) for _ in range(count)]

        def addresses(count: int) -> list[Any]:
            return [builder.inttoptr(number, POINTER) for number in take(count)]

        header = [word(builder, words, slot) for slot in range(Header.thread)]
        groups = [addresses(n) for n in (len(loop.arrays), len(loop.given), 1, len(loop.taken))]
        arrays, given, (output,), taken = groups
        streams = [_Stream(address, *take(2)) for address in (*arrays, output)]
        return _Given(header, streams[:-1], streams[-1], given, taken)

    def _moved(self, builder: ir.IRBuilder, given: _Given, block: Any, column: Any) -> _Given:
        """The same from another block and column on."""

        def moved(stream: _Stream) -> _Stream:
            at = builder.add(builder.mul(block, stream.block), column)
            address = place(builder, stream.address, at, self.elements.element)
            return _Stream(address, stream.block, stream.along)

        arrays = [moved(stream) for stream in given.arrays]
        return _Given(given.header, arrays, moved(given.output), given.given, given.taken)

    def _column_block(self, builder: ir.IRBuilder, given: _Given, unit: Any) -> None:
        inner, blocks = given.header[Header.inner], given.header[Header.blocks]
        block = builder.udiv(unit, blocks)
        column = builder.mul(builder.urem(unit, blocks), I64(self.lanes))
        here = self._moved(builder, given, block, column)
        vector = builder.add(builder.mul(block, inner), column)
        rest = builder.sub(inner, column)
        full = builder.icmp_unsigned(">=", rest, I64(self.lanes))
        with builder.if_else(full) as (whole, partial):
            with whole:
                _Columns(self, builder, here, vector, None).emit()
            with partial:
                _Columns(self, builder, here, vector, self.first(builder, rest)).emit()

    def first(self, builder: ir.IRBuilder, count: Any, start: int = 0) -> Any:
        """A mask of those lanes, numbered from ``start`` on, that are before ``count``."""
        numbers = list(range(start, start + self.lanes))
        places = ir.Constant(ir.VectorType(I64, self.lanes), numbers)
        return builder.icmp_unsigned("<", places, self.operations.splat(builder, count))


class _Unit:
    """The stages of one unit of work: totals first, then the output."""

    def __init__(self, emitter: Emitter, builder: ir.IRBuilder, here: _Given, vector: Any) -> None:
        self.emitter, self.builder, self.here, self.vector = emitter, builder, here, vector
        self.loop, self.elements = emitter.loop, emitter.elements
        self.length = here.header[Header.length]
        self.totals: dict[str, Any] = {}
        self.kept: tuple[int, Value | None] = self.loop.kept or (-1, None)

    def known(self, index: Any) -> dict[int, Any]:
        """What is known of the elements of a number, by the ids of values."""
        return {}

    def emit(self) -> None:
        """Emit all stages, then store the totals that are taken."""
        for name, address in zip(self.loop.given, self.here.given, strict=True):
            self.totals[name] = self.load_total(address)
        for number, stage in enumerate(self.loop.stages):
            self._stage(number, stage)
        for name, address in zip(self.loop.taken, self.here.taken, strict=True):
            self.store_total(self.totals[name], address)

    def load_total(self, address: Any) -> Any:
        """The totals of this unit that an earlier kernel stored."""
        raise NotImplementedError

    def store_total(self, total: Any, address: Any) -> None:
        """Store totals of this unit."""
        raise NotImplementedError

    def pass_over(self, body: Callable[[Any, Callable[[_Stream], Any], Any], None]) -> None:
        """Emit ``body(index, place, mask)`` for all registers of the unit.

        ``index`` is the number of the elements in their vectors, ``place`` where they lie.
        """
        raise NotImplementedError

    def running(self, way: Way) -> Lanes | Registers:
        """A total that starts here."""
        raise NotImplementedError

    def spread(self, number: Any) -> Any:
        """A shared number for use beside elements."""
        raise NotImplementedError

    def _stage(self, number: int, stage: Sequence[Total]) -> None:
        wanted = [total.of for total in stage] or [self.loop.output]
        kept_at, kept = self.kept
        found = {id(kept)} if kept is not None and number > kept_at else set()
        shared = self._shared(wanted, found)
        running = [self.running(self._way(total)) for total in stage]

        def body(index: Any, spot: Callable[[_Stream], Any], mask: Any) -> None:
            known = self.known(index)
            output = self.here.output
            if found:
                known[id(kept)] = self._load(output, spot, mask)
            inputs = dict(shared)
            for name, stream in zip(self.loop.arrays, self.here.arrays, strict=True):
                if name in inputs_of(wanted, known):
                    inputs[name] = self._load(stream, spot, mask)
            computed = self.emitter.operations.extend(self.builder, inputs, known, wanted)
            for total, value in zip(running, computed, strict=False):
                total.add(value, index, mask)
            stored = known[id(kept)] if number == kept_at else None if stage else computed[0]
            if stored is not None:
                self._store(stored, output, spot, mask)

        self.pass_over(body)
        for total, places in zip(stage, running, strict=True):
            self.totals[total.name] = places.total()

    def _way(self, total: Total) -> Way:
        if total.how == "max":
            return Largest()
        return Count() if total.how == "count" else Sum(exact=self.loop.storage == "float64")

    def _shared(self, wanted: Sequence[Operand], found: set[int]) -> dict[str, Any]:
        """The shared numbers that a stage needs, ready for use beside elements."""
        names = [n for n in inputs_of(wanted, found) if n in self.loop.tape.names]
        values = [self.loop.tape.names[n] for n in names]
        numbers = self.emitter.shared.extend(self.builder, self.totals, {}, values)
        return {name: self.spread(number) for name, number in zip(names, numbers, strict=True)}

    def _narrow(self, number: Any) -> Any:
        """A float64 in the arithmetic of the elements; truth values stay."""
        truth = number.type.element == ir.IntType(1)
        if truth or self.loop.tape.bits == 64:
            return number
        return self.builder.fptrunc(number, ir.VectorType(ir.FloatType(), number.type.count))

    def _load(self, stream: _Stream, spot: Callable[[_Stream], Any], mask: Any) -> Any:
        return self.elements.load(self.builder, stream.address, spot(stream), mask)

    def _store(
        self, value: Any, stream: _Stream, spot: Callable[[_Stream], Any], mask: Any
    ) -> None:
        self.elements.store(self.builder, value, stream.address, spot(stream), mask, I64(0))


def _same_for_all(index: Any) -> Callable[[_Stream], Any]:
    """Where an element lies in streams without strides."""
    return lambda stream: index


class _Rows(_Unit):
    """One vector whose elements are neighbours."""

    def pass_over(self, body: Callable[[Any, Callable[[_Stream], Any], Any], None]) -> None:
        lanes = self.emitter.lanes
        last = self.builder.sub(self.length, I64(1))
        whole = self.builder.and_(last, I64(-lanes))  # at least one element is left for the mask
        with counted(self.builder, I64(0), whole, lanes) as index:
            body(index, _same_for_all(index), None)
        mask = self.emitter.first(self.builder, self.builder.sub(self.length, whole))
        body(whole, _same_for_all(whole), mask)

    def running(self, way: Way) -> Lanes:
        return Lanes(self.builder, way, self.elements.computed)

    def spread(self, number: Any) -> Any:
        single = self.builder.extract_element(self._narrow(number), I32(0))
        return self.emitter.operations.splat(self.builder, single)

    def load_total(self, address: Any) -> Any:
        kind = ir.VectorType(DOUBLE, 1)
        return self.builder.load(place(self.builder, address, self.vector, DOUBLE), typ=kind)

    def store_total(self, total: Any, address: Any) -> None:
        self.builder.store(total, place(self.builder, address, self.vector, DOUBLE))


class _Short(_Rows):
    """A vector that fits into a few registers: loaded once, and nothing is computed twice."""

    def __init__(self, emitter: Emitter, builder: ir.IRBuilder, here: _Given, vector: Any) -> None:
        super().__init__(emitter, builder, here, vector)
        self.kept = (-1, None)
        self.starts = [I64(number * emitter.lanes) for number in range(emitter.registers)]
        self.all_known: list[dict[int, Any]] = [{} for _ in self.starts]

    def known(self, index: Any) -> dict[int, Any]:
        return self.all_known[self.starts.index(index)]

    def pass_over(self, body: Callable[[Any, Callable[[_Stream], Any], Any], None]) -> None:
        for start in self.starts:
            mask = self.emitter.first(self.builder, self.length, start.constant)
            body(start, _same_for_all(start), mask)


class _Columns(_Unit):
    """Vectors side by side, one in each lane."""

    def __init__(
        self, emitter: Emitter, builder: ir.IRBuilder, here: _Given, vector: Any, mask: Any
    ) -> None:
        super().__init__(emitter, builder, here, vector)
        self.mask = mask

    def pass_over(self, body: Callable[[Any, Callable[[_Stream], Any], Any], None]) -> None:
        with counted(self.builder, I64(0), self.length, 1) as index:
            body(index, lambda stream: self.builder.mul(index, stream.along), self.mask)

    def running(self, way: Way) -> Registers:
        count = self.emitter.partial
        return Registers(self.builder, way, self.elements.computed, count, self.length)

    def spread(self, number: Any) -> Any:
        return self._narrow(number)

    def load_total(self, address: Any) -> Any:
        return self.elements.load_numbers(self.builder, address, self.vector, self.mask)

    def store_total(self, total: Any, address: Any) -> None:
        self.elements.store_numbers(self.builder, total, address, self.vector, self.mask)
