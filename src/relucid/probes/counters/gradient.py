"""The gradient of the loss with respect to z."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from relucid.probes.arrange import Part
from relucid.probes.counters.nonfinite import NONFINITE
from relucid.probes.counters.totals import Totals
from relucid.probes.sums import Sum, size, square
from relucid.records import GradientRecord

_SIZE, _SQUARES = Sum(size), Sum(square)


class Gradient:
    """Sums of abs(dL/dz) a unit and of its square; non-finite values are counted apart."""

    def __init__(self, units: int) -> None:
        self._units = units
        self._batches = 0
        self._totals = Totals(units or 1, (_SIZE, _SQUARES, NONFINITE))

    def count(self, gradient: Tensor, part: Part, scale: float) -> None:
        """Count the gradient of one backward pass; ``scale`` is the loss scaler's factor."""
        self._batches += 1
        self._totals.read(gradient, part, np.array([[1.0 / scale], [1.0 / scale**2], [1.0]]))

    def record(self) -> GradientRecord | None:
        """Return the record, or None where no gradient arrived."""
        if not self._batches:
            return None
        totals = self._totals
        nonfinite = int(totals.counts(NONFINITE).sum())
        seen = max(totals.elements * totals.units - nonfinite, 1)
        rms = float(np.sqrt(totals[_SQUARES].sum() / seen))
        return GradientRecord(self._batches, totals[_SIZE][: self._units], rms, nonfinite)
