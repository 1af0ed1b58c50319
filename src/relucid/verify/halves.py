"""float16 and bfloat16: every input, against the correctly rounded truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from relucid.functions import Elementwise
from relucid.records.accuracy import Half
from relucid.verify.points import roots
from relucid.verify.reference import WHICH, Reference, on_numpy, reference
from relucid.verify.sides import Side
from relucid.verify.textbook import exact
from relucid.verify.units import near, rounded_to_odd

DTYPES = (torch.float16, torch.bfloat16)
UNCERTAINTY = 1e-12
"""Relative error of the float64 truth: nearer to a tie, the textbook decides."""
SLACK = 8.0 * 2.0**-23
"""Relative error of one evaluation in float32, after which a result is rounded once more."""
ROOT_SLACK, ROOT_ZONE = 1e-7, 0.1
"""The same absolutely, within a tenth of a root of the derivative."""

Points = NDArray[np.float64]


@dataclass(frozen=True)
class Rounded:
    """The correctly rounded truth in a 16-bit type, and the least and greatest admitted results.

    These are the roundings of the truth less and plus what an evaluation in float32 may be off:
    they differ where the truth is that close to halfway between two numbers.
    """

    nearest: Tensor
    least: Tensor
    greatest: Tensor


def halves(activation: Elementwise, side: Side) -> dict[str, tuple[Half, ...]]:
    """What is wrong of the results on all 65,536 inputs of each type, as value and derivative.

    At infinities the limits are due, which the truth in float64 has; for NaN a NaN.
    """
    found: dict[str, list[Half]] = {which: [] for which in WHICH}
    for dtype in DTYPES:
        x = torch.arange(-(1 << 15), 1 << 15, dtype=torch.int32).to(torch.int16).view(dtype)
        for which, result in zip(WHICH, side(x), strict=True):
            truth = reference(activation, which)
            found[which].append(_judged(activation, which, truth, x, result))
    return {which: tuple(seen) for which, seen in found.items()}


def _judged(
    activation: Elementwise, which: str, truth: Reference, x: Tensor, result: Tensor
) -> Half:
    number = x == x
    x, result, lost = x[number], result[number], int((result[~number] == result[~number]).sum())
    rounded = rounded16(activation, which, truth, x)
    moved = result != rounded.nearest
    wrong = ~((result >= rounded.least) & (result <= rounded.greatest))
    first = float(x[wrong][0]) if bool(wrong.any()) else None
    return Half(
        dtype=str(x.dtype).removeprefix("torch."),
        moved=int(moved.sum()) + lost,
        wrong=int(wrong.sum()) + lost,
        at=first,
    )


def rounded16(activation: Elementwise, which: str, truth: Reference, x: Tensor) -> Rounded:
    """Round the truth at 16-bit inputs that are no NaN; the textbook settles the close cases."""
    points = x.double().numpy()
    high = on_numpy(truth)(points).copy()
    low = np.zeros_like(high)
    unsure = _near_tie(high, x.dtype) & np.isfinite(points)
    high[unsure], low[unsure] = exact(activation, which, points[unsure])
    close = near(points, roots(activation), ROOT_ZONE) if which == "derivative" else False
    slack = SLACK * np.abs(high) + np.where(close, ROOT_SLACK, 0.0)
    with np.errstate(invalid="ignore"):  # an infinite truth has no slack
        edges = [np.where(np.isinf(high), high, high + sign * slack) for sign in (-1.0, 1.0)]
    return Rounded(*(round16(number, low, x.dtype) for number in (high, *edges)))


def _near_tie(truth: Points, dtype: torch.dtype) -> NDArray[np.bool_]:
    """Whether the error of the truth could decide the rounding."""
    none = np.zeros_like(truth)
    down, up = (round16(truth * (1.0 + s * UNCERTAINTY), none, dtype) for s in (-1, 1))
    unequal: NDArray[np.bool_] = (down != up).numpy() & ~np.isnan(truth)
    return unequal


def round16(high: Points, low: Points, dtype: torch.dtype) -> Tensor:
    """The sum of two float64 rounded once to float16 or bfloat16."""
    return torch.from_numpy(rounded_to_odd(high, low)).to(dtype)
