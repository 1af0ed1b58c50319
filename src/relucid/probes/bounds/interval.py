"""What is known of a tensor's values for every input of a domain: an interval for each element."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor

WIDE = "an end beyond the largest number of its dtype: intervals widen with depth"
_TINY = 1e-37
"""More than any 32-bit result can lose by underflow."""


@dataclass(frozen=True)
class Ball:
    """Each row (last axis) is ``scale * n + shift``: abs(n) <= radius, plus ``slack`` an element.

    What a normalisation guarantees whatever it is given: its vector n has a fixed length.
    """

    scale: Tensor
    shift: Tensor
    radius: float
    slack: float
    centred: bool
    """Whether the elements of n add up to 0."""


@dataclass(frozen=True, eq=False)
class Interval:
    """Lower and upper bounds, float64, of the shape of the tensor they belong to.

    They enclose the numbers that the model itself computes, rounding included. An end that is
    not known is infinite. ``causes`` names the operations at which knowledge was lost.
    """

    low: Tensor
    high: Tensor
    causes: frozenset[str] = frozenset()
    ball: Ball | None = None
    weights: bool = False
    """Whether each row (last axis) is made of shares: none negative, together at most 1."""
    kin: tuple[Literal["square", "mean", "inverse"], Interval] | None = None
    """On the way to a root mean square: how it was made, and the interval of what."""

    @property
    def known(self) -> bool:
        """Whether every element has a single value, whatever the input."""
        return bool((self.low == self.high).all())

    @property
    def size(self) -> Tensor:
        """The largest finite abs value of each element."""
        return torch.maximum(_finite(self.low).abs(), _finite(self.high).abs())

    def ends(self, low: Tensor, high: Tensor) -> Interval:
        """Return other bounds with these causes."""
        return Interval(low, high, self.causes)

    def but(self, **changes: Any) -> Interval:
        """Return a copy with other notes."""
        return replace(self, **changes)


def unknown(like: Tensor, causes: frozenset[str] = frozenset()) -> Interval:
    """Return bounds that exclude nothing that this tensor can hold."""
    low, high = (0.0, 1.0) if like.dtype is torch.bool else (-torch.inf, torch.inf)
    make = like.new_full if like.layout is torch.strided else torch.full
    shape: Any = like.shape
    return Interval(
        make(shape, low, dtype=torch.float64), make(shape, high, dtype=torch.float64), causes
    )


def exactly(
    value: Any, like: Interval | None = None, dtype: torch.dtype = torch.float64
) -> Interval:
    """Return the interval of a constant: a number, or a tensor that no input changes.

    A Python number is what operators on ``dtype`` make of it (:func:`made_of`).
    """
    if isinstance(value, Interval):
        return value
    device = None if like is None else like.low.device
    if isinstance(value, Tensor):
        at = value.detach().to(torch.float64)
        return Interval(at, at)
    meant = made_of(value, dtype) if isinstance(value, float) else (value, value)
    low, high = (torch.tensor(x, dtype=torch.float64, device=device) for x in meant)
    return Interval(low, high)


def made_of(number: float, dtype: torch.dtype) -> tuple[float, float]:
    """Return the least and the largest number that an operator on ``dtype`` may take one for.

    In float64 that is itself, in float32 the float32 next to it, and in 16-bit types that one or
    the one of the type: PyTorch's operators differ.
    """
    if dtype is torch.float64:
        return number, number
    exact = torch.tensor(number, dtype=torch.float64)
    ends = [float(exact.float()), float(exact.to(dtype)) if dtype.is_floating_point else number]
    return min(ends), max(ends)


def unit(dtype: torch.dtype) -> float:
    """Unit roundoff u of a dtype: a rounded result is off by at most u times itself."""
    return torch.finfo(dtype).eps / 2 if dtype.is_floating_point else 0.0


def widened(interval: Interval, error: Tensor | float) -> Interval:
    """Move the ends apart by an absolute error; an error of exactly 0 moves nothing."""
    given = torch.as_tensor(error, dtype=torch.float64, device=interval.low.device)
    error = given + _TINY * (given > 0)
    return interval.but(low=interval.low - error, high=interval.high + error)


def rounded(interval: Interval, dtype: torch.dtype, steps: float = 2.0) -> Interval:
    """Allow for ``steps`` roundings of the result. Zeros stay zeros: rounding keeps the sign."""
    factor = steps * (unit(dtype) + unit(torch.float64))
    low, high = (end - sign * (factor * end.abs() + _TINY * (end != 0))
                 for end, sign in ((interval.low, 1.0), (interval.high, -1.0)))  # fmt: skip
    return interval.but(low=low, high=high)


def settled(interval: Interval, like: Tensor) -> Interval:
    """Turn what is no number, or beyond the dtype's largest one, into an unknown end."""
    most = torch.finfo(like.dtype).max if like.dtype.is_floating_point else torch.inf
    low, high = interval.low, interval.high
    lost = low.isnan() | high.isnan() | (low == torch.inf) | (high == -torch.inf)
    low = low.masked_fill(lost | (low < -most), -torch.inf)
    high = high.masked_fill(lost | (high > most), torch.inf)
    real = like.dtype.is_floating_point and not interval.causes
    endless = real and bool((low.isinf() | high.isinf()).any())
    causes = frozenset((WIDE,)) if endless else interval.causes
    return interval.but(low=low, high=high, causes=causes)


def _finite(values: Tensor) -> Tensor:
    return values.masked_fill(~values.isfinite(), 0.0)


def finite(values: Tensor) -> Tensor:
    """Replace infinite ends by 0."""
    return _finite(values)
