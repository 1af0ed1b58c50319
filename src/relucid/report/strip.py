"""A layer's units as a strip of cells, the same for characters and for pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from relucid.records import SiteRecord

Kind = Literal["dead", "firing", "always on"]


@dataclass(frozen=True)
class Cell:
    """One unit, or several neighbours in the order of their fire rates."""

    rate: float
    """Mean fire rate of its units."""
    kind: Kind


@dataclass(frozen=True)
class Strip:
    """All units of a site in the order of their fire rates: the dead first, always on last."""

    cells: tuple[Cell, ...]
    units: int
    per_cell: int
    """Units that a cell stands for, at most. 1 means one cell a unit."""
    dead: int
    always_on: int
    median: float
    """Median fire rate."""


def strip_of(record: SiteRecord, limit: int) -> Strip | None:
    """Return the strip of a site in at most ``limit`` cells, or None where no unit was counted.

    Where units share cells, dead, firing and always-on units never share one, and one unit of
    a kind is enough for a cell: a single dead unit in thousands is seen.
    """
    units = len(record.fired)
    if units == 0 or record.elements == 0:
        return None
    rates = np.sort(record.fire_rate)
    dead, on = len(record.dead), len(record.always_on)
    # Each of the three kinds may leave one cell unfilled.
    per_cell = 1 if units <= limit else -(-units // max(limit - 2, 1))
    cells = (
        *_cells(rates[:dead], per_cell, "dead"),
        *_cells(rates[dead : units - on], per_cell, "firing"),
        *_cells(rates[units - on :], per_cell, "always on"),
    )
    return Strip(cells, units, per_cell, dead, on, float(np.median(rates)))


def _cells(rates: np.ndarray, per_cell: int, kind: Kind) -> list[Cell]:
    starts = range(0, len(rates), per_cell)
    return [Cell(float(rates[start : start + per_cell].mean()), kind) for start in starts]
