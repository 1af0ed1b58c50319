"""Declared activations themselves, ``relucid.get("elu")(x)``, whose kernels no mode sees inside."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from relucid.functions.bridge import TorchRoutes
from relucid.probes.bounds.interval import Interval, unit, unknown
from relucid.probes.bounds.rules.activations import declared
from relucid.probes.bounds.shadow import Shadow


class BoundedRoutes:
    """The routes in use, with the bounds of their results."""

    def __init__(self, inner: TorchRoutes, shadow: Shadow) -> None:
        self._inner, self._shadow = inner, shadow

    def elementwise(
        self, activation: Any, x: Any, learned: Any = None, inplace: bool = False
    ) -> Any:
        """Evaluate an elementwise function."""
        rule = _of(activation, learned)
        return self._run(x, rule, lambda: self._inner.elementwise(activation, x, learned, inplace))

    def elementwise_out(self, activation: Any, x: Any, out: Any) -> Any:
        """Evaluate into given memory."""
        rule = _of(activation, None)
        return self._run(x, rule, lambda: self._inner.elementwise_out(activation, x, out))

    def derivative(self, activation: Any, x: Any) -> Any:
        """Evaluate a derivative, of which nothing is known."""
        return self._run(x, unknown_of(activation), lambda: self._inner.derivative(activation, x))

    def product(self, activation: Any, x: Any, grad: Any, out: Any) -> Any:
        """Evaluate a gradient, of which nothing is known."""
        rule = unknown_of(activation)
        return self._run(x, rule, lambda: self._inner.product(activation, x, grad, out))

    def two_input(self, activation: Any, value: Any, gate: Any, axis: int) -> Any:
        """Evaluate a gated pair as its witnesses do: the gate's activation, and a product."""
        if gate is None:
            value, gate = activation.split(value, axis)
        wide = gate.float() if gate.element_size() == 2 else gate
        opened = self.elementwise(activation.gate, wide)
        return (value.to(wide.dtype) * opened).to(value.dtype)

    def vector(self, activation: Any, which: str, axis: int, *arrays: Any) -> Any:
        """Evaluate a vector function: shares of a softmax, else unknown."""
        shares = which == "formula" and activation.name in ("softmax", "softmin", "hardmax")
        rule = _shares if shares else unknown_of(activation)
        return self._run(
            arrays[0], rule, lambda: self._inner.vector(activation, which, axis, *arrays)
        )

    def _run(self, x: Tensor, rule: Callable[[Interval, Tensor], Interval], run: Any) -> Any:
        interval = self._shadow.of(x)
        with self._shadow.paused():
            h = run()
            found = None if interval is None else rule(interval, h)
        if found is not None:
            self._shadow.set(h, found)
        return h


def _of(activation: Any, learned: Any) -> Callable[[Interval, Tensor], Interval]:
    return lambda z, h: declared(z, activation, learned, h.dtype)


def unknown_of(activation: Any) -> Callable[[Interval, Tensor], Interval]:
    """Return the rule of a function that has none."""
    cause = f"{activation.name}, which has no rule"
    return lambda z, h: unknown(h, z.causes | {cause})


def _shares(z: Interval, h: Tensor) -> Interval:
    like = h.double() * 0.0
    return z.ends(like, like + 1.0 + 8.0 * unit(h.dtype))
