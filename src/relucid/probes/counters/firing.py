"""How often each unit fires: z > 0."""

from __future__ import annotations

from typing import Any

from relucid.probes.chunk import Chunk
from relucid.probes.counters.totals import Totals


class Firing:
    """Elements with z > 0, and samples in which a unit fired at least once."""

    def __init__(self) -> None:
        self._totals = Totals()

    def count(self, z: Chunk) -> None:
        """Count one chunk."""
        rows = z.above(0.0)
        fired = z.per_unit(rows)
        self._totals.add("fired", fired)
        self._totals.add("samples", fired if z.positions == 1 else (rows > 0).sum(0))

    def fields(self, units: int) -> dict[str, Any]:
        """Return the record's fields."""
        return {
            "fired": self._totals.counts("fired", units),
            "fired_samples": self._totals.counts("samples", units),
        }
