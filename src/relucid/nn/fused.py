"""Fused kernels on tensors: one function of one number, forward and backward."""

from __future__ import annotations

import ctypes
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from relucid.functions import Elementwise
from relucid.kernels.build import Builder
from relucid.kernels.contract import ROW, Storage
from relucid.kernels.llvm.run import Kernel
from relucid.nn.engines import Engine, OnCpu, OnGpu
from relucid.nn.memory import fresh_like, in_order_of, without_gaps

STORAGE: dict[torch.dtype, Storage] = {
    torch.float64: "float64",
    torch.float32: "float32",
    torch.float16: "float16",
    torch.bfloat16: "bfloat16",
}


class Fused:
    """The kernels of one function for one element type and precision, compiled when first needed.

    Tensors are of that type and in memory that ``engine`` computes on. Raises
    :class:`~relucid.errors.KernelError` where the formula cannot be compiled.
    """

    def __init__(
        self, activation: Elementwise, dtype: torch.dtype, bits: int, engine: Engine = OnCpu
    ) -> None:
        self.activation, self._engine = activation, engine
        self._builder = Builder(activation, STORAGE[dtype], bits)
        self._builder.backward()  # a formula that cannot be compiled shows here
        self._forward = engine(self._builder.forward())

    @cached_property
    def slope(self) -> Any:
        """The derivative, where it is one number everywhere; else None."""
        return self._builder.constant_slope

    @cached_property
    def one_bit(self) -> bool:
        """Whether backward needs at most one bit of each element.

        Not on GPUs, which would have to be waited for to learn whether there is a NaN.
        """
        if self._engine is OnGpu:
            return False
        return self.slope is not None or self._builder.one_bit

    @cached_property
    def _forward_with_mask(self) -> Kernel:
        # Of the processor alone: its flags are read right away.
        return Kernel(self._builder.forward_with_mask())

    @cached_property
    def _backward(self) -> OnCpu | OnGpu:
        return self._engine(self._builder.backward())

    @cached_property
    def _backward_from_mask(self) -> OnCpu | OnGpu:
        return self._engine(self._builder.backward_from_mask())

    @cached_property
    def _derivative(self) -> OnCpu | OnGpu:
        return self._engine(self._builder.derivative())

    def value(self, x: Tensor, out: Tensor | None = None) -> Tensor:
        """Return f(x), in ``out`` (of the shape and strides of ``x``) if given."""
        return _mapped(self._forward, x, out)

    def derivative(self, x: Tensor) -> Tensor:
        """Return f'(x)."""
        return _mapped(self._derivative, x, None)

    def gradient(self, x: Tensor, grad: Tensor, out: Tensor | None = None) -> Tensor:
        """Return grad * f'(x), in ``out`` (of the shape and strides of ``x``) if given."""
        x = without_gaps(x)
        grad = in_order_of(grad, x)
        result = fresh_like(x) if out is None else out
        self._backward((x, grad, result), x.numel())
        return result

    def value_and_mask(self, x: Tensor, out: Tensor | None = None) -> tuple[Tensor, Tensor, bool]:
        """Return f(x), one bit an element for :meth:`gradient_from_mask`, and whether x has NaN."""
        x = without_gaps(x)
        length = x.numel()
        result = fresh_like(x) if out is None else out
        # Whole groups of 64 bits, since the last vector writes all bits of its lanes.
        bits = 0 if self.slope is not None else -(-length // 64) * 8
        mask = x.new_empty(bits, dtype=torch.uint8)
        masks = () if self.slope is not None else (mask.data_ptr(),)
        flags = ctypes.create_string_buffer(-(-length // ROW))
        addresses = (x.data_ptr(), result.data_ptr(), *masks, ctypes.addressof(flags))
        self._forward_with_mask(addresses, length, torch.get_num_threads())
        return result, mask, b"\1" in flags.raw

    def gradient_from_mask(self, mask: Tensor, grad: Tensor) -> Tensor:
        """Return grad * f'(x), of the strides of ``grad``, which has no gaps."""
        if self.slope is not None:
            return grad.mul(self.slope)
        result = fresh_like(grad)
        self._backward_from_mask((grad, mask, result), grad.numel())
        return result

    def slopes(self, mask: Tensor, like: Tensor) -> Tensor:
        """Return the derivative that ``mask`` stands for, in the memory of ``like``."""
        return self.gradient_from_mask(mask, like.fill_(1.0))


def _mapped(kernel: OnCpu | OnGpu, x: Tensor, out: Tensor | None) -> Tensor:
    x = without_gaps(x)
    result = fresh_like(x) if out is None else out
    kernel((x, result), x.numel())
    return result
