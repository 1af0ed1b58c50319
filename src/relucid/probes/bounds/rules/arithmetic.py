"""Elementwise arithmetic. The ends are computed in float64 and moved out by the model's rounding.

A result that is rounded once keeps its order: from an exact result between low and high comes a
rounded one between the rounded ends, so that twice the roundoff of each end is enough.
"""

from __future__ import annotations

import math
from functools import partial

import torch
from torch import Tensor

from relucid.probes.bounds.interval import Ball, Interval, exactly, rounded
from relucid.probes.bounds.rules.operation import Operation, Rule

_STEPS = 16.0
"""Roundings allowed for exp, tanh and the like, whose kernels are right to a few ULP."""


def _added(call: Operation, sign: float) -> Interval:
    first, second = call.interval(0, "input"), call.interval(1, "other")
    factor = sign * float(call.kwargs.get("alpha", 1))
    term = times(second, exactly(factor, second, call.dtype))
    sizes = first.size, term.size
    total = Interval(first.low + term.low, first.high + term.high)
    total = rounded(total, call.dtype)
    total = total if abs(factor) == 1.0 else _spread(total, sizes[1], call.dtype)
    return total.but(ball=_shifted(call, first, second, factor), kin=_kept(call, first, term))


def _subtracted(call: Operation) -> Interval:
    """``rsub``: other - input."""
    first, second = call.interval(0), call.interval(1)
    return rounded(Interval(second.low - first.high, second.high - first.low), call.dtype)


def _spread(total: Interval, size: Tensor, dtype: torch.dtype) -> Interval:
    """Allow for the rounding of a factor that was applied before the sum."""
    error = 2.0 * torch.finfo(dtype).eps * size if dtype.is_floating_point else 0.0 * size
    return total.but(low=total.low - error, high=total.high + error)


def _shifted(call: Operation, first: Interval, second: Interval, factor: float) -> Ball | None:
    """Add a constant row to a ball."""
    given = call.argument(1, "other")
    ball = first.ball
    if ball is None or isinstance(given, Interval) or not _is_row(second.low, ball):
        return None
    shift = ball.shift + factor * second.low.reshape(-1)
    return Ball(ball.scale, shift, ball.radius, _rounds(ball, call.dtype, shift), ball.centred)


def _rounds(ball: Ball, dtype: torch.dtype, shift: Tensor) -> float:
    error = 4.0 * torch.finfo(dtype).eps * (ball.radius + float(shift.abs().max()))
    return ball.slack + error / max(float(ball.scale.abs().min()), 1e-30)


def _is_row(values: Tensor, ball: Ball) -> bool:
    return values.numel() in (1, ball.scale.numel()) and (
        values.ndim == 0 or values.shape[-1] == values.numel()
    )


def _kept(call: Operation, first: Interval, term: Interval) -> object:
    """A constant added to a mean of squares (the epsilon of a norm) only shortens the vector."""
    constant = not isinstance(call.argument(1, "other"), Interval)
    if first.kin is None or first.kin[0] != "mean" or not constant:
        return None
    return first.kin if bool((term.low >= 0).all()) else None


def times(first: Interval, second: Interval) -> Interval:
    """Return the exact product; 0 times an unknown end is 0."""
    pairs = [(a, b) for a in (first.low, first.high) for b in (second.low, second.high)]
    products = torch.stack([torch.nan_to_num(a * b, nan=0.0, posinf=math.inf, neginf=-math.inf)
                            for a, b in pairs])  # fmt: skip
    return Interval(products.amin(0), products.amax(0))


def _multiplied(call: Operation) -> Interval:
    first, second = call.interval(0, "input"), call.interval(1, "other")
    for one, other in ((first, second), (second, first)):
        if other.kin is not None and other.kin == ("inverse", one):
            return _normalised(call, one)
    if first is second or call.argument(0) is call.argument(1, "other"):
        return _squared(call)
    product = rounded(times(first, second), call.dtype)
    return product.but(ball=_scaled(call, first, second))


def _normalised(call: Operation, one: Interval) -> Interval:
    """X / sqrt(mean(x^2) + eps): no longer than sqrt(d), whatever x is."""
    size = one.low.shape[-1]
    eps = torch.finfo(call.dtype).eps
    radius = math.sqrt(size) * (1.0 + (size + 16) * eps)
    bound = torch.full_like(one.low, radius)
    row = torch.ones(size, dtype=torch.float64, device=one.low.device)
    ball = Ball(row, torch.zeros_like(row), radius, 0.0, centred=False)
    return Interval(-bound, bound, ball=ball)


def _scaled(call: Operation, first: Interval, second: Interval) -> Ball | None:
    """Multiply a ball by a constant row."""
    operands = (call.argument(0, "input"), call.argument(1, "other"))
    for (one, other), given in (((first, second), operands[1]), ((second, first), operands[0])):
        ball = one.ball
        if ball is None or isinstance(given, Interval) or not _is_row(other.low, ball):
            continue
        row = other.low.reshape(-1)
        eps = 4.0 * torch.finfo(call.dtype).eps
        offset = bool((ball.shift != 0).any())
        if offset:  # the shift's own rounding is no multiple of n
            return None
        radius = ball.radius * (1.0 + eps)
        return Ball(ball.scale * row, ball.shift, radius, ball.slack * (1.0 + eps), ball.centred)
    return None


def _squared(call: Operation) -> Interval:
    operand = call.first()
    low = torch.where(operand.low > 0, operand.low, (-operand.high).clamp(min=0.0)).square()
    square = rounded(operand.ends(low, torch.maximum(operand.low.abs(), operand.high.abs()) ** 2),
                     call.dtype)  # fmt: skip
    return square.but(kin=("square", operand), low=square.low.clamp(min=0.0))


def _power(call: Operation) -> Interval | None:
    exponent = call.argument(1, "exponent")
    operand = call.argument(0)
    if not isinstance(operand, Interval) or not isinstance(exponent, int | float):
        return None
    if exponent == 2:
        return _squared(call)
    whole, positive = float(exponent).is_integer(), bool((operand.low > 0).all())
    if exponent > 0 and ((whole and exponent % 2 == 1) or (operand.low >= 0).all()):
        ends = operand.ends(operand.low**exponent, operand.high**exponent)
    elif exponent > 0 and whole:
        most = torch.maximum(operand.low.abs(), operand.high.abs()) ** exponent
        ends = operand.ends(torch.zeros_like(most), most)
    elif exponent < 0 and positive:
        ends = operand.ends(operand.high**exponent, operand.low**exponent)
    else:
        return None
    return rounded(ends, call.dtype, _STEPS)


def _divided(call: Operation) -> Interval | None:
    if call.kwargs.get("rounding_mode") is not None:
        return None
    numerator, divisor = call.interval(0, "input"), call.interval(1, "other")
    through = (divisor.low <= 0) & (divisor.high >= 0)
    inverse = Interval(1.0 / divisor.high, 1.0 / divisor.low)
    quotient = times(numerator, inverse)
    low = quotient.low.masked_fill(through.expand_as(quotient.low), -math.inf)
    high = quotient.high.masked_fill(through.expand_as(quotient.high), math.inf)
    return rounded(Interval(low, high), call.dtype, 4.0)


def _negated(call: Operation) -> Interval:
    operand = call.first()
    return operand.ends(-operand.high, -operand.low)


def _absolute(call: Operation) -> Interval:
    operand = call.first()
    most = torch.maximum(operand.low.abs(), operand.high.abs())
    return operand.ends(torch.maximum(operand.low, -operand.high).clamp(min=0.0), most)


def _rising(call: Operation) -> Interval:
    """Apply a function that never falls; ends where it is not defined become unknown ones."""
    low, high = call.at("low"), call.at("high")
    return rounded(call.first().ends(low, high), call.dtype, _STEPS)


def _falling(call: Operation) -> Interval | None:
    """1/x and 1/sqrt(x), of positive numbers."""
    operand = call.first()
    if not bool((operand.low >= 0).all()):
        return None
    ends = operand.ends(call.at("high"), call.at("low"))
    found = rounded(ends, call.dtype, _STEPS)
    root_mean = call.name.startswith("rsqrt") and operand.kin is not None
    if root_mean and operand.kin is not None and operand.kin[0] == "mean":
        return found.but(kin=("inverse", operand.kin[1]))
    return found


def _within(low: float, high: float) -> Rule:
    def rule(call: Operation) -> Interval:
        like = torch.zeros(tuple(call.result.shape), dtype=torch.float64, device=call.result.device)
        return rounded(call.first().ends(like + low, like + high), call.dtype, _STEPS)

    return rule


def _sum_of_product(call: Operation) -> Interval | None:
    """``addcmul``: input + value * first * second."""
    first, second = call.interval(1), call.interval(2)
    value = exactly(float(call.kwargs.get("value", 1.0)), first, call.dtype)
    product = times(times(first, second), value)
    operand = call.interval(0)
    total = Interval(operand.low + product.low, operand.high + product.high)
    return _spread(rounded(total, call.dtype, 4.0), product.size, call.dtype)


def _filled_where(call: Operation) -> Interval:
    """``masked_fill`` and ``where``: of a condition that is not known, either."""
    if call.name.startswith("masked_fill"):
        operand, mask, other = call.interval(0), call.interval(1), call.interval(2)
        chosen = other
    else:
        mask, chosen, operand = call.interval(0), call.interval(1), call.interval(2)
    surely, never = mask.low == 1.0, mask.high == 0.0
    low = torch.where(never, operand.low, torch.minimum(operand.low, chosen.low))
    high = torch.where(never, operand.high, torch.maximum(operand.high, chosen.high))
    return Interval(torch.where(surely, chosen.low, low), torch.where(surely, chosen.high, high))


_RISING = """exp expm1 log log1p log2 log10 sqrt tanh sigmoid erf atan asinh sinh"""

"""Never falling; what PyTorch computes in one kernel."""


def _rising_pair(call: Operation) -> tuple[Interval | None, ...]:
    """``log_sigmoid_forward`` returns a buffer beside its value."""
    (low, _), (high, _) = call.at("low"), call.at("high")
    return rounded(call.first().ends(low, high), call.dtype, _STEPS), None


RULES: dict[str, Rule] = {
    "add": partial(_added, sign=1.0),
    "sub": partial(_added, sign=-1.0),
    "rsub": _subtracted,
    "mul": _multiplied,
    "div": _divided,
    "true_divide": _divided,
    "neg": _negated,
    "abs": _absolute,
    "square": _squared,
    "pow": _power,
    "addcmul": _sum_of_product,
    **dict.fromkeys(("where", "masked_fill"), _filled_where),
    **dict.fromkeys(_RISING.split(), _rising),
    "log_sigmoid_forward": _rising_pair,
    **dict.fromkeys(("rsqrt", "reciprocal"), _falling),
    **dict.fromkeys(("sin", "cos"), _within(-1.0, 1.0)),
}
"""Rules by the operator's name."""
