"""JAX: its own functions under ``jax.jit``, until the result is there."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import cached_property, lru_cache
from typing import Any

from relucid.bench.buffers import Inputs
from relucid.bench.sides.subject import Form, Result, Subject, first_seconds

Run = Callable[[int], Result]


@lru_cache(maxsize=1)
def start_jax(threads: int) -> Any:
    """Load JAX with its number of threads, which it fixes at its start, and with float64."""
    before = os.environ.get("NPROC")
    os.environ["NPROC"] = str(threads)
    try:
        import jax

        jax.config.update("jax_enable_x64", True)
        jax.config.update("jax_platforms", "cpu")
        jax.devices()
    finally:
        os.environ.pop("NPROC")
        if before is not None:
            os.environ["NPROC"] = before
    return jax


def _functions(jax: Any) -> dict[str, Callable[..., Any]]:
    nn = jax.nn
    return {
        "relu": nn.relu,
        "leaky_relu": nn.leaky_relu,
        "relu6": nn.relu6,
        "squared_relu": lambda x: jax.numpy.square(nn.relu(x)),
        "elu": nn.elu,
        "selu": nn.selu,
        "celu": nn.celu,
        "softplus": nn.softplus,
        "logsigmoid": nn.log_sigmoid,
        "gelu": lambda x: nn.gelu(x, approximate=False),
        "gelu_tanh": lambda x: nn.gelu(x, approximate=True),
        "silu": nn.silu,
        "mish": nn.mish,
        "sigmoid": nn.sigmoid,
        "tanh": jax.numpy.tanh,
        "softsign": nn.soft_sign,
        "hardswish": nn.hard_swish,
        "geglu": lambda value, gate: value * nn.gelu(gate, approximate=False),
        "swiglu": lambda value, gate: value * nn.silu(gate),
        "softmax": nn.softmax,
        "log_softmax": nn.log_softmax,
    }


class JaxSide:
    """A function's value and gradient, each jitted, as they are apart in a network.

    JAX writes into no given buffers: it takes part with fresh outputs only.
    """

    def __init__(self, jax: Any, function: str, inputs: Sequence[Inputs]) -> None:
        value = _functions(jax)[function]
        self._value = jax.jit(value)
        self._gradient = jax.jit(lambda arguments, g: jax.vjp(value, *arguments)[1](g))
        share = jax.dlpack.from_dlpack
        self._arguments = [tuple(map(share, one.arguments)) for one in inputs]
        self._gradients = [share(one.gradient) for one in inputs]

    def subject(self, form: Form) -> Subject | None:
        """The subject for a pass, with fresh outputs."""
        if form == ("forward", "fresh"):
            return Subject(self._forward, "", self._forward_seconds)
        if form == ("both", "fresh"):
            seconds = self._forward_seconds + self._backward_seconds
            return Subject(self._both, "forward and backward jitted apart", seconds)
        return None

    def _forward(self, i: int) -> Result:
        return self._value(*self._arguments[i]).block_until_ready(), None

    def _both(self, i: int) -> Result:
        y = self._value(*self._arguments[i]).block_until_ready()
        return y, self._backward(i)

    def _backward(self, i: int) -> tuple[Any, ...]:
        gradients = self._gradient(self._arguments[i], self._gradients[i])
        for gradient in gradients:
            gradient.block_until_ready()
        return tuple(gradients)

    @cached_property
    def _forward_seconds(self) -> float:
        return first_seconds(lambda: self._forward(0))

    @cached_property
    def _backward_seconds(self) -> float:
        return first_seconds(lambda: self._backward(0))
