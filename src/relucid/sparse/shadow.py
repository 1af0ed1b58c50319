"""An 8-bit shadow of a layer's weights, and the bounds that make its products proofs.

The certificate itself is explained in :mod:`relucid.kernels.llvm.listed`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from relucid.kernels.llvm.products_header import BLOCK
from relucid.nn.memory import to_huge_pages

WIDTH = 64
"""The shadow's columns come in blocks of 64, which are whole vectors on every processor."""

_SLICE = 256
"""Rows that are converted at a time: float64 of all of them would be 8 times the shadow."""

_FACTS = 4
_UP = 1.0 + 1e-9
"""Covers the rounding of the float64 that bounds are computed in."""

_TINY = 2.0**-126
"""The smallest normal float32: what is below may be taken for 0, if flush_denormal is set."""

_LARGEST = 1e38
"""Of what a dense product in float32 may sum up to without a danger of infinity."""


@dataclass(frozen=True)
class Shadow:
    """What certificates need of a weight (rows, width) and its bias."""

    numbers: Tensor
    """int8, (rows, width) rounded up to whole blocks."""
    facts: Tensor
    """float64, (4, rows): scale, what is added, and factors of the norms of x and its rounding."""
    reach: int
    """The largest number that inputs are rounded to, so that products are exact in 32 bits."""
    most: float
    """The norm of inputs beyond which float32 could overflow."""

    @property
    def bytes(self) -> int:
        """Memory that it takes."""
        return self.numbers.nbytes + self.facts.nbytes


def most_of(weight: Tensor, bias: Tensor) -> float:
    """The norm of inputs beyond which a product in float32 could overflow; -1: any could.

    ``bias`` is float32. NaN and infinite weights give -1, too.
    """
    largest = max((float(part.norm(dim=1).max()) for part in _slices(weight)), default=0.0)
    room = _LARGEST - float(bias.abs().max()) if bias.numel() else _LARGEST
    if not (math.isfinite(largest) and room > 0.0):
        return -1.0
    return min(room / largest, _LARGEST) if largest else _LARGEST


def reach_of(width: int) -> int:
    """The largest whole number that inputs of a width may be rounded to; 0: the width is too much.

    int8 times these, summed over the width, must stay in 32 bits, and they must fit into 16.
    """
    reach = min((2**31 - 1) // (127 * max(width, 1)), 2**15 - 2)
    return reach if reach >= 127 else 0


def shadow_of(weight: Tensor, bias: Tensor) -> Shadow | None:
    """The shadow of a float32 or bfloat16 weight (rows, width) and its float32 bias.

    None where it could prove nothing: rows are too wide, or numbers too large or not finite.
    """
    rows, width = weight.shape
    padded = rounded_up(rows, BLOCK), rounded_up(width, WIDTH)
    reach, most = reach_of(padded[1]), most_of(weight, bias)
    if not (reach and most > 0.0):
        return None
    numbers = weight.new_zeros(padded, dtype=torch.int8)
    facts = weight.new_zeros(_FACTS, padded[0], dtype=torch.float64)
    facts[1] = -math.inf  # the rows that are none are certified
    error = _dense_error(width, weight.dtype)
    first = 0
    for part in _slices(weight):
        last = first + len(part)
        scale = part.abs().amax(dim=1) / 127.0
        near = torch.where(scale[:, None] > 0.0, part / scale[:, None], 0.0).round()
        numbers[first:last, :width] = near.to(torch.int8)
        copy = near * scale[:, None]
        norm = part.norm(dim=1)
        shift = bias[first:last].double()
        facts[0, first:last] = scale
        facts[1, first:last] = (
            shift + _UP * (error * shift.abs() + _TINY * (math.sqrt(width) * norm + 2 * width + 2))
        )  # fmt: skip
        facts[2, first:last] = _UP * (
            (part - copy).norm(dim=1) + error * norm + math.sqrt(width) * _TINY
        )
        facts[3, first:last] = _UP * copy.norm(dim=1)
        first = last
    return Shadow(to_huge_pages(numbers), facts, reach, most)


def _dense_error(width: int, dtype: torch.dtype) -> float:
    """The relative error of a dense product and its bias in float32, whatever the order.

    n u / (1 - n u) for n roundings (Higham, Accuracy and Stability of Numerical Algorithms,
    section 3.1). Instructions for bfloat16 may round to odd: twice the unit.
    """
    unit = 2.0**-24 if dtype == torch.float32 else 2.0**-23
    rounded = (width + 2) * unit
    return rounded / (1.0 - rounded)


def _slices(weight: Tensor) -> Iterator[Tensor]:
    """The weight in float64, some rows at a time."""
    for part in weight.detach().split(_SLICE):
        yield part.double()


def rounded_up(number: int, step: int) -> int:
    """The next multiple of ``step``."""
    return -(-number // step) * step
