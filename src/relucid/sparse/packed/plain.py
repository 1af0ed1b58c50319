"""The four operations of packing in PyTorch's own, for GPUs where Triton is not installed.

Counting waits for the device once a tensor.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

from relucid.sparse.packed.scanned import Scanned


def scan(numbers: Tensor) -> Scanned:
    """Return one bit for each of the integers, and what the nonzero ones have in common."""
    there = numbers != 0
    values = numbers[there]
    span = 1 << 8 * numbers.element_size()
    count = values.numel()
    least, most = (int(end) for end in values.aminmax()) if count else (0, 0)
    only = most % span if least == most else None
    return Scanned(count, only, most if least >= 0 else span - 1, _packed(there), None)


def gather(numbers: Tensor, scanned: Scanned) -> Tensor:
    """Return the nonzero integers in their order."""
    return numbers[numbers != 0]


def scatter(length: int, scanned: Scanned, values: Tensor) -> Tensor:
    """Return the integers of which ``values`` are the nonzero ones."""
    numbers = values.new_zeros(length)
    return numbers.masked_scatter_(_unpacked(scanned.mask, length), values)


def fill(length: int, scanned: Scanned, dtype: torch.dtype) -> Tensor:
    """Return the integers of which the nonzero ones are all ``scanned.only``."""
    only, span = scanned.only or 0, 1 << 8 * dtype.itemsize
    signed = only - span if dtype.is_signed and only >= span // 2 else only
    numbers = torch.zeros(length, dtype=dtype, device=scanned.mask.device)
    return numbers.masked_fill_(_unpacked(scanned.mask, length), signed)


def _packed(truths: Tensor) -> Tensor:
    """Eight truth values a byte."""
    eights = pad(truths, (0, -truths.numel() % 8)).view(-1, 8)
    mask = eights[:, 0].to(torch.uint8)
    for place in range(1, 8):
        mask |= eights[:, place].to(torch.uint8) << place
    return mask


def _unpacked(mask: Tensor, length: int) -> Tensor:
    places = torch.arange(8, dtype=torch.uint8, device=mask.device)
    return (mask[:, None] >> places & 1).bool().view(-1)[:length]
