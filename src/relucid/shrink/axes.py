"""Which indices of which tensors can only go together.

Each index of each dimension of a parameter is an *atom*. An operator passes atoms on from its
operands to its result, and ties those that belong together: a convolution its input channels to
its weight's second dimension, a residual sum the channels of both summands. What is tied, over
any number of operators, is one *class*: its indices are removed everywhere or nowhere. A class is
*pinned*, with the reason, where an operator could not do without one of its indices: a
normalisation over them, a softmax, an output of the model, an operator without a rule.

A class may go where it is not pinned and where it is constant at each *reading*: at each operator
that adds its numbers up, a linear layer or a convolution.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import fx
from torch.utils._pytree import tree_leaves

Atoms = NDArray[np.int64]
Axes = tuple[Atoms | None, ...]
"""One entry a dimension: the atom of each of its indices, or None where none may go."""


@dataclass(frozen=True)
class Reading:
    """An operator that multiplies channels with a weight and adds them up."""

    node: fx.Node
    values: fx.Node
    """The operand whose channels are added up."""
    weight: fx.Node
    bias: fx.Node | None
    dim: int
    """The channels' dimension in ``values``."""
    weight_in: int
    """Dimension of the weight that is added up."""
    weight_out: int
    result_dim: int
    """The units' dimension in the result."""
    padded: bool = False
    """Whether zeros are put beside the values: a constant there is none for the result."""
    transposed: bool = False


@dataclass(frozen=True)
class Maker:
    """A layer that makes units."""

    node: fx.Node
    weight: fx.Node
    units: Atoms
    """The atom of each."""


@dataclass
class Layout:
    """The atoms of every tensor of a graph, what ties and what pins them."""

    axes: dict[fx.Node, tuple[Axes, ...]] = field(default_factory=dict)
    """Of each result of a node: most have one."""
    readings: list[Reading] = field(default_factory=list)
    grouped: list[Reading] = field(default_factory=list)
    """Convolutions in groups, which add up within each. What goes does not hang on them: a group
    goes where all that is made of it is constant."""
    makers: list[Maker] = field(default_factory=list)
    local: dict[fx.Node, str] = field(default_factory=dict)
    """Operators whose result's index depends on the operands' same index alone."""
    varying: set[fx.Node] = field(default_factory=set)
    """Nodes in which an input has a part."""
    atoms: int = 0
    ties: list[tuple[Atoms, Atoms]] = field(default_factory=list)
    pins: list[tuple[Atoms, str]] = field(default_factory=list)

    def fresh(self, count: int) -> Atoms:
        """Return new atoms."""
        self.atoms += count
        return np.arange(self.atoms - count, self.atoms, dtype=np.int64)

    def tie(self, first: Atoms, second: Atoms) -> None:
        """Make one of each pair."""
        self.ties.append((first, second))

    def pin(self, atoms: Atoms, reason: str) -> None:
        """Forbid to remove these atoms."""
        self.pins.append((atoms, reason))

    def classes(self) -> Classes:
        """Return what is tied together."""
        first, second = (
            np.concatenate([np.empty(0, np.int64), *(pair[i] for pair in self.ties)])
            for i in (0, 1)
        )
        ends = coo_array((np.ones(len(first), np.int8), (first, second)), (self.atoms,) * 2)
        count, labels = connected_components(ends, directed=False)
        reasons: dict[int, str] = {}
        for atoms, reason in self.pins:
            for label in np.unique(labels[atoms]).tolist():
                reasons.setdefault(label, reason)
        return Classes(count, labels.astype(np.int64), reasons)


@dataclass(frozen=True)
class Classes:
    """The class of each atom, and why some are pinned."""

    count: int
    labels: NDArray[np.int64]
    pinned: dict[int, str]

    def of(self, atoms: Atoms) -> NDArray[np.int64]:
        """Return the class of each atom."""
        return self.labels[atoms]

    def free(self) -> NDArray[np.bool_]:
        """Return which classes are not pinned."""
        free = np.ones(self.count, dtype=np.bool_)
        free[list(self.pinned)] = False
        return free


def operands(node: fx.Node) -> list[fx.Node]:
    """Return the nodes that a node is given."""
    found = (x for x in tree_leaves((node.args, node.kwargs)) if isinstance(x, fx.Node))
    return list(dict.fromkeys(found))


def results(node: fx.Node) -> tuple[Any, ...]:
    """Return the (fake) results of a node: their shapes and dtypes."""
    value = node.meta.get("val")
    return tuple(value) if isinstance(value, tuple | list) else (value,)


def tracked(layout: Layout, node: fx.Node) -> Iterator[Atoms]:
    """Yield the atoms of all dimensions of all results of a node."""
    for axes in layout.axes.get(node, ()):
        yield from (atoms for atoms in axes if atoms is not None)
