"""Writing results where the caller asks."""

from __future__ import annotations

import torch
from torch import Tensor

from relucid.errors import DtypeError, ParameterError, ShapeError
from relucid.nn.ordinary import is_memory


def check_output(name: str, x: Tensor, out: Tensor, *others: Tensor) -> None:
    """Raise unless ``out`` can take a result of the shape, dtype and device of ``x``."""
    if not isinstance(out, Tensor):
        raise ParameterError(f"{name}: out= is {type(out).__name__}; pass a tensor like the input")
    followed = x.requires_grad or out.requires_grad or any([t.requires_grad for t in others])
    if followed and torch.is_grad_enabled():
        raise ParameterError(
            f"{name}: what is written to out= cannot be differentiated, and an argument requires a "
            "gradient; call it under torch.no_grad(), or leave out out="
        )
    if out.shape != x.shape:
        raise ShapeError(
            f"{name}: out= has shape {tuple(out.shape)}, and the result {tuple(x.shape)}"
        )
    if out.dtype != x.dtype or out.device != x.device:
        raise DtypeError(
            f"{name}: out= is {out.dtype} on {out.device}, and the result {x.dtype} on {x.device}"
        )


def check_product(name: str, x: Tensor, grad: Tensor) -> None:
    """Raise unless ``grad`` is the gradient of a result of ``x``."""
    if not isinstance(grad, Tensor):
        raise ParameterError(
            f"{name}: the gradient is {type(grad).__name__}; pass a tensor like the input"
        )
    if grad.shape != x.shape:
        raise ShapeError(
            f"{name}: the gradient has shape {tuple(grad.shape)}, and the input {tuple(x.shape)}"
        )
    if grad.dtype != x.dtype or grad.device != x.device:
        raise DtypeError(
            f"{name}: the gradient is {grad.dtype} on {grad.device}, and the input {x.dtype} on "
            f"{x.device}"
        )


def fits(out: Tensor, *inputs: Tensor) -> bool:
    """Whether a kernel may write results of ``inputs`` right into ``out``."""
    return is_memory(out) and _has_no_gaps(out) and all([_aligned(x, out) for x in inputs])


def overwritten(name: str, x: Tensor, value: Tensor) -> Tensor:
    """Copy a result over its input and return the input."""
    if value.dtype != x.dtype:
        raise DtypeError(
            f"{name} makes {value.dtype} of {x.dtype}, which cannot be written in place; leave out "
            "inplace=True"
        )
    return x.copy_(value)


def noticed(written: Tensor) -> Tensor:
    """Tell autograd that memory which it may have saved has been written over."""
    torch.autograd.graph.increment_version(written)
    return written


def _aligned(x: Tensor, out: Tensor) -> bool:
    """Whether each element of ``out`` may be written once the same one of ``x`` was read."""
    if not (x.is_contiguous() and out.is_contiguous()) and x.stride() != out.stride():
        return False
    first, start = x.data_ptr(), out.data_ptr()
    apart = max(first, start) - min(first, start)
    return apart == 0 or apart >= x.numel() * x.element_size()


def _has_no_gaps(x: Tensor) -> bool:
    return x.is_contiguous() or torch.empty_like(x).stride() == x.stride()
