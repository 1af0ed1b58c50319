"""Sums and means. Of n terms: abs(error) <= gamma_n * sum of abs values (Higham 2002, section 4.2).

gamma_n = n u / (1 - n u) holds for every order of summation.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from relucid.probes.bounds.interval import Interval, rounded, unit, widened
from relucid.probes.bounds.rules.operation import Operation, Rule

_WIDE = torch.finfo(torch.float32).eps / 2


def gamma(terms: int, dtype: torch.dtype) -> float:
    """Relative error of a sum of products in this dtype; 16-bit ones are added in 32 bits."""
    u = min(unit(dtype), _WIDE) + 2.0 * unit(torch.float64)
    n = terms + 4
    return n * u / (1.0 - n * u) if n * u < 0.5 else math.inf


def after_sum(exact: Interval, size: Tensor, terms: int, dtype: torch.dtype) -> Interval:
    """Allow for the rounding of a sum whose terms' abs values add up to ``size``."""
    widest = widened(exact, gamma(terms, dtype) * size)
    return rounded(widest, dtype, 4.0) if unit(dtype) > _WIDE else widest


def _summed(call: Operation) -> Interval:
    operand = call.first()
    terms = max(operand.low.numel() // max(call.result.numel(), 1), 1)
    low, high = call.at("low"), call.at("high")
    size = call.function(operand.size, *call.args[1:], **_without_dtype(call))
    total = after_sum(operand.ends(low, high), size, terms, call.dtype)
    # However it is rounded, a sum of what is never negative is not negative either.
    total = total.but(low=torch.where(low >= 0.0, total.low.clamp(min=0.0), total.low))
    if operand.kin is not None and operand.kin[0] == "square" and _over_rows(call):
        return total.but(kin=("mean", operand.kin[1]))
    return total


def _over_rows(call: Operation) -> bool:
    """Whether this is a mean over the last axis alone, which it keeps."""
    axes = call.argument(1, "dim")
    axes = [axes] if isinstance(axes, int) else list(axes or ())
    last = call.first().low.ndim - 1
    kept = call.result.ndim == last + 1
    return call.name == "mean" and kept and [a % (last + 1) for a in axes] == [last]


def _without_dtype(call: Operation) -> dict[str, object]:
    return {name: value for name, value in call.kwargs.items() if name != "dtype"}


def _pooled(call: Operation) -> Interval:
    """Average pooling and linear interpolation: weights that are never negative."""
    operand = call.first()
    terms = max(math.prod(operand.low.shape[-3:]) // max(math.prod(call.result.shape[-3:]), 1), 1)
    size = call.function(operand.size, *call.args[1:], **_without_dtype(call))
    kernel = call.argument(1, "kernel_size", ())
    terms = max(terms, math.prod(kernel) if isinstance(kernel, list | tuple) else 1)
    ends = operand.ends(call.at("low"), call.at("high"))
    return after_sum(ends, size.abs(), 2 * terms + 8, call.dtype)


def _running(call: Operation) -> Interval:
    operand = call.first()
    size = call.function(operand.size, *call.args[1:])
    ends = operand.ends(call.at("low"), call.at("high"))
    return after_sum(ends, size, operand.low.shape[call.argument(1)], call.dtype)


def _interpolated(call: Operation) -> Interval:
    """(Bi-, tri-)linear interpolation: a weighted mean of neighbours.

    The weights' own rounding moves the mean by some roundoffs of the positions, so that it is
    allowed for with the size of the axis.
    """
    operand = call.first()
    size = call.function(operand.size, *call.args[1:], **call.kwargs)
    most = torch.nn.functional.max_pool1d(size.reshape(1, 1, -1), 1).reshape(size.shape)
    ends = operand.ends(call.at("low"), call.at("high"))
    return after_sum(ends, most.amax().expand_as(most), 32 + max(operand.low.shape[2:]), call.dtype)


RULES: dict[str, Rule] = {
    **dict.fromkeys(("sum", "mean"), _summed),
    **dict.fromkeys("avg_pool1d avg_pool2d avg_pool3d".split(), _pooled),
    **dict.fromkeys("_adaptive_avg_pool2d _adaptive_avg_pool3d adaptive_avg_pool1d".split(),
                    _pooled),
    **dict.fromkeys("upsample_linear1d upsample_bilinear2d upsample_trilinear3d".split(),
                    _interpolated),
    "cumsum": _running,
}  # fmt: skip
"""Rules by the operator's name."""
