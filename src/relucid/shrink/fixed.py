"""Which indices of a tensor are constant, followed from operand to result.

Intervals alone do not tell: a constant that a layer computes is rounded, and its interval has
room for that. But what is computed from constants alone is a constant, whatever it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, fx

from relucid.probes.bounds.interval import Interval
from relucid.shrink.axes import Atoms, Classes, Layout, Reading, operands

Mask = NDArray[np.bool_]
Labels = NDArray[np.int64]


class Fixed:
    """For each result of each node, and each of its dimensions, which indices are constant."""

    def __init__(self, layout: Layout, classes: Classes) -> None:
        self._layout, self._classes = layout, classes
        self._readings = {reading.node: reading for reading in layout.readings}
        self._masks: dict[fx.Node, list[dict[int, Mask]]] = {}

    def at(self, node: fx.Node, dim: int, size: int) -> Mask:
        """Return which indices of a node's (first) result are constant."""
        if node not in self._layout.varying:
            return np.ones(size, np.bool_)
        masks = self._masks.get(node)
        return masks[0].get(dim, np.zeros(size, np.bool_)) if masks else np.zeros(size, np.bool_)

    def note(
        self, node: fx.Node, intervals: Sequence[Interval | None], weight: Tensor | None
    ) -> None:
        """Note a node that was run: by its intervals, and by what its operands are.

        ``weight`` is that of a reading.
        """
        axes = self._layout.axes[node]
        self._masks[node] = [
            {
                dim: _points(interval, dim, atoms) | self._made(node, dim, atoms, weight)
                for dim, atoms in enumerate(one)
                if atoms is not None
            }
            for one, interval in zip(axes, intervals, strict=False)
        ]

    def _made(self, node: fx.Node, dim: int, atoms: Atoms, weight: Tensor | None) -> Mask:
        how, reading = self._layout.local.get(node), self._readings.get(node)
        labels = self._classes.of(atoms)
        if how is not None:
            sources = [one for one in operands(node) if one in self._layout.varying]
            return _by_parts(labels, [self._carried(one) for one in sources], how == "joined")
        if reading is not None and weight is not None and dim == reading.result_dim:
            return self._added_up(reading, weight)
        return np.zeros(len(labels), np.bool_)

    def _carried(self, node: fx.Node) -> tuple[Labels, Labels]:
        """Return the classes that a node carries, and those of them that vary in it."""
        carried, loose = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
        masks = self._masks.get(node, [])
        for index, axes in enumerate(self._layout.axes.get(node, ())):
            for dim, atoms in enumerate(axes):
                if atoms is not None:
                    labels = self._classes.of(atoms)
                    mask = masks[index].get(dim) if index < len(masks) else None
                    carried.append(labels)
                    loose.append(labels if mask is None else labels[~mask])
        return np.concatenate(carried), np.concatenate(loose)

    def _added_up(self, reading: Reading, weight: Tensor) -> Mask:
        """A unit is constant if all is that it reads with a weight other than 0."""
        rows = weight.detach().movedim((reading.weight_out, reading.weight_in), (0, 1))
        loose = ~self.at(reading.values, reading.dim, rows.shape[1])
        if loose.all() and bool(rows.flatten(1).any(1).all()):
            return np.zeros(len(rows), np.bool_)
        seen = rows[:, torch.from_numpy(loose).to(rows.device)].flatten(1) != 0
        found: Mask = ~seen.any(1).numpy(force=True)
        return found


def _points(interval: Interval | None, dim: int, atoms: Atoms) -> Mask:
    if interval is None:
        return np.zeros(len(atoms), np.bool_)
    equal = (interval.low == interval.high).movedim(dim, 0).reshape(len(atoms), -1)
    found: Mask = equal.all(1).numpy(force=True)
    return found


def _by_parts(labels: Labels, parts: Sequence[tuple[Labels, Labels]], joined: bool) -> Mask:
    """Each part must carry the class, and have it constant; of those joined, one carries it."""
    found: Any = np.ones(len(labels), np.bool_)
    for carried, loose in parts:
        found &= ~np.isin(labels, loose)
        if not joined:
            found &= np.isin(labels, carried)
    mask: Mask = found
    return mask
