"""Mean and variance of z, each unit for itself."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from relucid.probes.rows import Rows, wide

_FAR = 100.0
"""Squared means of up to this many variances cost two of float32's seven digits at most."""


class Moments:
    """Mean and variance of the finite values, merged call by call.

    A call is summed about zero or, where that would cost digits because the mean so far is far
    from zero, about that mean; it is merged in float64 (Chan, Golub and LeVeque 1983).
    """

    def __init__(self) -> None:
        self._held: tuple[Tensor, Tensor, Tensor] | None = None

    def centre(self, values: Tensor, unit_axis: int) -> Tensor | None:
        """Return the point about which the next call is to be summed, None for zero."""
        if values.numel() == 0:
            return None
        if self._held is None:
            first = values[:1].to(wide(values)).nan_to_num(0.0, 0.0, 0.0)
            return first.mean((0, 3 - unit_axis))
        seen, mean, squares = (t.to(values.device) for t in self._held)
        if values.device.type == "cpu" and bool((mean * mean * seen <= _FAR * squares).all()):
            return None
        return mean

    def count(self, z: Rows) -> None:
        """Count one call, which was summed about :meth:`centre`."""
        if z.squares is None:
            return
        real, seen = wide(z.sums), z.seen()
        some = seen.clamp(min=1)
        shift = z.sums.sum(0, dtype=real) / some
        centre = z.wanted.centre
        mean = shift if centre is None else centre.to(z.sums).to(real) + shift
        squares = z.squares.sum(0, dtype=real) - shift * shift * seen
        if self._held is not None:
            seen, mean, squares = _merged(self._held, (seen, mean, squares))
        self._held = seen, mean, squares

    def fields(self, units: int) -> dict[str, Any]:
        """Return the record's fields; NaN for a unit that saw no finite value."""
        if self._held is None:
            return {"mean": np.full(units, np.nan), "variance": np.full(units, np.nan)}
        seen, mean, squares = (t.cpu().double().numpy() for t in self._held)
        some = np.where(seen > 0, 1.0, np.nan)
        return {"mean": mean * some, "variance": squares.clip(min=0) / seen.clip(min=1) * some}


Merged = tuple[Tensor, Tensor, Tensor]


def _merged(first: Merged, second: Merged) -> Merged:
    """Count, mean and sum of squared deviations of two sets together."""
    seen, mean, squares = second
    before, mean_before, squares_before = (t.to(seen.device) for t in first)
    both, step = before + seen, mean - mean_before
    share = seen / both.clamp(min=1)
    squares = squares_before + squares + step * step * before * share
    return both, mean_before + step * share, squares
