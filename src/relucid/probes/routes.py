"""Calls of declared activations themselves, ``relucid.get("elu")(x)``: seen on their way to torch.

They run inside one autograd function, where no function mode sees a call. But each passes the
routes that the functions hand tensors to; for the length of a pass these are watched.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from relucid.functions import Activation
from relucid.functions.bridge import TorchRoutes, speak_torch, torch_routes

Seen = Callable[[Activation, Tensor, Callable[[], Any]], Any]
"""Given the activation, z, and what computes h."""


class WatchedRoutes:
    """The routes in use, with a witness."""

    def __init__(self, inner: TorchRoutes, seen: Seen) -> None:
        self._inner, self._seen = inner, seen

    def elementwise(self, activation: Any, x: Any, *learned: Any) -> Any:
        """Evaluate an elementwise function, witnessed."""
        return self._seen(activation, x, lambda: self._inner.elementwise(activation, x, *learned))

    def derivative(self, activation: Any, x: Any) -> Any:
        """Evaluate a derivative; that is no activation call."""
        return self._inner.derivative(activation, x)

    def vector(self, activation: Any, which: str, axis: int, *arrays: Any) -> Any:
        """Evaluate a vector function, witnessed, or one of its Jacobian products."""

        def run() -> Any:
            return self._inner.vector(activation, which, axis, *arrays)

        return self._seen(activation, arrays[0], run) if which == "formula" else run()

    def remove(self) -> None:
        """Take the witness off, also from under others that came later."""
        above = torch_routes()
        if above is self:
            speak_torch(self._inner)
        while isinstance(above, WatchedRoutes) and above is not self:
            if above._inner is self:
                above._inner = self._inner
            above = above._inner


def watch_routes(seen: Seen) -> WatchedRoutes:
    """Put a witness on the routes, until it is removed."""
    watched = WatchedRoutes(torch_routes(), seen)
    speak_torch(watched)
    return watched
