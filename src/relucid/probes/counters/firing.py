"""How often each unit fires: z > 0."""

from __future__ import annotations

from typing import Any

from relucid.probes.counters.totals import Totals
from relucid.probes.rows import Comparison, Rows

FIRES: Comparison = ("gt", 0.0)


class Firing:
    """Elements with z > 0, and samples in which a unit fired at least once."""

    comparisons: tuple[Comparison, ...] = (FIRES,)

    def __init__(self) -> None:
        self._totals = Totals()

    def count(self, z: Rows) -> None:
        """Count one call."""
        fired = z.counts[FIRES]
        self._totals.add_rows("fired", fired)
        self._totals.add_rows("samples", fired if z.positions == 1 else fired > 0)

    def fields(self, units: int) -> dict[str, Any]:
        """Return the record's fields."""
        return {
            "fired": self._totals.counts("fired", units),
            "fired_samples": self._totals.counts("samples", units),
        }
