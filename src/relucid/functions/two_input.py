"""Functions of a value and a gate."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar

import numpy as np

from relucid.errors import ShapeError
from relucid.functions.base import Activation
from relucid.functions.bridge import torch_routes
from relucid.functions.elementwise import Elementwise
from relucid.functions.evaluate import apply_to_arrays, check_dtype
from relucid.functions.libraries import is_array, is_torch


@dataclass(frozen=True, eq=False, repr=False)
class TwoInput(Activation):
    """``value * gate_function(gate)``, elementwise.

    Called with two arrays of equal shape, or with one that holds both halves along ``axis``,
    value first, as ``torch.nn.functional.glu`` splits it.
    """

    gate: Elementwise = field(default_factory=lambda: Elementwise("identity", "", ""))

    kind: ClassVar[str] = "two-input"

    def __call__(self, value: Any, gate: Any = None, *, axis: int = -1) -> Any:
        """Return ``value * gate_function(gate)``."""
        if is_torch(value):
            self._check_tensors(value, *(() if gate is None else (gate,)))
            if gate is None:
                self.check_halves(tuple(value.shape), axis)
            return torch_routes().two_input(self, value, gate, axis)
        if gate is None:
            value, gate = self.split(value, axis)
        return apply_to_arrays(self.name, self.formula, value, gate)

    def formula(self, m: Any, value: Any, gate: Any) -> Any:
        """The value in the words of ``m``."""
        return value * self.gate.formula(m, gate, **self.gate.arguments)

    def derivative(self, value: Any, gate: Any) -> tuple[Any, Any]:
        """Return the derivatives with respect to value and gate, each shaped as they are."""
        if is_torch(value) or is_array(value):
            self._check_tensors(value, gate)
            return self.gate(gate), value * self.gate.derivative(gate)
        apply = partial(apply_to_arrays, self.name)
        slope, arguments = self.gate.derivative_formula, self.gate.arguments
        by_value = apply(lambda m, v, g: self.gate.formula(m, g, **arguments), value, gate)
        by_gate = apply(lambda m, v, g: v * slope(m, g, **arguments), value, gate)
        return by_value, by_gate

    def split(self, x: Any, axis: int = -1) -> tuple[Any, Any]:
        """Halve ``x`` along ``axis`` into value and gate."""
        x = x if hasattr(x, "ndim") else np.asarray(x)
        self.check_halves(tuple(x.shape), axis)
        width = x.shape[axis]
        before = (slice(None),) * (axis % x.ndim)
        return x[(*before, slice(None, width // 2))], x[(*before, slice(width // 2, None))]

    def check_halves(self, shape: tuple[int, ...], axis: int) -> None:
        """Raise :class:`ShapeError` unless an array of ``shape`` can be halved along ``axis``."""
        if not -len(shape) <= axis < len(shape):
            raise ShapeError(f"{self.name}: axis {axis} does not exist in shape {shape}")
        if shape[axis] % 2:
            raise ShapeError(
                f"{self.name} halves axis {axis}, whose length {shape[axis]} is odd; project to an "
                "even number of features"
            )

    def _check_tensors(self, *tensors: Any) -> None:
        for tensor in tensors:
            check_dtype(self.name, str(tensor.dtype).removeprefix("torch."))

    @property
    def home(self) -> str:
        """Name of the module that declares it."""
        return self.gate.home
