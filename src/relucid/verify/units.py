"""The units that errors are measured in."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

TINY = 2.0**-126
"""The smallest normal float32."""
SMALLEST_SUBNORMAL = 2.0**-149
OVERFLOW = 2.0**128 - 2.0**103
"""The least number that rounds to infinity in float32."""
NEAR_ROOT = 1e-3
"""Nearer to a root of the derivative, a derivative is judged by its absolute error."""


def unit32(truth: Any) -> NDArray[np.float64]:
    """The spacing of float32 at each truth; for the subnormal ones the smallest subnormal."""
    exponent = np.frexp(np.clip(np.abs(truth), TINY, OVERFLOW))[1]
    unit: NDArray[np.float64] = np.ldexp(1.0, exponent - 24)
    return unit


def near(x: Any, roots: Iterable[float], reach: float = NEAR_ROOT) -> NDArray[np.bool_]:
    """Whether each point is within ``reach`` of one of the roots."""
    found = np.zeros(np.shape(x), dtype=bool)
    for root in roots:
        found |= np.abs(np.asarray(x, dtype=np.float64) - root) <= reach
    return found


def ulps(result: Any, truth: Any, low: Any, dtype: Any) -> NDArray[np.float64]:
    """abs(result - truth) over the spacing of ``dtype`` at the truth, which is truth + low.

    0 where the truth is not a normal number of ``dtype``: what is due there is in the tests of
    specials. A result that is not finite where the truth is has an infinite error.
    """
    limits = np.finfo(dtype)
    with np.errstate(all="ignore"):
        size = np.abs(truth)
        normal = (size >= limits.tiny) & (size <= limits.max)
        exponent = np.frexp(np.where(normal, size, 1.0))[1]
        error = np.abs((np.asarray(result, np.float64) - truth) - low)
        error = np.ldexp(error, limits.nmant + 1 - exponent)
    error = np.where(np.isfinite(error), error, np.inf)
    return np.where(normal, error, 0.0)


def rounded_to_odd(high: Any, low: Any) -> NDArray[np.float32]:
    """The sum of two float64 as float32 whose last bit is odd wherever that is inexact.

    No halfway point between two numbers of a 16-bit format has such a bit: rounded once more, to
    16 bits, the result is the sum's correct rounding.
    """
    with np.errstate(all="ignore"):
        close = high.astype(np.float32)
        beyond = (close.astype(np.float64) - high) - low
        even = (close.view(np.uint32) & 1) == 0
        inexact = even & np.isfinite(close) & (beyond != 0)
        other = np.nextafter(close, np.where(beyond > 0, -np.inf, np.inf).astype(np.float32))
    odd: NDArray[np.float32] = np.where(inexact, other, close)
    return odd
