"""The bridge from declarations to PyTorch's automatic differentiation.

A declared function is evaluated in plain tensor operations and differentiated by its declared
derivative, in reverse, forward, under ``vmap`` and twice. PyTorch wants another form of
``torch.autograd.Function`` in each of three situations:

* plain eager calls: ``forward`` with a context, 7 us a call cheaper than ``setup_context``;
* ``torch.func`` transforms, which require ``setup_context``;
* ``torch.compile``, which cannot trace a Function that has a ``jvp``: see :class:`_Chained`.

``torch.export`` keeps values only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from relucid.functions import Elementwise, TwoInput, Vector
from relucid.functions.evaluate import check_dtype, keep_nan
from relucid.nn.ordinary import transforms_active
from relucid.nn.words import compute_dtype, torch_words

_INTEGERS = frozenset({torch.int8, torch.int16, torch.int32, torch.int64, torch.uint8})
_FLOATS = frozenset({torch.float16, torch.bfloat16, torch.float32, torch.float64})


class _ElementwiseEager(torch.autograd.Function):
    """``activation(x)`` with the parameters called ``names`` as further tensors."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, activation: Elementwise, names: tuple[str, ...], *learned: Tensor
    ) -> Any:
        _ElementwiseTransformed.setup_context(ctx, (x, activation, names, *learned), None)
        return _evaluate(activation.formula, x, _arguments(activation, names, learned))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        x, *learned = ctx.saved_tensors
        wanted = (ctx.needs_input_grad[0], *ctx.needs_input_grad[3:])
        by_x, *by_learned = gradients(
            ctx.activation, x, grad, dict(zip(ctx.names, learned, strict=True)), wanted
        )
        return by_x, None, None, *by_learned

    @staticmethod
    def jvp(ctx: Any, tangent: Any, _: Any, __: Any, *tangents: Any) -> Any:
        x, *learned = ctx.saved_tensors
        arguments = _arguments(ctx.activation, ctx.names, learned)
        total = torch.zeros_like(x)
        if tangent is not None:
            total = _scaled(tangent, ctx.activation, x, arguments)
        for name, change in zip(ctx.names, tangents, strict=True):
            if change is not None:
                total = total + change * _partial(ctx.activation, name, x, arguments)
        return total.to(x.dtype)


class _ElementwiseTransformed(_ElementwiseEager):
    generate_vmap_rule = True

    @staticmethod
    def forward(  # type: ignore[override]  # the form that goes with setup_context has no ctx
        x: Tensor, activation: Elementwise, names: tuple[str, ...], *learned: Tensor
    ) -> Any:
        return _evaluate(activation.formula, x, _arguments(activation, names, learned))

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        x, ctx.activation, ctx.names, *learned = inputs
        ctx.save_for_backward(x, *learned)
        ctx.save_for_forward(x, *learned)


class _Chained(torch.autograd.Function):
    """``value``, with gradients ``slope`` to x and ``partials`` to the learned parameters.

    For tracing. The formulas are evaluated outside, because with ``dynamic=True`` Dynamo (2.13)
    fails on the second Function whose body uses the same global float.
    """

    @staticmethod
    def forward(
        ctx: Any, value: Tensor, x: Tensor, slope: Tensor, count: int, *tensors: Tensor
    ) -> Any:
        ctx.count = count
        ctx.save_for_backward(x, slope, *tensors)
        return value.clone()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        x, slope, *tensors = ctx.saved_tensors
        learned, partials = tensors[: ctx.count], tensors[ctx.count :]
        by_learned = [
            _at(parameter, _reduced(grad, partial, parameter))
            for parameter, partial in zip(learned, partials, strict=True)
        ]
        return None, _at(x, grad * slope), None, None, *by_learned, *(None for _ in partials)


def _at(point: Tensor, gradient: Tensor) -> Tensor:
    """The gradient, or NaN where the point is.

    Using the point here makes the compiler save it and compute the slope again. A second backward
    then raises, as PyTorch's own do. With only the slope saved it would silently be zero.
    """
    return torch.where(point == point, gradient, point)


class _Vector(torch.autograd.Function):
    """A function along an axis, differentiated by its declared Jacobian products: for tracing."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, activation: Vector, axis: int) -> Any:
        _VectorTransformed.setup_context(ctx, (x, activation, axis), None)
        return _product(activation, "formula", axis, x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        (x,) = ctx.saved_tensors
        return _product(ctx.activation, "backward_product", ctx.axis, x, grad), None, None


class _VectorEager(_Vector):
    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, _: Any, __: Any) -> Any:
        (x,) = ctx.saved_tensors
        return _product(ctx.activation, "forward_product", ctx.axis, x, tangent)


class _VectorTransformed(_VectorEager):
    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, activation: Vector, axis: int) -> Any:  # type: ignore[override]  # as above
        return _product(activation, "formula", axis, x)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        x, ctx.activation, ctx.axis = inputs
        ctx.save_for_backward(x)
        ctx.save_for_forward(x)


class PlainRoute:
    """Evaluation in plain PyTorch operations: route 2, and the one that works everywhere."""

    def elementwise(
        self, activation: Elementwise, x: Tensor, learned: Mapping[str, Tensor] | None = None
    ) -> Tensor:
        """The value, differentiable in x and in every parameter that is a tensor.

        ``learned`` holds tensors that stand in for parameters of those names; they broadcast
        against x.
        """
        if activation.integers == "kept" and x.dtype in _INTEGERS:
            return _evaluate(activation.formula, x, activation.arguments)
        x = promoted(activation, x)
        refuse_other_dtypes(activation.name, x)
        tensors = {n: v for n, v in activation.values.items() if isinstance(v, Tensor)}
        tensors.update(learned or {})
        if torch.compiler.is_compiling():
            return _traced(activation, x, tensors)
        function = _ElementwiseTransformed if transforms_active() else _ElementwiseEager
        return _applied(function, x, activation, tuple(tensors), *tensors.values())

    def derivative(self, activation: Elementwise, x: Tensor) -> Tensor:
        """The declared derivative at each element, itself differentiable."""
        x = promoted(activation, x)
        refuse_other_dtypes(activation.name, x)
        return _evaluate(activation.derivative_formula, x, activation.arguments)

    def product(self, activation: Elementwise, x: Tensor, grad: Tensor) -> Tensor:
        """``grad`` times the declared derivative at x, differentiable in both."""
        return _scaled(grad, activation, x, activation.arguments)

    def two_input(
        self, activation: TwoInput, value: Tensor, gate: Tensor | None, axis: int
    ) -> Tensor:
        """Value times activated gate; without a gate, of the halves of ``value``."""
        if gate is None:
            value, gate = activation.split(value, axis)
        if value.dtype == gate.dtype and value.element_size() == 2:
            # One rounding for the product, not one for each factor.
            opened = self.elementwise(activation.gate, gate.float())
            return (value.float() * opened).to(value.dtype)
        return value * self.elementwise(activation.gate, gate)

    def vector(self, activation: Vector, which: str, axis: int, *tensors: Tensor) -> Tensor:
        """A vector function's value (differentiable) or one of its Jacobian products."""
        refuse_other_dtypes(activation.name, tensors[0])
        if which != "formula":
            return _product(activation, which, axis, *tensors)
        if _is_exporting():
            return _product(activation, which, axis, *tensors)
        if torch.compiler.is_compiling():
            return _applied(_Vector, tensors[0], activation, axis)
        function = _VectorTransformed if transforms_active() else _VectorEager
        return _applied(function, tensors[0], activation, axis)


def _traced(activation: Elementwise, x: Tensor, learned: dict[str, Tensor]) -> Tensor:
    """Record value and derivatives side by side. An exported program holds values only.

    Of a Function inside a compiled ``torch.func`` transform, PyTorch (2.13) loses the second
    derivative without a word. There the formula is differentiated as written, which differs from
    the declaration at kinks only.
    """
    arguments = {**activation.arguments, **learned}
    value = _evaluate(activation.formula, x, arguments)
    unused = _is_exporting() or not _needs_gradient(x, *learned.values())
    if unused or transforms_active():
        return value
    slope = _evaluate(activation.derivative_formula, x, arguments)
    partials = [_partial(activation, name, x, arguments) for name in learned]
    return _applied(_Chained, value, x, slope, len(learned), *learned.values(), *partials)


def gradients(
    activation: Elementwise,
    x: Tensor,
    grad: Tensor,
    learned: Mapping[str, Tensor] | None = None,
    wanted: Sequence[bool] | None = None,
) -> tuple[Tensor | None, ...]:
    """Return those wanted of the gradients by x and by each learned parameter, differentiable."""
    learned = learned or {}
    asked = wanted or (True,) * (1 + len(learned))
    arguments = {**activation.arguments, **learned}
    by_x = _scaled(grad, activation, x, arguments) if asked[0] else None
    by_learned = [
        _reduced(grad, _partial(activation, name, x, arguments), parameter) if needed else None
        for (name, parameter), needed in zip(learned.items(), asked[1:], strict=True)
    ]
    return by_x, *by_learned


def pair_gradients(
    activation: TwoInput, value: Tensor, gate: Tensor, grad: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the gradients of value * f(gate) by both, differentiable."""
    function, dtype = activation.gate, compute_dtype(value)
    wide = gate.to(dtype)
    opened = _evaluate(function.formula, wide, function.arguments)
    slope = _evaluate(function.derivative_formula, wide, function.arguments)
    grad = grad.to(dtype)
    by_gate = grad * value.to(dtype) * slope
    return (grad * opened).to(value.dtype), by_gate.to(gate.dtype)


def promoted(activation: Elementwise, x: Tensor) -> Tensor:
    """Return integers as PyTorch's default float, for a function that takes them so."""
    if activation.integers == "promoted" and x.dtype in _INTEGERS:
        return x.to(torch.get_default_dtype())
    return x


def _applied(function: Any, *arguments: Any) -> Tensor:
    value: Tensor = function.apply(*arguments)
    return value


# New in PyTorch 2.7.
_is_exporting: Callable[[], bool] = getattr(torch.compiler, "is_exporting", lambda: False)


def _needs_gradient(*tensors: Tensor) -> bool:
    return torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)


def _arguments(
    activation: Elementwise, names: Sequence[str], learned: Sequence[Tensor]
) -> dict[str, Any]:
    if not names:
        return activation.arguments
    return {**activation.arguments, **dict(zip(names, learned, strict=True))}


def _evaluate(formula: Any, x: Tensor, arguments: dict[str, Any]) -> Tensor:
    """The formula in the compute type, rounded once to the type of x."""
    dtype = compute_dtype(x)
    arguments = {n: v.to(dtype) if isinstance(v, Tensor) else v for n, v in arguments.items()}
    bound = partial(formula, **arguments)
    value: Tensor = keep_nan(bound, torch_words(dtype), x.to(dtype))
    return value.to(x.dtype)


def _scaled(grad: Tensor, activation: Elementwise, x: Tensor, arguments: dict[str, Any]) -> Tensor:
    """Grad times the declared derivative, rounded once to the type of x."""
    wide = x.to(compute_dtype(x))
    slope = _evaluate(activation.derivative_formula, wide, arguments)
    return (slope * grad.to(wide.dtype)).to(x.dtype)  # in the layout of x


def _partial(activation: Elementwise, name: str, x: Tensor, arguments: dict[str, Any]) -> Tensor:
    """The derivative with respect to a parameter, in the compute type."""
    return _evaluate(activation.partial(name), x.to(compute_dtype(x)), arguments)


def _reduced(grad: Tensor, partial: Tensor, parameter: Tensor) -> Tensor:
    """The parameter's gradient, summed over all that it was broadcast to."""
    return (grad * partial).sum_to_size(parameter.shape).to(parameter.dtype)


def _product(activation: Vector, which: str, axis: int, *tensors: Tensor) -> Tensor:
    dtype = compute_dtype(tensors[0])
    wide = [tensor.to(dtype) for tensor in tensors]
    product: Tensor = activation.bound(which, axis)(torch_words(dtype), *wide)
    return product.to(tensors[0].dtype)


def refuse_other_dtypes(name: str, x: Tensor) -> None:
    """Raise DtypeError unless x is of a float type on which activations are defined."""
    if x.dtype not in _FLOATS:
        check_dtype(name, str(x.dtype).removeprefix("torch."))
