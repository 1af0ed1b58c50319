"""Fused kernels of functions with learned parameters: shared by all, or one a channel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from relucid.functions import Elementwise
from relucid.kernels.build import Builder
from relucid.kernels.contract import BLOCK, ROW, Layout
from relucid.nn.engines import Engine, OnCpu, OnGpu
from relucid.nn.fused import STORAGE
from relucid.nn.memory import fresh_like, in_order_of


@dataclass(frozen=True)
class Arrangement:
    """How parameters vary over memory: ``channels`` of them, in rows of ``row`` elements."""

    layout: Layout
    row: int
    channels: int

    def sums(self, length: int) -> int:
        """Number of partial sums that a kernel writes."""
        rows = -(-length // max(self.row, 1))
        return rows if self.layout == "rows" else -(-rows // BLOCK) * self.row


def arrangement(x: Tensor, parameters: Sequence[Tensor]) -> Arrangement | None:
    """How parameters that broadcast against ``x`` (without gaps) lie over its memory.

    None where they vary along more than one axis.
    """
    axes = {axis for p in parameters for axis in _varying(x, p)}
    if any(p.ndim > x.ndim for p in parameters) or len(axes) > 1:
        return None
    if not axes:
        return Arrangement("rows", ROW, 1)
    (axis,) = axes
    channels, step = x.shape[axis], x.stride(axis)
    if step == 1:
        return Arrangement("columns", channels, channels)
    return Arrangement("rows", step, channels)


def _varying(x: Tensor, parameter: Tensor) -> list[int]:
    """Axes of x along which a parameter has more than one value."""
    first = x.ndim - parameter.ndim
    return [first + axis for axis, size in enumerate(parameter.shape) if size != 1]


class FusedLearned:
    """The kernels of one function, parameters called ``learned`` being tensors.

    As :class:`~relucid.nn.fused.Fused` otherwise.
    """

    def __init__(
        self,
        activation: Elementwise,
        dtype: torch.dtype,
        bits: int,
        learned: tuple[str, ...],
        engine: Engine = OnCpu,
    ) -> None:
        self.activation, self.learned, self._engine = activation, learned, engine
        self._builder = Builder(activation, STORAGE[dtype], bits, learned)
        self._builder.backward()  # a formula that cannot be compiled shows here
        self._kernels: dict[tuple[str, Layout], OnCpu | OnGpu] = {}

    def value(self, x: Tensor, parameters: Sequence[Tensor], arranged: Arrangement) -> Tensor:
        """Return f(x) for x without gaps."""
        result = fresh_like(x)
        numbers = [_numbers(p, arranged) for p in parameters]
        self._run("forward", arranged, (x, *numbers, result), x.numel())
        return result

    def gradients(
        self, x: Tensor, grad: Tensor, parameters: Sequence[Tensor], arranged: Arrangement
    ) -> tuple[Tensor, ...]:
        """Return the gradients with respect to x (without gaps) and to each parameter.

        Those of parameters are summed in float64, in an order that the shape of x fixes.
        """
        grad = in_order_of(grad, x)
        result = fresh_like(x)
        numbers = [_numbers(p, arranged) for p in parameters]
        count = arranged.sums(x.numel())
        partial = [x.new_zeros(count, dtype=torch.float64) for _ in numbers]
        self._run("backward", arranged, (x, grad, *numbers, result, *partial), x.numel())
        totals = [
            _total(sums, arranged, parameter)
            for sums, parameter in zip(partial, parameters, strict=True)
        ]
        return result, *totals

    def _run(
        self, what: str, arranged: Arrangement, tensors: Sequence[Tensor], length: int
    ) -> None:
        key = (what, arranged.layout)
        if key not in self._kernels:
            self._kernels[key] = self._engine(getattr(self._builder, what)(arranged.layout))
        self._kernels[key].in_rows(tensors, length, arranged.row, arranged.channels)


def _numbers(parameter: Tensor, arranged: Arrangement) -> Tensor:
    """One float64 a channel."""
    return parameter.detach().to(torch.float64).reshape(-1).expand(arranged.channels).contiguous()


def _total(sums: Tensor, arranged: Arrangement, parameter: Tensor) -> Tensor:
    """Add partial sums, on CPUs by NumPy on one thread: PyTorch's order depends on the threads."""
    if not sums.numel():
        return torch.zeros_like(parameter)
    by_channel: Any = sums.reshape(-1, arranged.channels)
    by_channel = by_channel.numpy() if sums.is_cpu else by_channel
    total = by_channel.sum() if parameter.numel() == 1 else by_channel.sum(axis=0)
    return torch.as_tensor(total).reshape(parameter.shape).to(parameter.dtype)
