"""The inputs that functions often get wrong, each in every lane of a vector."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from relucid.functions import Elementwise
from relucid.records.accuracy import Special
from relucid.verify.reference import WHICH
from relucid.verify.sides import Side
from relucid.verify.textbook import exact
from relucid.verify.units import OVERFLOW, SMALLEST_SUBNORMAL, unit32

LARGEST = float(torch.finfo(torch.float32).max)
LEAST = SMALLEST_SUBNORMAL
INPUTS = (math.nan, math.inf, -math.inf, -0.0, LARGEST, -LARGEST, LEAST, -LEAST)
LANES = 67
"""Several vector registers of any width, and a remainder."""
FAR = 2.0**1000
"""Stands for infinity where the textbook is asked for a limit: what still grows there is beyond
float32 and what still shrinks is below it."""


def specials(
    activation: Elementwise, side: Side, bounds: dict[str, float], *, own: bool
) -> dict[str, tuple[Special, ...]]:
    """What a library gives at each of ``INPUTS``, as value and as derivative.

    ``bounds`` says how many units in the last place each may be off. ``own`` asks for relucid's
    choice of the derivative at a kink; other libraries may choose their own.
    """
    found: dict[str, list[Special]] = {which: [] for which in WHICH}
    kinks = () if own else tuple(kink.at for kink in activation.kinks)
    for x in INPUTS:
        results = side(torch.full((LANES,), x))
        for which, result in zip(WHICH, results, strict=True):
            free = which == "derivative" and x in kinks
            limit = math.inf if free else bounds[which]
            found[which].append(_judged(due(activation, which, x), x, result, limit))
    return {which: tuple(seen) for which, seen in found.items()}


def _judged(expected: float, x: float, result: Tensor, bound: float) -> Special:
    lanes = [float(lane) for lane in result]
    wrong = [lane for lane in lanes if not _admitted(lane, expected, bound)]
    return Special(x, expected, (wrong or lanes)[0], not wrong)


def due(activation: Elementwise, which: str, x: float) -> float:
    """The textbook's result at any float32: NaN for NaN, the limit at an infinity."""
    if math.isnan(x):
        return x
    ((expected,), _) = exact(activation, which, [min(max(x, -FAR), FAR)])
    if math.isinf(x) and abs(expected) < SMALLEST_SUBNORMAL:
        return 0.0
    return math.copysign(math.inf, expected) if abs(expected) >= OVERFLOW else float(expected)


def _admitted(found: float, expected: float, bound: float) -> bool:
    if math.isnan(expected) or math.isinf(expected):
        return found == expected or (math.isnan(found) and math.isnan(expected))
    return abs(found - expected) <= bound * float(unit32(expected))
