"""NumPy: each function as a textbook prints it, with the temporaries that this takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy.special import erf

from relucid.bench.buffers import Inputs
from relucid.bench.sides.subject import Form, Result, Subject

_ROOT_HALF, _ROOT_TWO_OVER_PI = 0.5**0.5, (2.0 / np.pi) ** 0.5


def _elu(x: Any, alpha: float = 1.0, scale: float = 1.0) -> Any:
    return scale * np.where(x > 0, x, alpha * (np.exp(x) - 1.0))


def _sigmoid(x: Any) -> Any:
    return 1.0 / (1.0 + np.exp(-x))


def _softplus(x: Any) -> Any:
    return np.log(1.0 + np.exp(x))


def _gelu(x: Any) -> Any:
    return 0.5 * x * (1.0 + erf(_ROOT_HALF * x))


def _gelu_tanh(x: Any) -> Any:
    return 0.5 * x * (1.0 + np.tanh(float(_ROOT_TWO_OVER_PI) * (x + 0.044715 * x**3)))


def _softmax(x: Any) -> Any:
    powers = np.exp(x - x.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


VALUES: dict[str, Callable[..., Any]] = {
    "relu": lambda x: np.maximum(x, 0.0),
    "leaky_relu": lambda x: np.where(x > 0, x, 0.01 * x),
    "relu6": lambda x: np.minimum(np.maximum(x, 0.0), 6.0),
    "squared_relu": lambda x: np.maximum(x, 0.0) ** 2,
    "elu": _elu,
    "selu": lambda x: _elu(x, 1.6732632423543772, 1.0507009873554805),
    "celu": _elu,
    "softplus": _softplus,
    "logsigmoid": lambda x: np.log(_sigmoid(x)),
    "gelu": _gelu,
    "gelu_tanh": _gelu_tanh,
    "silu": lambda x: x * _sigmoid(x),
    "mish": lambda x: x * np.tanh(_softplus(x)),
    "sigmoid": _sigmoid,
    "tanh": np.tanh,
    "softsign": lambda x: x / (1.0 + np.abs(x)),
    "hardswish": lambda x: x * np.minimum(np.maximum(x + 3.0, 0.0), 6.0) / 6.0,
    "geglu": lambda value, gate: value * _gelu(gate),
    "swiglu": lambda value, gate: value * gate * _sigmoid(gate),
    "softmax": _softmax,
    "log_softmax": lambda x: np.log(_softmax(x)),
}


class NumpySide:
    """A function's value on one thread, with fresh outputs: NumPy has no gradients."""

    def __init__(self, function: str, inputs: Sequence[Inputs]) -> None:
        self._value = VALUES[function]
        self._arguments = [tuple(x.numpy() for x in one.arguments) for one in inputs]

    def subject(self, form: Form) -> Subject | None:
        """The subject of the forward pass with fresh outputs."""
        if form != ("forward", "fresh"):
            return None
        value, arguments = self._value, self._arguments

        def run(i: int) -> Result:
            return value(*arguments[i]), None

        return Subject(run)
