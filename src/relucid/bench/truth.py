"""Errors of results against float64, and the limits that relucid's must keep.

The truth is relucid's NumPy route on float64 inputs: the declared formulas without any compiled
kernel. A formula that is itself wrong would agree with its kernel, so it is held to the textbook
in arbitrary precision first; functions of a vector are SciPy's. Only elements whose true result
is a normal number of the result's type count, as in the accuracy contract.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import special
from torch import Tensor

from relucid.bench.buffers import Inputs
from relucid.functions import Elementwise, TwoInput, get
from relucid.verify.textbook import exact

Points = NDArray[np.float64]

_PROBES = 801
"""Points at which a formula is held to the textbook: every 0.02 from -8 to 8."""
_NEARLY = 1e-8
"""Coarse on purpose, a float's half digits: the tests hold the formulas to the last place."""
_CHECKED = 1 << 16
"""Elements of a result that are compared, evenly spread and with the last ones."""


@dataclass(frozen=True)
class Contract:
    """Limits in units in the last place, and the allowance near a root of the derivative."""

    value: float
    gradient: float
    near: float
    """Distance from a root within which the allowance holds."""
    allowance: float
    """Absolute, for an output gradient of 1."""


_HALF = Contract(value=0.502, gradient=0.51, near=0.1, allowance=1e-7)
"""Correctly rounded but where float32's own error decides: 16 of its units are 0.002 of one."""
CONTRACTS = {
    torch.float16: _HALF,
    torch.bfloat16: _HALF,
    torch.float32: Contract(value=2.0, gradient=4.0, near=1e-3, allowance=1e-7),
    # The truth is a float64 too, so that its error, up to as much, counts beside the result's.
    torch.float64: Contract(value=8.0, gradient=11.0, near=1.0, allowance=2.0**-50),
}


@dataclass(frozen=True)
class Truth:
    """Value and gradients of one buffer set on the rows that are checked."""

    rows: NDArray[np.intp]
    value: Points
    gradients: tuple[Points, ...]
    allowances: tuple[Points, ...]
    """Absolute errors of the gradients that do not count."""
    dtype: torch.dtype
    fault: str
    """How the declared formula differs from the textbook; empty where it does not."""

    def value_error(self, result: Any) -> float:
        """Worst error of a value, a tensor or array shaped as the inputs, in last places."""
        return self._worst(result, self.value, np.zeros_like(self.value))

    def gradient_error(self, results: Sequence[Any]) -> float:
        """Worst error of the gradients with respect to each argument."""
        checked = zip(results, self.gradients, self.allowances, strict=True)
        return max(self._worst(*one) for one in checked)

    def _worst(self, result: Any, truth: Points, allowance: Points) -> float:
        error = np.abs(_as_points(result, self.rows) - truth) - allowance
        units = np.maximum(error, 0.0) / _spacing(truth, self.dtype)
        units = np.where(np.isnan(units), np.inf, units)
        normal = np.abs(truth) >= torch.finfo(self.dtype).tiny
        return float(np.max(units, where=normal, initial=0.0))


def truth_of(function: str, inputs: Inputs) -> Truth:
    """Evaluate value and gradients of ``function`` in float64 on the rows that are checked."""
    activation, dtype = get(function), inputs.gradient.dtype
    rows = _rows(inputs.gradient.shape)
    arguments = [_as_points(x, rows) for x in inputs.arguments]
    gradient = _as_points(inputs.gradient, rows)
    contract = CONTRACTS[dtype]
    scales = [np.abs(gradient) * contract.allowance] * len(arguments)
    if isinstance(activation, Elementwise):
        value = activation(arguments[0])
        gradients = [gradient * activation.derivative(arguments[0])]
        near = [_near_root(activation, arguments[0], contract)]
    elif isinstance(activation, TwoInput):
        value = activation(*arguments)
        gradients = [gradient * slope for slope in activation.derivative(*arguments)]
        near = [np.zeros(rows.shape, bool), _near_root(activation.gate, arguments[1], contract)]
        scales[1] = scales[1] * np.abs(arguments[0])
    else:
        value, slope = _VECTORS[function](arguments[0], gradient)
        gradients, near = [slope], [np.ones(gradient.shape, bool)]  # zeros can be anywhere
    allowances = tuple(np.where(*pair, 0.0) for pair in zip(near, scales, strict=True))
    checked = activation.gate if isinstance(activation, TwoInput) else activation
    fault = formula_fault(checked) if isinstance(checked, Elementwise) else ""
    return Truth(rows, value, tuple(gradients), allowances, dtype, fault)


@lru_cache
def formula_fault(activation: Elementwise) -> str:
    """Say where the declared formulas leave the textbook in float64; empty where nowhere."""
    points = np.linspace(-8.0, 8.0, _PROBES)
    for which, function in (("value", activation), ("derivative", activation.derivative)):
        high, low = exact(activation, which, points)
        error = np.abs((function(points) - high) - low)
        excess = error - (_NEARLY * np.abs(high) + _NEARLY**2)
        if not (excess <= 0.0).all():
            i = int(np.argmax(excess))
            return f"its formula of the {which} is {error[i]:.2g} off the textbook at {points[i]:g}"
    return ""


def _softmax(x: Points, g: Points) -> tuple[Points, Points]:
    y = special.softmax(x, axis=-1)
    return y, y * (g - (g * y).sum(axis=-1, keepdims=True))


def _log_softmax(x: Points, g: Points) -> tuple[Points, Points]:
    total = g.sum(axis=-1, keepdims=True)
    return special.log_softmax(x, axis=-1), g - special.softmax(x, axis=-1) * total


_VECTORS = {"softmax": _softmax, "log_softmax": _log_softmax}


def broken(truth: Truth, value_error: float | None, gradient_error: float | None) -> str:
    """Say which limit of the contract the errors break; empty where they keep it."""
    contract = CONTRACTS[truth.dtype]
    pairs = (
        ("value", value_error, contract.value),
        ("gradient", gradient_error, contract.gradient),
    )
    beyond = (
        f"its {what} is {error:.4g} units in the last place off, more than {limit:g}"
        for what, error, limit in pairs
        if error is not None and not error <= limit
    )
    return "; ".join(filter(None, (truth.fault, *beyond)))


def _rows(shape: torch.Size) -> NDArray[np.intp]:
    wanted = min(shape[0], _CHECKED * shape[0] // shape.numel())
    return np.linspace(0, shape[0] - 1, wanted).astype(np.intp)


def _as_points(array: Any, rows: NDArray[np.intp]) -> Points:
    if isinstance(array, Tensor):
        return array.detach()[torch.from_numpy(rows)].double().numpy()
    return np.asarray(array)[rows].astype(np.float64)


def _spacing(truth: Points, dtype: torch.dtype) -> Points:
    """The distance between neighbouring numbers of the type where the truth lies."""
    unit: Points = np.ldexp(torch.finfo(dtype).eps, np.frexp(truth)[1] - 1)
    return unit


def _near_root(activation: Elementwise, points: Points, contract: Contract) -> NDArray[np.bool_]:
    near = np.zeros(points.shape, bool)
    for root in _roots(activation):
        near |= np.abs(points - root) < contract.near
    return near


@lru_cache
def _roots(activation: Elementwise) -> tuple[float, ...]:
    """Where the derivative crosses zero, to 1e-4."""
    grid = np.linspace(-10.0, 10.0, 200_003)
    signs = np.sign(activation.derivative(grid))
    crossing = np.flatnonzero(signs[1:] * signs[:-1] < 0)
    return tuple(float((grid[i] + grid[i + 1]) / 2.0) for i in crossing)
