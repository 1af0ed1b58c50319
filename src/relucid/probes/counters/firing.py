"""How often each unit fires: z > 0."""

from __future__ import annotations

from typing import Any

from relucid.functions import Activation
from relucid.probes.counters.totals import Totals
from relucid.probes.sums import Sum, above

FIRES = Sum(above)
FIRING = Sum(above, by_sample=True)


class Firing:
    """Elements with z > 0, and samples in which a unit fired at least once."""

    def __init__(self, activation: Activation | None) -> None:
        self.of_z: tuple[Sum, ...] = (FIRES, FIRING)
        self.of_h: tuple[Sum, ...] = ()

    def fields(self, z: Totals, h: Totals) -> dict[str, Any]:
        """Return the record's fields."""
        return {"fired": z.counts(FIRES), "fired_samples": z.counts(FIRING)}
