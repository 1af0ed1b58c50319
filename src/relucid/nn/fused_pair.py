"""Fused kernels of gated pairs, whose halves may lie side by side in one tensor."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from relucid.functions import TwoInput
from relucid.kernels.build_pair import PairBuilder
from relucid.nn.autograd import pair_gradients
from relucid.nn.engines import Engine, OnCpu, OnGpu
from relucid.nn.fused import STORAGE
from relucid.nn.memory import fresh_like, in_order_of, without_gaps
from relucid.nn.ordinary import is_memory


class FusedPair:
    """The kernels of one gated function for one element type and precision.

    As :class:`~relucid.nn.fused.Fused` otherwise.
    """

    def __init__(
        self, activation: TwoInput, dtype: torch.dtype, bits: int, engine: Engine = OnCpu
    ) -> None:
        self.activation, self._engine = activation, engine
        self._builder = PairBuilder(activation, STORAGE[dtype], bits)
        self._builder.backward()  # a formula that cannot be compiled shows here
        self._forward = engine(self._builder.forward())

    @cached_property
    def _backward(self) -> OnCpu | OnGpu:
        return self._engine(self._builder.backward())

    def value(self, value: Tensor, gate: Tensor) -> Tensor:
        """Return value * f(gate), two tensors of one shape."""
        value = without_gaps(value)
        gate = in_order_of(gate, value)
        result = fresh_like(value)
        self._forward((value, gate, result), value.numel())
        return result

    def gradients(self, value: Tensor, gate: Tensor, grad: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gradients by value and by gate."""
        value = without_gaps(value)
        gate, grad = in_order_of(gate, value), in_order_of(grad, value)
        by_value, by_gate = fresh_like(value), fresh_like(value)
        self._backward((value, gate, grad, by_value, by_gate), value.numel())
        return by_value, by_gate

    def packed_value(self, x: Tensor, axis: int) -> Tensor:
        """Return value * f(gate) of the halves of x along ``axis``, value first."""
        x = without_gaps(x)
        result = _half(x, axis)
        self._in_rows(self._forward, x, axis, (x, True), (result, False))
        return result

    def packed_gradient(self, x: Tensor, grad: Tensor, axis: int) -> Tensor:
        """Return the gradient by x."""
        x = without_gaps(x)
        grad = in_order_of(grad, _half(x, axis))
        result = fresh_like(x)
        self._in_rows(self._backward, x, axis, (x, True), (grad, False), (result, True))
        return result

    def _in_rows(
        self, kernel: OnCpu | OnGpu, x: Tensor, axis: int, *tensors: tuple[Tensor, bool]
    ) -> None:
        """Run on rows, two of which, value and gate, lie one after the other in packed tensors."""
        half = x.shape[axis] // 2
        row = half * x.stride(axis)
        given: list[Tensor] = []
        strides: list[int] = []
        for tensor, packed in tensors:
            given += tensor.split(half, axis) if packed else [tensor]
            strides += [2 * row, 2 * row] if packed else [row]
        if x.numel():
            kernel.in_rows(given, x.numel() // 2, row, strides=strides)


def _half(x: Tensor, axis: int) -> Tensor:
    """Memory for a result with half the length along ``axis``, in the order of x."""
    shape = list(x.shape)
    shape[axis] //= 2
    step = x.stride(axis)
    strides = [s // 2 if s > step else s for s in x.stride()]
    return x.new_empty_strided(shape, strides)


class GatedPair(torch.autograd.Function):
    """Value times activated gate, of two tensors."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, gate: Tensor, fused: FusedPair) -> Any:
        ctx.fused = fused
        ctx.save_for_backward(value, gate)
        return fused.value(value, gate)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        value, gate = ctx.saved_tensors
        if torch.is_grad_enabled() or not is_memory(grad):
            return *pair_gradients(ctx.fused.activation, value, gate, grad), None
        return *ctx.fused.gradients(value, gate, grad), None


class GatedHalves(torch.autograd.Function):
    """Value times activated gate, of the halves of one tensor: nothing is split or joined."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, fused: FusedPair, axis: int) -> Any:
        ctx.fused, ctx.axis = fused, axis
        ctx.save_for_backward(x)
        return fused.packed_value(x, axis)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        (x,) = ctx.saved_tensors
        if torch.is_grad_enabled() or not is_memory(grad):
            activation = ctx.fused.activation
            value, gate = activation.split(x, ctx.axis)
            both = pair_gradients(activation, value, gate, grad)
            return torch.cat(both, ctx.axis), None, None
        return ctx.fused.packed_gradient(x, grad, ctx.axis), None, None
