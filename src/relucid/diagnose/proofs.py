"""What bounds over a declared domain add to a finding: which of its units are proved."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from relucid.records import SiteRecord

Units = NDArray[np.bool_]


def proved_dead(record: SiteRecord, dead: Units) -> str:
    """Say how many of these dead units are so for every input of the domain."""
    return "" if record.bounds is None else _told(dead, record.bounds.dead)


def proved_on(record: SiteRecord, on: Units) -> str:
    """Say how many of these always-on units are so for every input of the domain."""
    return "" if record.bounds is None else _told(on, record.bounds.on)


def _told(units: Units, proofs: Units) -> str:
    count, all_units = int((units & proofs).sum()), int(units.sum())
    if not all_units:
        return ""
    if count == all_units:
        who = "It is so" if count == 1 else "All of them are so"
        return f" {who} provably, for every input of the domain."
    if not count:
        return " None is so provably for every input of the domain: this holds on these data."
    others = "the other" if all_units - count == 1 else "the others"
    return (
        f" {count:,} of them provably, for every input of the domain; {others} only on these data."
    )
