"""Tensors of a model and as they come from it: what they take, which can be read, and how."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def bytes_of(model: nn.Module) -> int:
    """Return the bytes of a model's parameters and buffers; a shared one counts once."""
    return sum(x.nbytes for x in (*model.parameters(), *model.buffers()))


def plain(tensor: Tensor) -> Tensor:
    """Return the tensor's values, out of the graph and as a plain tensor."""
    return tensor.detach().as_subclass(Tensor)


def uncountable(z: Tensor) -> str | None:
    """Why this tensor's values cannot be counted, or None."""
    if torch._C._functorch.is_functorch_wrapped_tensor(z):
        return "its values are hidden by torch.func (vmap, grad or jvp)"
    if z.layout is not torch.strided or z.is_nested:
        return "its tensor is sparse, nested or packed"
    if z.device.type == "meta":
        return "its tensor is on the meta device, without values"
    if type(z).__torch_dispatch__ is not Tensor.__torch_dispatch__:
        return f"its values are kept by {type(z).__name__}, not by a plain tensor"
    return None
