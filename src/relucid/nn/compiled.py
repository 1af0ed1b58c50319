"""What ``torch.compile`` records of an activation on CPU memory, decided by measurement.

* Where gradients are asked for, and for every function beyond arithmetic: an operator that runs
  the fused kernel (:mod:`relucid.nn.operators`).
* Without gradients, for functions that are arithmetic (comparison, selection, sums, products,
  quotients, square roots) at their default parameters: the formula in the type in which the kernel
  computes, which Inductor fuses with its neighbours. IEEE 754 fixes every step, so the bits are
  the kernel's.

In training Inductor (2.13) fuses to no good: of anything that compares it saves truth values for
backward, which it stores one by one: 14 ms for a million ReLUs, forward, where the kernel takes
0.3. Beyond arithmetic its own mathematics is wrong (expm1 is exp - 1, in float64 too), and in
float64 takes up to 25 times as long as the kernel.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property, partial
from typing import Any

import torch
from torch import Tensor

from relucid.errors import KernelError
from relucid.functions import Elementwise
from relucid.functions.evaluate import keep_nan
from relucid.kernels.build import Builder
from relucid.kernels.contract import Loop
from relucid.kernels.describe import describe
from relucid.kernels.program import needed
from relucid.nn import operators
from relucid.nn.fused import STORAGE
from relucid.nn.ordinary import transforms_active
from relucid.nn.words import torch_words

_ARITHMETIC = frozenset(
    "input add sub mul div neg abs sqrt where lt le gt ge eq ne and or xor not".split()
)
"""Operations that IEEE 754 fixes to the last bit, whoever computes them."""


class _FromInput(torch.autograd.Function):
    """``f(x)``, whose backward reads x again."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, function: str, numbers: list[float]) -> Any:
        ctx.function, ctx.numbers = function, numbers
        ctx.save_for_backward(x)
        return operators.value(x, function, numbers)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        (x,) = ctx.saved_tensors
        return operators.gradient(x, grad, ctx.function, ctx.numbers), None, None


class _FromBits(torch.autograd.Function):
    """``f(x)``, whose backward needs one bit of each element."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, function: str, numbers: list[float]) -> Any:
        ctx.function, ctx.numbers = function, numbers
        value, bits, nans = operators.value_and_bits(x, function, numbers)
        ctx.save_for_backward(bits, nans)
        return value

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        bits, nans = ctx.saved_tensors
        by_x = operators.gradient_from_bits(bits, nans, grad, ctx.function, ctx.numbers)
        return by_x, None, None


class _FromLearned(torch.autograd.Function):
    """``f(x)`` with learned parameters, to which there are gradients too."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, function: str, numbers: list[float], *learned: Tensor) -> Any:
        ctx.function, ctx.numbers = function, numbers
        ctx.save_for_backward(x, *learned)
        return operators.learned_value(x, learned, function, numbers)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        x, *learned = ctx.saved_tensors
        by_x, *by_learned = operators.learned_gradients(x, grad, learned, ctx.function, ctx.numbers)
        return by_x, None, None, *by_learned


def recorded(activation: Elementwise, x: Tensor, learned: Mapping[str, Tensor]) -> Tensor | None:
    """Return the value as a compiled graph computes it, with tensors for parameters.

    None where the plain formula has to serve: in ``torch.export``, whose programs run without
    relucid, unless activations are to stay whole; in ``torch.func`` transforms, which have to see
    what they differentiate; on other devices and types; for a formula that has no kernel. Called
    while ``torch.compile`` traces.
    """
    tensors = (x, *learned.values())
    exporting = _is_exporting()
    if exporting and operators.whole:
        return _operator(activation, x, learned)
    if exporting or transforms_active() or not all(map(_is_cpu_float, tensors)):
        return None
    function = operators.in_words(activation, tuple(learned))
    if not _known(function, "compilable"):
        return None
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors):
        return _differentiable(activation, x, learned, function)
    chosen = [name for name in activation.values if name not in learned]
    if not chosen and _known(function, "arithmetic"):
        return _arithmetic(activation, x, learned)
    return _operator(activation, x, learned)


def _operator(activation: Elementwise, x: Tensor, learned: Mapping[str, Tensor]) -> Tensor:
    function = operators.in_words(activation, tuple(learned))
    numbers = operators.in_numbers(activation, tuple(learned))
    value: Tensor = (
        operators.learned_value(x, list(learned.values()), function, numbers)
        if learned
        else operators.value(x, function, numbers)
    )
    return value


def _differentiable(
    activation: Elementwise, x: Tensor, learned: Mapping[str, Tensor], function: str
) -> Tensor:
    numbers = operators.in_numbers(activation, tuple(learned))
    kind: Any = _FromInput
    if learned:
        kind = _FromLearned
    elif activation.kink_derivative is None and x.is_contiguous() and _known(function, "one_bit"):
        kind = _FromBits
    value: Tensor = kind.apply(x, function, numbers, *learned.values())
    return value


def _arithmetic(activation: Elementwise, x: Tensor, learned: Mapping[str, Tensor]) -> Tensor:
    """The formula step by step as the kernel computes it, rounded once to the type of x."""
    dtype = torch.float64 if x.dtype == torch.float64 else torch.float32
    tensors = {name: tensor.to(dtype) for name, tensor in learned.items()}
    formula = partial(activation.formula, **{**activation.arguments, **tensors})
    value: Tensor = keep_nan(formula, torch_words(dtype), x.to(dtype))
    return value.to(x.dtype)


# New in PyTorch 2.7.
_is_exporting = getattr(torch.compiler, "is_exporting", lambda: False)


def _is_cpu_float(x: Tensor) -> bool:
    memory = type(x) in (Tensor, torch.nn.Parameter) and x.layout is torch.strided
    return memory and x.device.type == "cpu" and x.dtype in STORAGE


def _known(function: str, what: str) -> bool:
    """One of the :class:`_Facts`. A constant while tracing, since declarations do not change."""
    declared, learned = operators.declaration(function)
    if ("facts", learned) not in declared.prepared:
        declared.prepared["facts", learned] = _Facts(declared, learned)
    fact: bool = getattr(declared.prepared["facts", learned], what)
    return fact


# As torch.compiler.assume_constant_result does, which takes a second to import the compiler.
_known._dynamo_marked_constant = True  # type: ignore[attr-defined]  # functions take attributes


class _Facts:
    """What the programs of a declaration at its defaults say, ``learned`` being tensors."""

    def __init__(self, declared: Elementwise, learned: tuple[str, ...]) -> None:
        self._declared, self._learned = declared, learned

    @cached_property
    def compilable(self) -> bool:
        """Whether there are kernels."""
        return _compiles(Builder(self._declared, "float32", 32, self._learned).backward)

    @cached_property
    def arithmetic(self) -> bool:
        """Whether plain operations give the kernel's bits.

        In float32 the kernel treats a constant such as 0.1 better than PyTorch does, so there must
        be none: then the programs for float32 and float64 are the same.
        """
        narrow, wide = (
            Builder(self._declared, "float32", bits, self._learned).forward() for bits in (32, 64)
        )
        operations = {value.operation for value in needed(narrow.tape.values, narrow.outputs)}
        return operations <= _ARITHMETIC and _steps(narrow) == _steps(wide)

    @cached_property
    def one_bit(self) -> bool:
        """Whether the derivative is one of two numbers, whatever the parameters are."""
        names = tuple(self._declared.parameters_declared)
        if not _compiles(Builder(self._declared, "float32", 32, names).derivative):
            return False  # a parameter decides which formula it is
        slope = Builder(self._declared, "float32", 32)
        return slope.one_bit or slope.constant_slope is not None


def _compiles(build: Callable[[], Loop]) -> bool:
    try:
        build()
    except KernelError:
        return False
    return True


def _steps(loop: Loop) -> list[str]:
    return describe(loop).splitlines()[1:]  # after the head, which tells the width
