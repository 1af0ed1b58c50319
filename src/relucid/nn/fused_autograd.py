"""Fused kernels under automatic differentiation.

A kernel's backward is no operation that PyTorch could differentiate again. Where a second
derivative is asked for, or a transform looks at the gradients, backward speaks plain operations
on what was saved.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from relucid.nn.autograd import gradients
from relucid.nn.fused import Fused
from relucid.nn.learned import Arrangement, FusedLearned
from relucid.nn.ordinary import is_memory


class FromInput(torch.autograd.Function):
    """``f(x)``, whose backward reads x again; written to ``target`` if that is not None."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, fused: Fused, target: Tensor | None) -> Any:
        ctx.fused = fused
        ctx.save_for_backward(x)
        if target is not None:
            ctx.mark_dirty(target)
        return fused.value(x, target)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        (x,) = ctx.saved_tensors
        if torch.is_grad_enabled() or not is_memory(grad):
            return *gradients(ctx.fused.activation, x, grad), None, None
        return ctx.fused.gradient(x, grad), None, None


class FromMask(torch.autograd.Function):
    """``f(x)``, whose backward needs one bit of each element; written to x if ``inplace``.

    The second result is empty. It ties a gradient that is to be differentiated again to x, which
    nothing else of what is saved does.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, fused: Fused, inplace: bool) -> Any:
        ctx.fused = fused
        value, mask, unknown = fused.value_and_mask(x, x if inplace else None)
        tie = x.new_empty(0)
        ctx.save_for_backward(mask, tie, torch.isnan(value) if unknown else None)
        ctx.shape, ctx.strides = value.shape, value.stride()
        ctx.set_materialize_grads(False)
        if inplace:
            ctx.mark_dirty(x)
        return value, tie

    @staticmethod
    def backward(ctx: Any, grad: Tensor | None, _: Tensor | None) -> Any:
        mask, tie, unknown = ctx.saved_tensors
        if grad is None:  # only the tie was used: a second derivative, which is 0
            return tie.new_zeros(ctx.shape), None, None
        if torch.is_grad_enabled() or not is_memory(grad):
            by_x = grad * ctx.fused.slopes(mask, _memory(ctx, mask, grad))
            by_x = by_x - tie.sum() if torch.is_grad_enabled() else by_x
        else:
            ordered = grad.stride() == ctx.strides
            by_x = ctx.fused.gradient_from_mask(
                mask, grad if ordered else _memory(ctx, mask, grad).copy_(grad)
            )
        if unknown is not None:
            by_x = by_x.masked_fill(unknown, torch.nan)
        return by_x, None, None


def _memory(ctx: Any, mask: Tensor, grad: Tensor) -> Tensor:
    """Memory in the order in which forward packed its bits."""
    return mask.new_empty_strided(ctx.shape, ctx.strides, dtype=grad.dtype)


class FromLearned(torch.autograd.Function):
    """``f(x)`` with learned parameters, to which there are gradients too."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, fused: FusedLearned, arranged: Arrangement, *parameters: Tensor
    ) -> Any:
        ctx.fused, ctx.arranged = fused, arranged
        ctx.save_for_backward(x, *parameters)
        return fused.value(x, parameters, arranged)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        x, *parameters = ctx.saved_tensors
        fused = ctx.fused
        if torch.is_grad_enabled() or not is_memory(grad):
            learned = dict(zip(fused.learned, parameters, strict=True))
            by_x, *by_learned = gradients(fused.activation, x, grad, learned)
        else:
            by_x, *by_learned = fused.gradients(x, grad, parameters, ctx.arranged)
        return by_x, None, None, *by_learned
