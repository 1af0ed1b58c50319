"""A part of one call's values, small enough for the cache, and the counts that are shared."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

CHUNK = 1 << 17
"""Elements counted at a time on a CPU: the temporaries of one chunk stay in the L2 cache."""
_EXACT = 1 << 24
"""Integers up to here are exact in float32."""


class Chunk:
    """Values of some samples, with three axes: samples, and units and positions in either order.

    Masks are float32 zeros and ones: PyTorch sums them several times faster than booleans.
    """

    def __init__(self, values: Tensor, unit_axis: int, group: int) -> None:
        self.values = values
        self.unit_axis = unit_axis
        self.position_axis = 3 - unit_axis
        self.units = values.shape[unit_axis]
        self.samples = values.shape[0] // group
        self.positions = group * values.shape[self.position_axis]
        self._group = group
        self._rows: dict[tuple[str, float], Tensor] = {}
        self.finite = _surely_finite(values)

    @property
    def elements(self) -> int:
        """Values of each unit."""
        return self.samples * self.positions

    def over_units(self, values: Tensor) -> Tensor:
        """Sum over samples and positions: one entry a unit."""
        return values.sum((0, self.position_axis))

    def rows(self, mask: Tensor) -> Tensor:
        """Sum a mask over the positions: float64 counts of shape (samples, units)."""
        wide = torch.float64 if self.positions >= _EXACT else mask.dtype
        rows = mask.sum(self.position_axis, dtype=wide)
        if self._group > 1:
            rows = rows.reshape(self.samples, self._group, self.units).sum(1)
        return rows

    def above(self, threshold: float) -> Tensor:
        """Count values > threshold: (samples, units)."""
        return self._counted("gt", threshold)

    def at_least(self, threshold: float) -> Tensor:
        """Count values >= threshold: (samples, units)."""
        return self._counted("ge", threshold)

    def equal(self, value: float) -> Tensor:
        """Count values == value: (samples, units)."""
        return self._counted("eq", value)

    def numbers(self) -> Tensor | float:
        """Count values that are not NaN: (samples, units), or one number for all."""
        if self.finite:
            return float(self.positions)
        return self.positions - self.rows(self.values.isnan().float())

    def per_unit(self, rows: Tensor) -> Tensor:
        """Add up the samples of a count: int64, one entry a unit."""
        wide = rows.double() if self.elements >= _EXACT else rows
        return wide.sum(0).to(torch.int64)

    def _counted(self, comparison: str, threshold: float) -> Tensor:
        key = (comparison, threshold)
        if key not in self._rows:
            mask = torch.empty_like(self.values, dtype=torch.float32)
            getattr(torch, comparison)(self.values, threshold, out=mask)
            self._rows[key] = self.rows(mask)
        return self._rows[key]


def chunks(values: Tensor, unit_axis: int, group: int) -> Iterator[Chunk]:
    """Cut values with three axes into chunks along the samples; 16-bit becomes float32."""
    row = max(values[:1].numel() * group, 1)
    on_cpu = values.device.type == "cpu"
    step = group * max(CHUNK // row, 1) if on_cpu else max(values.shape[0], 1)
    for start in range(0, values.shape[0], step):
        part = values[start : start + step]
        if part.dtype not in (torch.float32, torch.float64):
            part = part.float()
        yield Chunk(part, unit_axis, group)


def _surely_finite(values: Tensor) -> bool:
    """True only if all values are finite. Elsewhere than on a CPU, asking would wait for it."""
    return values.device.type == "cpu" and bool(values.sum().isfinite())
