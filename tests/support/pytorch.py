"""PyTorch's own functions by case: to compare conventions and accuracy with, never as truth."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from support.cases import Case

PYTORCH: dict[str, Callable[..., Tensor]] = {
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


# Functions that PyTorch has without the parameter.
_AT_DEFAULTS: dict[str, Callable[[Tensor], Tensor]] = {
    "silu": F.silu,
    "hardsigmoid": F.hardsigmoid,
}


def pytorch(case: Case) -> Callable[[Tensor], Tensor] | None:
    """PyTorch's function with the case's parameters, or None where it has none."""
    if case.name in _AT_DEFAULTS and not case.parameters:
        return _AT_DEFAULTS[case.name]
    own = PYTORCH.get(case.name)
    if own is None:
        return None
    # Left out, softplus's threshold is 20: PyTorch's form overflows without one.
    parameters = {n: v for n, v in case.activation.parameters.items() if v != math.inf}
    return lambda x: own(x, **parameters)
