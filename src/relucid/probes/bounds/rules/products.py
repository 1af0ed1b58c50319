"""Products with weights: linear layers, convolutions, and products of two bounded matrices.

With centre c and radius r of the input, W x lies in W c -+ abs(W) r. The model adds up rounded
products of n inputs: abs(error) <= gamma_n * sum of abs(w) abs(x), for every order of summation,
fused multiply-adds included, with u the roundoff in which it adds (float32 for 16-bit numbers).
Convolutions that transform their input (Winograd, FFT) or use TF32 have a larger constant: on
CUDA u is that of TF32 where it is allowed, and the margin of all is doubled.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from relucid.probes.bounds.interval import Ball, Interval, finite, unit
from relucid.probes.bounds.rules.operation import Operation, Rule
from relucid.probes.bounds.rules.sums import after_sum, gamma

Apply = Callable[[Tensor, Tensor], Tensor]
"""The product of values with weights, without bias."""


def weighted(
    values: Interval, weight: Tensor, bias: Interval | None, apply: Apply, terms: int,
    dtype: torch.dtype,
) -> Interval:  # fmt: skip
    """Bound the product of bounded values with a constant weight."""
    weight = weight.detach().double()
    low, high, whole = values.low, values.high, weight.abs()
    if bool(low.isfinite().all()) and bool(high.isfinite().all()):
        centre, radius = (low + high) / 2.0, (high - low) / 2.0
        middle, reach = apply(centre, weight), apply(radius, whole)
        ends = middle - reach, middle + reach
    else:
        ends = _one_sided(low, high, weight, apply)
    size = apply(values.size, whole)
    if bias is not None:
        ends = ends[0] + bias.low, ends[1] + bias.high
        size = size + bias.size
    slack = 2.0 * (terms + 4) * 2.0**-10 if _uses_tf32(weight) else 0.0
    exact = Interval(ends[0] - slack * size, ends[1] + slack * size)
    return after_sum(exact, 2.0 * size, terms + 1, dtype)


def _one_sided(low: Tensor, high: Tensor, weight: Tensor, apply: Apply) -> tuple[Tensor, Tensor]:
    """Keep the end that is known where inputs are bounded on one side only.

    Rounded products keep their sign, so that terms which are never positive never lift a sum.
    """
    rising, falling = weight.clamp(min=0.0), weight.clamp(max=0.0)
    least = apply(finite(low), rising) + apply(finite(high), falling)
    most = apply(finite(high), rising) + apply(finite(low), falling)
    up, down = (weight > 0).double(), (weight < 0).double()
    no_low, no_high = low.isinf().double(), high.isinf().double()
    bottomless = (apply(no_low, up) + apply(no_high, down)) > 0.5
    endless = (apply(no_high, up) + apply(no_low, down)) > 0.5
    return least.masked_fill(bottomless, -math.inf), most.masked_fill(endless, math.inf)


def _uses_tf32(weight: Tensor) -> bool:
    return weight.is_cuda and (
        torch.backends.cuda.matmul.allow_tf32 or torch.backends.cudnn.allow_tf32
    )


def _matrix(call: Operation, first: int) -> Interval | None:
    """``mm``, ``bmm``, and with a summand before them ``addmm``, ``baddbmm``."""
    a, b = call.argument(first), call.argument(first + 1)
    added = None
    if first:
        if call.kwargs.get("beta", 1) != 1 or call.kwargs.get("alpha", 1) != 1:
            return None
        added = call.interval(0)
    if isinstance(a, Interval) and isinstance(b, Interval):
        return _of_two(a, b, added, call.dtype)
    if isinstance(a, Interval):
        plain = weighted(a, b, added, torch.matmul, a.low.shape[-1], call.dtype)
        return plain if a.ball is None else _closer(plain, a.ball, b, added, call.dtype)
    if isinstance(b, Interval):
        return weighted(b, a, added, _from_left, b.low.shape[-2], call.dtype)
    return None


def _from_left(values: Tensor, weight: Tensor) -> Tensor:
    return torch.matmul(weight, values)


def _closer(
    plain: Interval, ball: Ball, weight: Tensor, bias: Interval | None, dtype: torch.dtype
) -> Interval:
    """Use that the row's length is fixed: w n <= norm(w) radius, by Cauchy and Schwarz.

    Of centred rows w counts without its mean.
    """
    if weight.ndim != 2:
        return plain
    w = weight.detach().double()
    scaled = ball.scale[:, None] * w
    centred = scaled - scaled.mean(0) if ball.centred else scaled
    middle, rows = ball.shift @ w, scaled.shape[0]
    reach = centred.norm(dim=0) * ball.radius + ball.slack * scaled.abs().sum(0)
    size = scaled.norm(dim=0) * ball.radius + ball.slack * scaled.abs().sum(0)
    size = size + ball.shift.abs() @ w.abs()
    least, most = middle - reach, middle + reach
    if bias is not None:
        least, most, size = least + bias.low, most + bias.high, size + bias.size
    slack = 2.0 * (rows + 4) * 2.0**-10 if _uses_tf32(w) else 0.0
    exact = Interval(least - slack * size, most + slack * size)
    near = after_sum(exact, 2.0 * size, rows + 1, dtype)
    return Interval(torch.maximum(plain.low, near.low), torch.minimum(plain.high, near.high))


def _of_two(
    a: Interval, b: Interval, added: Interval | None, dtype: torch.dtype
) -> Interval | None:
    """Multiply two bounded matrices; rows of shares (softmax) give means of the other's rows."""
    terms = a.low.shape[-1]
    if a.weights and added is None:
        low, high = b.low.amin(-2, keepdim=True), b.high.amax(-2, keepdim=True)
        return mean_of(low, high, a, terms, dtype)
    if not all(bool(x.isfinite().all()) for x in (a.low, a.high, b.low, b.high)):
        return None
    (ca, ra), (cb, rb) = (((x.low + x.high) / 2.0, (x.high - x.low) / 2.0) for x in (a, b))
    middle = ca @ cb
    reach = ca.abs() @ rb + ra @ cb.abs() + ra @ rb
    size = a.size @ b.size
    low, high = middle - reach, middle + reach
    if added is not None:
        low, high, size = low + added.low, high + added.high, size + added.size
    return after_sum(Interval(low, high), 2.0 * size, terms + 1, dtype)


def mean_of(
    low: Tensor, high: Tensor, shares: Interval, terms: int, dtype: torch.dtype
) -> Interval:
    """Return the bounds of sums of shares times values; the shares add up to 1, or to 0."""
    shape = (*shares.low.shape[:-1], low.shape[-1])
    low, high = low.expand(shape).clamp(max=0.0).clone(), high.expand(shape).clamp(min=0.0).clone()
    size = torch.maximum(finite(low).abs(), finite(high).abs())
    extra = gamma(2 * terms + 16, dtype) + 4.0 * unit(dtype)
    mean = Interval(low, high)
    return after_sum(mean, 2.0 * (1.0 + extra) * size, 2 * terms + 16, dtype)


def _convolution(call: Operation) -> Interval | None:
    values, weight, bias = call.args[:3]
    if not isinstance(values, Interval) or isinstance(weight, Interval):
        return None
    transposed, groups = call.argument(6), call.argument(8)
    rest = call.args[3:]

    def apply(x: Tensor, w: Tensor) -> Tensor:
        result: Tensor = torch.ops.aten.convolution.default(x, w, None, *rest)
        return result

    terms = math.prod(weight.shape[1:])
    if transposed:
        terms = weight.shape[0] // groups * math.prod(weight.shape[2:])
    added = None
    if bias is not None:
        if isinstance(bias, Interval):
            return None
        column = bias.detach().double().reshape(-1, *(1,) * (weight.ndim - 2))
        added = Interval(column, column)
    return weighted(values, weight, added, apply, terms, call.dtype)


RULES: dict[str, Rule] = {
    "mm": partial(_matrix, first=0),
    "bmm": partial(_matrix, first=0),
    "addmm": partial(_matrix, first=1),
    "baddbmm": partial(_matrix, first=1),
    "mv": partial(_matrix, first=0),
    "convolution": _convolution,
}
"""Rules by the operator's name."""
