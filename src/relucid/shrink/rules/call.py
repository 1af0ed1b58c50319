"""One operator of a graph, as its rule is given it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from torch import fx

from relucid.probes.graph import where
from relucid.shrink.axes import Atoms, Axes, Layout, Maker, Reading, operands, results

Made = Axes | tuple[Axes, ...]


class Call:
    """An operator with the axes of its operands, and what it may do to them."""

    def __init__(self, layout: Layout, node: fx.Node) -> None:
        self.layout, self.node = layout, node
        self.name = str(getattr(node.target, "_opname", getattr(node.target, "__name__", "")))

    def argument(self, index: int, name: str = "", default: Any = None) -> Any:
        """Return an argument by position or name."""
        args = self.node.args
        return args[index] if index < len(args) else self.node.kwargs.get(name, default)

    def operand(self, index: int, name: str = "") -> fx.Node:
        """Return an operand that is a tensor."""
        found = self.argument(index, name)
        assert isinstance(found, fx.Node)
        return found

    @property
    def operands(self) -> list[fx.Node]:
        """All operands that are tensors."""
        return operands(self.node)

    def axes(self, node: fx.Node) -> Axes:
        """Return the axes of an operand."""
        made = self.layout.axes.get(node)
        return made[0] if made else (None,) * len(self.shape_of(node))

    def shape_of(self, node: fx.Node) -> tuple[int, ...]:
        """Return the shape of an operand; empty of what is no tensor."""
        return tuple(getattr(results(node)[0], "shape", ()))

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the (first) result."""
        return self.shape_of(self.node)

    def tie(self, first: Atoms | None, second: Atoms | None, why: str) -> Atoms | None:
        """Tie two dimensions; pin the one where the other's indices cannot go. Return either."""
        if first is not None and second is not None:
            self.layout.tie(first, second)
        elif first is not None or second is not None:
            self.pin(first if second is None else second, why)
        return second if first is None else first

    def pin(self, atoms: Atoms | None, why: str) -> None:
        """Forbid to remove these atoms, for a reason to which operator and line are added."""
        if atoms is not None:
            self.layout.pin(atoms, f"{why}, {where(self.node)}")

    def pin_operands(self, why: str) -> Axes:
        """Pin everything that comes in; return a result without atoms."""
        for node in self.operands:
            for atoms in self.axes(node):
                self.pin(atoms, why)
        return (None,) * len(self.shape)

    def keep(self, node: fx.Node, dims: Iterable[int], why: str) -> None:
        """Pin all dimensions of an operand except these."""
        axes = self.axes(node)
        kept = {d % len(axes) for d in dims} if axes else set[int]()
        for i, atoms in enumerate(axes):
            if i not in kept:
                self.pin(atoms, why)

    def local(self, how: str = "each") -> None:
        """Note that an index of the result depends on the operands' same index alone."""
        self.layout.local[self.node] = how

    def read(self, reading: Reading, grouped: bool = False) -> None:
        """Note an operator that adds channels up."""
        (self.layout.grouped if grouped else self.layout.readings).append(reading)

    def make(self, weight: fx.Node, units: Atoms | None) -> None:
        """Note a layer and its units."""
        if units is not None:
            self.layout.makers.append(Maker(self.node, weight, units))

    def checked(self, made: Made) -> tuple[Axes, ...]:
        """Return the axes of all results, with indices of dimensions of one left out."""
        several = bool(made) and all(isinstance(one, tuple) for one in made)
        every: tuple[Any, ...] = made if several else (made,)
        return tuple(self._fitting(axes, one)
                     for axes, one in zip(every, results(self.node), strict=False))  # fmt: skip

    def _fitting(self, axes: Axes, one: Any) -> Axes:
        shape = tuple(getattr(one, "shape", ()))
        fits = len(axes) == len(shape) and all(
            a is None or len(a) == size for a, size in zip(axes, shape, strict=True)
        )
        assert fits, f"{self.node.format_node()}: axes do not fit {shape}"
        return tuple(None if a is None or len(a) == 1 else a for a in axes)


Rule = Callable[[Call], Made]
