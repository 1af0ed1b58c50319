"""The chooser: which route evaluates an activation on a tensor.

In eager mode on CPU memory the fused kernel runs at every length, so that an element's bits never
depend on how many there are. Plain operations serve what a kernel cannot: tracing, transforms,
other devices, formulas that cannot be compiled.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from relucid.errors import KernelError
from relucid.functions import Activation, Elementwise, TwoInput, Vector
from relucid.kernels.choose import chosen_precision, forced, ran
from relucid.nn.autograd import PlainRoute, promoted, refuse_other_dtypes
from relucid.nn.engines import Engine, OnCpu, OnGpu
from relucid.nn.fused import STORAGE, Fused
from relucid.nn.fused_autograd import FromInput, FromLearned, FromMask
from relucid.nn.fused_pair import FusedPair, GatedHalves, GatedPair
from relucid.nn.fused_vector import vector
from relucid.nn.learned import FusedLearned, arrangement
from relucid.nn.memory import without_gaps
from relucid.nn.ordinary import is_memory, is_ordinary, is_ready
from relucid.nn.outputs import check_output, check_product, fits, noticed, overwritten
from relucid.nn.prepared import kernels, key


class Routes:
    """Evaluation of declared functions on tensors, each by the fastest route that can."""

    def __init__(self) -> None:
        self._plain = PlainRoute()

    def elementwise(
        self,
        activation: Elementwise,
        x: Tensor,
        learned: Mapping[str, Tensor] | None = None,
        inplace: bool = False,
    ) -> Tensor:
        """The value, differentiable in x and in every parameter that is a tensor.

        ``learned`` holds tensors that stand in for parameters of those names; they broadcast
        against x. ``inplace`` writes the value into x and returns x.
        """
        compiling = torch.compiler.is_compiling()
        if not (compiling or learned or inplace):
            made = self._made(activation, x)
            if made is not None and x.is_cpu and is_ordinary(x):
                return self._on_kernels(made, x)
        tensors = _tensors(activation, learned)
        if compiling:
            return self._in_plain(activation, x, tensors, inplace)
        if tensors:
            return self._with_tensors(activation, x, tensors, inplace)
        given, x = x, promoted(activation, x)
        fused = self._fused(Fused, activation, x)
        if fused is not None and inplace and not _writable(x):
            self._without_kernel(activation, x)
            fused = None
        if fused is None or (inplace and x is not given):
            return self._in_plain(activation, given, {}, inplace)
        return self._on_kernels(fused, x, inplace)

    def _on_kernels(self, fused: Fused, x: Tensor, inplace: bool = False) -> Tensor:
        if not (x.requires_grad and torch.is_grad_enabled()):
            return noticed(fused.value(x, x)) if inplace else fused.value(x)
        if fused.one_bit:
            return _applied(FromMask, x, fused, inplace)[0]  # a pair
        # Backward needs the input as it was.
        return _applied(FromInput, x.clone() if inplace else x, fused, x if inplace else None)

    def _made(self, activation: Elementwise, x: Tensor) -> Fused | None:
        """The kernels of an earlier call on the CPU, which run unless the tensors forbid it.

        Most calls need no more of the chooser, and on few elements its questions take longer than
        the kernel. None says only that they have to be asked.
        """
        if forced.get() is not None:
            return None
        ran.set(OnCpu.route)
        fused: Fused | None = activation.prepared.get(key(x.dtype, OnCpu))
        return fused

    def elementwise_out(self, activation: Elementwise, x: Tensor, out: Tensor) -> Tensor:
        """Write the value into ``out`` and return it; there are no gradients."""
        made = self._made(activation, x)
        if made is not None and is_ready(out, x):
            return noticed(made.value(x, out))
        x = promoted(activation, x)
        check_output(activation.name, x, out, *_tensors(activation, None).values())
        fused = self._unfollowed(activation, x)
        if fused is None:
            return out.copy_(self.elementwise(activation, x))
        if not fits(out, x):
            return out.copy_(fused.value(x))
        return noticed(fused.value(x, out))

    def derivative(self, activation: Elementwise, x: Tensor) -> Tensor:
        """The declared derivative at each element, itself differentiable."""
        x = promoted(activation, x)
        fused = self._unfollowed(activation, x)
        return self._plain.derivative(activation, x) if fused is None else fused.derivative(x)

    def product(
        self, activation: Elementwise, x: Tensor, grad: Tensor, out: Tensor | None
    ) -> Tensor:
        """``grad`` times the derivative at x, in ``out`` if given; differentiable otherwise."""
        made = self._made(activation, x)
        if made is not None and out is not None and is_ready(out, x, grad):
            return noticed(made.gradient(x, grad, out))
        refuse_other_dtypes(activation.name, x)
        check_product(activation.name, x, grad)
        if out is not None:
            check_output(activation.name, x, out, grad, *_tensors(activation, None).values())
        fused = self._unfollowed(activation, x, grad)
        if fused is None:
            value = self._plain.product(activation, x, grad)
            return value if out is None else out.copy_(value)
        if out is None:
            return fused.gradient(x, grad)
        if not fits(out, x, grad):
            return out.copy_(fused.gradient(x, grad))
        return noticed(fused.gradient(x, grad, out))

    def _unfollowed(self, activation: Elementwise, x: Tensor, *others: Tensor) -> Fused | None:
        """Kernels for what autograd does not follow; None where the plain route has to serve."""
        followed = x.requires_grad or any([t.requires_grad for t in others])
        unfit = (followed and torch.is_grad_enabled()) or not all([is_memory(t) for t in others])
        if unfit or _tensors(activation, None):
            self._without_kernel(activation, x)
            return None
        fused: Fused | None = self._fused(Fused, activation, x)
        return fused

    def two_input(
        self, activation: TwoInput, value: Tensor, gate: Tensor | None, axis: int
    ) -> Tensor:
        """Value times activated gate; without a gate, of the halves of ``value``."""
        function = activation.gate
        unfit = _tensors(function, None) or (gate is not None and not _like(gate, value))
        fused = None if unfit else self._fused(FusedPair, activation, value)
        if fused is None:
            return self._plain.two_input(activation, value, gate, axis)
        if gate is None:
            return _applied(GatedHalves, value, fused, axis % value.ndim)
        return _applied(GatedPair, value, gate, fused)

    def vector(self, activation: Vector, which: str, axis: int, *tensors: Tensor) -> Tensor:
        """A vector function's value (differentiable) or one of its Jacobian products."""
        engine = self._engine(activation, tensors[0])
        if engine is OnCpu:
            bits = 64 if chosen_precision.get() == "correct" else None
            value = vector(activation, which, axis, *tensors, bits=bits)
            if value is not None:
                ran.set(engine.route)
                return value
        if engine is not None:
            self._without_kernel(activation, tensors[0])
        return self._plain.vector(activation, which, axis, *tensors)

    def _with_tensors(
        self, activation: Elementwise, x: Tensor, tensors: dict[str, Tensor], inplace: bool
    ) -> Tensor:
        if inplace:
            # Backward needs the input as it was; without gradients there is no need of a copy.
            source = x.clone() if torch.is_grad_enabled() else x
            return overwritten(activation.name, x, self.elementwise(activation, source, tensors))
        fused = self._fused(FusedLearned, _without_tensors(activation), x, tuple(tensors))
        ordinary = all(map(is_ordinary, tensors.values()))
        dense = without_gaps(x) if fused and ordinary else None
        arranged = None if dense is None else arrangement(dense, tuple(tensors.values()))
        if dense is None or arranged is None:
            if fused is not None:
                self._without_kernel(activation, x)
            return self._in_operations(activation, x, tensors)
        return _applied(FromLearned, dense, fused, arranged, *tensors.values())

    def _in_plain(
        self, activation: Elementwise, x: Tensor, tensors: Mapping[str, Tensor], inplace: bool
    ) -> Tensor:
        if not inplace:
            return self._in_operations(activation, x, tensors)
        source = x.clone() if torch.is_grad_enabled() else x
        return overwritten(activation.name, x, self._in_operations(activation, source, tensors))

    def _in_operations(
        self, activation: Elementwise, x: Tensor, tensors: Mapping[str, Tensor]
    ) -> Tensor:
        value = None
        if torch.compiler.is_compiling():
            from relucid.nn.compiled import recorded  # loads SymPy, by PyTorch's operators

            value = recorded(activation, x, tensors)
        return self._plain.elementwise(activation, x, tensors) if value is None else value

    def _fused(
        self, kind: Callable[..., Any], activation: Activation, x: Tensor, *learned: Any
    ) -> Any:
        """The kernels for x, or None where the plain route has to serve."""
        engine = self._engine(activation, x)
        if engine is None:
            return None
        fused = kernels(kind, activation, x.dtype, *learned, engine=engine)
        if fused is None:
            self._without_kernel(activation, x)
        else:
            ran.set(engine.route)
        return fused

    def _engine(self, activation: Activation, x: Tensor) -> Engine | None:
        """Where kernels run for x, if they may; refuses a route that was asked for in vain."""
        if torch.compiler.is_compiling():
            return None  # and nothing is noted, since notes cannot be traced
        wanted = forced.get()
        if x.dtype in STORAGE and wanted != "plain" and is_ordinary(x):
            if x.is_cpu and wanted != "triton":
                return OnCpu
            if wanted != "llvm" and _gpu(x, wanted):
                return OnGpu
        self._without_kernel(activation, x)
        return None

    def _without_kernel(self, activation: Activation, x: Tensor) -> None:
        """Note that the plain route serves; refuses another one that was asked for."""
        if torch.compiler.is_compiling():
            return  # notes cannot be traced
        if forced.get() in (None, "plain"):
            ran.set("plain")
            return
        raise KernelError(
            f"{activation.name} cannot be computed by the route {forced.get()!r} on this tensor "
            f"({x.dtype}, {x.device}, {type(x).__name__}) as it is used here; the plain route "
            "serves integers, views with gaps that are written in place, derivatives that are "
            "differentiated again, transforms and modes: leave out relucid.route"
        )


def _gpu(x: Tensor, wanted: str | None) -> bool:
    """Whether Triton computes on the device of x; raises if it was asked for and cannot."""
    if not x.is_cuda and wanted is None:
        return False
    from relucid.kernels import triton

    if wanted is not None:
        triton.require(x.device)
    return triton.available(x.device) is None


def _tensors(activation: Elementwise, learned: Mapping[str, Tensor] | None) -> dict[str, Tensor]:
    """All parameters that are tensors."""
    if not learned and not activation.values:
        return {}
    tensors = {n: v for n, v in activation.values.items() if isinstance(v, Tensor)}
    tensors.update(learned or {})
    return tensors


def _without_tensors(activation: Elementwise) -> Elementwise:
    """The function at its defaults for what is read at run time, so that its kernels are found."""
    numbers = {n: v for n, v in activation.values.items() if not isinstance(v, Tensor)}
    return (
        activation
        if len(numbers) == len(activation.values)
        else replace(activation, values=numbers)
    )


def _like(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and a.dtype == b.dtype and is_ordinary(a)


def _writable(x: Tensor) -> bool:
    """Whether a kernel may write over x: no gaps, and no other tensor's history to amend.

    A leaf that requires a gradient is left to PyTorch to refuse.
    """
    if torch.is_grad_enabled() and x.requires_grad and (x.is_leaf or x._is_view()):
        return False
    return without_gaps(x) is x


def _applied(function: type[torch.autograd.Function], *arguments: Any) -> Tensor:
    """What ``function.apply`` does once it has looked for transforms, of which there are none here.

    That look takes 0.9 us.
    """
    in_core: Any = super(torch.autograd.Function, function)
    value: Tensor = in_core.apply(*arguments)
    return value
