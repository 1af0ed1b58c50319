"""The four operations of packing on a GPU's memory, by Triton's kernels.

Scanning waits for the device, once a tensor; nothing else does.
"""

from __future__ import annotations

import torch
from torch import Tensor

from relucid.kernels.triton.packing_run import GROUP, programs, run
from relucid.sparse.packed.scanned import Scanned

_UNSIGNED = {1: torch.uint8, 2: torch.uint16, 4: torch.uint32, 8: torch.uint64}


def scan(numbers: Tensor) -> Scanned:
    """Return one bit for each of the integers, and what the nonzero ones have in common."""
    length, size = numbers.numel(), numbers.element_size()
    blocks = programs(length)
    mask = numbers.new_empty(-(-length // GROUP), dtype=torch.uint32)
    starts = numbers.new_zeros(blocks + 1, dtype=torch.int64)
    largest = numbers.new_empty((2, blocks), dtype=torch.int64)
    run("scan", length, numbers.view(_UNSIGNED[size]), mask, starts[1:], largest)
    starts.cumsum_(0)
    count, *found = torch.cat((starts[-1:], largest.amax(1))).tolist()
    most, negative = (number + (1 << 63) for number in found)
    alike = (most + negative) % (1 << 8 * size) == 0
    return Scanned(count, most if alike else None, most, mask, starts)


def gather(numbers: Tensor, scanned: Scanned) -> Tensor:
    """Return the nonzero integers in their order."""
    values = numbers.new_empty(scanned.nonzero)
    run("gather", numbers.numel(), numbers, *_places(scanned), values)
    return values


def scatter(length: int, scanned: Scanned, values: Tensor) -> Tensor:
    """Return the integers of which ``values`` are the nonzero ones."""
    numbers = values.new_empty(length)
    run("scatter", length, *_places(scanned), values, numbers)
    return numbers


def fill(length: int, scanned: Scanned, dtype: torch.dtype) -> Tensor:
    """Return the integers of which the nonzero ones are all ``scanned.only``."""
    numbers = scanned.mask.new_empty(length, dtype=dtype)
    run("fill", length, scanned.mask, scanned.only or 0, numbers)
    return numbers


def _places(scanned: Scanned) -> tuple[Tensor, Tensor]:
    assert scanned.starts is not None
    return scanned.mask, scanned.starts
