"""Initialisation gains, computed from declarations."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from relucid.errors import ParameterError
from relucid.functions import Elementwise, TwoInput, get


def gain(activation: Any, /, *, backward: bool = False, **parameters: Any) -> float:
    """Return the factor for weights that read this activation's output.

    Weights of standard deviation ``gain / sqrt(fan_in)`` turn the activation of a standard
    normal signal into a signal of second moment 1 again: the gain is 1 / sqrt(E[phi(z)^2]),
    z ~ N(0, 1), or with ``backward`` 1 / sqrt(E[phi'(z)^2]), which with ``sqrt(fan_out)`` keeps
    gradients. For ReLU and leaky ReLU both are He's gain and equal
    ``torch.nn.init.calculate_gain``. PyTorch's other values are conventions: tanh has 5/3 there
    and 1.5925 here, SELU 3/4 there and 1 here, sigmoid 1 there and 1.8462 here.

    Args:
        activation: anything that :func:`relucid.get` takes, a user's own declaration too.
        backward: the gain that keeps gradients instead of signals.
        parameters: values for the function's parameters. Of a learned parameter its mean counts.

    Returns:
        The gain; infinite where the function is zero on all of a normal signal. For a gated
        function, that of its gate (value and gate independent); it has no backward gain.

    Raises:
        ParameterError: for a function along an axis, or the backward gain of a gated function.

    Source: He et al. 2015, arXiv:1502.01852; mean-field theory, Poole et al. 2016,
    arXiv:1606.05340.

    """
    function = get(activation, **parameters)
    if isinstance(function, Elementwise):
        both = _with_numbers(function).gain()
        return both.backward if backward else both.forward
    if isinstance(function, TwoInput) and not backward:
        return function.gate.gain().forward
    raise ParameterError(
        f"{function.name} has no {'backward ' if backward else ''}gain: it does not act on each "
        "element by itself"
    )


def _with_numbers(function: Elementwise) -> Elementwise:
    means = {
        n: float(v.detach().double().mean())
        for n, v in function.values.items()
        if isinstance(v, Tensor)
    }
    return function.with_parameters(**means)
