"""Normalisations: affine with stored statistics; with those of the input, of a fixed length.

(x - mean) / sqrt(variance + eps) over d numbers has elements that add up to 0 and a length of at
most sqrt(d), so that each is at most sqrt(d - 1), for every x. Computed in floating point, the
mean of numbers as large as M is off by some roundoffs of M, and the division by a deviation as
small as sqrt(eps) magnifies that: so the rounding, unlike the bound, does depend on M. We allow
for 64 roundoffs: PyTorch adds chunks of 16 numbers and joins them in a tree.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from relucid.probes.bounds.interval import Ball, Interval, unit
from relucid.probes.bounds.rules.operation import Operation, Rule

_ROUNDINGS = 64.0


def _slack(operand: Interval, eps: float, dtype: torch.dtype) -> float:
    """Largest error of an element of the normalised vector."""
    wide = min(unit(dtype), unit(torch.float32))
    largest = float(torch.maximum(operand.low.abs(), operand.high.abs()).max())
    return _ROUNDINGS * wide * largest / math.sqrt(eps) if eps > 0 else math.inf


def _layer(call: Operation) -> tuple[Interval | None, ...] | None:
    operand, shape, weight, bias, eps = call.args[:5]
    if not isinstance(operand, Interval) or any(isinstance(x, Interval) for x in (weight, bias)):
        return None
    count, slack = math.prod(shape), _slack(operand, eps, call.dtype)
    like = operand.low
    scale = _row(weight, shape, like, 1.0)
    shift = _row(bias, shape, like, 0.0)
    steps = 8.0 * unit(call.dtype)
    radius = math.sqrt(count) * (1.0 + (count + 64) * min(unit(call.dtype), unit(torch.float32)))
    slack += steps * radius
    result = _scaled(operand, scale, shift, radius + slack, call)
    if len(shape) > 1 or not math.isfinite(slack):
        return result, None, None
    slack += steps * float((shift.abs() / scale.abs().clamp(min=1e-30)).max())
    ball = Ball(scale, shift, radius, slack, centred=True)
    return result.but(ball=ball if math.isfinite(slack) else None), None, None


def _row(given: Tensor | None, shape: tuple[int, ...], like: Tensor, value: float) -> Tensor:
    if given is None:
        return torch.full(tuple(shape), value, dtype=torch.float64, device=like.device)
    return given.detach().double()


def _scaled(
    operand: Interval, scale: Tensor, shift: Tensor, reach: float, call: Operation
) -> Interval:
    span = torch.nan_to_num(scale.abs() * reach, nan=0.0, posinf=math.inf)
    ends = operand.ends((shift - span).expand(operand.low.shape).clone(),
                        (shift + span).expand(operand.low.shape).clone())  # fmt: skip
    size = torch.maximum(ends.low.abs(), ends.high.abs())
    wide = 8.0 * unit(call.dtype) * torch.nan_to_num(size, posinf=0.0)
    return ends.but(low=ends.low - wide, high=ends.high + wide)


def _group(call: Operation) -> tuple[Interval | None, ...] | None:
    operand, weight, bias, _, channels, _, groups, eps = call.args[:8]
    if not isinstance(operand, Interval) or any(isinstance(x, Interval) for x in (weight, bias)):
        return None
    count = operand.low[0].numel() // groups
    return _by_channel(call, operand, weight, bias, count, eps, channels), None, None


def _batch(call: Operation) -> tuple[Interval | None, ...] | None:
    """Batch normalisation with stored statistics; with the input's own (instance norm) bounded."""
    operand, weight, bias, mean, variance, training, _, eps = call.args[:8]
    if not isinstance(operand, Interval):
        return None
    if any(isinstance(x, Interval) for x in (weight, bias, mean, variance)):
        return None
    channels = operand.low.shape[1]
    if training:
        count = operand.low.numel() // channels
        return _by_channel(call, operand, weight, bias, count, eps, channels), None, None
    shape = (1, channels, *(1,) * (operand.low.ndim - 2))
    like = operand.low
    factor = _row(weight, (channels,), like, 1.0) / (variance.double() + eps).sqrt()
    offset = _row(bias, (channels,), like, 0.0) - mean.double() * factor
    a, b = operand.low * factor.view(shape), operand.high * factor.view(shape)
    sizes = operand.size * factor.abs().view(shape) + offset.abs().view(shape)
    sizes = sizes + (mean.double() * factor).abs().view(shape)
    ends = operand.ends(torch.minimum(a, b), torch.maximum(a, b))
    ends = ends.but(low=_number(ends.low) + offset.view(shape),
                    high=_number(ends.high) + offset.view(shape))  # fmt: skip
    wide = 16.0 * unit(call.dtype) * sizes
    return ends.but(low=ends.low - wide, high=ends.high + wide), None, None


def _number(values: Tensor) -> Tensor:
    """A factor of 0 times an unknown end is 0."""
    return torch.nan_to_num(values, nan=0.0, posinf=math.inf, neginf=-math.inf)


def _by_channel(
    call: Operation, operand: Interval, weight: Tensor | None, bias: Tensor | None, count: int,
    eps: float, channels: int,
) -> Interval:  # fmt: skip
    shape = (1, channels, *(1,) * (operand.low.ndim - 2))
    reach = math.sqrt(max(count - 1, 0)) * (1.0 + (count + 64) * unit(torch.float32))
    reach += _slack(operand, eps, call.dtype)
    scale = _row(weight, (channels,), operand.low, 1.0).view(shape)
    shift = _row(bias, (channels,), operand.low, 0.0).view(shape)
    return _scaled(operand, scale, shift, reach, call)


RULES: dict[str, Rule] = {
    "native_layer_norm": _layer,
    "native_group_norm": _group,
    "native_batch_norm": _batch,
    "cudnn_batch_norm": _batch,
}
"""Rules by the operator's name."""
