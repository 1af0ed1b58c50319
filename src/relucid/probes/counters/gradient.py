"""The gradient of the loss with respect to z."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from relucid.probes.arrange import Arrangement
from relucid.probes.counters.totals import Totals
from relucid.probes.rows import Wanted, read_rows, wide
from relucid.records import GradientRecord

_WANTED = Wanted(squares=True, sizes=True)


class Gradient:
    """Sums of abs(dL/dz) a unit and of its square; non-finite values are counted apart."""

    def __init__(self, units: int) -> None:
        self._units = units
        self._batches = self._elements = 0
        self._totals = Totals()

    def count(self, gradient: Tensor, arrangement: Arrangement, scale: float) -> None:
        """Count the gradient of one backward pass; ``scale`` is the loss scaler's factor."""
        values, axis = arrangement.three_axes(gradient)
        rows = read_rows(values, axis, arrangement.group, _WANTED)
        self._batches += 1
        self._elements += gradient.numel()
        nonfinite, real = rows.nonfinite(), wide(rows.sums)
        if nonfinite is not None:
            self._totals.add("nonfinite", nonfinite)
        if rows.squares is not None:
            self._totals.add("squares", rows.squares.sum(dtype=real) / scale**2)
        if self._units:
            self._totals.add("absolute", rows.sums.sum(0, dtype=real) / scale)

    def record(self) -> GradientRecord | None:
        """Return the record, or None where no gradient arrived."""
        if not self._batches:
            return None
        nonfinite = self._totals.count("nonfinite")
        seen = max(self._elements - nonfinite, 1)
        rms = float(np.sqrt(self._totals.reals("squares", 1)[0] / seen))
        absolute = self._totals.reals("absolute", self._units)
        return GradientRecord(self._batches, absolute, rms, nonfinite)
