"""What each unit gives out: exact zeros and the size of h."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from relucid.probes.chunk import Chunk
from relucid.probes.counters.totals import Totals, wide


class Outputs:
    """Elements with h == 0, and the mean of abs(h) over the finite ones."""

    def __init__(self) -> None:
        self._totals = Totals()

    def count(self, h: Chunk) -> None:
        """Count one chunk."""
        self._totals.add("zeros", h.per_unit(h.equal(0.0)))
        size = h.values.abs()
        if h.finite:
            self._totals.add("magnitude", h.over_units(size))
            seen = torch.full((h.units,), h.elements, device=size.device)
        else:
            finite = size.isfinite()
            size = torch.where(finite, size, 0.0).to(wide(size))
            self._totals.add("magnitude", h.over_units(size))
            seen = h.over_units(finite)
        self._totals.add("seen", seen)

    def fields(self, units: int) -> dict[str, Any]:
        """Return the record's fields; a magnitude of NaN where no output was finite."""
        seen = self._totals.counts("seen", units)
        some = np.where(seen > 0, 1.0, np.nan)
        magnitude = self._totals.reals("magnitude", units) / seen.clip(min=1) * some
        return {"zeros": self._totals.counts("zeros", units), "magnitude": magnitude}
