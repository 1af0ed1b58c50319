"""How many values are NaN or infinite."""

from __future__ import annotations

from torch import Tensor

from relucid.probes.counters.totals import Totals
from relucid.probes.rows import Rows


class Nonfinite:
    """NaN and infinite values."""

    def __init__(self) -> None:
        self._totals = Totals()

    def count(self, rows: Rows) -> None:
        """Count one call."""
        nonfinite = rows.nonfinite()
        if nonfinite is not None:
            self._totals.add("nonfinite", nonfinite)

    def count_vectors(self, values: Tensor) -> None:
        """Count one call of a function of vectors, where minus infinity is a mask (softmax)."""
        if values.device.type != "cpu" or not bool(values.sum().isfinite()):
            self._totals.add("nonfinite", (values.isnan() | values.isposinf()).sum())

    def total(self) -> int:
        """Read the count."""
        return self._totals.count("nonfinite")
