"""Straight lines, rounded once.

A product with a constant, or a sum, is rounded; here what that took is carried to the end, where
it can still decide to which side the result goes.
"""

from __future__ import annotations

import math
from typing import Any

from relucid.kernels.constants import inward

_LIFT = 2.0**40
_SMALL = 2.0**-100
"""Products from here on are so large that 2**-150 cannot decide how they are rounded."""


def scaled(m: Any, x: Any, factor: float) -> Any:
    """X * factor for a factor that float32 does not hold, in 32 bits.

    What float32 leaves of the factor, times x, underflows where the product is small. There its
    error is computed in numbers that are 2**40 times as large, and taken off; that of -0 is 0.
    """
    product = x * factor
    if not _SMALL < abs(factor) < 1.0 / _SMALL:
        return product
    high, rest = inward(factor)
    error = m.fma(x, -rest * _LIFT, m.fma(x, -high * _LIFT, product * _LIFT))
    small = abs(x) < _SMALL / abs(factor)
    return m.fma(m.where(small, error, 0.0), -1.0 / _LIFT, product)


def difference(m: Any, a: Any, b: float) -> Any:
    """A - b for a >= b > 0, where float32 does not hold b."""
    b, rest = m.held(b)
    total = a - b
    lost = (a - total) - b
    return m.where(a < math.inf, total + (lost - rest), a)


def ramp(m: Any, x: Any, shift: float, width: float) -> Any:
    """(x + shift) / width from -shift to width - shift, 0 and 1 beside."""
    total, lost = _sum(m, x, shift, width)
    width_high, width_rest = m.held(width)
    inverse, _ = m.held(1.0 / width)
    near = total * inverse
    remainder = m.fma(near, -width_high, total)
    if width_rest:
        lost = m.fma(near, -width_rest, lost)
    inside = m.fma(remainder + lost, inverse, near)
    return m.where(x <= -shift, 0.0, m.where(x >= width - shift, 1.0, inside))


def _sum(m: Any, x: Any, shift: float, width: float) -> tuple[Any, Any]:
    """X + shift for an x within the ramp, and what rounding took from it."""
    shift, rest = m.held(shift)
    total = x + shift
    if width <= 2.0 * shift:  # abs(x) <= shift
        lost = x - (total - shift)
    else:  # Knuth's two-sum
        moved = total - x
        lost = (x - (total - moved)) + (shift - moved)
    return total, lost + rest if rest else lost
