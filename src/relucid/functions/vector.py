"""Functions of a whole vector, along one axis of an array."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Self

from relucid.errors import ShapeError
from relucid.functions.base import Activation
from relucid.functions.bridge import torch_routes
from relucid.functions.evaluate import apply_to_arrays
from relucid.functions.libraries import is_array, is_torch
from relucid.functions.tracing import differentiable

Product = Callable[..., Any]


def _undeclared(*_: Any, **__: Any) -> Any:
    raise NotImplementedError


@dataclass(frozen=True, eq=False, repr=False)
class Vector(Activation):
    """A function along one axis, with the products of its Jacobian that differentiation needs.

    ``formula(m, x, axis)`` is the value; ``forward_product(m, x, v, axis)`` is J v, how a change
    v of the input changes the output; ``backward_product(m, x, g, axis)`` is Jᵀ g, the gradient
    with respect to the input from that of the output.
    """

    formula: Product = _undeclared
    forward_product: Product = _undeclared
    backward_product: Product = _undeclared
    backward_from_output: Product | None = None
    """``backward_from_output(m, y, g, axis)``: Jᵀ g from the output y, for a function whose
    Jacobian follows from it. Training then keeps the output, which the next layer mostly keeps
    anyway, and computes nothing twice."""
    entry: Product | None = None
    """``entry(m, x, i)``: output i, as a text prints it, for the card. Indices count from 1;
    ``m.total``, ``m.delta``, ``m.largest`` and ``m.argmax`` speak of the whole vector."""
    entry_derivative: Product | None = None
    """``entry_derivative(m, x, y, i, j)``: the derivative of output i by input j."""

    kind: ClassVar[str] = "vector"

    def __call__(self, x: Any, axis: int = -1, **parameters: Any) -> Any:
        """Return the function of ``x`` along ``axis``."""
        return self.with_parameters(**parameters)._evaluate("formula", axis, x)

    def jvp(self, x: Any, v: Any, axis: int = -1) -> Any:
        """Return J v at ``x``; ``v`` has the shape of ``x``."""
        return self._evaluate("forward_product", axis, x, v)

    def vjp(self, x: Any, g: Any, axis: int = -1) -> Any:
        """Return Jᵀ g at ``x``; ``g`` has the shape of the output."""
        return self._evaluate("backward_product", axis, x, g)

    def member(self, name: str, **changes: Any) -> Self:
        """Return another function of the family; a Jacobian by the output is not inherited."""
        return super().member(name, **{"backward_from_output": None, **changes})

    def bound(self, which: str, axis: int) -> Product:
        """The formula or product called ``which`` with axis and parameters filled in."""
        function, arguments = getattr(self, which), self.arguments

        def along(m: Any, *arrays: Any) -> Any:
            return function(m, *arrays, axis=axis, **arguments)

        return along

    def _evaluate(self, which: str, axis: int, *arrays: Any) -> Any:
        self._check_axis(tuple(getattr(arrays[0], "shape", (1,))), axis)
        if is_torch(arrays[0]):
            return torch_routes().vector(self, which, axis, *arrays)
        if is_array(arrays[0]) and which == "formula":
            return self._traceable(axis, arrays[0])
        return self._apply(which, axis, *arrays)

    def _traceable(self, axis: int, x: Any) -> Any:
        """The value in a library that differentiates."""

        def change(primals: Any, tangents: Any) -> Any:
            return self._apply("forward_product", axis, *primals, *tangents)

        return differentiable(partial(self._apply, "formula", axis), change, x)

    def _apply(self, which: str, axis: int, *arrays: Any) -> Any:
        along = self.bound(which, axis)
        return apply_to_arrays(self.name, along, *arrays, elementwise=False)

    def _check_axis(self, shape: tuple[int, ...], axis: int) -> None:
        dimensions = max(len(shape), 1)
        if not -dimensions <= axis < dimensions:
            raise ShapeError(f"{self.name}: axis {axis} does not exist in shape {shape}")

    @property
    def home(self) -> str:
        """Name of the module that declares it."""
        return str(self.formula.__module__)
