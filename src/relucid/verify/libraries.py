"""PyTorch's and JAX's own functions under relucid's names: to measure beside, never as truth."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from relucid.functions import Elementwise

Function = Callable[..., Any]

PYTORCH: dict[str, Function] = {
    "identity": lambda x: x.clone(),
    "relu": F.relu,
    "leaky_relu": F.leaky_relu,
    "prelu": lambda x, negative_slope: F.prelu(x, torch.full((1,), negative_slope, dtype=x.dtype)),
    "rrelu": F.rrelu,
    "relu6": F.relu6,
    "hardtanh": F.hardtanh,
    "threshold": F.threshold,
    "thresholded_relu": lambda x, threshold: F.threshold(x, threshold, 0.0),
    "hardshrink": F.hardshrink,
    "softshrink": F.softshrink,
    "elu": F.elu,
    "selu": F.selu,
    "celu": F.celu,
    "softplus": F.softplus,
    "logsigmoid": F.logsigmoid,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "softsign": F.softsign,
    "tanhshrink": F.tanhshrink,
    "arctan": torch.atan,
    "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "mish": F.mish,
    "hardswish": F.hardswish,
}
"""Each takes a tensor, and the function's parameters by name."""

PYTORCH_AT_DEFAULTS: dict[str, Function] = {"silu": F.silu, "hardsigmoid": F.hardsigmoid}
"""Functions that PyTorch has without the parameter."""


def pytorch(activation: Elementwise) -> Callable[[Tensor], Tensor] | None:
    """PyTorch's function with the activation's parameters, or None where it has none."""
    if activation.name in PYTORCH_AT_DEFAULTS and not activation.changed:
        return PYTORCH_AT_DEFAULTS[activation.name]
    own = PYTORCH.get(activation.name)
    # Left out, softplus's threshold is 20: PyTorch's form overflows without one.
    chosen = {n: v for n, v in activation.parameters.items() if v != math.inf}
    return None if own is None else lambda x: own(x, **chosen)


def jax(activation: Elementwise) -> Callable[[Any], Any] | None:
    """JAX's function with the activation's parameters, or None where it has none."""
    from jax import nn, numpy

    own: dict[str, tuple[Function, tuple[str, ...]]] = {
        "identity": (nn.identity, ()),
        "relu": (nn.relu, ()),
        "leaky_relu": (nn.leaky_relu, ("negative_slope",)),
        "relu6": (nn.relu6, ()),
        "hardtanh": (nn.hard_tanh, ()),
        "hardsigmoid": (nn.hard_sigmoid, ()),
        "elu": (nn.elu, ("alpha",)),
        "selu": (nn.selu, ()),
        "celu": (nn.celu, ("alpha",)),
        "softplus": (nn.softplus, ()),
        "squareplus": (nn.squareplus, ("b",)),
        "logsigmoid": (nn.log_sigmoid, ()),
        "sigmoid": (nn.sigmoid, ()),
        "tanh": (numpy.tanh, ()),
        "softsign": (nn.soft_sign, ()),
        "arctan": (numpy.arctan, ()),
        "silu": (nn.silu, ()),
        "gelu": (lambda x: nn.gelu(x, approximate=False), ()),
        "gelu_tanh": (lambda x: nn.gelu(x, approximate=True), ()),
        "mish": (nn.mish, ()),
        "hardswish": (nn.hard_swish, ()),
    }
    function, takes = own.get(activation.name, (None, ()))
    if function is None or not set(activation.changed) <= set(takes):
        return None
    chosen = {name: activation.parameters[name] for name in takes}
    return lambda x: function(x, **chosen)


def has_jax() -> bool:
    """Whether JAX is installed."""
    return importlib.util.find_spec("jax") is not None
