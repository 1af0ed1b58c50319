"""What is measured: a library's function as its users call it, gradient and all."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import numpy as np
import torch
from torch import Tensor

from relucid.functions import Elementwise
from relucid.kernels.choose import Precision, Route
from relucid.kernels.choose import precision as in_precision
from relucid.kernels.choose import route as by_route
from relucid.verify.libraries import jax, pytorch

Pair = tuple[Tensor, Tensor]
Side = Callable[[Tensor], Pair]
"""From a tensor of one axis to the value and the derivative at each element, of its dtype."""

PEERS = ("pytorch", "jax")


def sides(
    activation: Elementwise, peers: tuple[str, ...], route: Route | None, precision: Precision
) -> dict[str, Side]:
    """The function of relucid, and those of the peers that have it, by library."""
    makers: dict[str, Callable[[Elementwise], Side | None]] = {
        "pytorch": _pytorch_side,
        "jax": _jax_side,
    }
    found = {name: makers[name](activation) for name in peers}
    own = relucid_side(activation, route, precision)
    return {"relucid": own, **{name: side for name, side in found.items() if side is not None}}


def relucid_side(activation: Elementwise, route: Route | None, precision: Precision) -> Side:
    """Value and gradient as in training, by the default route unless one is asked for."""
    return _asked(lambda x: differentiated(activation, x), route, precision)


def relucid_alone(activation: Elementwise, route: Route | None, precision: Precision) -> Side:
    """The same by calls of their own, without a gradient: other kernels, which must agree."""
    return _asked(lambda x: (activation(x), activation.derivative(x)), route, precision)


def _asked(side: Side, route: Route | None, precision: Precision) -> Side:
    def measured(x: Tensor) -> Pair:
        with ExitStack() as asked:
            if route is not None:
                asked.enter_context(by_route(route))
            asked.enter_context(in_precision(precision))
            return side(x)

    return measured


def differentiated(function: Callable[[Tensor], Tensor], x: Tensor) -> Pair:
    """The value and the gradient that autograd gives, which is what training uses."""
    leaf = x.detach().requires_grad_()
    value = function(leaf)
    (derivative,) = torch.autograd.grad(value, leaf, torch.ones_like(value))
    return value.detach(), derivative


def _pytorch_side(activation: Elementwise) -> Side | None:
    function = pytorch(activation)
    return None if function is None else lambda x: differentiated(function, x)


def _jax_side(activation: Elementwise) -> Side | None:
    function = jax(activation)
    return None if function is None else _jitted(function)


def _jitted(function: Callable[[Any], Any]) -> Side:
    """Value and derivative of a JAX function in one compiled call."""
    import jax

    def pair(x: Any) -> tuple[Any, Any]:
        value, pull = jax.vjp(function, x)
        return value, pull(jax.numpy.ones_like(value))[0]

    compiled = jax.jit(pair)
    return lambda x: _as_tensors(compiled(x.numpy()))


def _as_tensors(arrays: tuple[Any, Any]) -> Pair:
    """Tensors that share the memory of JAX's results, which are read-only and only read here."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        value, derivative = (torch.from_numpy(np.asarray(array)) for array in arrays)
    return value, derivative
