"""Mean and variance of z, each unit for itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from relucid.probes.chunk import Chunk
from relucid.probes.counters.totals import wide


class Moments:
    """Mean and variance of the finite values, merged chunk by chunk.

    Each chunk is summed in float32 about the mean so far, so that a mean far from zero costs no
    digits, and merged in float64 (Chan, Golub and LeVeque 1983). A chunk with non-finite or huge
    values is summed in float64.
    """

    def __init__(self) -> None:
        self._seen: Tensor | None = None
        self._mean = self._squares = torch.zeros(())

    def count(self, z: Chunk) -> None:
        """Count one chunk."""
        seen, sums, squares, centre = self._sums(z)
        mean = centre + sums / seen.clamp(min=1)
        squares = squares - sums * sums / seen.clamp(min=1)
        if self._seen is None:
            self._seen, self._mean, self._squares = seen, mean, squares
            return
        both = self._seen + seen
        step = (mean - self._mean) * (seen / both.clamp(min=1))
        self._squares = self._squares + squares + (mean - self._mean) * step * self._seen
        self._mean = self._mean + step
        self._seen = both

    def _sums(self, z: Chunk) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Count, sum and sum of squares about a centre, and that centre: one entry a unit."""
        centre = self._centre(z)
        values, real = z.values, wide(z.values)
        seen = torch.full((z.units,), float(z.elements), dtype=real, device=values.device)
        if not z.finite:
            finite = values.isfinite()
            seen = z.over_units(finite.to(real))
            values = torch.where(finite, values, 0.0).to(real)
        shape = (-1, 1) if z.unit_axis == 1 else (-1,)
        shifted = values - centre.to(values.dtype).reshape(shape)
        if not z.finite:
            shifted = torch.where(finite, shifted, 0.0)
        centre = centre.to(values.dtype).to(real)
        return seen, z.over_units(shifted).to(real), _squares(z, shifted).to(real), centre

    def _centre(self, z: Chunk) -> Tensor:
        if self._seen is not None:
            self._seen = self._seen.to(z.values.device)
            self._mean, self._squares = self._mean.to(self._seen), self._squares.to(self._seen)
            return self._mean
        values = z.values if z.finite else z.values.nan_to_num(0.0, 0.0, 0.0)
        first = values[:1].to(wide(values))
        return first.sum((0, z.position_axis)) / first.shape[z.position_axis]

    def fields(self, units: int) -> dict[str, Any]:
        """Return the record's fields; NaN for a unit that saw no finite value."""
        if self._seen is None:
            return {"mean": np.full(units, np.nan), "variance": np.full(units, np.nan)}
        seen, mean, squares = (
            t.cpu().double().numpy() for t in (self._seen, self._mean, self._squares)
        )
        some = np.where(seen > 0, 1.0, np.nan)
        return {"mean": mean * some, "variance": squares.clip(min=0) / seen.clip(min=1) * some}


def _squares(z: Chunk, values: Tensor) -> Tensor:
    """Sum of squares, one entry a unit."""
    if z.unit_axis == 2:
        flat = values.reshape(-1, z.units)
        return torch.linalg.vector_norm(flat, dim=0).square()
    return torch.linalg.vector_norm(values, dim=2).square().sum(0)
