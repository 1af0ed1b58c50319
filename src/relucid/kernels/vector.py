"""Functions along an axis as programs: what is computed of each element, and of each vector.

A formula is recorded on two tapes. One holds what differs from element to element. The other
holds what all elements of a vector share: the totals (``m.max``, ``m.sum``) and what is computed
from them. Shared numbers are computed in 64 bits, which costs nothing where there is one of them
for a whole vector.

A program runs in stages. Each is one pass over the vector that takes totals, of what the totals
of the stages before allow to compute; the last one stores the output. So softmax takes three:
the largest, the sum of the exponentials, the quotients.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from relucid.errors import KernelError
from relucid.functions import Vector
from relucid.kernels.contract import Layout, Storage
from relucid.kernels.program import Operand, Value
from relucid.kernels.vector_words import ElementTape, SharedTape, Total, VectorWords, on

COSTLY = 8
"""Operations from which a value that a later stage needs again is kept, not computed again."""


@dataclass(frozen=True, eq=False)
class VectorLoop:
    """A program on the vectors along one axis of arrays of one shape.

    ``given`` are totals that are read, one float64 a vector, ``taken`` those that are stored so.
    In layout ``rows`` the elements of a vector are neighbours in memory. In layout ``columns``
    those of neighbouring vectors are. The order of summation is the same in both.
    """

    name: str
    storage: Storage
    tape: ElementTape
    arrays: tuple[str, ...]
    output: Value
    given: tuple[str, ...] = ()
    taken: tuple[str, ...] = ()
    layout: Layout = "rows"

    @cached_property
    def stages(self) -> tuple[tuple[Total, ...], ...]:
        """The totals that each stage takes; the last takes none and stores the output."""
        known, stages = set(self.given), []
        missing = [t for t in self.needed_totals if t.name not in known]
        while missing:
            stage = tuple(t for t in missing if known.issuperset(self._awaited(t)))
            stages.append(stage)
            known.update(t.name for t in stage)
            missing = [t for t in missing if t.name not in known]
        return (*stages, ())

    @cached_property
    def needed_totals(self) -> tuple[Total, ...]:
        """All totals that the output or the stored ones depend on."""
        names = set(self.taken) | set(totals_of(self.tape, (self.output,)))
        while True:
            computed = [self.tape.shared.totals[n].of for n in names if n not in self.given]
            more = names.union(totals_of(self.tape, computed))
            if more == names:
                return tuple(t for n, t in self.tape.shared.totals.items() if n in names)
            names = more

    @cached_property
    def kept(self) -> tuple[int, Value] | None:
        """The stage that stores a value in the output, where later stages find it, and the value.

        In softmax that is the exponential. Computed twice it took 1.34 times as long on
        (128, 512), 1.14 on (4096, 1000), and 1.47 on (32, 50257).
        """
        if {"float64": 64, "float32": 32}.get(self.storage) != self.tape.bits:
            return None
        wanted = [tuple(t.of for t in stage) for stage in self.stages[:-1]]
        best: tuple[int, int, Value] | None = None
        for stage, values in enumerate(wanted):
            later = [v for w in wanted[stage + 1 :] for v in w] + [self.output]
            again = {id(v) for v in cone(later)}
            for value in cone(values):
                size = len(cone((value,)))
                repeated = id(value) in again and value.kind == "float" and size >= COSTLY
                if repeated and (best is None or size > best[1]):
                    best = (stage, size, value)
        return best and (best[0], best[2])

    def _awaited(self, total: Total) -> set[str]:
        return set(totals_of(self.tape, (total.of,)))


class Recorder:
    """Makes the loops of one function for one element type and precision.

    Raises :class:`~relucid.errors.KernelError` where a formula cannot be compiled.
    """

    def __init__(self, activation: Vector, storage: Storage, bits: int) -> None:
        self.activation, self.storage, self.bits = activation, storage, bits

    def product(self, which: str, arrays: tuple[str, ...]) -> VectorLoop:
        """The formula or product called ``which``, of arrays with these names."""
        tape = self._tape()
        return self._loop(which, tape, arrays, self._recorded(which, tape, arrays))

    def training(self) -> tuple[VectorLoop, VectorLoop]:
        """The value with those totals that backward needs again, and backward, given these.

        On one tape equal totals are one, so no declaration has to say what they share.
        """
        tape = self._tape()
        arrays = ("x", "g")
        value = self._recorded("formula", tape, arrays[:1])
        gradient = self._recorded("backward_product", tape, arrays)
        forward = self._loop("forward", tape, arrays[:1], value)
        backward = self._loop("backward", tape, arrays, gradient)
        common = tuple(t.name for t in forward.needed_totals if t in backward.needed_totals)
        return replace(forward, taken=common), replace(backward, given=common)

    def _tape(self) -> ElementTape:
        return ElementTape(self.bits, SharedTape())

    def _recorded(self, which: str, tape: ElementTape, arrays: Sequence[str]) -> Value:
        formula = self.activation.bound(which, -1)
        try:
            output = formula(VectorWords(tape, -1), *map(tape.input, arrays))
        except AttributeError as error:
            if not isinstance(error.obj, Value):
                raise
            raise KernelError(
                f"{self.activation.name} asks for the {error.name} of an array, which a compiled "
                "kernel cannot answer; only words of m are compiled"
            ) from error
        if not on(tape, output):
            raise KernelError(f"{self.activation.name} gives no number for each element")
        return output  # type: ignore[no-any-return]  # a Value of this tape

    def _loop(
        self, what: str, tape: ElementTape, arrays: tuple[str, ...], output: Value
    ) -> VectorLoop:
        return VectorLoop(f"{self.activation.name}_{what}", self.storage, tape, arrays, output)


def cone(outputs: Iterable[Operand], known: Iterable[int] = ()) -> list[Value]:
    """All values of one tape that ``outputs`` depend on, down to those with ids in ``known``."""
    seen = set(known)
    wanted = {id(v): v for v in outputs if isinstance(v, Value) and id(v) not in seen}
    found = []
    for value in reversed(next(iter(wanted.values())).tape.values if wanted else []):
        if id(value) in wanted:
            found.append(value)
            arguments = (a for a in value.arguments if isinstance(a, Value))
            wanted.update((id(a), a) for a in arguments if id(a) not in seen)
    return found[::-1]


def inputs_of(outputs: Iterable[Operand], known: Iterable[int] = ()) -> list[str]:
    """Names of the inputs that ``outputs`` depend on."""
    return [v.arguments[0] for v in cone(outputs, known) if v.operation == "input"]


def totals_of(tape: ElementTape, outputs: Iterable[Operand]) -> list[str]:
    """Names of the totals that elements are computed from directly."""
    shared = [tape.names[name] for name in inputs_of(outputs) if name in tape.names]
    return inputs_of(shared)


def describe(loop: VectorLoop) -> str:
    """The loop as text: what two loops must agree in to be the same kernel."""
    totals = loop.needed_totals
    values = cone((*(t.of for t in totals), loop.output))
    shared = cone(loop.tape.names[n] for n in inputs_of(values) if n in loop.tape.names)
    names = {id(v): f"v{i}" for i, v in enumerate((*shared, *values))}

    def shown(operand: Operand) -> str:
        return names[id(operand)] if isinstance(operand, Value) else repr(operand)

    lines = [f"{names[id(v)]} = {v.operation}({', '.join(map(shown, v.arguments))})"
             for v in (*shared, *values)]  # fmt: skip
    taken = [f"{t.name} = {t.how}({shown(t.of)})" for t in totals]
    linked = [f"{n} = {names[id(v)]}" for n, v in loop.tape.names.items() if id(v) in names]
    head = ("along an axis", loop.storage, loop.tape.bits, loop.layout, loop.arrays)
    tail = (loop.given, loop.taken, shown(loop.output), COSTLY)
    return "\n".join((repr(head), *lines, *taken, *linked, repr(tail)))
