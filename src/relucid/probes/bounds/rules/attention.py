"""Softmax and attention: shares between 0 and 1, and means of the values they weigh."""

from __future__ import annotations

import torch

from relucid.probes.bounds.interval import Interval, exactly, unit, unknown
from relucid.probes.bounds.rules.operation import Operation, Rule
from relucid.probes.bounds.rules.products import mean_of


def _shares(call: Operation) -> Interval:
    """Softmax: no share is negative; together they are 1 but for rounding."""
    like = torch.zeros(tuple(call.result.shape), dtype=torch.float64, device=call.result.device)
    last = call.argument(1) % max(call.result.ndim, 1) == call.result.ndim - 1
    return Interval(like, like + 1.0 + 8.0 * unit(call.dtype), weights=last)


def _logarithms(call: Operation) -> Interval:
    like = torch.zeros(tuple(call.result.shape), dtype=torch.float64, device=call.result.device)
    return Interval(like - torch.inf, like + 8.0 * unit(call.dtype))


def _attended(call: Operation) -> tuple[Interval | None, ...] | None:
    """Scaled dot-product attention: whatever the scores, a mean of the values."""
    names = [argument.name for argument in call.function._schema.arguments]
    if call.argument(names.index("dropout_p"), "dropout_p", 0.0):
        return None
    values = exactly(call.argument(2, "value"), call.first())
    made = call.result if isinstance(call.result, tuple | list) else (call.result,)
    low, high = values.low.amin(-2, keepdim=True), values.high.amax(-2, keepdim=True)
    shape = tuple(made[0].shape)
    if low.ndim > 1 and low.shape[1] != shape[1]:  # grouped queries share their keys and values
        low, high = (x.repeat_interleave(shape[1] // x.shape[1], dim=1) for x in (low, high))
    rows = torch.zeros((*shape[:-1], 1), dtype=torch.float64, device=low.device)
    mean = mean_of(low, high, Interval(rows, rows), values.low.shape[-2], call.dtype)
    tensors = [x for x in made if isinstance(x, torch.Tensor)]
    return mean, *(unknown(x) for x in tensors[1:])


RULES: dict[str, Rule] = {
    **dict.fromkeys(("_softmax", "_safe_softmax"), _shares),
    "_log_softmax": _logarithms,
    **dict.fromkeys(
        (
            "_scaled_dot_product_flash_attention_for_cpu",
            "_scaled_dot_product_flash_attention",
            "_scaled_dot_product_efficient_attention",
            "_scaled_dot_product_cudnn_attention",
        ),
        _attended,
    ),
}
"""Rules by the operator's name."""
