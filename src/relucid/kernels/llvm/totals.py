"""Running totals of a vector: the largest element, or the sum, in one order for every layout.

Element number i of a vector of ``width`` partial totals goes to partial total i modulo the
width, the partial totals are joined in halves, and so the bits of a total depend on the vector's
elements alone. In one layout the partial totals are the lanes of a register, in the other each
is a register whose lanes belong to neighbouring vectors.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from relucid.kernels.llvm.places import I64, place

DOUBLE = ir.DoubleType()
State = tuple[Any, ...]
"""The registers of a running total."""


class Sum:
    """Sums in float64, and where ``exact`` with the rounding errors beside (Neumaier 1974).

    Without them a sum of 50,000 float64 is off by about ten units in the last place.
    """

    ordered = True

    def __init__(self, exact: bool) -> None:
        self.exact = exact

    def kinds(self, computed: ir.VectorType) -> tuple[ir.VectorType, ...]:
        """Types of the registers for elements of a type."""
        return (ir.VectorType(DOUBLE, computed.count),) * (2 if self.exact else 1)

    def start(self, computed: ir.VectorType) -> State:
        """The total of nothing."""
        return tuple(_all(kind, 0.0) for kind in self.kinds(computed))

    def add(self, builder: ir.IRBuilder, state: State, value: Any, mask: Any) -> State:
        """The total with further elements."""
        (kind, *_) = self.kinds(value.type)
        wide = value if value.type == kind else builder.fpext(value, kind)
        if mask is not None:
            wide = builder.select(mask, wide, _all(kind, 0.0))
        if not self.exact:
            return (builder.fadd(state[0], wide),)
        total, error = _two_sum(builder, state[0], wide)
        return total, builder.fadd(state[1], error)

    def join(self, builder: ir.IRBuilder, a: State, b: State) -> State:
        """The total of both."""
        if not self.exact:
            return (builder.fadd(a[0], b[0]),)
        total, error = _two_sum(builder, a[0], b[0])
        return total, builder.fadd(builder.fadd(a[1], b[1]), error)

    def result(self, builder: ir.IRBuilder, state: State) -> Any:
        """The total as float64. Of an infinite one the rounding errors are NaN, and left out."""
        if not self.exact:
            return state[0]
        total, error = state
        known = builder.fcmp_ordered("ord", error, error)
        return builder.fadd(total, builder.select(known, error, _all(error.type, 0.0)))


class Largest:
    """The largest element; NaN where there is one, and 0.0 before -0.0, so in any order."""

    ordered = False

    def kinds(self, computed: ir.VectorType) -> tuple[ir.VectorType, ...]:
        """The largest number, whether there was a NaN, and the signs that all have in common."""
        bits = ir.IntType(32 if computed.element == ir.FloatType() else 64)
        count = computed.count
        return computed, ir.VectorType(ir.IntType(1), count), ir.VectorType(bits, count)

    def start(self, computed: ir.VectorType) -> State:
        """The total of nothing."""
        numbers, truths, patterns = self.kinds(computed)
        return _all(numbers, float("-inf")), _all(truths, False), _all(patterns, -1)

    def add(self, builder: ir.IRBuilder, state: State, value: Any, mask: Any) -> State:
        """The total with further elements."""
        if mask is not None:
            value = builder.select(mask, value, _all(value.type, float("-inf")))
        largest, unknown, signs = state
        above = builder.fcmp_ordered(">", largest, value)
        return (
            builder.select(above, largest, value),
            builder.or_(unknown, builder.fcmp_unordered("uno", value, value)),
            builder.and_(signs, builder.bitcast(value, signs.type)),
        )

    def join(self, builder: ir.IRBuilder, a: State, b: State) -> State:
        """The total of both."""
        above = builder.fcmp_ordered(">", a[0], b[0])
        return (
            builder.select(above, a[0], b[0]),
            builder.or_(a[1], b[1]),
            builder.and_(a[2], b[2]),
        )

    def result(self, builder: ir.IRBuilder, state: State) -> Any:
        """The total as float64: NaN if there was one, -0.0 if no zero was positive."""
        largest, unknown, signs = state
        zero = builder.fcmp_ordered("==", largest, _all(largest.type, 0.0))
        sign = builder.and_(signs, _all(signs.type, -1 << (signs.type.element.width - 1)))
        largest = builder.select(zero, builder.bitcast(sign, largest.type), largest)
        largest = builder.select(unknown, _all(largest.type, float("nan")), largest)
        kind = ir.VectorType(DOUBLE, largest.type.count)
        return largest if largest.type == kind else builder.fpext(largest, kind)


class Count:
    """How many elements a condition holds for, which is exact in any order."""

    ordered = False

    def kinds(self, computed: ir.VectorType) -> tuple[ir.VectorType, ...]:
        """Type of the register."""
        width = 32 if computed.element == ir.FloatType() else 64
        return (ir.VectorType(ir.IntType(width), computed.count),)

    def start(self, computed: ir.VectorType) -> State:
        """The count of nothing."""
        return (_all(self.kinds(computed)[0], 0),)

    def add(self, builder: ir.IRBuilder, state: State, value: Any, mask: Any) -> State:
        """The count with further truth values."""
        if mask is not None:
            value = builder.and_(value, mask)
        return (builder.add(state[0], builder.zext(value, state[0].type)),)

    def join(self, builder: ir.IRBuilder, a: State, b: State) -> State:
        """The count of both."""
        return (builder.add(a[0], b[0]),)

    def result(self, builder: ir.IRBuilder, state: State) -> Any:
        """The count as float64."""
        return builder.uitofp(state[0], ir.VectorType(DOUBLE, state[0].type.count))


Way = Sum | Largest | Count


class Lanes:
    """A running total of one vector, in the lanes of one register."""

    def __init__(self, builder: ir.IRBuilder, way: Way, computed: ir.VectorType) -> None:
        self.builder, self.way = builder, way
        self.memory = _Memory(builder, way, computed, 1)
        self.memory.store(way.start(computed), I64(0))

    def add(self, value: Any, index: Any, mask: Any) -> None:
        """Add elements, those where the mask holds."""
        state = self.way.add(self.builder, self.memory.load(I64(0)), value, mask)
        self.memory.store(state, I64(0))

    def total(self) -> Any:
        """The total as a vector of one float64."""
        state = self.memory.load(I64(0))
        while state[0].type.count > 1:
            low, high = (_half(self.builder, state, which) for which in (0, 1))
            state = self.way.join(self.builder, low, high)
        return self.way.result(self.builder, state)


class Registers:
    """Running totals of neighbouring vectors of ``length`` elements, one vector in each lane.

    Of short vectors only so many registers are cleared and joined as they have elements, which
    changes no bit: the others would hold 0.0.
    """

    def __init__(
        self, builder: ir.IRBuilder, way: Way, computed: ir.VectorType, count: int, length: Any
    ) -> None:
        self.builder, self.way, self.length = builder, way, length
        self.count = count if way.ordered else 1
        self.memory = _Memory(builder, way, computed, self.count)
        self.memory.store(way.start(computed), I64(0))
        for half in self._halves():
            with self._if_longer_than(half):
                for slot in range(half, 2 * half):
                    self.memory.store(way.start(computed), I64(slot))

    def add(self, value: Any, index: Any, mask: Any) -> None:
        """Add elements of number ``index`` in their vectors; nobody reads lanes without one."""
        slot = self.builder.and_(index, I64(self.count - 1)) if self.count > 1 else I64(0)
        state = self.way.add(self.builder, self.memory.load(slot), value, None)
        self.memory.store(state, slot)

    def total(self) -> Any:
        """The totals as a vector of float64."""
        for half in self._halves()[::-1]:
            with self._if_longer_than(half):
                for slot in range(half):
                    low, high = (self.memory.load(I64(s)) for s in (slot, slot + half))
                    self.memory.store(self.way.join(self.builder, low, high), I64(slot))
        return self.way.result(self.builder, self.memory.load(I64(0)))

    def _halves(self) -> list[int]:
        return [1 << n for n in range(self.count.bit_length() - 1)]

    def _if_longer_than(self, count: int) -> Any:
        return self.builder.if_then(self.builder.icmp_unsigned(">", self.length, I64(count)))


class _Memory:
    """``count`` states side by side."""

    def __init__(
        self, builder: ir.IRBuilder, way: Way, computed: ir.VectorType, count: int
    ) -> None:
        self.builder, self.kinds = builder, way.kinds(computed)
        with builder.goto_entry_block():
            self.addresses = [builder.alloca(kind, size=I64(count)) for kind in self.kinds]

    def load(self, slot: Any) -> State:
        """One state."""
        return tuple(
            self.builder.load(place(self.builder, address, slot, kind), typ=kind)
            for address, kind in zip(self.addresses, self.kinds, strict=True)
        )

    def store(self, state: State, slot: Any) -> None:
        """Write one state."""
        for address, register in zip(self.addresses, state, strict=True):
            self.builder.store(register, place(self.builder, address, slot, register.type))


def _half(builder: ir.IRBuilder, state: State, which: int) -> State:
    count = state[0].type.count // 2
    lanes = ir.Constant(
        ir.VectorType(ir.IntType(32), count), list(range(which * count, which * count + count))
    )
    return tuple(
        builder.shuffle_vector(register, ir.Constant(register.type, ir.Undefined), lanes)
        for register in state
    )


def _two_sum(builder: ir.IRBuilder, a: Any, b: Any) -> tuple[Any, Any]:
    """A sum and what rounding took from it (Knuth)."""
    total = builder.fadd(a, b)
    virtual = builder.fsub(total, a)
    error = builder.fsub(a, builder.fsub(total, virtual))
    return total, builder.fadd(error, builder.fsub(b, virtual))


def _all(kind: ir.VectorType, number: Any) -> ir.Constant:
    return ir.Constant(kind, number)
