"""How often each unit sits where its function is nearly flat."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from relucid.functions import Activation
from relucid.probes.counters.totals import Totals
from relucid.probes.flat import flat_regions
from relucid.probes.rows import Comparison, Rows


class Saturation:
    """Elements with abs(derivative at z) < :data:`~relucid.probes.flat.NEARLY_FLAT`.

    The derivative is not evaluated: z is compared with the ends of the regions in which the
    declared derivative is that small.
    """

    def __init__(self, activation: Activation | None) -> None:
        self._regions = () if activation is None else flat_regions(activation)
        lows: list[Comparison] = [("ge", low) for low, _ in self._regions if low != -math.inf]
        highs: list[Comparison] = [("gt", high) for _, high in self._regions if high != math.inf]
        self.comparisons: tuple[Comparison, ...] = (*lows, *highs)
        self._totals = Totals()

    def count(self, z: Rows) -> None:
        """Count one call."""
        for low, high in self._regions:
            self._totals.add_rows("saturated", _inside(z, low, high))

    def fields(self, units: int) -> dict[str, Any]:
        """Return the record's fields."""
        return {"saturated": self._totals.counts("saturated", units)}


def _inside(z: Rows, low: float, high: float) -> Tensor:
    """Count low <= z <= high: (samples, units)."""
    reached = z.numbers if low == -math.inf else z.counts["ge", low]
    inside = reached if high == math.inf else reached - z.counts["gt", high]
    if isinstance(inside, Tensor):
        return inside
    return torch.full((z.samples, z.units), inside, device=z.sums.device)
