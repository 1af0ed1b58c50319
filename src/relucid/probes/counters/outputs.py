"""What each unit gives out: exact zeros and the size of h."""

from __future__ import annotations

from typing import Any

import numpy as np

from relucid.functions import Activation
from relucid.probes.counters.nonfinite import NONFINITE
from relucid.probes.counters.totals import Totals
from relucid.probes.sums import Sum, equal, size

ZERO, SIZE = Sum(equal), Sum(size)


class Outputs:
    """Elements with h == 0, and the mean of abs(h) over the finite ones."""

    def __init__(self, activation: Activation | None) -> None:
        self.of_z: tuple[Sum, ...] = ()
        self.of_h: tuple[Sum, ...] = (ZERO, SIZE, NONFINITE)

    def fields(self, z: Totals, h: Totals) -> dict[str, Any]:
        """Return the record's fields; a magnitude of NaN where no output was finite."""
        seen = h.elements - h[NONFINITE]
        return {"zeros": h.counts(ZERO), "magnitude": h[SIZE] / np.where(seen > 0, seen, np.nan)}
