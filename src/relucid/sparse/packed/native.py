"""The four operations of packing on a processor's memory, by compiled loops."""

from __future__ import annotations

import ctypes

import numpy as np
import torch
from torch import Tensor

from relucid.kernels.llvm.packing_header import BLOCK, GROUP, Operation
from relucid.kernels.llvm.packing_run import kernel
from relucid.nn.memory import in_huge_pages
from relucid.sparse.packed.scanned import Scanned


def scan(numbers: Tensor) -> Scanned:
    """Return one bit for each of the integers, and what the nonzero ones have in common."""
    length, bits = numbers.numel(), 8 * numbers.element_size()
    blocks = -(-length // BLOCK)
    mask = torch.empty(-(-length // GROUP), dtype=torch.int64)
    found = np.empty((3, blocks), np.uint64)
    first = found.ctypes.data
    addresses = (numbers.data_ptr(), mask.data_ptr(), *(first + 8 * blocks * k for k in range(3)))
    kernel("scan", bits)(length, addresses, torch.get_num_threads())
    counts, unions, commons = found
    starts = np.zeros(blocks + 1, np.int64)
    np.cumsum(counts, out=starts[1:])
    union, common = int(np.bitwise_or.reduce(unions)), int(np.bitwise_and.reduce(commons))
    only = union if union == common % (1 << bits) or not union else None
    return Scanned(int(starts[-1]), only, union, mask, torch.from_numpy(starts))


def gather(numbers: Tensor, scanned: Scanned) -> Tensor:
    """Return the nonzero integers in their order."""
    values = in_huge_pages(numbers.new_empty(scanned.nonzero))
    mask, starts = _places(scanned)
    addresses = (numbers.data_ptr(), mask, starts, values.data_ptr())
    _run("gather", numbers, addresses)
    return values


def scatter(length: int, scanned: Scanned, values: Tensor) -> Tensor:
    """Return the integers of which ``values`` are the nonzero ones."""
    numbers = in_huge_pages(values.new_empty(length))
    _run("scatter", numbers, (*_places(scanned), values.data_ptr(), numbers.data_ptr()))
    return numbers


def fill(length: int, scanned: Scanned, dtype: torch.dtype) -> Tensor:
    """Return the integers of which the nonzero ones are all ``scanned.only``."""
    numbers = in_huge_pages(torch.empty(length, dtype=dtype))
    value = ctypes.c_uint64(scanned.only or 0)  # its first bytes, on the little-endian
    _run("fill", numbers, (scanned.mask.data_ptr(), ctypes.addressof(value), numbers.data_ptr()))
    return numbers


def _run(operation: Operation, numbers: Tensor, addresses: tuple[int, ...]) -> None:
    bits = 8 * numbers.element_size()
    kernel(operation, bits)(numbers.numel(), addresses, torch.get_num_threads())


def _places(scanned: Scanned) -> tuple[int, int]:
    assert scanned.starts is not None
    return scanned.mask.data_ptr(), scanned.starts.data_ptr()
