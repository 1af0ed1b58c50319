"""The distribution of z at a site, all units together."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from relucid.functions import Activation, Elementwise
from relucid.records import Histogram

BINS = 64
MARGIN = 0.1
"""How much wider than the first batch the range is, on each side, as a share of its width."""
SAMPLE = 1 << 12
"""At most about this many values of a call are sorted into bins: a picture needs no more, and
binning is the dearest of all counts."""


class HistogramCounter:
    """Counts of z in equal bins; the range is fixed by the first call."""

    def __init__(self, activation: Activation | None) -> None:
        self._activation = activation
        self._width: Tensor | None = None
        self._first = torch.zeros(())
        self._tally: Tensor | None = None

    def count(self, z: Tensor) -> None:
        """Count one call's z: all of it, or evenly spaced values of a large one."""
        values = _sample(z)
        if self._width is None:
            self._width, self._first = _range(values)
        width, first = self._width.to(values.device), self._first.to(values.device)
        bins = (values / width).sub_(first).floor_().clamp_(-1, BINS)
        bins = bins.nan_to_num_(-2.0).add_(2.0)  # NaN, below, bins, above
        tally = _tally(bins.to(torch.int64), BINS + 3)
        self._tally = tally if self._tally is None else tally + self._tally.to(tally.device)

    @property
    def begun(self) -> bool:
        """Whether anything was counted."""
        return self._width is not None

    def record(self) -> Histogram | None:
        """Return the histogram, with the function's value at each edge."""
        if self._width is None or self._tally is None:
            return None
        first, width = float(self._first), float(self._width)
        edges: NDArray[np.float64] = width * (first + np.arange(BINS + 1, dtype=np.float64))
        counts = self._tally.cpu().numpy()
        below, above = int(counts[1]), int(counts[-1])
        return Histogram(edges, counts[2:-1].copy(), below, above, self._curve(edges))

    def state(self) -> NDArray[np.float64]:
        """Read the width of a bin, the first edge in widths and the tally; empty before a call."""
        if self._width is None or self._tally is None:
            return np.zeros(0)
        range_and_tally = (float(self._width), float(self._first), *self._tally.tolist())
        return np.array(range_and_tally, np.float64)

    def put(self, state: NDArray[np.float64]) -> None:
        """Go on from what :meth:`state` read."""
        if state.size:
            width, first, *tally = torch.from_numpy(state)
            self._width, self._first = width.clone(), first.clone()
            self._tally = torch.stack(tally).to(torch.int64)

    def _curve(self, edges: NDArray[np.float64]) -> NDArray[np.float64]:
        if not isinstance(self._activation, Elementwise):
            return np.zeros(0)
        return np.asarray(self._activation(edges), dtype=np.float64)


def _range(values: Tensor) -> tuple[Tensor, Tensor]:
    """Return the width of a bin and the first edge in widths, a whole number: 0 is an edge."""
    finite = torch.where(values.isfinite(), values, 0.0)
    low, high = finite.min(), finite.max()
    margin = (high - low) * MARGIN + 1e-6 * (1.0 + finite.abs().max())
    width = (high - low + 2 * margin) / (BINS - 1)
    return width, ((low - margin) / width).floor()


def _sample(z: Tensor) -> Tensor:
    flat = z.reshape(-1)
    step = -(-flat.numel() // SAMPLE)
    step += step > 1 and step % 2 == 0  # odd: an even step would favour some channels
    values = flat[:: max(step, 1)]
    return values.to(torch.float32 if values.device.type == "mps" else torch.float64)


def _tally(bins: Tensor, size: int) -> Tensor:
    """Count each bin. ``bincount`` waits for the device unless that is the CPU."""
    if bins.device.type == "cpu":
        return torch.bincount(bins, minlength=size)
    return (bins[:, None] == torch.arange(size, device=bins.device)).sum(0)
