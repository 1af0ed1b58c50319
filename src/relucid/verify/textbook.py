"""What every catalogue function is, from its textbook, in arbitrary precision.

Nothing here is taken from the declarations: each entry is the value and the derivative as the
source of the function prints them, on mpmath numbers. At a kink they take the one-sided
derivative that PyTorch takes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import mpmath
import numpy as np
from mpmath import mp, mpf
from numpy.typing import NDArray

from relucid.functions import Elementwise

PRECISION = 240
"""Bits of the computation: float64's 53, and room for what the textbook forms cancel."""

Function = Callable[..., Any]


@dataclass(frozen=True)
class Truth:
    """Value and derivative as functions of a number and the parameters."""

    value: Function
    derivative: Function


def exact(
    activation: Elementwise, which: str, points: Any
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """``which`` ("value" or "derivative") at each point, as two float64 whose sum is the truth.

    ``points`` is any sequence of finite numbers, and both results have its length. Beyond
    float64's range the first is infinite and the second 0.
    """
    function = getattr(TRUTHS[activation.name], which)
    high, low = np.empty(len(points)), np.empty(len(points))
    with mp.workprec(PRECISION):
        parameters = {n: mpf(v) for n, v in activation.arguments.items()}
        for i, point in enumerate(points):
            number = mpf(function(mpf(float(point)), **parameters))
            high[i] = float(number)
            low[i] = float(number - high[i]) if np.isfinite(high[i]) else 0.0
    return high, low


def cancelling(function: Function, bits: Callable[[Any], int]) -> Function:
    """The function with as many more bits as its textbook form is about to lose."""

    def careful(x: Any, **parameters: Any) -> Any:
        with mp.workprec(mp.prec + bits(x)):
            return function(x, **parameters)

    return careful


def _when_small(x: Any) -> int:
    return 2 * max(0, -mpmath.mag(x)) if x else 0


def _when_large(x: Any) -> int:
    return 2 * max(0, mpmath.mag(x)) + 64 if x else 0


def _sigmoid(x: Any) -> Any:
    return 1 / (1 + mp.exp(-x))


def _sigmoid_derivative(x: Any) -> Any:
    return _sigmoid(x) * _sigmoid(-x)


def _normal(x: Any) -> Any:
    # mpmath's erfc overflows on huge arguments; at 1e4 it is below every float already.
    return mp.erfc(-min(max(x, -10000), 10000) / mp.sqrt(2)) / 2


def _density(x: Any) -> Any:
    return mp.exp(-x * x / 2) / mp.sqrt(2 * mp.pi)


def _leaky(x: Any, slope: Any) -> tuple[Any, Any]:
    return (x, mpf(1)) if x > 0 else (slope * x, slope)


def _leaky_truth(slope: Function) -> Truth:
    return Truth(lambda x, **p: _leaky(x, slope(**p))[0], lambda x, **p: _leaky(x, slope(**p))[1])


def _clipped(x: Any, min_val: Any, max_val: Any) -> Any:
    return min(max(x, min_val), max_val)


def _inside(x: Any, min_val: Any, max_val: Any) -> Any:
    return mpf(min_val < x < max_val)


def _softshrunk(x: Any, lambd: Any) -> Any:
    return max(abs(x) - lambd, 0) * mp.sign(x)


def _passed(x: Any, lambd: Any) -> Any:
    return mpf(abs(x) > lambd or lambd == 0)


def _elu(x: Any, alpha: Any, steepness: Any = 1, scale: Any = 1) -> Any:
    return scale * (x if x > 0 else alpha * mp.expm1(x * steepness))


def _elu_derivative(x: Any, alpha: Any, steepness: Any = 1, scale: Any = 1) -> Any:
    return scale * (mpf(1) if x > 0 else alpha * steepness * mp.exp(x * steepness))


def _selu(function: Function) -> Function:
    # Klambauer et al. 2017, section 2 gives these digits.
    return lambda x: function(
        x,
        alpha=mpf("1.6732632423543772848170429916717"),
        scale=mpf("1.0507009873554804934193349852946"),
    )


def _softplus(x: Any, beta: Any = 1, threshold: Any = mp.inf) -> Any:
    return x if beta * x > threshold else max(x, 0) + mp.log1p(mp.exp(-beta * abs(x))) / beta


def _softplus_derivative(x: Any, beta: Any, threshold: Any) -> Any:
    return mpf(1) if beta * x > threshold else _sigmoid(beta * x)


def _silu(x: Any, beta: Any) -> Any:
    return x * _sigmoid(beta * x)


def _silu_derivative(x: Any, beta: Any) -> Any:
    return _sigmoid(beta * x) * (1 + beta * x * _sigmoid(-beta * x))


def _gelu_tanh_gate(x: Any) -> tuple[Any, Any]:
    """(1 + tanh(u)) / 2 and half of its derivative's factor u', written without cancellation."""
    root = mp.sqrt(2 / mp.pi)
    third = mpf("0.044715")
    return root * (x + third * x**3), root * (1 + 3 * third * x**2)


def _gelu_tanh(x: Any) -> Any:
    u, _ = _gelu_tanh_gate(x)
    return x * _sigmoid(2 * u)


def _gelu_tanh_derivative(x: Any) -> Any:
    u, rate = _gelu_tanh_gate(x)
    return _sigmoid(2 * u) + 2 * x * rate * _sigmoid_derivative(2 * u)


def _mish(x: Any) -> Any:
    return x * mp.tanh(_softplus(x))


def _mish_derivative(x: Any) -> Any:
    inner = _softplus(x)
    return mp.tanh(inner) + x * mp.sech(inner) ** 2 * _sigmoid(x)


def _hardswish_derivative(x: Any) -> Any:
    return mpf(0) if x <= -3 else (mpf(1) if x >= 3 else (2 * x + 3) / 6)


def _squareplus_derivative(x: Any, b: Any) -> Any:
    return (1 + x / mp.sqrt(x * x + b)) / 2


_threshold = Truth(
    lambda x, threshold, value: x if x > threshold else value,
    lambda x, threshold, value: mpf(x > threshold),
)
_hardtanh = Truth(_clipped, _inside)

TRUTHS: dict[str, Truth] = {
    "identity": Truth(lambda x: x, lambda x: mpf(1)),
    "relu": Truth(lambda x: max(x, 0), lambda x: mpf(x > 0)),
    "leaky_relu": _leaky_truth(lambda negative_slope: negative_slope),
    "prelu": _leaky_truth(lambda negative_slope: negative_slope),
    "rrelu": _leaky_truth(lambda lower, upper: (lower + upper) / 2),
    "relu6": _hardtanh,
    "hardtanh": _hardtanh,
    "hardsigmoid": Truth(
        lambda x, shift, width: _clipped((x + shift) / width, 0, 1),
        lambda x, shift, width: _inside(x, -shift, width - shift) / width,
    ),
    "threshold": _threshold,
    "thresholded_relu": _threshold,
    "hardshrink": Truth(lambda x, lambd: x if abs(x) > lambd else mpf(0), _passed),
    "softshrink": Truth(_softshrunk, _passed),
    "squared_relu": Truth(lambda x: max(x, 0) ** 2, lambda x: 2 * max(x, 0)),
    "elu": Truth(_elu, _elu_derivative),
    "selu": Truth(_selu(_elu), _selu(_elu_derivative)),
    "celu": Truth(
        lambda x, alpha: _elu(x, alpha, 1 / alpha),
        lambda x, alpha: _elu_derivative(x, alpha, 1 / alpha),
    ),
    "softplus": Truth(_softplus, _softplus_derivative),
    "squareplus": Truth(
        cancelling(lambda x, b: (x + mp.sqrt(x * x + b)) / 2, _when_large),
        cancelling(_squareplus_derivative, _when_large),
    ),
    "logsigmoid": Truth(lambda x: -_softplus(-x), lambda x: _sigmoid(-x)),
    "sigmoid": Truth(_sigmoid, _sigmoid_derivative),
    "tanh": Truth(mp.tanh, lambda x: mp.sech(x) ** 2),
    "softsign": Truth(lambda x: x / (1 + abs(x)), lambda x: 1 / (1 + abs(x)) ** 2),
    "tanhshrink": Truth(
        cancelling(lambda x: x - mp.tanh(x), _when_small), lambda x: mp.tanh(x) ** 2
    ),
    "penalized_tanh": Truth(
        lambda x, slope: mp.tanh(x) * (1 if x > 0 else slope),
        lambda x, slope: mp.sech(x) ** 2 * (1 if x > 0 else slope),
    ),
    "arctan": Truth(mp.atan, lambda x: 1 / (1 + x * x)),
    "silu": Truth(_silu, _silu_derivative),
    "quick_gelu": Truth(_silu, _silu_derivative),
    "gelu": Truth(lambda x: x * _normal(x), lambda x: _normal(x) + x * _density(x)),
    "gelu_tanh": Truth(_gelu_tanh, _gelu_tanh_derivative),
    "mish": Truth(_mish, _mish_derivative),
    "hardswish": Truth(lambda x: x * _clipped(x + 3, 0, 6) / 6, _hardswish_derivative),
}
