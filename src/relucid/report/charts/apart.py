"""Numbered circles that would lie on each other, put beside each other."""

from __future__ import annotations

import math
from collections.abc import Sequence

Spot = tuple[float, float]
"""Across and up, in pixels."""
_REACH = 10
"""Circles by which one is moved, at most, to each side."""


def apart(spots: Sequence[Spot], across: float, room: Spot) -> list[Spot]:
    """Return where circles of this size stand, the first ones as near as can be to their spots.

    None reaches out of the room from (0, 0). Where it is full, circles lie on each other.
    """
    placed: list[Spot] = []
    for spot in spots:
        free = (one for one in _around(spot, across) if _inside(one, across, room))
        fitting = (one for one in free if all(math.dist(one, other) >= across for other in placed))
        placed.append(next(fitting, spot))
    return placed


def _around(spot: Spot, across: float) -> list[Spot]:
    """Return the spot, and others around it, the nearest first."""
    steps = [across * step for step in range(-_REACH, _REACH + 1)]
    others = [(spot[0] + x, spot[1] + y) for x in steps for y in steps]
    return sorted(others, key=lambda other: math.dist(spot, other))


def _inside(spot: Spot, across: float, room: Spot) -> bool:
    half = across / 2.0
    return all(half <= at <= most - half for at, most in zip(spot, room, strict=True))
