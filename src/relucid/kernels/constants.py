"""Python's constants, which have 53 bits, in arithmetic of 32.

A formula that says 0.1 means 0.1, not the float32 next to it: the difference decides which side of
a threshold a number is on, and is all that remains where a difference cancels.
"""

from __future__ import annotations

import math

import numpy as np


def nearest(constant: float) -> tuple[float, float]:
    """The float32 nearest to a constant, and the rest."""
    with np.errstate(over="ignore"):
        near = float(np.float32(constant))
    return near, constant - near if math.isfinite(near) else 0.0


def below(constant: float) -> float:
    """The greatest float32 that is not above the constant."""
    near, rest = nearest(constant)
    return near if rest >= 0.0 else float(np.nextafter(np.float32(near), np.float32(-math.inf)))


def above(constant: float) -> float:
    """The least float32 that is not below the constant."""
    return -below(-constant)


def inward(constant: float) -> tuple[float, float]:
    """The nearest float32 towards zero, and the rest, which has the constant's sign."""
    high = below(constant) if constant > 0.0 else above(constant)
    return high, constant - high


def outward(constant: float) -> tuple[float, float]:
    """The nearest float32 away from zero, and the rest, which has the other sign."""
    high = above(constant) if constant > 0.0 else below(constant)
    return high, constant - high
