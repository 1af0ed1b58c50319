"""What each unit gives out: exact zeros and the size of h."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from relucid.functions import Activation, Elementwise
from relucid.probes.counters.firing import FIRES
from relucid.probes.counters.totals import Totals
from relucid.probes.rows import Comparison, Rows, Wanted, wide

_ZERO: Comparison = ("eq", 0.0)


class Outputs:
    """Elements with h == 0, and the mean of abs(h) over the finite ones.

    Where z tells which outputs are zero, as for ReLU, h need not be compared.
    """

    def __init__(self, activation: Activation | None) -> None:
        self._totals = Totals()
        self._from_z = _zero_up_to_zero(activation)
        signed = not isinstance(activation, Elementwise) or activation.range[0] < 0
        self.wanted = Wanted(() if self._from_z else (_ZERO,), sizes=signed)

    def count_input(self, z: Rows) -> None:
        """Count the zeros that z foretells."""
        if self._from_z:
            zeros = z.numbers - z.counts[FIRES]
            self._totals.add_rows("zeros", zeros)

    def count(self, h: Rows) -> None:
        """Count one call."""
        if not self._from_z:
            self._totals.add_rows("zeros", h.counts[_ZERO])
        self._totals.add("magnitude", h.sums.sum(0, dtype=wide(h.sums)))
        self._totals.add("seen", h.seen().long())

    def fields(self, units: int) -> dict[str, Any]:
        """Return the record's fields; a magnitude of NaN where no output was finite."""
        seen = self._totals.counts("seen", units)
        some = np.where(seen > 0, 1.0, np.nan)
        magnitude = self._totals.reals("magnitude", units) / seen.clip(min=1) * some
        return {"zeros": self._totals.counts("zeros", units), "magnitude": magnitude}


def _zero_up_to_zero(activation: Activation | None) -> bool:
    """Whether h == 0 exactly where z <= 0, in floating point too: then h = z just above zero."""
    if not isinstance(activation, Elementwise) or not activation.piecewise_linear:
        return False
    just_above = 5e-324
    same_above = float(activation(just_above)) == just_above
    return activation.zero_region == (-math.inf, 0.0) and same_above
