"""The forms in which memory is kept, each of which gives back the same bits."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import Protocol

import torch
from torch import Tensor

from relucid.sparse.packed import native, plain
from relucid.sparse.packed.scanned import Scanned

WORTH = 0.9
"""Share of its bytes above which a tensor is left as it is: packing takes time, too."""

INTEGERS = {8: torch.uint8, 16: torch.int16, 32: torch.int32, 64: torch.int64}
"""The numbers that are packed: bits, whatever type they are read as."""


class Form(Protocol):
    """Packed memory."""

    @property
    def how(self) -> str:
        """The form in words."""

    @property
    def nbytes(self) -> int:
        """What it takes."""

    def unpack(self) -> Tensor:
        """Return the integers that were packed, in new memory."""


@dataclass(frozen=True)
class MaskAndValues:
    """One bit a number, and those that are not zero."""

    route: ModuleType
    length: int
    scanned: Scanned
    values: Tensor
    how = "bit mask and values"

    @property
    def nbytes(self) -> int:
        """What it takes."""
        return self.scanned.nbytes + self.values.nbytes

    def unpack(self) -> Tensor:
        """Return the numbers in new memory."""
        numbers: Tensor = self.route.scatter(self.length, self.scanned, self.values)
        return numbers


@dataclass(frozen=True)
class Mask:
    """One bit a number, where all that are not zero are the same: masks, dropout's factors."""

    route: ModuleType
    length: int
    scanned: Scanned
    dtype: torch.dtype
    how = "bit mask"

    @property
    def nbytes(self) -> int:
        """What it takes."""
        return self.scanned.mask.nbytes

    def unpack(self) -> Tensor:
        """Return the numbers in new memory."""
        numbers: Tensor = self.route.fill(self.length, self.scanned, self.dtype)
        return numbers


@dataclass(frozen=True)
class Narrow:
    """Small integers in fewer bytes: the places of max-pooling, the numbers of tokens."""

    values: Tensor
    dtype: torch.dtype
    how = "narrower integers"

    @property
    def nbytes(self) -> int:
        """What it takes."""
        return self.values.nbytes

    def unpack(self) -> Tensor:
        """Return the numbers in new memory."""
        return self.values.to(self.dtype)


def packed(numbers: Tensor, integers: bool, *, route: ModuleType | None = None) -> Form | None:
    """Return integers in the smallest form, or None where that is hardly smaller.

    ``integers`` says that they are whole numbers, not the bits of something else.
    """
    route = route or _route(numbers.device)
    scanned: Scanned = route.scan(numbers)
    length, most = numbers.numel(), numbers.nbytes * WORTH
    if scanned.only is not None:
        return Mask(route, length, scanned._replace(starts=None), numbers.dtype)
    thin = scanned.nbytes + scanned.nonzero * numbers.element_size()
    narrow = _narrowest(scanned.most, numbers.dtype) if integers else numbers.dtype
    if narrow != numbers.dtype and length * narrow.itemsize < thin:
        return Narrow(numbers.to(narrow), numbers.dtype)
    if thin > most:
        return None
    return MaskAndValues(route, length, scanned, route.gather(numbers, scanned))


def _route(device: torch.device) -> ModuleType:
    """The four operations for a device: compiled loops, or PyTorch's own where there are none."""
    if device.type == "cpu":
        return native
    from relucid.kernels import triton  # loads what only GPUs need

    if triton.available(device) is not None:
        return plain
    from relucid.sparse.packed import gpu

    return gpu


def _narrowest(most: int, dtype: torch.dtype) -> torch.dtype:
    """The smallest type that holds 0 to ``most``."""
    smaller = (d for d in INTEGERS.values() if d.itemsize < dtype.itemsize)
    return next((d for d in smaller if most <= torch.iinfo(d).max), dtype)
