"""What the loops of sparse products share: their entries, vectors, sums and lists.

A compiled function takes one pointer to 8-byte words: how many units of work there are, the
addresses of ``omp_get_thread_num`` and ``omp_get_num_threads``, then those of its own header.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from llvmlite import ir

from relucid.kernels.contract import Storage
from relucid.kernels.llvm.compile import machine
from relucid.kernels.llvm.elements import Elements
from relucid.kernels.llvm.places import I64, counted, own_share, place, word
from relucid.kernels.llvm.values import declared, splat

I1, I8, I16, I32 = (ir.IntType(n) for n in (1, 8, 16, 32))
FLOAT, DOUBLE, POINTER, VOID = ir.FloatType(), ir.DoubleType(), ir.PointerType(), ir.VoidType()


class Products(ABC):
    """Writes one module, whose functions have ``key`` in their names."""

    def __init__(self, storage: Storage, key: str) -> None:
        self.storage, self.key = storage, key
        self.lanes = machine().lanes(32)
        self.module = ir.Module(name=type(self).__name__)
        self.elements = Elements(storage, 32, self.lanes)
        self.single = Elements(storage, 32, 1)
        self.floats = Elements("float32", 32, self.lanes)

    def emit(self) -> str:
        """Return the text of the module."""
        units = self.function("units", VOID, POINTER, I64, I64, I64)
        self.write_units(units)
        for name, bounds in (("whole", _everything), ("share", _part)):
            entry = self.function(name, VOID, POINTER, public=True)
            builder = ir.IRBuilder(entry.append_basic_block())
            builder.call(units, (entry.args[0], *bounds(builder, entry.args[0])))
            builder.ret_void()
        return str(self.module)

    @abstractmethod
    def write_units(self, function: ir.Function) -> None:
        """Write ``units(words, first, last, thread)``: the units from first to before last."""

    def function(self, name: str, result: Any, *kinds: Any, public: bool = False) -> ir.Function:
        """Declare a function of this module."""
        made = ir.Function(self.module, ir.FunctionType(result, kinds), name=f"{name}_{self.key}")
        if not public:
            made.linkage = "internal"
        return made

    def vectors(self, builder: ir.IRBuilder, size: Any, at_once: int = 1) -> Iterator[Any]:
        """Yield, for the code of each, an offset and the masks of ``at_once`` vectors there.

        Whole ones are a loop, and have None for masks; the rest comes after it.
        """
        step = at_once * self.lanes
        whole = builder.and_(size, I64(-step))
        with counted(builder, I64(0), whole, step) as offset:
            yield offset, [None] * at_once
        rest = builder.sub(size, whole)
        with builder.if_then(builder.icmp_unsigned("!=", rest, I64(0))):
            yield whole, [self._first(builder, rest, k * self.lanes) for k in range(at_once)]

    def _first(self, builder: ir.IRBuilder, count: Any, start: int) -> Any:
        """A mask of those lanes, numbered from ``start`` on, that are before ``count``."""
        kind = ir.VectorType(I64, self.lanes)
        places = ir.Constant(kind, list(range(start, start + self.lanes)))
        return builder.icmp_unsigned("<", places, splat(builder, count, self.lanes))

    def fma(self, builder: ir.IRBuilder, a: Any, b: Any, c: Any) -> Any:
        """``a * b + c``, rounded once."""
        kind = a.type
        element = "f64" if kind.element == DOUBLE else "f32"
        name = f"llvm.fma.v{kind.count}{element}"
        return builder.call(declared(builder, name, kind, kind, kind, kind), (a, b, c))

    def size_of(self, builder: ir.IRBuilder, value: Any) -> Any:
        """The absolute values of a vector of float32."""
        name = f"llvm.fabs.v{value.type.count}f32"
        return builder.call(declared(builder, name, value.type, value.type), (value,))

    def ask_for(self, builder: ir.IRBuilder, spot: Any) -> None:
        """Have memory fetched that is read soon: processors do not look past the end of a page.

        The certified product of 1024 inputs and 4096 rows took 0.31 ms instead of 0.39 in float32,
        0.35 instead of 0.55 in bfloat16.
        """
        asked = declared(builder, "llvm.prefetch.p0", VOID, POINTER, I32, I32, I32)
        builder.call(asked, (spot, I32(0), I32(3), I32(1)))

    def append(
        self, builder: ir.IRBuilder, numbers: Any, count: Any, number: Any, wanted: Any
    ) -> Any:
        """Write ``number`` to the end of a list of int32, where it stays if ``wanted``.

        Without a branch, which a processor cannot foresee; returns the list's new length.
        """
        builder.store(builder.trunc(number, I32), place(builder, numbers, count, I32))
        return builder.add(count, builder.zext(wanted, I64))


def zeros(kind: Any, lanes: int) -> ir.Constant:
    """A vector of zeros."""
    return ir.Constant(ir.VectorType(kind, lanes), kind(0).constant)


def smaller(builder: ir.IRBuilder, a: Any, b: Any) -> Any:
    """The smaller of two counts."""
    return builder.select(builder.icmp_unsigned("<", a, b), a, b)


def address_in(builder: ir.IRBuilder, words: Any, slot: int) -> Any:
    """A word that is an address."""
    return builder.inttoptr(word(builder, words, slot), POINTER)


def double_in(builder: ir.IRBuilder, words: Any, slot: int) -> Any:
    """A word that is a float64."""
    return builder.load(place(builder, words, I64(slot), I64), typ=DOUBLE)


@contextmanager
def each(builder: ir.IRBuilder, count: Any) -> Iterator[Any]:
    """Emit the body as a loop over 0 to before ``count``."""
    with counted(builder, I64(0), count, 1) as index:
        yield index


def in_groups(
    builder: ir.IRBuilder, count: Any, groups: Sequence[int], first: Any = None
) -> Iterator[tuple[Any, int]]:
    """Yield, for the code of each, the number of the first of a group and how many it has.

    The largest groups go first, then smaller ones, down to 1, take what is left.
    """
    done = first or I64(0)
    for group in groups:
        upto = builder.sub(count, builder.urem(builder.sub(count, done), I64(group)))
        with counted(builder, done, upto, group) as at:
            yield at, group
        done = upto


def _everything(builder: ir.IRBuilder, words: Any) -> tuple[Any, Any, Any]:
    return I64(0), word(builder, words, 0), I64(0)


def _part(builder: ir.IRBuilder, words: Any) -> tuple[Any, Any, Any]:
    return own_share(builder, words, word(builder, words, 0), (1, 2))
