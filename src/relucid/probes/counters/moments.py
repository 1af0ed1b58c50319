"""Mean and variance of z, each unit for itself."""

from __future__ import annotations

from typing import Any

import numpy as np

from relucid.functions import Activation
from relucid.probes.counters.nonfinite import NONFINITE
from relucid.probes.counters.totals import Totals
from relucid.probes.sums import Sum, finite, square

SUM, SQUARES = Sum(finite), Sum(square)


class Moments:
    """Mean and variance of the finite values, from their sum and that of their squares.

    In float64 the variance keeps half of float32's digits up to a mean of a million deviations.
    """

    def __init__(self, activation: Activation | None) -> None:
        self.of_z: tuple[Sum, ...] = (SUM, SQUARES, NONFINITE)
        self.of_h: tuple[Sum, ...] = ()

    def fields(self, z: Totals, h: Totals) -> dict[str, Any]:
        """Return the record's fields; NaN for a unit that saw no finite value."""
        seen = z.elements - z[NONFINITE]
        seen = np.where(seen > 0, seen, np.nan)
        mean = z[SUM] / seen
        return {"mean": mean, "variance": (z[SQUARES] / seen - mean * mean).clip(min=0.0)}
