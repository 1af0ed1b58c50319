"""What is measured beside the sweep over float32: the truth, 16 bits, float64, the specials."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from relucid.functions import Elementwise
from relucid.records.accuracy import Checks, Special, Worst
from relucid.verify.contract import bound
from relucid.verify.halves import halves
from relucid.verify.plan import Plan
from relucid.verify.points import roots, sample64
from relucid.verify.reference import WHICH, check, worst
from relucid.verify.sides import Side
from relucid.verify.specials import specials
from relucid.verify.sweep import bench
from relucid.verify.textbook import exact
from relucid.verify.units import ulps

TRUTH_POINTS = 3000
FLOAT64_POINTS = 3000
FLOAT64_ROOT = 3.0 * 2.0**-53
"""A float64 derivative nearer to a root r than abs(r) may be off by this, absolutely."""


@dataclass(frozen=True)
class Rest:
    """The checks of relucid's value and derivative, and the specials of each library."""

    value: Checks
    derivative: Checks
    specials: dict[str, dict[str, tuple[Special, ...]]]
    """By library and by what was measured."""


def measure_rest(plan: Plan) -> Rest:
    """Measure all but the sweep: some seconds, most of them in arbitrary precision."""
    activation, found = plan.activation, bench(plan)
    own = found.sides["relucid"]
    half, double = halves(activation, own), _float64(activation, own)
    checks = {
        which: Checks(
            truth=check(activation, which, TRUTH_POINTS, found.truths[which]),
            halves=half[which],
            float64=double[which],
        )
        for which in WHICH
    }
    bounds = {which: bound(activation, which) for which in WHICH}
    special = {
        name: specials(activation, side, bounds, own=name == "relucid")
        for name, side in found.sides.items()
    }
    return Rest(checks["value"], checks["derivative"], special)


def _float64(activation: Elementwise, side: Side) -> dict[str, Worst]:
    """The worst float64 results on a sample, in ULP."""
    x = sample64(activation, FLOAT64_POINTS)
    worsts = {}
    for which, result in zip(WHICH, side(torch.from_numpy(x)), strict=True):
        found = result.numpy()
        high, low = exact(activation, which, x)
        errors = ulps(found, high, low, np.float64)
        if which == "derivative":
            with np.errstate(invalid="ignore"):
                excused = np.abs((found - high) - low) <= FLOAT64_ROOT
            errors[excused & _beside_root(activation, x)] = 0.0
        worsts[which] = worst(errors, x)
    return worsts


def _beside_root(activation: Elementwise, x: np.ndarray) -> np.ndarray:
    close = np.zeros(x.shape, dtype=bool)
    for root in roots(activation):
        close |= np.abs(x - root) < abs(root)
    return close
