"""The same truth in vectorised float64, for millions of float32 and 16-bit inputs.

Stable forms of the textbook definitions on SciPy's functions. ``test_truth.py`` checks every one
against mpmath: its relative error stays below ``UNCERTAINTY``, five orders of magnitude under a
unit in the last place of float32.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, ndtr

from relucid.verify.units import rounded_to_odd
from support.cases import Case
from support.truth import exact

UNCERTAINTY = 1e-12
"""Bound of the relative error, but within 1e-3 of a root of the derivative."""

Points = NDArray[np.float64]
Function = Callable[..., Points]


@dataclass(frozen=True)
class Fast:
    """Value and derivative as functions of an array and the parameters."""

    value: Function
    derivative: Function


def fast(case: Case, which: str, points: Any) -> Points:
    """``which`` ("value" or "derivative") at float64 points, to about 13 digits."""
    function = getattr(FAST[case.name], which)
    x = np.asarray(points, dtype=np.float64)
    with np.errstate(all="ignore"):
        return np.broadcast_to(function(x, **case.activation.arguments), x.shape)


def rounded16(
    case: Case, which: str, points: Any, dtype: Any, relative: float, absolute: Any = 0.0
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """The truth correctly rounded to 16 bits, and the least and greatest admissible results."""
    return admitted(settled(case, which, points, dtype), dtype, relative, absolute)


def settled(case: Case, which: str, points: Any, dtype: Any) -> tuple[Points, Points]:
    """The truth as two float64 whose sum decides how it is rounded to 16 bits.

    mpmath settles what ``fast`` leaves open.
    """
    points = np.asarray(points, dtype=np.float64)
    high = fast(case, which, points).copy()
    low = np.zeros_like(high)
    unsure = _near_tie(high, dtype) & np.isfinite(points)
    high[unsure], low[unsure] = exact(case, which, points[unsure])
    return high, low


def admitted(
    truth: tuple[Points, Points], dtype: Any, relative: float, absolute: Any = 0.0
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """The settled truth correctly rounded, and the least and greatest admissible results.

    Those are the roundings of truth -/+ (relative * truth + absolute): they differ only where the
    truth is that close to halfway between two numbers.
    """
    high, low = truth
    slack = relative * np.abs(high) + absolute
    return (
        round16(high, low, dtype),
        round16(high - slack, low, dtype),
        round16(high + slack, low, dtype),
    )


def _near_tie(truth: Points, dtype: Any) -> NDArray[np.bool_]:
    """Whether the error of ``fast`` could decide the rounding."""
    down, up = (round16(truth * (1.0 + s * UNCERTAINTY), 0.0 * truth, dtype) for s in (-1, 1))
    return (down != up) & ~np.isnan(truth)


def round16(high: Points, low: Points, dtype: Any) -> NDArray[Any]:
    """The sum of two float64 rounded once to float16 or bfloat16, NumPy's types."""
    with np.errstate(all="ignore"):
        return rounded_to_odd(high, low).astype(dtype)


def _leaky(slope: Callable[..., float]) -> Fast:
    return Fast(
        lambda x, **p: np.where(x > 0, x, slope(**p) * x),
        lambda x, **p: np.where(x > 0, 1.0, slope(**p)),
    )


def _between(x: Points, low: float, high: float) -> Points:
    return ((x > low) & (x < high)).astype(np.float64)


def _exp_tail(x: Points) -> Points:
    """exp(x) for x <= 0 and 1 above."""
    return np.exp(np.minimum(x, 0.0))


def _elu(x: Points, alpha: float, width: float = 1.0, scale: float = 1.0) -> Points:
    return scale * np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0.0) / width))


def _elu_derivative(x: Points, alpha: float, width: float = 1.0, scale: float = 1.0) -> Points:
    return scale * np.where(x > 0, 1.0, alpha / width * _exp_tail(x / width))


_SELU = {"alpha": 1.6732632423543772, "scale": 1.0507009873554805}


def _softplus(x: Points, beta: float = 1.0, threshold: float = np.inf) -> Points:
    return np.where(beta * x > threshold, x, np.logaddexp(beta * x, 0.0) / beta)


def _softplus_derivative(x: Points, beta: float, threshold: float) -> Points:
    return np.where(beta * x > threshold, 1.0, expit(beta * x))


def _squareplus(x: Points, b: float) -> Points:
    root = np.sqrt(x * x + b)
    return np.where(x > 0, (x + root) / 2, b / (root + np.abs(x)) / 2)


def _squareplus_derivative(x: Points, b: float) -> Points:
    root = np.sqrt(x * x + b)
    return np.where(x > 0, (1 + x / root) / 2, b / root / (root + np.abs(x)) / 2)


def _sech2(x: Points) -> Points:
    return 4.0 * expit(2.0 * x) * expit(-2.0 * x)


def _tanhshrink(x: Points) -> Points:
    """The Taylor series below 1/2, where the difference would cancel."""
    # tanh(x) = x - x**3/3 + 2x**5/15 - ...; from the Bernoulli numbers.
    tangent = (
        -1 / 3, 2 / 15, -17 / 315, 62 / 2835, -1382 / 155925, 21844 / 6081075,
        -929569 / 638512875, 6404582 / 10854718875, -443861162 / 1856156927625,
        18888466084 / 194896477400625, -113927491862 / 2900518163668125,
    )  # fmt: skip
    small = np.clip(x, -0.25, 0.25)
    square, series = small * small, np.zeros_like(x)
    for coefficient in reversed(tangent):
        series = series * square + coefficient
    return np.where(np.abs(x) < 0.25, -series * square * small, x - np.tanh(x))


def _silu(x: Points, beta: float) -> Points:
    return x * expit(beta * x)


def _silu_derivative(x: Points, beta: float) -> Points:
    return expit(beta * x) * (1.0 + beta * x * expit(-beta * x))


def _gelu_derivative(x: Points) -> Points:
    return ndtr(x) + x * np.exp(-x * x / 2.0) / np.sqrt(2.0 * np.pi)


def _gelu_tanh_u(x: Points) -> Points:
    return np.sqrt(2.0 / np.pi) * (x + 0.044715 * x**3)


def _gelu_tanh_derivative(x: Points) -> Points:
    u = _gelu_tanh_u(x)
    rate = np.sqrt(2.0 / np.pi) * (1.0 + 3.0 * 0.044715 * x * x)
    pull = 2.0 * x * rate * expit(2.0 * u) * expit(-2.0 * u)
    return expit(2.0 * u) + np.where(np.abs(x) < 50.0, pull, 0.0)


def _mish(x: Points) -> Points:
    return x * np.tanh(np.logaddexp(x, 0.0))


def _mish_derivative(x: Points) -> Points:
    inner = np.logaddexp(x, 0.0)
    return np.tanh(inner) + x * _sech2(inner) * expit(x)


def _hardswish_derivative(x: Points) -> Points:
    return np.where(x <= -3, 0.0, np.where(x >= 3, 1.0, (2 * x + 3) / 6))


_hardtanh = Fast(
    lambda x, min_val, max_val: np.clip(x, min_val, max_val),
    lambda x, min_val, max_val: _between(x, min_val, max_val),
)
_threshold = Fast(
    lambda x, threshold, value: np.where(x > threshold, x, value),
    lambda x, threshold, value: 1.0 * (x > threshold),
)
_softplus_fast = Fast(_softplus, _softplus_derivative)


def _passed(x: Points, lambd: float) -> Points:
    return 1.0 * ((np.abs(x) > lambd) | (lambd == 0))


FAST: dict[str, Fast] = {
    "identity": Fast(lambda x: x, np.ones_like),
    "relu": Fast(lambda x: np.maximum(x, 0.0), lambda x: 1.0 * (x > 0)),
    "leaky_relu": _leaky(lambda negative_slope: negative_slope),
    "prelu": _leaky(lambda negative_slope: negative_slope),
    "rrelu": _leaky(lambda lower, upper: (lower + upper) / 2.0),
    "relu6": _hardtanh,
    "hardtanh": _hardtanh,
    "hardsigmoid": Fast(
        lambda x, shift, width: np.clip((x + shift) / width, 0.0, 1.0),
        lambda x, shift, width: _between(x, -shift, width - shift) / width,
    ),
    "threshold": _threshold,
    "thresholded_relu": _threshold,
    "hardshrink": Fast(lambda x, lambd: np.where(np.abs(x) > lambd, x, 0.0), _passed),
    "softshrink": Fast(lambda x, lambd: np.sign(x) * np.maximum(np.abs(x) - lambd, 0.0), _passed),
    "squared_relu": Fast(lambda x: np.maximum(x, 0.0) ** 2, lambda x: 2.0 * np.maximum(x, 0.0)),
    "elu": Fast(_elu, _elu_derivative),
    "selu": Fast(lambda x: _elu(x, **_SELU), lambda x: _elu_derivative(x, **_SELU)),
    "celu": Fast(
        lambda x, alpha: _elu(x, alpha, alpha), lambda x, alpha: _elu_derivative(x, alpha, alpha)
    ),
    "softplus": _softplus_fast,
    "squareplus": Fast(_squareplus, _squareplus_derivative),
    "logsigmoid": Fast(lambda x: -_softplus(-x), lambda x: expit(-x)),
    "sigmoid": Fast(expit, lambda x: expit(x) * expit(-x)),
    "tanh": Fast(np.tanh, _sech2),
    "softsign": Fast(lambda x: x / (1 + np.abs(x)), lambda x: (1 + np.abs(x)) ** -2.0),
    "tanhshrink": Fast(_tanhshrink, lambda x: np.tanh(x) ** 2),
    "penalized_tanh": Fast(
        lambda x, slope: np.tanh(x) * np.where(x > 0, 1.0, slope),
        lambda x, slope: _sech2(x) * np.where(x > 0, 1.0, slope),
    ),
    "arctan": Fast(np.arctan, lambda x: 1.0 / (1.0 + x * x)),
    "silu": Fast(_silu, _silu_derivative),
    "quick_gelu": Fast(_silu, _silu_derivative),
    "gelu": Fast(lambda x: x * ndtr(x), _gelu_derivative),
    "gelu_tanh": Fast(lambda x: x * expit(2.0 * _gelu_tanh_u(x)), _gelu_tanh_derivative),
    "mish": Fast(_mish, _mish_derivative),
    "hardswish": Fast(lambda x: x * np.clip((x + 3.0) / 6.0, 0.0, 1.0), _hardswish_derivative),
}
