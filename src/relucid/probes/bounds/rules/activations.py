"""Activations: through their declarations, and those operators that only they use."""

from __future__ import annotations

import math
from functools import lru_cache, partial
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from relucid.functions import Elementwise, get
from relucid.functions.facts import samples
from relucid.probes.bounds.interval import Interval, rounded, unit
from relucid.probes.bounds.rules.arithmetic import times
from relucid.probes.bounds.rules.operation import Operation, Rule

_STEPS = 16.0
"""Roundings allowed, of the value and of z: kernels are right to a few ULP, tails to some of z."""
_TURNS = 8
"""A function that turns more often is bounded by its largest slope instead."""
_MOST_PARAMETERS = 1024
Values = NDArray[np.float64]


def activated(z: Interval, activation: Elementwise, dtype: torch.dtype) -> Interval:
    """Bound an activation by its declaration: its ends, its turning points, its zero region."""
    low, high = (end.cpu().numpy() for end in (z.low, z.high))
    least, most = _extent(activation, low, high)
    steps = _STEPS * (unit(dtype) + unit(torch.float64))
    least, most = (_moved(activation, end, z, sign * steps)
                   for end, sign in ((least, -1.0), (most, 1.0)))  # fmt: skip
    region = activation.zero_region
    zero = np.zeros(low.shape, dtype=bool) if region is None else _in(activation, region, low, high)
    ends = (torch.from_numpy(np.where(zero, 0.0, end)).to(z.low.device) for end in (least, most))
    return z.ends(*ends)


def _moved(activation: Elementwise, end: Values, z: Interval, steps: float) -> Values:
    """Move an end out, but not beyond the function's range and its rounding."""
    with np.errstate(invalid="ignore"):
        moved = end + steps * (np.abs(end) + z.size.cpu().numpy())
        lowest, highest = (x + steps * abs(x) for x in _range(activation))
        kept: Values = np.maximum(moved, lowest) if steps < 0 else np.minimum(moved, highest)
        return kept


def _in(
    activation: Elementwise, region: tuple[float, float], low: Values, high: Values
) -> NDArray[np.bool_]:
    """Whether the interval lies where the function is exactly 0, open ends left out."""
    start, stop = region
    above = low >= start if math.isinf(start) or float(activation(start)) == 0 else low > start
    below = high <= stop if math.isinf(stop) or float(activation(stop)) == 0 else high < stop
    found: NDArray[np.bool_] = above & below
    return found


def _extent(activation: Elementwise, low: Values, high: Values) -> tuple[Values, Values]:
    ends = _value(activation, low), _value(activation, high)
    least, most = np.fmin(*ends), np.fmax(*ends)
    turns = _turns(activation)
    if len(turns) > _TURNS:
        return _by_slope(activation, low, high, ends)
    for start, stop, value in turns:
        inside = (low <= stop) & (high >= start)
        least = np.where(inside, np.minimum(least, value), least)
        most = np.where(inside, np.maximum(most, value), most)
    return least, most


def _by_slope(
    activation: Elementwise, low: Values, high: Values, ends: tuple[Values, Values]
) -> tuple[Values, Values]:
    """abs(f(x) - f(low)) <= L (x - low), and from the other end alike."""
    with np.errstate(invalid="ignore"):
        reach = activation.lipschitz * (high - low)
        return (ends[0] + ends[1] - reach) / 2.0, (ends[0] + ends[1] + reach) / 2.0


def _value(activation: Elementwise, z: Values) -> Values:
    with np.errstate(all="ignore"):
        return np.asarray(activation(z), dtype=np.float64)


@lru_cache(maxsize=256)
def _range(activation: Elementwise) -> tuple[float, float]:
    """Return the range, which equal functions share: finding it takes 10 ms.

    It is found from samples, which could miss the peaks of a function that turns often.
    """
    often = len(_turns(activation)) > _TURNS
    return (-math.inf, math.inf) if often else activation.range


@lru_cache(maxsize=256)
def _turns(activation: Elementwise) -> tuple[tuple[float, float, float], ...]:
    """Return where a function turns: an interval around each turning point, and the extreme."""
    if activation.monotone != "none":
        return ()
    points = samples([kink.at for kink in activation.kinks])
    steps = np.sign(np.diff(_value(activation, points)))
    moving = np.flatnonzero(steps)
    found = []
    for before, after in pairwise(moving):
        if steps[before] != steps[after]:
            start, stop = float(points[before]), float(points[after + 1])
            found.append((start, stop, _extreme(activation, start, stop, bool(steps[after] < 0))))
        if len(found) > _TURNS:
            break
    return tuple(found)


def _extreme(activation: Elementwise, start: float, stop: float, top: bool) -> float:
    """Return the extreme between two points, by finer and finer samples."""
    pick, value = (np.argmax if top else np.argmin), math.nan
    for _ in range(3):
        points = np.linspace(start, stop, 2001)
        values = _value(activation, points)
        i = int(pick(values))
        value = float(values[i])
        start, stop = points[max(i - 1, 0)], points[min(i + 1, 2000)]
    return value


def declared(z: Interval, activation: Elementwise, learned: Any, dtype: torch.dtype) -> Interval:
    """Bound an activation whose parameters may be learned tensors, each value by itself."""
    tensors = {n: v for n, v in activation.changed.items() if isinstance(v, Tensor)}
    tensors |= dict(learned or {})
    if not tensors:
        return activated(z, activation, dtype)
    ((name, values), *others) = tensors.items()
    distinct = values.detach().unique().tolist()
    if others or len(distinct) > _MOST_PARAMETERS:
        return Interval(z.low - math.inf, z.high + math.inf, z.causes | {activation.name})
    given = values.detach().expand(z.low.shape)
    low, high = z.low.clone(), z.high.clone()
    for value in distinct:
        here = given == value
        part = z.ends(z.low[here], z.high[here])
        found = activated(part, activation.with_parameters(**{name: value}), dtype)
        low[here], high[here] = found.low, found.high
    return z.ends(low, high)


def _by_name(call: Operation, name: str) -> Interval:
    if name == "gelu" and call.kwargs.get("approximate", "none") == "tanh":
        name = "gelu_tanh"
    activation = get(name)
    assert isinstance(activation, Elementwise)
    return activated(call.first(), activation, call.dtype)


def _sloped(call: Operation) -> Interval | None:
    """PReLU: a slope of its own, of whatever sign, below zero."""
    z, slope = call.interval(0), call.interval(1)
    return _bent(z, slope, call.dtype)


def _bent(z: Interval, slope: Interval, dtype: torch.dtype) -> Interval:
    below = Interval(z.low.clamp(max=0.0), z.high.clamp(max=0.0))
    left = times(below, slope)
    low = torch.where(z.low >= 0, z.low, torch.minimum(left.low, z.low.clamp(min=0.0)))
    high = torch.where(z.high > 0, torch.maximum(left.high, z.high), left.high)
    low = torch.where(z.high <= 0, left.low, low)
    return rounded(z.ends(low, high), dtype)


def _random_slope(call: Operation) -> Interval:
    """RReLU in eval mode: the mean of the two slopes; in training any between them."""
    z, ends = call.interval(0), (float(call.argument(2, "lower", 0.125)),
                                 float(call.argument(3, "upper", 1 / 3)))  # fmt: skip
    low, high = (torch.tensor(x, device=z.low.device).double() for x in sorted(ends))
    return _bent(z, Interval(low, high), call.dtype)


def _shrunk(call: Operation) -> Interval | None:
    if float(call.argument(1, "lambd", 0.5)) < 0:
        return None
    return rounded(call.first().ends(call.at("low"), call.at("high")), call.dtype)


def _exponential(call: Operation) -> Interval | None:
    """ELU, SELU and CELU, which rise where no factor is negative."""
    if any(float(x) < 0 for x in call.args[1:]):
        return None
    ends = call.first().ends(call.at("low"), call.at("high"))
    return rounded(ends, call.dtype, _STEPS)


def _soft(call: Operation) -> Interval | None:
    """Softplus rises, unless its threshold cuts it where it is not straight yet."""
    beta, threshold = (float(call.argument(i, n, v))
                       for i, n, v in ((1, "beta", 1.0), (2, "threshold", 20.0)))  # fmt: skip
    if beta <= 0 or threshold < 18.0:
        return None
    return rounded(call.first().ends(call.at("low"), call.at("high")), call.dtype, _STEPS)


def _gated(call: Operation) -> Interval:
    """GLU: the first half times the sigmoid of the second."""
    operand, dim = call.first(), call.argument(1, "dim", -1)
    (low, gate_low), (high, gate_high) = (x.chunk(2, dim) for x in (operand.low, operand.high))
    gate = Interval(gate_low.sigmoid(), gate_high.sigmoid())
    product = times(operand.ends(low, high), rounded(gate, call.dtype, _STEPS))
    return rounded(product, call.dtype, 4.0)


RULES: dict[str, Rule] = {
    **{name: partial(_by_name, name=name) for name in ("gelu", "silu", "mish", "hardswish")},
    "hardsigmoid": partial(_by_name, name="hardsigmoid"),
    "_prelu_kernel": _sloped,
    "rrelu_with_noise": _random_slope,
    **dict.fromkeys(("hardshrink", "softshrink"), _shrunk),
    **dict.fromkeys(("elu", "celu"), _exponential),
    "softplus": _soft,
    "glu": _gated,
}
"""Rules by the operator's name."""
