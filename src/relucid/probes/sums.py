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
from relucid.kernels.llvm.run import GRAIN, Kernel
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
    if values.is_cpu and values.numel():
        by_kernel = reading(wanted, values.dtype, values.shape, unit_axis, group)
        if by_kernel is not None:
            values = values.contiguous()  # held, until it has been read
            return by_kernel(values.data_ptr())
    return _plainly(values, unit_axis, group, wanted)


def as_array(added: Added) -> NDArray[np.float64]:
    """Read sums from their device."""
    return added.cpu().double().numpy() if isinstance(added, Tensor) else added


class Reading:
    """A kernel's pass over values of three axes, of one shape, without gaps in memory."""

    def __init__(
        self, kernel: Kernel, wanted: tuple[Sum, ...], shape: torch.Size, unit_axis: int, group: int
    ) -> None:
        self._kernel, self._length = kernel, shape.numel()
        self._units, positions = shape[unit_axis], shape[3 - unit_axis]
        self.elements = shape[0] * positions
        """Values of each unit."""
        self._row = positions if unit_axis == 1 else self._units
        rows = self._length // self._row
        single = positions * group == 1
        # Few rows of one value each are one block: there is nothing to be shared among threads.
        alone = rows if self._length < 2 * GRAIN else BLOCK
        self._block = alone if single else positions * group
        parts = rows if unit_axis == 1 else -(-rows // self._block) * self._units
        self._form = len(wanted), parts
        self._steps = range(0, 8 * parts * len(wanted), 8 * parts)
        self._group = group if unit_axis == 1 else 1
        # of single values zeros and ones are added, which is the same
        by_sample = () if single else (n for n, one in enumerate(wanted) if one.by_sample)
        self._by_sample = tuple(by_sample)

    def __call__(self, address: int) -> NDArray[np.float64]:
        """Return the sums of the values at this address."""
        sums = np.empty(self._form)
        # not sums.ctypes, an object of Python code: 20 us where the caches are cold
        first = sums.__array_interface__["data"][0]
        given = (address, *[first + step for step in self._steps])
        self._kernel.in_rows(
            given, self._length, self._row, threads=torch.get_num_threads(), block=self._block
        )
        whole = self._form[1] == self._units
        added = sums if whole else self._over_samples(sums)
        for place in self._by_sample if whole else ():
            added[place] = sums[place] != 0.0
        return added

    def _over_samples(self, sums: NDArray[np.float64]) -> NDArray[np.float64]:
        by_part = sums.reshape(len(sums), -1, self._group, self._units)
        by_part = by_part.sum(2) if self._group > 1 else by_part[:, :, 0]
        added: NDArray[np.float64] = by_part.sum(1)
        for place in self._by_sample:
            added[place] = (by_part[place] != 0.0).sum(0)
        return added


def reading(
    wanted: tuple[Sum, ...], dtype: torch.dtype, shape: torch.Size, unit_axis: int, group: int
) -> Reading | None:
    """Return the pass over values of this shape, or None where no kernel runs on them."""
    if unit_axis == 1 and shape[2] == 1:
        shape, unit_axis = torch.Size((shape[0], 1, shape[1])), 2
    kernel = _kernel(wanted, dtype, "rows" if unit_axis == 1 else "columns")
    return None if kernel is None else Reading(kernel, wanted, shape, unit_axis, group)


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
    """The compiled pass, or None on a processor or a dtype that kernels do not run on."""
    if dtype not in _STORED:
        return None
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
