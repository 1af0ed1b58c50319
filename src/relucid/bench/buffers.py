"""The tensors that the subjects read, as many sets of them as outlast the caches."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from relucid.functions import Elementwise, TwoInput, Vector, get

FROM_MEMORY = 1 << 22
"""Elements from which the buffers are rotated so that every call reads from memory."""
VECTOR = 1024
"""Length of the last axis for functions of a vector, where the size permits."""


@dataclass(frozen=True)
class Inputs:
    """What one call reads: standard normal arguments and an output gradient.

    The gradient holds ±1/2, ±1 and ±2, so that its product with a derivative is exact and the
    error measured is the derivative's own.
    """

    arguments: tuple[Tensor, ...]
    gradient: Tensor


def shape_of(function: str, size: int) -> tuple[int, ...]:
    """One axis, or for functions of a vector rows of a length that divides ``VECTOR``."""
    if isinstance(get(function), Vector):
        length = math.gcd(size, VECTOR)
        return (size // length, length)
    return (size,)


def make_inputs(function: str, dtype: torch.dtype, size: int, cache: int) -> tuple[Inputs, ...]:
    """Return the buffer sets for tensors of ``size`` elements and ``cache`` bytes of cache."""
    shape = shape_of(function, size)
    count = 2 if isinstance(get(function), TwoInput) else 1

    def moved(x: Tensor, places: int) -> Tensor:
        return x.roll(places).to(dtype).view(shape)

    return tuple(
        Inputs(
            tuple(moved(_normal(size), 7 * number + k) for k in range(count)),
            moved(_powers(size), number),
        )
        for number in range(sets(size, dtype, cache))
    )


def sets(size: int, dtype: torch.dtype, cache: int) -> int:
    """How many buffer sets: inputs and outputs of all together four times the cache, or one."""
    if size < FROM_MEMORY:
        return 1
    return max(math.ceil(cache / (size * dtype.itemsize)), 2)


def has_out_form(function: str) -> bool:
    """Whether relucid writes this function into given buffers."""
    return isinstance(get(function), Elementwise)


@lru_cache(maxsize=1)
def _normal(size: int) -> Tensor:
    return torch.randn(size, generator=torch.Generator().manual_seed(size))


@lru_cache(maxsize=1)
def _powers(size: int) -> Tensor:
    random = torch.Generator().manual_seed(size + 1)
    exponent = torch.randint(-1, 2, (size,), generator=random)
    sign = torch.randint(0, 2, (size,), generator=random) * 2.0 - 1.0
    return torch.ldexp(sign, exponent)
