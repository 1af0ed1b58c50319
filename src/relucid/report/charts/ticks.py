"""Where the marks of an axis stand: round numbers, few enough to be read."""

from __future__ import annotations

import math

_WIDE = 4.0
"""Ratio of an axis's ends from which powers with 1, 2 and 5 before them are round enough."""


def powers(low: float, high: float, most: int = 6) -> list[float]:
    """Return ticks for a scale of powers from ``low`` to ``high``, both above 0."""
    low, high = min(low, high), max(low, high)
    if high < _WIDE * low:
        return evenly(low, high, most)
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    found = [float(f"{digit}e{n}") for n in decades for digit in (1, 2, 5)]
    within = [tick for tick in found if low <= tick <= high]
    if len(within) > most:
        within = [tick for tick in within if f"{tick:e}".startswith("1.0")] or within
    return within[:: -(-len(within) // most)]


def evenly(low: float, high: float, most: int = 6) -> list[float]:
    """Return multiples of 1, 2 or 5 times a power of ten from ``low`` to ``high``."""
    low, high = min(low, high), max(low, high)
    least = (high - low) / most
    if not (least > 0.0 and math.isfinite(least)):
        return [low]
    power = 10.0 ** math.floor(math.log10(least))
    step = next(digit * power for digit in (1, 2, 5, 10) if digit * power >= 0.999 * least)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [float(f"{n * step:.12g}") for n in range(first, last + 1)]
