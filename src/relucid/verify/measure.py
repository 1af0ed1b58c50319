"""Measuring float32 results against the float64 truth, a chunk of inputs at a time.

All that depends on the truth alone is computed once for all libraries: :class:`Yardstick`. Most
chunks lie in one zone as a whole, where a result costs four passes and one more for the largest
error: 2 ns an element in cache.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import torch
from torch import Tensor

from relucid.records.accuracy import LIMITS, Tally, Worst
from relucid.verify.units import NEAR_ROOT, OVERFLOW, TINY

Zone = Literal["normal", "subnormal", "near_root"]

UNCERTAIN = 1e-6
"""In ULP: what the truth may be off, so that an error of half a unit is not counted as more."""

_EXPONENT = 0x7FF0000000000000
_TINY_BITS = (1023 - 126) << 52
# The float64 2**(e + 1023) has these bits: 2**(23 - e) is the reciprocal of the spacing at 2**e.
_RECIPROCAL = (2 * 1023 + 23) << 52


class Yardstick:
    """The truth at the inputs of a chunk, in which unit errors count there, and in which zone."""

    def __init__(self, x: Tensor, truth: Tensor, roots: Sequence[float] = ()) -> None:
        """Prepare for float32 inputs ``x`` in rising order of bit patterns, without NaN."""
        self._x, self._truth = x, truth
        size = truth.abs()
        self._per_unit = _per_unit(size)
        least, largest = float(size.amin()), float(size.amax())
        self._overflows = size >= OVERFLOW if largest >= OVERFLOW else None
        if self._overflows is not None:
            infinite = torch.copysign(torch.full_like(truth, math.inf), truth)
            self._truth = torch.where(self._overflows, infinite, truth)
        close = _near(x, roots)
        if close is not None:
            self._per_unit[close] = 1.0
        self._zones = _zones(size, least, largest, close)
        self._errors = torch.empty_like(self._per_unit)

    def measure(self, result: Tensor, tally: Tally) -> Tally:
        """Add the errors of ``result``, float32 at the chunk's inputs, to a tally."""
        errors = self._errors.copy_(result).sub_(self._truth).abs_().mul_(self._per_unit)
        if self._overflows is not None:
            errors[self._overflows & (result == self._truth)] = 0.0
        for zone, where in self._zones:
            part, x = (errors, self._x) if where is None else (errors[where], self._x[where])
            if part.numel():
                tally = _noted(tally, zone, part, x)
        return replace(tally, inputs=tally.inputs + len(self._x))


def _per_unit(size: Tensor) -> Tensor:
    """The reciprocal of float32's spacing at each magnitude, by its exponent's bits."""
    bits = size.view(torch.int64).bitwise_and(_EXPONENT).clamp_(min=_TINY_BITS)
    return bits.neg_().add_(_RECIPROCAL).view(torch.float64)


def _near(x: Tensor, roots: Sequence[float]) -> Tensor | None:
    """Where x is near one of the roots; None for nowhere, which the ends of the chunk tell."""
    ends = sorted((float(x[0]), float(x[-1])))
    reached = [r for r in roots if ends[0] - NEAR_ROOT <= r <= ends[1] + NEAR_ROOT]
    if not reached:
        return None
    wide = x.double()
    close = torch.stack([(wide - root).abs() <= NEAR_ROOT for root in reached])
    return close.any(dim=0)


def _zones(
    size: Tensor, least: float, largest: float, close: Tensor | None
) -> list[tuple[Zone, Tensor | None]]:
    """The zones in a chunk and where they are; None for everywhere."""
    if close is None and least >= TINY:
        return [("normal", None)]
    if close is None and largest < TINY:
        return [("subnormal", None)]
    small = size < TINY
    if close is None:
        return [("normal", ~small), ("subnormal", small)]
    return [("near_root", close), ("normal", ~small & ~close), ("subnormal", small & ~close)]


def _noted(tally: Tally, zone: Zone, errors: Tensor, x: Tensor) -> Tally:
    top = float(errors.amax())
    if not math.isfinite(top):  # NaN, which no comparison would count
        errors, top = errors.nan_to_num(nan=math.inf, posinf=math.inf), math.inf
    if zone == "normal" and top > LIMITS[0] + UNCERTAIN:
        counted = [_count(errors, limit, top) for limit in LIMITS]
        added = tuple(a + b for a, b in zip(tally.above, counted, strict=True))
        tally = replace(tally, above=added)
    known: Worst = getattr(tally, zone)
    if top <= known.error:
        return tally
    change: dict[str, Any] = {zone: known.worse(Worst(top, float(x[errors.argmax()])))}
    return replace(tally, **change)


def _count(errors: Tensor, limit: float, top: float) -> int:
    if top <= limit + UNCERTAIN:
        return 0
    return int(torch.count_nonzero(errors > limit + UNCERTAIN))


def count_lost_nan(result: Tensor) -> int:
    """How many results are numbers, where every one should be NaN."""
    return int(torch.count_nonzero(result == result))


def count_unlike(result: Tensor, other: Tensor) -> int:
    """How many float32 results have other bits in one tensor than in the other."""
    bits = result.view(torch.int32), other.view(torch.int32)
    return 0 if torch.equal(*bits) else int(torch.count_nonzero(bits[0] != bits[1]))
