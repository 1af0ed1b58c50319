"""The routes by which a declared function is evaluated on NumPy's 16, 32 and 64-bit inputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import relucid  # teaches the declared functions to act on tensors
from relucid.functions import Elementwise

Array = NDArray[Any]
_TORCH_ONLY = {"bfloat16": (np.int16, torch.bfloat16)}


def to_torch(x: Array) -> torch.Tensor:
    """The same numbers as a tensor."""
    if x.dtype.name in _TORCH_ONLY:
        carrier, dtype = _TORCH_ONLY[x.dtype.name]
        return torch.from_numpy(x.view(carrier).copy()).view(dtype)
    return torch.from_numpy(x)


def to_numpy(x: torch.Tensor, dtype: Any) -> Array:
    """The same numbers as an array of ``dtype``, which is the tensor's type."""
    x = x.detach()
    return (x.view(torch.int16) if x.dtype == torch.bfloat16 else x).numpy().view(dtype)


def on_numpy(activation: Elementwise, which: str, x: Array) -> Array:
    return np.asarray(_function(activation, which)(x))


def on_torch(activation: Elementwise, which: str, x: Array) -> Array:
    return to_numpy(_function(activation, which)(to_torch(x)), x.dtype)


def correct_on_torch(activation: Elementwise, which: str, x: Array) -> Array:
    with relucid.precision("correct"):
        return on_torch(activation, which, x)


def _function(activation: Elementwise, which: str) -> Callable[[Any], Any]:
    return activation if which == "value" else activation.derivative


ROUTES: dict[str, Callable[[Elementwise, str, Array], Array]] = {
    "numpy": on_numpy,
    "torch": on_torch,
    "torch, correct": correct_on_torch,
}
"""By name; "torch" is the fused kernel wherever there is one."""
__all__ = ["ROUTES", "on_numpy", "on_torch", "relucid", "to_numpy", "to_torch"]
