"""How often each unit sits where its function is nearly flat."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relucid.functions import Activation
from relucid.probes.counters.totals import Totals
from relucid.probes.flat import Region, flat_regions
from relucid.probes.sums import Sum, above, missing, reached

_NAN = Sum(missing)


class Saturation:
    """Elements with abs(derivative at z) < :data:`~relucid.probes.flat.NEARLY_FLAT`.

    The derivative is not evaluated: z is compared with the ends of the regions in which the
    declared derivative is that small.
    """

    def __init__(self, activation: Activation | None) -> None:
        self._regions = () if activation is None else flat_regions(activation)
        lows = [Sum(reached, low) for low, _ in self._regions if low != -math.inf]
        highs = [Sum(above, high) for _, high in self._regions if high != math.inf]
        self.of_z: tuple[Sum, ...] = (_NAN, *lows, *highs)
        self.of_h: tuple[Sum, ...] = ()

    def fields(self, z: Totals, h: Totals) -> dict[str, Any]:
        """Return the record's fields."""
        inside = (_inside(z, region) for region in self._regions)
        return {"saturated": sum(inside, np.zeros(z.units, np.int64))}


def _inside(z: Totals, region: Region) -> NDArray[np.int64]:
    """Count low <= z <= high."""
    low, high = region
    from_low = z.elements - z.counts(_NAN) if low == -math.inf else z.counts(Sum(reached, low))
    return from_low if high == math.inf else from_low - z.counts(Sum(above, high))
