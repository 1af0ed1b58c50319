"""A histogram made fit to draw: trimmed to where values lie, and no finer than can be seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from relucid.records import Histogram
from relucid.report.charts.drawing import FIRE, QUIET, Row

BINS = 64


@dataclass(frozen=True)
class Density:
    """The drawn part of a histogram."""

    edges: tuple[float, ...]
    heights: tuple[float, ...]
    """Density of each bin over that of the fullest one."""
    curve: tuple[tuple[float, float], ...]
    """Points (z, h) of the activation within the edges."""
    quartiles: tuple[float, float, float]

    @property
    def holds_zero(self) -> bool:
        """Say whether zero lies within the drawn part."""
        return self.edges[0] < 0 < self.edges[-1]

    def bars(self) -> list[Row]:
        """Return one row a bin, coloured by the side of zero on which it lies."""
        return [
            {
                "low": low,
                "high": high,
                "height": height,
                "colour": FIRE if low + high > 0 else QUIET,
            }
            for low, high, height in zip(self.edges, self.edges[1:], self.heights, strict=False)
            if height > 0
        ]


def density_of(histogram: Histogram) -> Density | None:
    """Return what to draw of a histogram, or None where nothing lies within its edges."""
    filled = np.flatnonzero(histogram.counts)
    if len(filled) == 0:
        return None
    first, last = _drawn_bins(histogram, int(filled[0]), int(filled[-1]) + 1)
    step = -(-(last - first) // BINS)
    cuts = np.append(np.arange(first, last, step), last)
    counts = np.add.reduceat(histogram.counts, cuts[:-1]) if len(cuts) > 1 else histogram.counts
    edges = histogram.edges[cuts]
    density = counts / np.diff(edges)
    return Density(
        edges=tuple(map(float, edges)),
        heights=tuple(map(float, density / density.max())),
        curve=_curve(histogram, first, last),
        quartiles=_quartiles(histogram),
    )


def _drawn_bins(histogram: Histogram, first: int, last: int) -> tuple[int, int]:
    """Widen the filled bins to hold zero, the place where rectifiers bend, and some air."""
    zero = int(np.searchsorted(histogram.edges, 0.0))
    air = max(1, (last - first) // 16)
    low, high = min(first, max(zero - 1, 0)) - air, max(last, zero) + air
    return max(low, 0), min(high, len(histogram.counts))


def _curve(histogram: Histogram, first: int, last: int) -> tuple[tuple[float, float], ...]:
    if len(histogram.curve) != len(histogram.edges):
        return ()
    points = zip(histogram.edges[first : last + 1], histogram.curve[first : last + 1], strict=True)
    return tuple((float(z), float(h)) for z, h in points if np.isfinite(h))


def _quartiles(histogram: Histogram) -> tuple[float, float, float]:
    reached = np.cumsum(histogram.counts) + histogram.below
    total = int(reached[-1]) + histogram.above
    ends = np.append(histogram.below, reached) / total
    low, middle, high = np.interp([0.25, 0.5, 0.75], ends, histogram.edges)
    return float(low), float(middle), float(high)
