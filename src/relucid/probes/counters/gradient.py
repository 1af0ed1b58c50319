"""The gradient of the loss with respect to z."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from relucid.probes.arrange import Arrangement
from relucid.probes.chunk import Chunk, chunks
from relucid.probes.counters.totals import Totals, wide
from relucid.records import GradientRecord


class Gradient:
    """Sums of abs(dL/dz) a unit and of its square; non-finite values are counted apart."""

    def __init__(self, units: int) -> None:
        self._units = units
        self._batches = 0
        self._totals = Totals()

    def count(self, gradient: Tensor, arrangement: Arrangement, scale: float) -> None:
        """Count the gradient of one backward pass; ``scale`` is the loss scaler's factor."""
        self._batches += 1
        values, axis = arrangement.three_axes(gradient)
        for chunk in chunks(values, axis, arrangement.group):
            self._count(chunk, scale)

    def _count(self, chunk: Chunk, scale: float) -> None:
        size = chunk.values.abs()
        real = wide(size)
        if not chunk.finite:
            finite = size.isfinite()
            self._totals.add("nonfinite", (~finite).sum())
            size = torch.where(finite, size, 0.0)
        sums = chunk.over_units(size).to(real) / scale
        # Squares of vanishing gradients underflow: divide by the largest first.
        largest = size.amax() if size.numel() else size.sum()
        unit = torch.where(largest > 0, largest, 1.0)
        norm = torch.linalg.vector_norm(size.div_(unit)).to(real) * (unit.to(real) / scale)
        self._totals.add("squares", norm.square())
        self._totals.add("seen", torch.tensor(size.numel()))
        if self._units:
            self._totals.add("absolute", sums)

    def record(self) -> GradientRecord | None:
        """Return the record, or None where no gradient arrived."""
        if not self._batches:
            return None
        nonfinite = self._totals.count("nonfinite")
        seen = max(self._totals.count("seen") - nonfinite, 1)
        rms = float(np.sqrt(self._totals.reals("squares", 1)[0] / seen))
        absolute = self._totals.reals("absolute", self._units)
        return GradientRecord(self._batches, absolute, rms, nonfinite)
