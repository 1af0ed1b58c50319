"""How many values are NaN or infinite."""

from __future__ import annotations

from torch import Tensor

from relucid.probes.chunk import Chunk
from relucid.probes.counters.totals import Totals


class Nonfinite:
    """NaN and infinite values. Minus infinity is left out where it masks (softmax)."""

    def __init__(self, masks: bool) -> None:
        self._masks = masks
        self._totals = Totals()

    def count(self, chunk: Chunk) -> None:
        """Count one chunk."""
        if not chunk.finite:
            self._totals.add("nonfinite", self._bad(chunk.values).sum())

    def total(self) -> int:
        """Read the count."""
        return self._totals.count("nonfinite")

    def _bad(self, values: Tensor) -> Tensor:
        if self._masks:
            return values.isnan() | values.isposinf()
        return ~values.isfinite()
