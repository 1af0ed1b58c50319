"""Whether a kernel may read a tensor's memory now, or PyTorch has to see the operations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

_KINDS = (Tensor, torch.nn.Parameter)


def _asked(name: str, otherwise: Any) -> Callable[[], Any]:
    """A question to PyTorch's core that has no public name; ``otherwise`` where it is gone."""
    found: Callable[[], Any] = getattr(torch._C, name, lambda: otherwise)
    return found


# Without an answer the general route serves.
transforms_active = _asked("_are_functorch_transforms_active", True)
_has_storage: Callable[[Tensor], bool] = getattr(torch._C, "_has_storage", lambda x: False)
_dispatch_modes = _asked("_len_torch_dispatch_stack", 1)
_tracing = _asked("_get_tracing_state", True)


def is_memory(x: Tensor) -> bool:
    """Whether ``x`` is plain memory of a CPU or GPU, whose elements are what it says.

    Not so: subclasses (fake tensors, distributed ones), sparse tensors, what ``vmap`` batches, and
    views that negate what they show.
    """
    return type(x) in _KINDS and (x.is_cpu or x.is_cuda) and _has_storage(x) and not x.is_neg()


def is_ordinary(x: Tensor) -> bool:
    """Whether ``x`` is plain memory and nobody records or transforms what is done with it.

    ``torch.compile`` while it traces, ``torch.func`` transforms, forward-mode differentiation,
    tracing and dispatch modes do.
    """
    return is_memory(x) and unobserved()


def unobserved() -> bool:
    """Whether nothing in this thread records or transforms operations, but for autograd."""
    return (
        not transforms_active()
        and not _dispatch_modes()
        and _tracing() is None
        and forward_ad._current_level < 0
    )


def is_ready(out: Tensor, *inputs: Tensor) -> bool:
    """Whether a kernel may write results of ``inputs`` into ``out``, all as they are.

    They are contiguous CPU memory of one shape and dtype, apart or the same, and autograd does
    not follow them. Where not, it takes a closer look to tell what can be done.
    """
    if type(out) is not Tensor or not _is_plain(out):
        return False
    shape, dtype, start, size = out.shape, out.dtype, out.data_ptr(), out.nbytes
    for x in inputs:
        alike = type(x) is Tensor and x.dtype is dtype and x.shape == shape
        if not alike or not _is_plain(x) or 0 < abs(x.data_ptr() - start) < size:
            return False
    return unobserved()


def _is_plain(x: Tensor) -> bool:
    followed = x.requires_grad and torch.is_grad_enabled()
    memory = x.is_cpu and x.is_contiguous() and _has_storage(x) and not x.is_neg()
    return memory and not followed
