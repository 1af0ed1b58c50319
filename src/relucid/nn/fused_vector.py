"""Fused CPU kernels of functions along an axis, on tensors and under automatic differentiation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

import torch
from torch import Tensor

from relucid.errors import KernelError
from relucid.functions import Vector
from relucid.kernels.contract import Layout
from relucid.kernels.llvm.vector_run import Geometry, VectorKernel, registers_for
from relucid.kernels.vector import Recorder, VectorLoop
from relucid.nn.fused import STORAGE
from relucid.nn.memory import fresh_like
from relucid.nn.ordinary import is_ordinary
from relucid.nn.words import compute_dtype, torch_words

NARROW = 8
"""Vectors of fewer elements, or fewer vectors side by side, are copied to a better order first.

Softmax of shape (4096, 2) along the last axis took 73 us as it lies and 35 copied, (4096, 12) 95
and 84; (1000, 512, 2) along axis 1 took 15 ms and 7, (1000, 512, 7) 17 and 17, (1000, 512, 12) 19
and 27.
"""

SHORT = 32
"""Vectors below this length are summed again in backward: keeping their totals, float64, takes as
much memory as a quarter of the input and more."""

_ARRAYS: dict[str, tuple[str, ...]] = {
    "formula": ("x",),
    "forward_product": ("x", "v"),
    "backward_product": ("x", "g"),
    "backward_from_output": ("y", "g"),
}


def vector(
    activation: Vector, which: str, axis: int, *tensors: Tensor, bits: int | None = None
) -> Tensor | None:
    """Return the formula or product called ``which``, differentiable where it is the formula.

    None where the plain route has to serve: the formula cannot be compiled, autograd follows a
    product, or the tensors differ in shape or dtype. They are strided CPU tensors of a supported
    dtype, which nobody traces or transforms. ``bits`` are those of the arithmetic: 64 for float64,
    for other dtypes 32 unless given.
    """
    x = tensors[0]
    fused = _prepared(activation, x.dtype, bits or (64 if x.dtype == torch.float64 else 32))
    if fused is None:
        return None
    recorded = torch.is_grad_enabled() and any([t.requires_grad for t in tensors])
    if which != "formula" and (recorded or not _alike(*tensors)):
        return None
    if not recorded:
        return fused.product(which, axis, *tensors)
    value: Tensor = _FusedVector.apply(x, fused, axis)  # type: ignore[no-untyped-call]  # torch's
    return value


def _alike(x: Tensor, other: Tensor) -> bool:
    return x.dtype == other.dtype and x.shape == other.shape


def _prepared(activation: Vector, dtype: torch.dtype, bits: int) -> FusedVector | None:
    key = ("vector", dtype, bits)
    if key not in activation.prepared:
        try:
            activation.prepared[key] = FusedVector(activation, dtype, bits)
        except KernelError:
            activation.prepared[key] = None
    found: FusedVector | None = activation.prepared[key]
    return found


class FusedVector:
    """The kernels of one function for one element type and precision, compiled when first needed.

    Raises :class:`~relucid.errors.KernelError` where a formula cannot be compiled.
    """

    def __init__(self, activation: Vector, dtype: torch.dtype, bits: int) -> None:
        self.activation = activation
        self._recorder = Recorder(activation, STORAGE[dtype], bits)
        forward, backward = self._recorder.training()
        change = self._recorder.product("forward_product", ("x", "v"))
        self._loops = {"forward": forward, "backward": backward, "forward_product": change}
        self._kernels: dict[tuple[str, Layout, int], VectorKernel] = {}
        self._plan = lru_cache(maxsize=4096)(self._planned)

    @cached_property
    def by_output(self) -> bool:
        """Whether backward reads the output instead of the input.

        Not in 16 bits, which hold two or three digits of what the gradient is made of.
        """
        full = self._recorder.storage in ("float32", "float64")
        return full and self.activation.backward_from_output is not None

    def product(self, which: str, axis: int, *tensors: Tensor) -> Tensor:
        """Return the formula or product called ``which``."""
        return self._run(which, axis, tensors)

    def forward(self, x: Tensor, axis: int) -> tuple[Tensor, Tensor | None]:
        """Return the value, and the totals of each vector that :meth:`backward` needs, if any."""
        count = 0 if self.by_output else len(self._loops["forward"].taken)
        length = x.shape[axis] if x.ndim else 1
        if not count or length < SHORT:
            return self._run("formula", axis, (x,)), None
        vectors = x.numel() // length
        totals = x.new_empty((count, vectors), dtype=torch.float64)
        return self._run("forward", axis, (x,), taken=totals), totals

    def backward(self, saved: Tensor, grad: Tensor, totals: Tensor | None, axis: int) -> Tensor:
        """Return the gradient by x; ``saved`` is the output if ``by_output``, else x."""
        which = "backward" if totals is not None else "backward_product"
        if self.by_output:
            which = "backward_from_output"
        return self._run(which, axis, (saved, grad), given=totals)

    def _run(
        self,
        which: str,
        axis: int,
        tensors: Sequence[Tensor],
        given: Tensor | None = None,
        taken: Tensor | None = None,
    ) -> Tensor:
        """Run a kernel on tensors, of which the first tells the memory order of the result."""
        result = fresh_like(tensors[0])
        if not result.numel():
            return result
        lie, kernel = self._plan(which, result.shape, result.stride(), axis)
        target = result if lie.as_it_lies else result.new_empty(lie.shape)
        steps = lie.steps * (len(tensors) + 1)
        if any([tensor.stride() != lie.strides for tensor in tensors]):
            tensors, steps = lie.fitted(tensors)
        addresses = [tensor.data_ptr() for tensor in tensors]
        if given is not None:
            addresses += _addresses(given)
        addresses.append(target.data_ptr())
        if taken is not None:
            addresses += _addresses(taken)
        kernel(lie.geometry, addresses, steps, torch.get_num_threads())
        if target is not result:
            result.permute(lie.order).copy_(target)
        return result

    def _planned(
        self, which: str, shape: tuple[int, ...], strides: tuple[int, ...], axis: int
    ) -> tuple[Arrangement, VectorKernel]:
        lie = arrangement(shape, strides, axis)
        layout: Layout = "rows" if lie.geometry.inner == 1 else "columns"
        key = (which, layout, registers_for(self._recorder.bits, lie.geometry))
        if key not in self._kernels:
            self._kernels[key] = VectorKernel(replace(self._loop(which), layout=layout), key[2])
        return lie, self._kernels[key]

    def _loop(self, which: str) -> VectorLoop:
        if which not in self._loops:
            self._loops[which] = self._recorder.product(which, _ARRAYS[which])
        return self._loops[which]


@dataclass(frozen=True)
class Arrangement:
    """The order of axes in which a result lies in memory, or in which a copy of it should."""

    order: tuple[int, ...]
    shape: tuple[int, ...]
    """The lengths of the axes in this order."""
    place: int
    """Where in this order the axis of the vectors is."""
    strides: tuple[int, ...] | None
    """Strides of tensors that need no copy; None where the result itself has to be copied."""
    geometry: Geometry
    steps: tuple[int, int]
    """Strides from block to block and along the axis, of memory without gaps."""

    @property
    def as_it_lies(self) -> bool:
        """Whether the result is written where it is."""
        return self.strides is not None

    def fitted(self, tensors: Sequence[Tensor]) -> tuple[list[Tensor], tuple[int, ...]]:
        """Return tensors, or copies, in the order of axes, and the strides that kernels take."""
        ordered = [tensor.permute(self.order) for tensor in tensors]
        steps = [self._steps_of(tensor) for tensor in ordered]
        pairs = list(zip(ordered, steps, strict=True))
        kept = [tensor if step else tensor.contiguous() for tensor, step in pairs]
        return kept, tuple(n for step in (*steps, self.steps) for n in step or self.steps)

    def _steps_of(self, ordered: Tensor) -> tuple[int, int] | None:
        """Strides of memory with gaps; None if it is not made of blocks at equal distances."""
        shape, strides, place = ordered.shape, ordered.stride(), self.place
        inside = _one_step(shape[place + 1 :], strides[place + 1 :])
        outside = _one_step(shape[:place], strides[:place])
        along = strides[place] if shape[place] > 1 else 1
        if inside is None or outside is None or (inside or along) != 1:
            return None
        return outside, along


def _one_step(shape: Sequence[int], strides: Sequence[int]) -> int | None:
    """The stride of the one axis that several can be seen as; 0 for none, None if they cannot."""
    step = reach = 0
    for length, stride in zip(reversed(shape), reversed(strides), strict=True):
        if length > 1:
            if not stride or (reach and stride != reach):  # 0: one element seen as many
                return None
            step = step or stride
            reach = stride * length
    return step


def arrangement(shape: tuple[int, ...], strides: tuple[int, ...], axis: int) -> Arrangement:
    """How to go through a tensor without gaps, along an axis."""
    if not shape:
        return Arrangement((), (), 0, (), Geometry(1, 1, 1), (1, 1))
    axis %= len(shape)
    lying = sorted(range(len(shape)), key=lambda d: (-strides[d], d))
    order = _preferred(shape, lying, axis)
    place = order.index(axis)
    inner = math.prod(shape[d] for d in order[place + 1 :])
    outer = math.prod(shape[d] for d in order[:place])
    return Arrangement(
        tuple(order),
        tuple(shape[d] for d in order),
        place,
        strides if order == lying else None,
        Geometry(outer, shape[axis], inner),
        (shape[axis] * inner, inner),
    )


def _preferred(shape: tuple[int, ...], lying: list[int], axis: int) -> list[int]:
    """The order of axes as they lie, or that of a copy which is worth its time."""
    place = lying.index(axis)
    inner = math.prod(shape[d] for d in lying[place + 1 :])
    others = [d for d in lying if d != axis]
    if shape[axis] < NARROW and inner < NARROW:
        return [axis, *others]
    return [*others, axis] if 1 < inner < NARROW else lying


def _addresses(totals: Tensor) -> list[int]:
    """Where each row of totals starts."""
    first, step = totals.data_ptr(), totals.stride(0) * totals.element_size()
    return [first + step * number for number in range(len(totals))]


class _FusedVector(torch.autograd.Function):
    """A function along an axis; backward is the declared Jacobian product."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, fused: FusedVector, axis: int) -> Any:
        ctx.fused, ctx.axis = fused, axis
        value, totals = fused.forward(x, axis)
        ctx.save_for_backward(value if fused.by_output else x, totals)
        return value

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        saved, totals = ctx.saved_tensors
        if torch.is_grad_enabled() or not is_ordinary(grad):
            return _in_plain(ctx.fused, ctx.axis, saved, grad), None, None
        return ctx.fused.backward(saved, grad, totals, ctx.axis), None, None


def _in_plain(fused: FusedVector, axis: int, saved: Tensor, grad: Tensor) -> Tensor:
    """Backward in operations that PyTorch can differentiate again."""
    which = "backward_from_output" if fused.by_output else "backward_product"
    dtype = compute_dtype(saved)
    product = fused.activation.bound(which, axis)
    by_x: Tensor = product(torch_words(dtype), saved.to(dtype), grad.to(dtype))
    return by_x.to(saved.dtype)
