"""The fused CPU kernels as PyTorch operators, for graphs that ``torch.compile`` makes.

Such graphs are cached on disk across processes. So an operator is told its function in words,
``relucid.functions.families.gated:silu(beta)`` for SiLU with a learned ``beta``, and by the numbers
of all other parameters in declared order, followed by the derivative at kinks if one was chosen.

They are registered without automatic differentiation, for which :mod:`relucid.nn.compiled` sees:
registered with ``register_autograd`` a call costs 9 us more, as ``custom_op`` 17 us. What runs is
asked when they run: they obey :func:`relucid.route` and :func:`relucid.precision`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from relucid.errors import DeclarationError
from relucid.functions import Elementwise
from relucid.functions.base import DECLARED
from relucid.functions.bridge import torch_routes
from relucid.kernels.choose import forced
from relucid.nn.autograd import gradients
from relucid.nn.fused import Fused
from relucid.nn.learned import FusedLearned, arrangement
from relucid.nn.memory import without_gaps
from relucid.nn.prepared import kernels

whole = False
"""Whether ``torch.export`` records an activation as one of these operators. Its programs need
relucid then, as a translation of the program does that knows the operators. A global, since
Dynamo reads no context variable."""

_library = torch.library.Library("relucid", "FRAGMENT")


def _operator(schema: str, run: Callable[..., Any], shapes: Callable[..., Any]) -> Any:
    name = schema.partition("(")[0]
    _library.define(schema, tags=(torch.Tag.pt2_compliant_tag,))
    _library.impl(name, run, "CPU")
    torch.library.register_fake(f"relucid::{name}", shapes, lib=_library)
    return getattr(torch.ops.relucid, name).default


def in_words(activation: Elementwise, learned: Sequence[str] = ()) -> str:
    """Where a function is declared, its name, and which parameters are tensors."""
    return f"{activation.home}:{activation.name}({','.join(learned)})"


def in_numbers(activation: Elementwise, learned: Sequence[str] = ()) -> list[float]:
    """All else that makes this function differ from its declaration."""
    numbers = [v for n, v in activation.parameters.items() if n not in learned]
    return numbers if activation.kink_derivative is None else [*numbers, activation.kink_derivative]


@lru_cache(maxsize=1024)
def _read(function: str) -> tuple[str, str, tuple[str, ...]]:
    home, _, call = function.rpartition(":")
    name, _, learned = call.rstrip(")").partition("(")
    return home, name, tuple(learned.split(",")) if learned else ()


def declaration(function: str) -> tuple[Elementwise, tuple[str, ...]]:
    """Return the declaration that :func:`in_words` wrote down, and the learned parameters.

    Imports the module that declares it. Raises :class:`~relucid.errors.DeclarationError` if that
    does not declare it any more.
    """
    home, name, learned = _read(function)
    if name not in DECLARED:
        importlib.import_module(home)
    found = DECLARED.get(name)
    if not isinstance(found, Elementwise):
        raise DeclarationError(f"{home} no longer declares the activation {name!r}")
    return found, learned


def _restored(function: str, numbers: Sequence[float]) -> Elementwise:
    declared, learned = declaration(function)
    key = (learned, *numbers)
    if key not in declared.prepared:
        names = [name for name in declared.parameters_declared if name not in learned]
        chosen = declared.with_parameters(**dict(zip(names, numbers, strict=False)))
        kinks = numbers[len(names) :]
        declared.prepared[key] = chosen.at_kink(*kinks) if kinks else chosen
    restored: Elementwise = declared.prepared[key]
    return restored


def _value(x: Tensor, function: str, numbers: Sequence[float]) -> Tensor:
    value: Tensor = torch_routes().elementwise(_restored(function, numbers), x)
    return value


value = _operator(
    "value(Tensor x, str function, float[] numbers) -> Tensor",
    _value,
    lambda x, function, numbers: torch.empty_like(x),
)
"""f(x)."""


def _gradient(x: Tensor, grad: Tensor, function: str, numbers: Sequence[float]) -> Tensor:
    product: Tensor = torch_routes().product(_restored(function, numbers), x, grad, None)
    return product


gradient = _operator(
    "gradient(Tensor x, Tensor grad, str function, float[] numbers) -> Tensor",
    _gradient,
    lambda x, grad, function, numbers: torch.empty_like(x),
)
"""grad * f'(x)."""


def _value_and_bits(
    x: Tensor, function: str, numbers: Sequence[float]
) -> tuple[Tensor, Tensor, Tensor]:
    activation, x = _restored(function, numbers), x.contiguous()
    fused: Fused = kernels(Fused, activation, x.dtype)
    value, bits, any_nan = fused.value_and_mask(x)
    if forced.get() not in (None, "llvm"):
        value = torch_routes().elementwise(activation, x)
    if fused.slope is not None:
        bits = torch.zeros(_bytes(x), dtype=torch.uint8)
    elif x.numel() % 64:
        bits[(x.numel() + 7) // 8 :] = 0  # where no element wrote
    # From the system, as NumPy asks for it, zeros take no memory until they are written.
    nans = np.zeros(_bytes(x) + 1, dtype=np.uint8)
    if any_nan:
        packed = np.packbits(torch.isnan(value).numpy(), bitorder="little")
        nans[: packed.size], nans[-1] = packed, 1
    return value, bits, torch.from_numpy(nans)


def _bytes(x: Tensor) -> Any:
    """Bytes for one bit an element, in whole groups of 64 bits."""
    return (x.numel() + 63) // 64 * 8


value_and_bits = _operator(
    "value_and_bits(Tensor x, str function, float[] numbers) -> (Tensor, Tensor, Tensor)",
    _value_and_bits,
    lambda x, function, numbers: (
        torch.empty_like(x, memory_format=torch.contiguous_format),
        x.new_empty(_bytes(x), dtype=torch.uint8),
        x.new_empty(_bytes(x) + 1, dtype=torch.uint8),
    ),
)
"""f(x) in contiguous order; one bit an element that tells f'(x); and one that tells NaN.

Where x has no NaN, the last are zeros, the last byte too, which says whether there is any. In
large tensors they take no memory then.
"""


def _gradient_from_bits(
    bits: Tensor, nans: Tensor, grad: Tensor, function: str, numbers: Sequence[float]
) -> Tensor:
    grad = grad.contiguous()
    fused: Fused = kernels(Fused, _restored(function, numbers), grad.dtype)
    gradient = fused.gradient_from_mask(bits, grad)
    if nans[-1]:
        unpacked = np.unpackbits(nans[:-1].numpy(), count=grad.numel(), bitorder="little")
        gradient.masked_fill_(torch.from_numpy(unpacked).bool().reshape(grad.shape), torch.nan)
    return gradient


gradient_from_bits = _operator(
    "gradient_from_bits(Tensor bits, Tensor nans, Tensor grad, str function, float[] numbers)"
    " -> Tensor",
    _gradient_from_bits,
    lambda bits, nans, grad, function, numbers: torch.empty_like(
        grad, memory_format=torch.contiguous_format
    ),
)
"""grad * f'(x), where x is known by what :data:`value_and_bits` returned."""


def _learned_value(
    x: Tensor, learned: Sequence[Tensor], function: str, numbers: Sequence[float]
) -> Tensor:
    names = declaration(function)[1]
    tensors = dict(zip(names, learned, strict=True))
    value: Tensor = torch_routes().elementwise(_restored(function, numbers), x, tensors)
    return value


learned_value = _operator(
    "learned_value(Tensor x, Tensor[] learned, str function, float[] numbers) -> Tensor",
    _learned_value,
    lambda x, learned, function, numbers: torch.empty_like(x),
)
"""f(x) with tensors for parameters, which broadcast against x."""


def _learned_gradients(
    x: Tensor, grad: Tensor, learned: Sequence[Tensor], function: str, numbers: Sequence[float]
) -> list[Tensor | None]:
    activation, names = _restored(function, numbers), declaration(function)[1]
    x = without_gaps(x)
    arranged = arrangement(x, learned)
    if arranged is None or forced.get() not in (None, "llvm"):
        return list(gradients(activation, x, grad, dict(zip(names, learned, strict=True))))
    fused: FusedLearned = kernels(FusedLearned, activation, x.dtype, names)
    return list(fused.gradients(x, grad, learned, arranged))


learned_gradients = _operator(
    "learned_gradients(Tensor x, Tensor grad, Tensor[] learned, str function, float[] numbers)"
    " -> Tensor[]",
    _learned_gradients,
    lambda x, grad, learned, function, numbers: [torch.empty_like(t) for t in (x, *learned)],
)
"""The gradients by x and by each of ``learned``."""
