"""The bridge from declarations to PyTorch's automatic differentiation.

One ``torch.autograd.Function`` evaluates any declared function in plain tensor operations and
differentiates it by its declared derivative, in reverse, forward, under ``vmap`` and twice.
``torch.compile`` cannot trace a Function that has a ``jvp``, so there the same Function without
one is used.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor

from relucid.functions import Elementwise, Vector, speak_torch
from relucid.functions.evaluate import check_dtype, keep_nan
from relucid.nn.words import compute_dtype, torch_words

_INTEGERS = frozenset({torch.int8, torch.int16, torch.int32, torch.int64, torch.uint8})


class _Elementwise(torch.autograd.Function):
    """``activation(x)`` with learned parameters, given by ``names``, as further tensors."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, activation: Elementwise, names: tuple[str, ...], *learned: Tensor) -> Any:
        return _evaluate(activation.formula, x, _arguments(activation, names, learned))

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        x, ctx.activation, ctx.names, *learned = inputs
        ctx.save_for_backward(x, *learned)
        ctx.save_for_forward(x, *learned)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        x, *learned = ctx.saved_tensors
        arguments = _arguments(ctx.activation, ctx.names, learned)
        by_x = None
        if ctx.needs_input_grad[0]:
            by_x = grad * _evaluate(ctx.activation.derivative_formula, x, arguments)
        by_learned = [
            _reduced(grad, _partial(ctx.activation, name, x, arguments), parameter)
            if needed
            else None
            for name, parameter, needed in zip(
                ctx.names, learned, ctx.needs_input_grad[3:], strict=True
            )
        ]
        return by_x, None, None, *by_learned


class _ElementwiseForwardMode(_Elementwise):
    @staticmethod
    def jvp(ctx: Any, tangent: Any, _: Any, __: Any, *tangents: Any) -> Any:
        x, *learned = ctx.saved_tensors
        arguments = _arguments(ctx.activation, ctx.names, learned)
        total = torch.zeros_like(x)
        if tangent is not None:
            total = tangent * _evaluate(ctx.activation.derivative_formula, x, arguments)
        for name, change in zip(ctx.names, tangents, strict=True):
            if change is not None:
                total = total + change * _partial(ctx.activation, name, x, arguments)
        return total.to(x.dtype)


class _Vector(torch.autograd.Function):
    """A function along an axis, differentiated by its declared Jacobian products."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, activation: Vector, axis: int) -> Any:
        return _product(activation, "formula", axis, x)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        x, ctx.activation, ctx.axis = inputs
        ctx.save_for_backward(x)
        ctx.save_for_forward(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        (x,) = ctx.saved_tensors
        return _product(ctx.activation, "backward_product", ctx.axis, x, grad), None, None


class _VectorForwardMode(_Vector):
    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, _: Any, __: Any) -> Any:
        (x,) = ctx.saved_tensors
        return _product(ctx.activation, "forward_product", ctx.axis, x, tangent)


class PlainRoute:
    """Evaluation in plain PyTorch operations: route 2, and the one that works everywhere."""

    def elementwise(self, activation: Elementwise, x: Tensor) -> Tensor:
        """The value, differentiable in x and in every parameter that is a tensor."""
        if activation.integers and x.dtype in _INTEGERS:
            return _evaluate(activation.formula, x, activation.arguments)
        check_dtype(activation.name, _dtype_name(x))
        function = _Elementwise if torch.compiler.is_compiling() else _ElementwiseForwardMode
        names = tuple(n for n, v in activation.values.items() if isinstance(v, Tensor))
        return function.apply(x, activation, names, *(activation.values[n] for n in names))

    def derivative(self, activation: Elementwise, x: Tensor) -> Tensor:
        """The declared derivative at each element, itself differentiable."""
        check_dtype(activation.name, _dtype_name(x))
        return _evaluate(activation.derivative_formula, x, activation.arguments)

    def vector(self, activation: Vector, which: str, axis: int, *tensors: Tensor) -> Tensor:
        """A vector function's value (differentiable) or one of its Jacobian products."""
        check_dtype(activation.name, _dtype_name(tensors[0]))
        if which != "formula":
            return _product(activation, which, axis, *tensors)
        function = _Vector if torch.compiler.is_compiling() else _VectorForwardMode
        return function.apply(tensors[0], activation, axis)


def _arguments(activation: Elementwise, names: Any, learned: Any) -> dict[str, Any]:
    return {**activation.arguments, **dict(zip(names, learned, strict=True))}


def _evaluate(formula: Any, x: Tensor, arguments: dict[str, Any]) -> Tensor:
    """The formula in the compute type, rounded once to the type of x."""
    dtype = compute_dtype(x.dtype)
    arguments = {n: v.to(dtype) if isinstance(v, Tensor) else v for n, v in arguments.items()}
    value = keep_nan(partial(formula, **arguments), torch_words(dtype), x.to(dtype))
    return value.to(x.dtype)


def _partial(activation: Elementwise, name: str, x: Tensor, arguments: dict[str, Any]) -> Tensor:
    """The derivative with respect to a parameter, in the compute type."""
    return _evaluate(activation.partial(name), x.to(compute_dtype(x.dtype)), arguments)


def _reduced(grad: Tensor, partial: Tensor, parameter: Tensor) -> Tensor:
    """The parameter's gradient, summed over all that it was broadcast to."""
    return (grad * partial).sum_to_size(parameter.shape).to(parameter.dtype)


def _product(activation: Vector, which: str, axis: int, *tensors: Tensor) -> Tensor:
    dtype = compute_dtype(tensors[0].dtype)
    wide = [tensor.to(dtype) for tensor in tensors]
    return activation.bound(which, axis)(torch_words(dtype), *wide).to(tensors[0].dtype)


def _dtype_name(x: Tensor) -> str:
    return str(x.dtype).removeprefix("torch.")


speak_torch(PlainRoute())
