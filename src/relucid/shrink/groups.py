"""Channels that are constant and stay, since a convolution in groups needs the rest of theirs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from relucid.probes.graph import where
from relucid.shrink.analysed import Analysed, told_of
from relucid.shrink.fixed import Mask
from relucid.shrink.plan import NEVER, Known, Plan

PARTLY = "its group and what is made of it go whole or not at all, and not all of them is constant"


def partly_constant(model: Analysed, known: Known, plan: Plan) -> dict[int, str]:
    """Return the atoms that are constant in a group that is not, with the reason."""
    constant, axes = _constant(model, known), model.layout.axes
    found: dict[int, str] = {}
    for one in model.layout.grouped:
        for atoms in (axes[one.values][0][one.dim], axes[one.node][0][one.result_dim]):
            if atoms is not None:
                stay = atoms[constant[atoms] & (plan.levels[model.classes.of(atoms)] == NEVER)]
                found |= dict.fromkeys(stay.tolist(), f"{PARTLY}, {where(one.node)}")
    return found


def _constant(model: Analysed, known: Known) -> Mask:
    """Which atoms are constant wherever they are read."""
    read, varies = (np.zeros(model.layout.atoms, np.bool_) for _ in range(2))
    for reading in told_of(model.layout):
        atoms: NDArray[np.int64] | None = model.layout.axes[reading.values][0][reading.dim]
        assert atoms is not None
        here = np.zeros(len(atoms), np.bool_)
        for by_reading in known.values():
            here |= by_reading[reading].known if reading in by_reading else False
        read[atoms] = True
        varies[atoms[~here]] = True
    return read & ~varies
