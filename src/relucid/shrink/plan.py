"""What goes: the classes that are constant wherever they are read, and where their constants go."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from torch import fx, nn

from relucid.probes.graph import path_of
from relucid.records.receipt import Guarantee
from relucid.shrink.analysed import Analysed, worth_reading
from relucid.shrink.axes import Classes, Layout, Reading
from relucid.shrink.combine import Chain, Combination, along, chains, combine, simple_units
from relucid.shrink.fixed import Mask
from relucid.shrink.merge import Merge, merge
from relucid.shrink.proof import Constants, Proof

LEVELS = tuple(Guarantee)
NEVER = len(LEVELS)
"""The level of what no guarantee is given for."""
Known = Mapping[Guarantee, Mapping[Reading, Constants]]
ONE_STAYS = "one of them stays: a layer of none cannot run"
NO_BIAS = (
    "it carries the constants of all that went to a layer that pads with zeros, or has no bias to "
    "take them"
)


@dataclass(frozen=True)
class Read:
    """What a reading's channels are: the class of each, its level, and its constant."""

    reading: Reading
    labels: NDArray[np.int64]
    levels: NDArray[np.int64]
    values: NDArray[np.float64]


@dataclass(frozen=True)
class Fold:
    """The constants that a reading's weight takes in: into its bias, or into one channel."""

    reading: Reading
    columns: NDArray[np.int64]
    """Channels that go, with constants other than 0."""
    values: NDArray[np.float64]
    carrier: int | None = None
    """The channel that stays and stands for all of them; None where the bias does."""
    carried: float = 1.0
    """Its constant."""


@dataclass(frozen=True)
class Plan:
    """Classes that go, by what guarantee, and what becomes of their constants."""

    goes: Mask
    """By class."""
    levels: NDArray[np.int64]
    """By class: the position of its guarantee in :class:`Guarantee`."""
    folds: tuple[Fold, ...]
    stays: dict[int, str]
    """Classes that could have gone, and why they stay."""
    combinations: tuple[Combination, ...] = ()
    merges: tuple[Merge, ...] = ()


def make_plan(
    model: Analysed, known: Known, can_hold: Mapping[fx.Node, bool], forbidden: Mapping[int, str]
) -> Plan:
    """Decide which classes go.

    ``can_hold`` says of each weight whether constants can go into its layer's bias;
    ``forbidden`` gives classes that must stay, with the reason.
    """
    layout, classes = model.layout, model.classes
    reads = _reads(layout, classes, known)
    levels = _levels(classes, reads)
    stays = {c: why for c, why in {**classes.pinned, **forbidden}.items() if levels[c] < NEVER}
    goes = levels < NEVER
    goes[list(stays)] = False
    _keep_one(layout, classes, goes, stays)
    for read in reads:
        _keep_carrier(read, goes, stays, can_hold)
    once = {read.reading.weight: read for read in reads}.values()
    folds = tuple(f for read in once for f in _fold(read, goes, can_hold))
    return Plan(goes, levels, folds, stays)


def _reads(layout: Layout, classes: Classes, known: Known) -> list[Read]:
    found = []
    for reading in worth_reading(layout):
        atoms = layout.axes[reading.values][0][reading.dim]
        assert atoms is not None
        levels = np.full(len(atoms), NEVER)
        values = np.zeros(len(atoms))
        for level in reversed(range(NEVER)):
            constants = known.get(LEVELS[level], {}).get(reading)
            if constants is not None:
                levels[constants.known] = level
                values[constants.known] = constants.values[constants.known]
        found.append(Read(reading, classes.of(atoms), levels, values))
    return found


def _levels(classes: Classes, reads: Sequence[Read]) -> NDArray[np.int64]:
    """A class has the weakest guarantee of all that read it; none where nothing does."""
    levels = np.full(classes.count, -1)
    by_weight: dict[fx.Node, list[Read]] = defaultdict(list)
    for read in reads:
        np.maximum.at(levels, read.labels, read.levels)
        by_weight[read.reading.weight].append(read)
    for many in by_weight.values():
        for other in many[1:]:  # a weight that is used twice takes in one constant only
            differs = other.values != many[0].values
            levels[other.labels[differs]] = NEVER
    levels[levels < 0] = NEVER
    return levels


def _keep_one(layout: Layout, classes: Classes, goes: Mask, stays: dict[int, str]) -> None:
    for axes in layout.axes.values():
        for atoms in (a for one in axes for a in one if a is not None):
            _first_stays(classes.of(atoms), goes, stays)


def _first_stays(labels: NDArray[np.int64], goes: Mask, stays: dict[int, str]) -> None:
    if bool(goes[labels].all()):
        goes[labels[0]] = False
        stays[int(labels[0])] = ONE_STAYS


def _keep_carrier(
    read: Read, goes: Mask, stays: dict[int, str], can_hold: Mapping[fx.Node, bool]
) -> None:
    """Keep the largest constant where constants cannot go into a bias."""
    moved = goes[read.labels] & (read.values != 0)
    if not moved.any() or _holds(read, can_hold):
        return
    if _carriers(read, goes).any():
        return
    best = int(np.flatnonzero(moved)[np.abs(read.values[moved]).argmax()])
    goes[read.labels[best]] = False
    stays[int(read.labels[best])] = NO_BIAS


def _holds(read: Read, can_hold: Mapping[fx.Node, bool]) -> bool:
    return can_hold[read.reading.weight] and not read.reading.padded


def _carriers(read: Read, goes: Mask) -> Mask:
    """Channels that stay and have one constant, which is not 0."""
    carriers: Mask = ~goes[read.labels] & (read.levels < NEVER) & (read.values != 0)
    return carriers


def _fold(read: Read, goes: Mask, can_hold: Mapping[fx.Node, bool]) -> list[Fold]:
    moved = np.flatnonzero(goes[read.labels] & (read.values != 0))
    if not len(moved):
        return []
    if _holds(read, can_hold):
        return [Fold(read.reading, moved, read.values[moved])]
    carriers = np.flatnonzero(_carriers(read, goes))
    best = int(carriers[np.abs(read.values[carriers]).argmax()])
    return [Fold(read.reading, moved, read.values[moved], best, float(read.values[best]))]


def with_straight(
    model: Analysed, modules: Mapping[str, nn.Module], plan: Plan,
    proofs: Sequence[tuple[int, Proof]], holds: Mapping[fx.Node, bool], refused: Mapping[str, str],
) -> Plan:  # fmt: skip
    """Add what can be done with units that are always on.

    ``proofs`` have their levels with them, the weakest last. ``refused`` are paths of layers that
    must be left, with the reason.
    """
    goes, levels, stays = plan.goes.copy(), plan.levels.copy(), dict(plan.stays)
    combinations, merges = [], []
    for many in chains(model).values():
        maker = many[0].maker
        labels = model.classes.of(maker.units)
        weights = {chain.reading.weight for chain in many}
        known = weights <= {n for n in weights if n.name in model.captured.names}
        if not known or len(weights) < len(many):
            continue
        slopes = [along(model, chain, proofs[-1][1].straight) for chain in many]
        may = simple_units(model, many) & (plan.levels[labels] == NEVER)
        found = combine(model, many, slopes, may, holds)
        level = _level(model, many, proofs, may)
        path = path_of(maker.node)
        if found is not None and path not in refused:
            combinations.append(found)
            goes[labels[found.goes]], levels[labels[found.goes]] = True, level
        left = ~goes[labels]
        merged = merge(model, modules, many[0], slopes[0], left) if len(many) == 1 else None
        if merged is not None and path not in refused and bool(may[left].all()):
            merges.append(merged)
            levels[labels[left]] = level
        elif path in refused:
            on = may & np.isfinite(slopes[0][0])
            stays.update(dict.fromkeys(labels[on & left].tolist(), refused[path]))
    return replace(plan, goes=goes, levels=levels, stays=stays,
                   combinations=tuple(combinations), merges=tuple(merges))  # fmt: skip


def _level(
    model: Analysed, many: Sequence[Chain], proofs: Sequence[tuple[int, Proof]], may: Mask
) -> int:
    """Return the strongest level at which as many units are straight as at the weakest."""
    on = [_on(model, many, proof) & may for _, proof in proofs]
    return next(level for (level, _), one in zip(proofs, on, strict=True) if (one >= on[-1]).all())


def _on(model: Analysed, many: Sequence[Chain], proof: Proof) -> Mask:
    every = [np.isfinite(along(model, chain, proof.straight)[0]) for chain in many]
    found: Mask = np.logical_and.reduce(every)
    return found
