"""How often z falls exactly on a kink, where the derivative is a convention."""

from __future__ import annotations

from typing import Any

from relucid.functions import Activation, Elementwise
from relucid.probes.counters.totals import Totals
from relucid.probes.rows import Comparison, Rows


class Kinks:
    """Elements with z exactly at a kink: frequent ones make the choice of phi'(kink) matter.

    Bertoin et al. 2021, arXiv:2106.12915.
    """

    def __init__(self, activation: Activation | None) -> None:
        kinks = activation.kinks if isinstance(activation, Elementwise) else ()
        self.comparisons: tuple[Comparison, ...] = tuple(("eq", kink.at) for kink in kinks)
        self._totals = Totals()

    def count(self, z: Rows) -> None:
        """Count one call."""
        for key in self.comparisons:
            self._totals.add_rows("hits", z.counts[key].reshape(-1, 1))

    def fields(self, units: int) -> dict[str, Any]:
        """Return the record's field."""
        return {"kink_hits": self._totals.count("hits")}
