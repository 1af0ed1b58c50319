"""What a site did over time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]
Reals = NDArray[np.float64]


@dataclass(frozen=True)
class SiteHistory:
    """A site over the sampled passes of a watch, one entry of each array a point.

    A point stands for one sampled pass, and in a long run for as many neighbouring ones as keep
    the number of points within a bound; then each entry is their mean, except where it says sum.
    A unit is dead in a pass if it fired (z > 0) for none of the values that were read. Where a
    function of a vector has no units, only the gradient is known, and the rest is NaN.
    """

    step: Reals
    """Number of the model's call, from 0: the training step where each calls the model once."""
    passes: Counts
    """Sampled passes that the point stands for."""
    samples: Counts
    """Samples that were read, their sum: the n that the point rests on."""
    fire_rate: Reals
    """Share of values with z > 0: the mean over units."""
    dead: Reals
    """Units that fired for no value of a pass."""
    window_dead: Reals
    """Units that have not fired in any of the last ``window`` passes."""
    revived: Reals
    """Sum of units that fired and had been dead in the pass before."""
    returned: Reals
    """Sum of units that fired and had been window-dead: those of ``revived`` that were not
    expected to."""
    gradient: Reals
    """Root mean square of the gradient of the loss at z; NaN where none arrived."""
    scale: Reals
    """Root mean square of z."""
    window: int
    quiet: Counts
    """Sampled passes since each unit last fired, one entry a unit: 0 if it did in the last one."""

    @property
    def window_dead_units(self) -> Counts:
        """Indices of the units that are window-dead now."""
        return np.flatnonzero(self.quiet > self.window)
