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
    return (
        is_memory(x)
        and not transforms_active()
        and not _dispatch_modes()
        and _tracing() is None
        and forward_ad._current_level < 0
    )
