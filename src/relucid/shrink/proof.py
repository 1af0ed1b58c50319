"""What holds for all inputs of a domain, proved: constants, and stretches that are straight."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, fx
from torch.utils._pytree import tree_leaves

from relucid.probes.batches import Batch
from relucid.probes.bounds.domain import Boxes, bound_of
from relucid.probes.bounds.interval import Interval, unknown
from relucid.probes.bounds.rules.activations import declared
from relucid.probes.bounds.shadow import Shadow
from relucid.shrink.analysed import Analysed, ancestors, told_of
from relucid.shrink.axes import Reading
from relucid.shrink.fixed import Fixed, Labels, Mask
from relucid.shrink.linear_bounds import LinearBounds
from relucid.shrink.sites import Site, bends, straight

Values = NDArray[np.float64]
_EFFORT = 1e10
"""Multiply-adds that linear bounds may take: some seconds on one core."""


@dataclass(frozen=True)
class Constants:
    """Which channels of a reading have one value at all positions, and which value."""

    known: Mask
    values: Values


@dataclass
class Straight:
    """What classes are at an activation: ``slope * z + offset``, NaN where not straight."""

    labels: Labels
    """Ascending."""
    slope: Values
    offset: Values

    def at(self, labels: Labels) -> tuple[Values, Values]:
        """Return slope and offset of some classes; NaN of those that do not pass."""
        places = np.searchsorted(self.labels, labels).clip(max=len(self.labels) - 1)
        here = self.labels[places] == labels
        return tuple(np.where(here, one[places], np.nan)
                     for one in (self.slope, self.offset))  # type: ignore[return-value]  # fmt: skip


@dataclass
class Proof:
    """What holds for all inputs."""

    constants: dict[Reading, Constants] = field(default_factory=dict)
    straight: dict[fx.Node, Straight] = field(default_factory=dict)
    """By the node of an activation's result."""


Extremes = tuple[Values, Values]
Witnesses = dict[fx.Node, dict[int, Extremes]]
"""Least and largest values that were seen, by node, dimension and index."""


def prove(
    model: Analysed, batch: Batch, boxes: Boxes | None, witnesses: Witnesses | None,
    reached: Callable[[int, int], object],
) -> Proof:  # fmt: skip
    """Return what holds for all inputs of the domain, or for every input where there is none.

    The graph runs under a :class:`~relucid.probes.bounds.shadow.Shadow`. Where ``witnesses``
    leave a unit undecided, linear bounds tighten its interval. ``reached`` is called with the
    operators that are bounded, and how many there are.
    """
    run = _Run(model, witnesses, reached)
    return run.proved(flat_inputs(model, batch), _bounds(model, batch, boxes))


def flat_inputs(model: Analysed, batch: Batch) -> list[Any]:
    """Return what the graph is called with: parameters, buffers, constants and a batch."""
    captured, leaves = model.captured, iter(tree_leaves((tuple(batch.args), dict(batch.kwargs))))
    return [
        next(leaves) if node.name in captured.inputs else captured.tensors.get(node.name)
        for node in captured.nodes
        if node.op == "placeholder"
    ]


def _bounds(model: Analysed, batch: Batch, boxes: Boxes | None) -> dict[str, Any]:
    """Return the box of each input by its placeholder; None where anything may come."""
    captured = model.captured
    if boxes is None:
        return dict.fromkeys(captured.inputs)
    by_identity = {id(tensor): box for _, tensor, box in boxes.inputs(batch)}
    return {name: by_identity.get(id(captured.tensors[name])) for name in captured.inputs}


class _Run(fx.Interpreter):
    """A run of the graph that keeps what it learns about readings and sites, and little else."""

    def __init__(
        self, model: Analysed, witnesses: Witnesses | None, reached: Callable[[int, int], object]
    ) -> None:
        super().__init__(model.captured.module)
        self._reached, self._done, self._nodes = reached, 0, len(model.captured.nodes)
        self._model, self._shadow = model, Shadow()
        self._linear, self._witnesses = LinearBounds(_EFFORT), witnesses
        self._readings = {r.node: r for r in model.layout.readings}
        self._wanted = {r.node: r for r in told_of(model.layout)}
        self._needed = ancestors(reading.values for reading in self._wanted.values())
        self._waiting = Counter(site.entry for site in model.sites.values())
        self._bends = {site.entry: bends(site) for site in model.sites.values()}
        self._z: dict[fx.Node, Interval] = {}
        self._fixed = Fixed(model.layout, model.classes)
        self._proof = Proof()

    def proved(self, arguments: list[Any], boxes: Mapping[str, Any]) -> Proof:
        """Run, with the inputs in their boxes."""
        captured = self._model.captured
        for i, node in enumerate(n for n in captured.nodes if n.op == "placeholder"):
            if node.name in boxes and isinstance(arguments[i], Tensor):
                arguments[i] = arguments[i].clone()
                self._shadow.set(arguments[i], bound_of(arguments[i], boxes[node.name]))
        with torch.no_grad(), self._shadow:
            self.run(*arguments, enable_io_processing=False)
        return self._proof

    def run_node(self, node: fx.Node) -> Any:
        """Run a node that something hangs on, and note what is known of its result."""
        self._done += 1
        self._reached(self._done, self._nodes)
        reading = self._wanted.get(node)
        if reading is not None:
            with self._shadow.paused():
                self._proof.constants[reading] = self._constants(reading)
        if node not in self._needed and node.op != "placeholder":
            return None
        result = super().run_node(node)
        with self._shadow.paused(), torch._C.DisableTorchFunction():
            self._learn(node, result)
        return result

    def _learn(self, node: fx.Node, result: Any) -> None:
        site = self._model.sites.get(node)
        if site is not None and isinstance(result, Tensor):
            self._apply(site, result)
        several = list(result) if isinstance(result, tuple | list) else [result]
        intervals = [self._interval(one) for one in several]
        if isinstance(result, Tensor):
            intervals = [self._closer(node, result, intervals[0])]
        if intervals and intervals[0] is not None and node in self._waiting:
            self._z[node] = intervals[0]
        if node in self._model.layout.varying:
            reading = self._readings.get(node)
            weight = None if reading is None else self.env[reading.weight]
            self._fixed.note(node, intervals, weight)

    def _interval(self, result: Any) -> Interval | None:
        if not isinstance(result, Tensor):
            return None
        return self._shadow.of(result) if self._shadow.lost is None else unknown(result)

    def _closer(self, node: fx.Node, result: Tensor, interval: Interval | None) -> Interval | None:
        if self._witnesses is None or node not in self._needed:
            return interval
        self._linear.note(node, result, interval)
        among = None if interval is None else self._undecided(node, result)
        closer = None if among is None else self._linear.tightened(node, among=among)
        if closer is None:
            return interval
        self._shadow.tighten(result, closer)
        return closer

    def _undecided(self, node: fx.Node, result: Tensor) -> Tensor | None:
        """Return the elements whose unit the witnesses show on one side of each bend only.

        Only there can closer bounds prove anything; None where nothing bends.
        """
        seen = (self._witnesses or {}).get(node)
        if seen is None:
            return None
        open_ended = torch.zeros(result.shape, dtype=torch.bool, device=result.device)
        for dim, (least, most) in seen.items():
            shape = [-1 if i == dim else 1 for i in range(result.ndim)]
            for at in self._bends.get(node, ()):
                one_side = torch.from_numpy((least >= at) | (most <= at)).to(result.device)
                open_ended |= one_side.view(shape)
        return open_ended

    def _apply(self, site: Site, result: Tensor) -> None:
        """Note where an activation is straight; bound one of several operators as a whole."""
        self._waiting[site.entry] -= 1
        done = not self._waiting[site.entry]
        z = self._z.pop(site.entry, None) if done else self._z.get(site.entry)
        if z is None or self._shadow.lost is not None:
            return
        if site.whole:
            self._shadow.tighten(result, declared(z, site.activation, None, result.dtype))
        for dim, atoms in enumerate(self._model.layout.axes[site.entry][0]):
            if atoms is not None:
                found = self._straight(site, dim, self._model.classes.of(atoms), z)
                self._proof.straight.setdefault(site.exit, found)

    def _straight(self, site: Site, dim: int, labels: Labels, z: Interval) -> Straight:
        names, places = np.unique(labels, return_inverse=True)
        low, high = np.full(len(names), np.inf), np.full(len(names), -np.inf)
        ends = (end.movedim(dim, 0).reshape(len(labels), -1) for end in (z.low, z.high))
        np.minimum.at(low, places, next(ends).amin(1).numpy(force=True))
        np.maximum.at(high, places, next(ends).amax(1).numpy(force=True))
        slopes = np.full(len(names), np.nan)
        if site.learned is not None:
            given = self.env[site.learned].detach().double().numpy(force=True)
            if len(given) == 1 or dim == 1:
                slopes[places] = np.broadcast_to(given, labels.shape)
        return Straight(names, *straight(site, low, high, slopes))

    def _constants(self, reading: Reading) -> Constants:
        values = self.env[reading.values]
        rows = values.detach().movedim(reading.dim, 0).reshape(values.shape[reading.dim], -1)
        known = self._fixed.at(reading.values, reading.dim, len(rows))
        same = (rows == rows[:, :1]).all(1).numpy(force=True)
        known = known & same & (self._shadow.lost is None)
        return Constants(known, rows[:, 0].double().numpy(force=True))
