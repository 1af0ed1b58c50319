"""How often each unit gives back its input: where the function is the identity."""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np

from relucid.functions import Activation, Elementwise
from relucid.probes.counters.firing import FIRES
from relucid.probes.counters.totals import Totals
from relucid.probes.sums import Sum, above, equal, missing, reached

_NAN = Sum(missing)


class Unchanged:
    """Elements with h == z: those in the closed interval where the function is the identity.

    For ReLU and its kin the sums are counted anyway, for firing, kinks and saturation. A function
    without such an interval (GELU, tanh) has no entry.
    """

    def __init__(self, activation: Activation | None) -> None:
        self._region = None if activation is None else identity_region(activation)
        self.of_z: tuple[Sum, ...] = (FIRES,)
        self.of_h: tuple[Sum, ...] = ()
        if self._region is not None:
            low, high = self._region
            ends = (Sum(above, low), Sum(equal, low)) if low != -math.inf else (_NAN,)
            self.of_z = (*ends, Sum(reached, high), Sum(equal, high)) if high < math.inf else ends

    def fields(self, z: Totals, h: Totals) -> dict[str, Any]:
        """Return the record's field."""
        if self._region is None:
            return {}
        low, high = self._region
        inside = z.elements - z[_NAN]
        if low > -math.inf:
            inside = z[Sum(above, low)] + z[Sum(equal, low)]
        if high < math.inf:
            inside = inside - z[Sum(reached, high)] + z[Sum(equal, high)]
        return {"unchanged": inside}


@lru_cache(maxsize=256)
def identity_region(activation: Activation) -> tuple[float, float] | None:
    """Return the closed interval between two joints of the formula on which h == z, if any."""
    if not isinstance(activation, Elementwise):
        return None
    joints = {kink.at for kink in activation.kinks} | set(activation.seams)
    for low, high in pairwise((-math.inf, *sorted(joints), math.inf)):
        inside = np.linspace(max(low, min(high, 0.0) - 50.0), min(high, max(low, 0.0) + 50.0), 1001)
        if np.array_equal(np.asarray(activation(inside)), inside):
            return low, high
    return None
