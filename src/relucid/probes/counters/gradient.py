"""The gradient of the loss with respect to z."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from relucid.probes.arrange import Part
from relucid.probes.counters.nonfinite import NONFINITE
from relucid.probes.counters.totals import Totals
from relucid.probes.sums import Added, Sum, size, square
from relucid.records import GradientRecord

_SIZE, _SQUARES = Sum(size), Sum(square)


class Gradient:
    """Sums of abs(dL/dz) a unit and of its square; non-finite values are counted apart."""

    def __init__(self, units: int) -> None:
        self._units = units
        self.batches = 0
        self.totals = Totals(units or 1, (_SIZE, _SQUARES, NONFINITE))

    def count(self, gradient: Tensor, part: Part, scale: float) -> tuple[int, Added]:
        """Count the gradient of one backward pass; ``scale`` is the loss scaler's factor.

        Return how many values were read and, for each unit, the sum of their squares and how many
        are not finite.
        """
        self.batches += 1
        scaled = scale != 1.0  # else nothing has to be sent to the device, and waited for
        factors = np.array([[1.0 / scale], [1.0 / scale**2], [1.0]]) if scaled else None
        added, elements = self.totals.read(gradient, part, factors)
        return elements * self.totals.units, added[1:]

    def record(self) -> GradientRecord | None:
        """Return the record, or None where no gradient arrived."""
        if not self.batches:
            return None
        totals = self.totals
        nonfinite = int(totals.counts(NONFINITE).sum())
        seen = max(totals.elements * totals.units - nonfinite, 1)
        rms = float(np.sqrt(totals[_SQUARES].sum() / seen))
        return GradientRecord(self.batches, totals[_SIZE][: self._units], rms, nonfinite)
