"""Activations that a model's own module writes out in tensor operations, told by their values."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, finfo

from relucid.functions import Activation, Elementwise, catalogue

Values = NDArray[np.float64]
_SAMPLE = 2048
_QUICK = 64
_LOOSEST = 8.0
"""Agreement to this many epsilons of the dtype, or to 1e-5."""


def sample(tensor: Tensor) -> Values:
    """Copy evenly spaced values, in float64."""
    flat = tensor.detach().reshape(-1)
    return flat[:: max(flat.numel() // _SAMPLE, 1)].double().cpu().numpy().copy()


def computes(activation: Activation | None, z: Values, h: Values, dtype_epsilon: float) -> bool:
    """Whether h = f(z) for this function, as far as the values tell."""
    if not isinstance(activation, Elementwise) or not z.size:
        return False
    finite = np.isfinite(z) & np.isfinite(h)
    return _error(_value(activation, z[finite]), h[finite]) <= _tolerance(dtype_epsilon)


def identify(z: Values, h: Values, dtype_epsilon: float) -> Activation | None:
    """Return the declared function for which h = f(z), or None.

    None too where the data cannot tell: without finite values of both signs, or where h = z
    (dropout in eval mode; any rectifier of positive values).
    """
    finite = np.isfinite(z) & np.isfinite(h)
    z, h = z[finite], h[finite]
    if z.size < 2 or z.min() >= 0.0 or z.max() <= 0.0:
        return None
    tolerance = _tolerance(dtype_epsilon)
    if _error(z, h) <= tolerance:
        return None
    spread = np.argsort(z)[:: max(z.size // _QUICK, 1)]
    best, least = None, tolerance
    for activation in catalogue().values():
        if not isinstance(activation, Elementwise):
            continue
        if _error(_value(activation, z[spread]), h[spread]) > tolerance:
            continue
        error = _error(_value(activation, z), h)
        if error < least:
            best, least = activation, error
    return best


def epsilon(tensor: Tensor) -> float:
    """Distance from 1 to the next number of the tensor's dtype."""
    return finfo(tensor.dtype).eps


def _tolerance(dtype_epsilon: float) -> float:
    return max(_LOOSEST * dtype_epsilon, 1e-5)


def _value(activation: Elementwise, z: Values) -> Values:
    return np.asarray(activation(z), dtype=np.float64)


def _error(found: Values, expected: Values) -> float:
    return float(np.max(np.abs(found - expected) / (1.0 + np.abs(expected)), initial=0.0))
