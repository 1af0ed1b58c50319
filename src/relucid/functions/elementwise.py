"""Functions of one number, applied to each element."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from types import MappingProxyType
from typing import Any, ClassVar, Literal, Self

from relucid.functions import facts
from relucid.functions.base import Activation
from relucid.functions.bridge import torch_routes
from relucid.functions.derive import derive
from relucid.functions.evaluate import Formula, Integers, apply_to_arrays, written
from relucid.functions.libraries import is_array, is_torch
from relucid.functions.tracing import differentiable


@dataclass(frozen=True)
class Kink:
    """A point where the derivative jumps, and the derivative that is used exactly there."""

    at: float
    derivative: float


Kinks = tuple[Kink, ...] | Callable[..., tuple[Kink, ...]]


@dataclass(frozen=True, eq=False, repr=False)
class Elementwise(Activation):
    """An activation of one number: its value, derivative, kinks, and the facts they imply.

    Calling it, and :meth:`derivative`, take NumPy arrays, plain numbers, PyTorch tensors and
    arrays of any library that speaks the array API (JAX), of any shape, in float16, bfloat16,
    float32 or float64, and return the same kind, shape and dtype. On tensors the value is
    differentiable by the declared derivative.
    """

    formula: Formula = field(default=lambda m, x: x)
    slope: Formula = field(default=lambda m, x: 1.0)
    """The derivative's formula, accurate in the tails."""
    definition: Formula | None = None
    """The formula as a text prints it, where that is not how it is best computed."""
    partials: Mapping[str, Formula] = field(default_factory=lambda: MappingProxyType({}))
    """The derivative with respect to a parameter, by its name; others are derived."""
    kinks_declared: Kinks = ()
    saves: Literal["nothing", "mask", "input"] = "input"
    """What backward needs of x: nothing, one bit an element, or x itself."""
    seams: tuple[float, ...] = ()
    """Points where two formulas meet with equal slopes: only the second derivative jumps."""
    integers: Integers = "refused"
    """Whether integer arrays are taken, and as what, as PyTorch does for this function."""
    kink_overrides: tuple[tuple[float, float], ...] = ()
    """Kinks and the derivative to use there in place of the formula's, where that was derived."""
    kink_derivative: float | None = None
    """The derivative to use at every kink instead of the declared one: see :meth:`at_kink`."""

    kind: ClassVar[str] = "elementwise"

    def __call__(self, x: Any, *, out: Any = None, **parameters: Any) -> Any:
        """Return the value at each element of ``x``.

        ``out``, a NumPy array or PyTorch tensor like ``x``, takes the result and is returned.
        Nothing is differentiated then.
        """
        function = self.with_parameters(**parameters)
        return function._value(x) if out is None else function._value_into(x, out)

    def derivative(self, x: Any, **parameters: Any) -> Any:
        """Return the derivative at each element of ``x``; at a kink, the declared one."""
        return self.with_parameters(**parameters)._derivative(x)

    def vjp(self, x: Any, g: Any, *, out: Any = None) -> Any:
        """Return ``g`` times the derivative at ``x``, the gradient that backward passes on.

        ``g`` has the shape and dtype of ``x``. ``out`` as in a call.
        """
        if is_torch(x):
            return torch_routes().product(self, x, g, out)
        product = apply_to_arrays(
            self.name, lambda m, x, g: g * self._bound(self.derivative_formula)(m, x), x, g
        )
        return product if out is None else written(self.name, product, out)

    def _value_into(self, x: Any, out: Any) -> Any:
        if is_torch(x):
            return torch_routes().elementwise_out(self, x, out)
        return written(self.name, self._value(x), out)

    def _value(self, x: Any) -> Any:
        if is_torch(x):
            return torch_routes().elementwise(self, x)
        if is_array(x):
            return self._traceable(x)
        return self._apply(self.formula, x)

    def _traceable(self, x: Any) -> Any:
        """The value in a library that differentiates, with parameters of its own among them."""
        names = [n for n, v in self.values.items() if is_array(v)]

        def value(x: Any, *learned: Any) -> Any:
            return self._apply(self.formula, x, **dict(zip(names, learned, strict=True)))

        def change(primals: Any, tangents: Any) -> Any:
            x, *learned = primals
            given = dict(zip(names, learned, strict=True))
            slopes = (self.derivative_formula, *map(self.partial, names))
            terms = zip(slopes, tangents, strict=True)
            return sum(self._apply(slope, x, **given) * tangent for slope, tangent in terms)

        return differentiable(value, change, x, *(self.values[n] for n in names))

    def _apply(self, formula: Formula, x: Any, **learned: Any) -> Any:
        bound = self._bound(formula, **learned)
        counts = formula is self.formula or self.integers == "promoted"
        integers = self.integers if counts else "refused"
        return apply_to_arrays(self.name, bound, x, integers=integers)

    def _bound(self, formula: Formula, **learned: Any) -> Callable[..., Any]:
        return partial(formula, **{**self.arguments, **learned})

    def _derivative(self, x: Any) -> Any:
        if is_torch(x):
            return torch_routes().derivative(self, x)
        return self._apply(self.derivative_formula, x)

    def derivative_formula(self, m: Any, x: Any, **arguments: Any) -> Any:
        """The derivative in the words of ``m``, with the kinks' derivatives as asked for."""
        slope = self.slope(m, x, **arguments)
        for at, value in self._replaced(arguments):
            slope = m.where(x == at, value, slope)
        return slope

    def at_kink(self, derivative: float) -> Self:
        """Return a copy whose derivative at every kink is ``derivative`` (0.5 or 1 for ReLU)."""
        return replace(self, kink_derivative=float(derivative))

    def _replaced(self, arguments: dict[str, Any]) -> tuple[tuple[float, float], ...]:
        if self.kink_derivative is None:
            return self.kink_overrides
        asked = self.kink_derivative
        kinks = self._kinks(arguments)
        return tuple((kink.at, asked) for kink in kinks if kink.derivative != asked)

    def _kinks(self, arguments: dict[str, Any]) -> list[Kink]:
        declared = self.kinks_declared
        found = declared(**arguments) if callable(declared) else declared
        return [kink for kink in found if not isinstance(kink.at, float) or math.isfinite(kink.at)]

    @cached_property
    def kinks(self) -> tuple[Kink, ...]:
        """Where the derivative jumps, in rising order, with the derivative used there."""
        replaced = dict(self._replaced(self.arguments))
        kinks = sorted(self._kinks(self.arguments), key=lambda kink: kink.at)
        return tuple(Kink(k.at, replaced.get(k.at, k.derivative)) for k in kinks)

    @cached_property
    def limits(self) -> tuple[float, float]:
        """The values at minus and plus infinity."""
        return float(self(-math.inf)), float(self(math.inf))

    @cached_property
    def derivative_limits(self) -> tuple[float, float]:
        """The derivatives at minus and plus infinity."""
        return float(self.derivative(-math.inf)), float(self.derivative(math.inf))

    @cached_property
    def range(self) -> tuple[float, float]:
        """Infimum and supremum of the value."""
        return facts.extent(self, self._joints)

    @cached_property
    def lipschitz(self) -> float:
        """The largest abs(derivative): the Lipschitz constant; infinite where the value jumps."""
        if self.smoothness < 0:
            return math.inf
        low, high = facts.extent(self.derivative, self._joints)
        return max(abs(low), abs(high))

    @cached_property
    def monotone(self) -> Literal["increasing", "decreasing", "constant", "none"]:
        """``increasing`` (never falls), ``decreasing``, ``constant`` or ``none``."""
        return facts.monotone(self, self._joints)

    @cached_property
    def zero_region(self) -> tuple[float, float] | None:
        """The interval on which the value is exactly 0, or None where it is only points."""
        return facts.zero_region(self, self._joints)

    @cached_property
    def smoothness(self) -> float:
        """Number of continuous derivatives: -1 where the value jumps, inf for smooth."""
        if not self.kinks:
            return 1 if self.seams else math.inf
        return -1 if any(facts.jumps(self, kink.at) for kink in self.kinks) else 0

    @property
    def piecewise_linear(self) -> bool:
        """Whether the derivative is constant between the kinks."""
        return facts.piecewise_constant(self.derivative, self._joints)

    @property
    def _joints(self) -> tuple[float, ...]:
        return tuple(sorted({kink.at for kink in self.kinks} | set(self.seams)))

    def gain(self) -> facts.Gain:
        """Factors that keep the second moment of a standard normal signal at 1."""
        return facts.gain(self, self._joints)

    def partial(self, parameter: str) -> Formula:
        """The formula of the derivative with respect to ``parameter``: declared or derived."""
        if parameter in self.partials:
            return self.partials[parameter]
        return derive(self.formula, parameter)

    def _key(self) -> tuple[Any, ...]:
        return (*super()._key(), self.formula, self.slope, self.kink_derivative)

    @property
    def home(self) -> str:
        """Name of the module that declares it."""
        return self.formula.__module__

    def _state(self) -> dict[str, Any]:
        return {"values": dict(self.values), "kink_derivative": self.kink_derivative}

    def _restored(self, state: dict[str, Any]) -> Self:
        changed = self.with_parameters(**state["values"])
        return replace(changed, kink_derivative=state["kink_derivative"])
