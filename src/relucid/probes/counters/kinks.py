"""How often z falls exactly on a kink, where the derivative is a convention."""

from __future__ import annotations

from typing import Any

from relucid.functions import Activation, Elementwise
from relucid.probes.chunk import Chunk
from relucid.probes.counters.totals import Totals


class Kinks:
    """Elements with z exactly at a kink: frequent ones make the choice of phi'(kink) matter.

    Bertoin et al. 2021, arXiv:2106.12915.
    """

    def __init__(self, activation: Activation | None) -> None:
        known = isinstance(activation, Elementwise)
        self._kinks = tuple(kink.at for kink in activation.kinks) if known else ()
        self._totals = Totals()

    def count(self, z: Chunk) -> None:
        """Count one chunk."""
        for at in self._kinks:
            self._totals.add("hits", z.per_unit(z.equal(at)).sum())

    def fields(self, units: int) -> dict[str, Any]:
        """Return the record's field."""
        return {"kink_hits": self._totals.count("hits")}
