"""What is concluded from times: paired ratios, their spread, and whether a control held."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

CONTROL = (0.97, 1.03)
"""Where the same subject timed twice must land, as a ratio, for a row to count."""


@dataclass(frozen=True)
class Spread:
    """A median with the quartiles below and above it."""

    median: float
    low: float
    high: float

    @property
    def width(self) -> float:
        """The interquartile range as a share of the median."""
        return (self.high - self.low) / self.median


def spread(samples: NDArray[Any]) -> Spread:
    """Median and quartiles of the samples."""
    low, median, high = np.percentile(samples, (25.0, 50.0, 75.0))
    return Spread(float(median), float(low), float(high))


def paired(times: NDArray[Any], base: NDArray[Any]) -> Spread:
    """The spread of ``times / base``, each quotient from one iteration.

    A machine that slows down for a while slows both, so that the quotients stay.
    """
    return spread(times / base)


def held(control: Spread) -> bool:
    """Whether a subject against itself came out as equal: a row is discarded otherwise."""
    return CONTROL[0] <= control.median <= CONTROL[1]


def geometric_mean(ratios: Iterable[float]) -> float:
    """The geometric mean: the one mean for which a ratio and its inverse agree."""
    return float(np.exp(np.mean(np.log(np.fromiter(ratios, dtype=np.float64)))))
