"""Calls of declared activations themselves, ``relucid.get("elu")(x)``: seen on their way to torch.

They run inside one autograd function, where no function mode sees a call. But each passes the
routes that the functions hand tensors to; for the length of a pass these are watched.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import Any

from torch import Tensor

from relucid.functions import Activation
from relucid.functions.bridge import TorchRoutes, speak_torch, torch_routes

_turn = Lock()
"""The routes are the whole process's; watches in several threads come and go."""

Seen = Callable[[Activation, Tensor, Callable[[], Any]], Any]
"""Given the activation, z, and what computes h."""


class WatchedRoutes:
    """The routes in use, with a witness."""

    def __init__(self, inner: TorchRoutes, seen: Seen) -> None:
        self._inner, self._seen = inner, seen

    def elementwise(
        self, activation: Any, x: Any, learned: Any = None, inplace: bool = False
    ) -> Any:
        """Evaluate an elementwise function, witnessed."""
        z = x.clone() if inplace else x

        def run() -> Any:
            return self._inner.elementwise(activation, x, learned, inplace)

        return self._seen(activation, z, run)

    def elementwise_out(self, activation: Any, x: Any, out: Any) -> Any:
        """Evaluate into given memory, witnessed."""
        z = x.clone() if out is x else x
        return self._seen(activation, z, lambda: self._inner.elementwise_out(activation, x, out))

    def derivative(self, activation: Any, x: Any) -> Any:
        """Evaluate a derivative; that is no activation call."""
        return self._inner.derivative(activation, x)

    def product(self, activation: Any, x: Any, grad: Any, out: Any) -> Any:
        """Evaluate a gradient; that is no activation call."""
        return self._inner.product(activation, x, grad, out)

    def two_input(self, activation: Any, value: Any, gate: Any, axis: int) -> Any:
        """Evaluate a gated pair, whose activation is witnessed on the gate.

        16-bit numbers are multiplied in float32 and rounded once, as they are without a witness.
        """
        if gate is None:
            value, gate = activation.split(value, axis)
        wide = gate.float() if gate.element_size() == 2 else gate
        opened = self._seen(
            activation.gate, wide, lambda: self._inner.elementwise(activation.gate, wide)
        )
        return (value.to(wide.dtype) * opened).to(value.dtype)

    def vector(self, activation: Any, which: str, axis: int, *arrays: Any) -> Any:
        """Evaluate a vector function, witnessed, or one of its Jacobian products."""

        def run() -> Any:
            return self._inner.vector(activation, which, axis, *arrays)

        return self._seen(activation, arrays[0], run) if which == "formula" else run()

    def remove(self) -> None:
        """Take the witness off, also from under others that came later."""
        with _turn:
            above = torch_routes()
            if above is self:
                speak_torch(self._inner)
            while isinstance(above, WatchedRoutes) and above is not self:
                if above._inner is self:
                    above._inner = self._inner
                above = above._inner


def watch_routes(seen: Seen) -> WatchedRoutes:
    """Put a witness on the routes, until it is removed."""
    with _turn:
        watched = WatchedRoutes(torch_routes(), seen)
        speak_torch(watched)
    return watched
