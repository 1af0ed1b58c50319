"""How activations act on PyTorch tensors, told by ``relucid.nn`` when it is imported.

This room knows no PyTorch. A tensor that is passed to an activation is handed to the routes
registered here.
"""

from __future__ import annotations

from typing import Any, Protocol


class TorchRoutes(Protocol):
    """Evaluation of declared functions on tensors, differentiable by their declarations."""

    def elementwise(
        self, activation: Any, x: Any, learned: Any = None, inplace: bool = False
    ) -> Any: ...
    def elementwise_out(self, activation: Any, x: Any, out: Any) -> Any: ...
    def derivative(self, activation: Any, x: Any) -> Any: ...
    def product(self, activation: Any, x: Any, grad: Any, out: Any) -> Any: ...
    def two_input(self, activation: Any, value: Any, gate: Any, axis: int) -> Any: ...
    def vector(self, activation: Any, which: str, axis: int, *arrays: Any) -> Any: ...


_routes: list[TorchRoutes] = []


def speak_torch(routes: TorchRoutes) -> None:
    """Register the routes."""
    _routes[:] = [routes]


def torch_routes() -> TorchRoutes:
    """Return the registered routes."""
    return _routes[0]
