"""Functions of a value and a gate."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar

import numpy as np

from relucid.errors import ShapeError
from relucid.functions.base import Activation
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
        if gate is None:
            value, gate = self.split(value, axis)
        if is_torch(value):
            self._check_tensors(value, gate)
            if value.dtype == gate.dtype and value.element_size() == 2:
                # One rounding for the product, not one for each factor.
                return (value.float() * self.gate(gate.float())).to(value.dtype)
            return value * self.gate(gate)
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
        if not -x.ndim <= axis < x.ndim:
            raise ShapeError(f"{self.name}: axis {axis} does not exist in shape {tuple(x.shape)}")
        width = x.shape[axis]
        if width % 2:
            raise ShapeError(
                f"{self.name} halves axis {axis}, whose length {width} is odd; project to an even "
                "number of features"
            )
        before = (slice(None),) * (axis % x.ndim)
        return x[(*before, slice(None, width // 2))], x[(*before, slice(width // 2, None))]

    def _check_tensors(self, *tensors: Any) -> None:
        for tensor in tensors:
            check_dtype(self.name, str(tensor.dtype).removeprefix("torch."))

    @property
    def home(self) -> str:
        """Name of the module that declares it."""
        return self.gate.home
