"""What holds at a site for every input of a domain, proved rather than observed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Bounds:
    """Bounds of each unit's pre-activation z over all inputs of the domain, one entry a unit.

    They hold for the numbers that the model itself computes, rounding included, at every
    position of every sample. An end that is not known is infinite.
    """

    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
    dead: NDArray[np.bool_]
    """Whether the unit's output is exactly 0 for every input: it is provably dead."""
    exact: bool
    """Whether the function is known by its name, rather than told by its values on the data."""

    @property
    def on(self) -> NDArray[np.bool_]:
        """Which units have z >= 0 for every input: a rectifier of them is provably always on."""
        found: NDArray[np.bool_] = (self.lower >= 0.0) & self.exact
        return found


@dataclass(frozen=True)
class Gap:
    """Something that stopped the bounds: what, and how many units have an unknown end by it."""

    cause: str
    sites: int
    units: int


@dataclass(frozen=True)
class Domain:
    """The inputs for which the bounds hold: of the shapes and in the ranges given here."""

    inputs: dict[str, str]
    """By name: ``float32 (3, 8, 8) in 0 to 1``."""
    gaps: tuple[Gap, ...] = ()
    """Worst first."""
