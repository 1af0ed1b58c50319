"""How often z falls exactly on a kink, where the derivative is a convention."""

from __future__ import annotations

from typing import Any

from relucid.functions import Activation, Elementwise
from relucid.probes.counters.totals import Totals
from relucid.probes.sums import Sum, equal


class Kinks:
    """Elements with z exactly at a kink: frequent ones make the choice of phi'(kink) matter.

    Bertoin et al. 2021, arXiv:2106.12915.
    """

    def __init__(self, activation: Activation | None) -> None:
        kinks = activation.kinks if isinstance(activation, Elementwise) else ()
        self.of_z: tuple[Sum, ...] = tuple(Sum(equal, kink.at) for kink in kinks)
        self.of_h: tuple[Sum, ...] = ()

    def fields(self, z: Totals, h: Totals) -> dict[str, Any]:
        """Return the record's field."""
        return {"kink_hits": sum(int(z.counts(kink).sum()) for kink in self.of_z)}
