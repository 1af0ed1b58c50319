"""How often each unit sits where its function is nearly flat."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from relucid.functions import Activation
from relucid.probes.chunk import Chunk
from relucid.probes.counters.totals import Totals
from relucid.probes.flat import flat_regions


class Saturation:
    """Elements with abs(derivative at z) < :data:`~relucid.probes.flat.NEARLY_FLAT`.

    The derivative is not evaluated: z is compared with the ends of the regions in which the
    declared derivative is that small.
    """

    def __init__(self, activation: Activation | None) -> None:
        self._regions = () if activation is None else flat_regions(activation)
        self._totals = Totals()

    def count(self, z: Chunk) -> None:
        """Count one chunk."""
        for low, high in self._regions:
            self._totals.add("saturated", z.per_unit(_inside(z, low, high)))

    def fields(self, units: int) -> dict[str, Any]:
        """Return the record's fields."""
        return {"saturated": self._totals.counts("saturated", units)}


def _inside(z: Chunk, low: float, high: float) -> Tensor:
    """Count low <= z <= high: (samples, units)."""
    reached = z.numbers() if low == -math.inf else z.at_least(low)
    passed = 0.0 if high == math.inf else z.above(high)
    inside = reached - passed
    if isinstance(inside, Tensor):
        return inside
    return torch.full((z.samples, z.units), inside, device=z.values.device)
