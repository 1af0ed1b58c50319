"""Up to which level of z an activation is 0, as a number that both dtypes have."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import torch

from relucid.functions import Elementwise


@cache
def level_of(activation: Elementwise) -> float:
    """Return up to where a function is 0, from minus infinity on; that itself where nowhere.

    At 0, too, since 0 is given in place of what is at most the level.
    """
    region = activation.zero_region
    if region is None or region[0] != -math.inf or region[1] == math.inf:
        return -math.inf
    level = below(region[1])
    at_end = np.asarray(activation(np.array([level], dtype=np.float32)))
    level = level if not at_end.any() else _next(level)  # the function may jump there
    return level if level >= 0.0 else -math.inf


def below(level: float) -> float:
    """Return the largest number of bfloat16, and so of float32, that is not above a level."""
    near = float(torch.tensor(level, dtype=torch.bfloat16))
    return near if near <= level else _next(near)


def _next(level: float) -> float:
    lower = torch.tensor(-math.inf, dtype=torch.bfloat16)
    return float(torch.nextafter(torch.tensor(level, dtype=torch.bfloat16), lower))
