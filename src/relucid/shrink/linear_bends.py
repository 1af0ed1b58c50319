"""Straight lines above and below functions that are straight between a few points.

A line lies above such a function on an interval if it does so at both ends and at the points
between them. The slope can thus be anything: its height follows. Two choices of lines through two
of these points are tried. One leaves the least area: for ReLU the chord above and below slope 0 or
1, as the interval lies more to the left or to the right of 0. The other takes the flattest of the
lines that are nearest to the function at an end: for ReLU slope 0 below. On a CNN for digits the
bounds of the last hidden layer are 181 wide with both, 267 with the first alone; mixtures of lines
that were optimised for each form by Frank and Wolfe's steps brought 178, in three times the time.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.fx import Node

from relucid.probes.bounds.interval import Interval, unit
from relucid.shrink.linear_calls import Call, Slot
from relucid.shrink.linear_forms import Passed, smallest, weighed

_OURS = 512.0 * unit(torch.float64)
_STEPS = 16.0
"""Roundings allowed where a function rounds, as the interval rules do."""


Line = tuple[Tensor, Tensor]
"""Slope and height, for each element of z."""
CHOICES = 2


@dataclass(frozen=True)
class Bend:
    """A function that is straight between a few points, between lines, by either choice."""

    call: Call
    below: tuple[Line, Line]
    above: tuple[Line, Line]

    @property
    def operands(self) -> tuple[Node, ...]:
        """What it reads."""
        return self.call.operands

    @property
    def cost(self) -> float:
        """Multiply-adds that a row takes, roughly."""
        return 8.0 * self.above[0][0].numel()

    def through(self, rows: Tensor, choice: int) -> Passed:
        """Replace the function: by a line above for positive coefficients, else by one below."""
        (under, bottom), (over, top) = self.below[choice], self.above[choice]
        passed = weighed(rows, (top + bottom) / 2.0, (top - bottom) / 2.0)
        return passed.but((rows.clamp(min=0.0) * over + rows.clamp(max=0.0) * under,))


def _clipped(call: Call) -> list[Any]:
    ends = call.argument(1, "min"), call.argument(2, "max")
    return [end for end in ends if end is not None]


def _shrunk(call: Call) -> list[Any]:
    width = float(call.argument(1, "lambd", 0.5))
    return [-width, width] if width >= 0.0 else []


_BREAKS: dict[str, Callable[[Call], list[Any]]] = {
    **dict.fromkeys(("relu", "leaky_relu", "prelu", "_prelu_kernel", "abs"), lambda call: [0.0]),
    "relu6": lambda call: [0.0, 6.0],
    "hardtanh": lambda call: [call.argument(1, "min_val", -1.0), call.argument(2, "max_val", 1.0)],
    "clamp": _clipped,
    "clamp_min": lambda call: [call.argument(1, "min")],
    "clamp_max": lambda call: [call.argument(1, "max")],
    "maximum": lambda call: [call.argument(1, "other")],
    "minimum": lambda call: [call.argument(1, "other")],
    "hardsigmoid": lambda call: [-3.0, 3.0],
    "softshrink": _shrunk,
}
_PICKS = frozenset("relu abs relu6 hardtanh clamp clamp_min clamp_max maximum minimum".split())
"""What returns its operand or a constant (or the abs value) does not round."""


def breaks_of(call: Call) -> list[Any]:
    """Return where the function of an operator bends: numbers or tensors; empty for all others."""
    if len(call.operands) != 1 or not call.args or not isinstance(call.args[0], Slot):
        return []
    found = _BREAKS[call.name](call) if call.name in _BREAKS else []
    return [] if any(isinstance(x, Slot) or x is None for x in found) else found


def bend(call: Call, z: Interval, dtype: torch.dtype, users: int) -> Bend | None:
    """Return lines around the function over finite bounds of z; None for other functions.

    ``users`` is how many operators read z: that many coefficients of it are added up.
    """
    breaks = breaks_of(call)
    if not breaks:
        return None
    inner = [torch.as_tensor(x, dtype=torch.float64, device=z.low.device) for x in breaks]
    points = torch.stack([z.low, z.high, *(x.expand_as(z.low).clamp(z.low, z.high) for x in inner)])
    exact = call.cast(torch.float64, z.low.device)
    values = torch.stack([exact.run(at) for at in points])
    error = (_OURS + 16.0 * users * unit(torch.float64)) * (values.abs().amax(0) + z.size)
    if call.name not in _PICKS or not all(_held(x, dtype) for x in breaks):
        error += _STEPS * unit(dtype) * (values.abs().amax(0) + z.size) + smallest(dtype)
    (slope, height), (flat, level) = _lines(points, -values, error)
    return Bend(call, ((-slope, -height), (-flat, -level)), _lines(points, values, error))


def _held(value: Any, dtype: torch.dtype) -> bool:
    """Whether a constant is a number of the dtype, so that it is compared as it is."""
    given = torch.as_tensor(value, dtype=torch.float64)
    return bool((given.to(dtype).double() == given).all())


def _lines(points: Tensor, values: Tensor, error: Tensor) -> tuple[Line, Line]:
    """Return two lines above: of the least area, and the flattest that touches near an end."""
    low, high = points[0], points[1]
    aside = (high - low) / 16.0
    (slope, height), (steep, top) = (
        _line(points, values, error, at) for at in (low + aside, high - aside)
    )
    flatter = slope.abs() <= steep.abs()
    flat = torch.where(flatter, slope, steep), torch.where(flatter, height, top)
    return _line(points, values, error, (low + high) / 2.0), flat


def _line(points: Tensor, values: Tensor, error: Tensor, at: Tensor) -> Line:
    """Return slope and height of the line above, through two of the points, that is lowest there.

    Slopes are at most 8, so that rounding stays in proportion to z.
    """
    slope, height = torch.zeros_like(at), values.amax(0)
    for first, second in itertools.combinations(range(len(points)), 2):
        run, rise = points[second] - points[first], values[second] - values[first]
        steep = torch.where(run != 0, rise / run, 0.0).nan_to_num(0.0, 0.0, 0.0).clamp(-8.0, 8.0)
        needed = (values - steep * points).amax(0)
        better = steep * at + needed < slope * at + height
        slope, height = torch.where(better, steep, slope), torch.where(better, needed, height)
    return slope, height + error
