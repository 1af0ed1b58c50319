"""Sums over the values of each unit: the one place that reads values.

What is summed is written once, as a formula that a kernel of :mod:`relucid.kernels` evaluates in
one pass, or plain operations where there is no kernel. All is added in float64, in which counts
are exact up to 2**53, and the sums of float32 keep nine digits more than they have.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from relucid.errors import KernelError
from relucid.kernels.contract import BLOCK, Layout, Loop
from relucid.kernels.llvm.run import Kernel
from relucid.kernels.program import Tape
from relucid.kernels.words import KernelWords

Term = Callable[[Any, Any, float], Any]
"""``term(m, z, threshold)`` in the words of ``m``: what a value adds."""

Added = NDArray[np.float64] | Tensor
"""Sums of shape (number of sums, units): on the CPU in NumPy, elsewhere on the device."""

_STORED = {
    torch.float64: "float64",
    torch.float32: "float32",
    torch.float16: "float16",
    torch.bfloat16: "bfloat16",
}


@dataclass(frozen=True)
class Sum:
    """What is added up over the values of a unit."""

    term: Term
    threshold: float = 0.0
    by_sample: bool = False
    """Add 1 for each sample in which the term is above 0 at any position."""


def read(values: Tensor, unit_axis: int, group: int, wanted: tuple[Sum, ...]) -> Added:
    """Add up values with three axes: samples, and units and positions in either order.

    ``group`` neighbours along the first axis belong to one sample. NaN and infinities are added
    as the terms say.
    """
    if values.is_cpu and values.dtype in _STORED and values.numel():
        found = _by_kernel(values, unit_axis, group, wanted)
        if found is not None:
            return found
    return _plainly(values, unit_axis, group, wanted)


def as_array(added: Added) -> NDArray[np.float64]:
    """Read sums from their device."""
    return added.cpu().double().numpy() if isinstance(added, Tensor) else added


def _by_kernel(
    values: Tensor, unit_axis: int, group: int, wanted: tuple[Sum, ...]
) -> NDArray[np.float64] | None:
    if unit_axis == 1 and values.shape[2] == 1:
        values, unit_axis = values.transpose(1, 2), 2
    kernel = _kernel(wanted, values.dtype, "rows" if unit_axis == 1 else "columns")
    if kernel is None:
        return None
    values = values.contiguous()
    units, positions = values.shape[unit_axis], values.shape[3 - unit_axis]
    row = positions if unit_axis == 1 else units
    single = positions * group == 1
    block = BLOCK if single else positions * group
    rows = values.numel() // row
    parts = rows if unit_axis == 1 else -(-rows // block) * units
    sums = np.empty((len(wanted), parts))
    # not sums.ctypes, an object of Python code: 20 us where the caches are cold
    first, step = sums.__array_interface__["data"][0], sums.strides[0]
    given = (values.data_ptr(), *range(first, first + step * len(wanted), step))
    kernel.in_rows(given, values.numel(), row, threads=torch.get_num_threads(), block=block)
    by_part = sums.reshape(len(wanted), -1, units)
    if group > 1 and unit_axis == 1:
        by_part = by_part.reshape(len(wanted), -1, group, units).sum(2)
    added: NDArray[np.float64] = by_part.sum(1)
    for place, one in enumerate(wanted):
        if one.by_sample and not single:  # else zeros and ones are added, which is the same
            added[place] = (by_part[place] != 0.0).sum(0)
    return added


def _plainly(values: Tensor, unit_axis: int, group: int, wanted: tuple[Sum, ...]) -> Tensor:
    """Add up in operations of PyTorch."""
    real = torch.float32 if values.device.type == "mps" else torch.float64
    values, along = values.to(real), 3 - unit_axis
    added = []
    for one in wanted:
        term = one.term(torch, values, one.threshold)
        if one.by_sample:
            term = (term > 0).any(along).reshape(-1, group, values.shape[unit_axis]).any(1)
            added.append(term.sum(0, dtype=real))
        else:
            added.append(term.sum((0, along), dtype=real))
    return torch.stack(added)


@lru_cache(maxsize=1024)
def _kernel(wanted: tuple[Sum, ...], dtype: torch.dtype, layout: Layout) -> Kernel | None:
    """The compiled pass, or None on a processor that kernels do not run on."""
    tape = Tape(64)
    z, words = tape.input("z"), KernelWords(tape)
    sums = tuple(one.term(words, z, one.threshold) for one in wanted)
    storage: Any = _STORED[dtype]
    try:
        return Kernel(Loop("sums", storage, tape, ("z",), (), sums=sums, layout=layout))
    except KernelError:
        return None


def nonfinite(m: Any, z: Any, threshold: float = 0.0) -> Any:
    """1 for NaN and the infinities."""
    return m.where(abs(z) < math.inf, 0.0, 1.0)


def unmasked(m: Any, z: Any, threshold: float = 0.0) -> Any:
    """1 for NaN and plus infinity: minus infinity is how softmax is told what to leave out."""
    return m.where(z < math.inf, 0.0, 1.0)


def missing(m: Any, z: Any, threshold: float = 0.0) -> Any:
    """1 for NaN."""
    return m.where(z == z, 0.0, 1.0)


def above(m: Any, z: Any, threshold: float) -> Any:
    """1 above the threshold."""
    return m.where(z > threshold, 1.0, 0.0)


def reached(m: Any, z: Any, threshold: float) -> Any:
    """1 from the threshold on."""
    return m.where(z >= threshold, 1.0, 0.0)


def equal(m: Any, z: Any, threshold: float) -> Any:
    """1 exactly at the threshold."""
    return m.where(z == threshold, 1.0, 0.0)


def finite(m: Any, z: Any, threshold: float = 0.0) -> Any:
    """The value itself, if it is finite."""
    return m.where(abs(z) < math.inf, z, 0.0)


def square(m: Any, z: Any, threshold: float = 0.0) -> Any:
    """Its square."""
    return m.where(abs(z) < math.inf, z * z, 0.0)


def size(m: Any, z: Any, threshold: float = 0.0) -> Any:
    """Its absolute value."""
    return m.where(abs(z) < math.inf, abs(z), 0.0)
