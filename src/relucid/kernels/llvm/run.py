"""Calling compiled loops on memory addresses, on one thread or on OpenMP's."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from relucid.kernels.contract import BLOCK, ROW, Loop
from relucid.kernels.llvm.compile import loaded
from relucid.kernels.llvm.header import ALIGNED, HEADER

GRAIN = 32768
"""Elements below which another thread costs more than it saves; PyTorch's own figure."""

STREAM = 1 << 22
"""Elements from which results are stored past the caches, which would not hold them anyway."""

_CALL = ctypes.CFUNCTYPE(None, ctypes.c_char_p)


class Kernel:
    """A compiled loop.

    ``kernel(addresses, length)`` runs it on the memory at ``addresses``, which are those of its
    arrays, masks, parameters, outputs, mask outputs, sums and flags, in this order. The caller
    keeps the memory alive, and guarantees that it is as long as it says.
    """

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        whole, self._share = loaded(loop)
        self._whole = _CALL(whole)
        self._strided = len(loop.arrays) + len(loop.outputs)
        words = HEADER + sum(map(len, loop.addresses)) + self._strided
        self._pack = struct.Struct(f"{words}q").pack
        self._rows = (ROW,) * self._strided
        before = len(loop.arrays) + len(loop.masks) + len(loop.parameters)
        self._outputs = slice(before, before + len(loop.outputs))

    def __call__(self, addresses: Sequence[int], length: int, threads: int = 1) -> None:
        """Run on ``length`` elements without gaps."""
        if length < 2 * GRAIN:  # written out, since on few elements every call counts
            self._whole(self._pack(length, ROW, 1, 0, 0, 0, BLOCK, *addresses, *self._rows))
            return
        stream = length >= STREAM and not any(a % ALIGNED for a in addresses[self._outputs])
        self._run(length, (ROW, 1, stream), threads, addresses, self._rows)

    def in_rows(
        self,
        addresses: Sequence[int],
        length: int,
        row: int,
        channels: int = 1,
        strides: Sequence[int] | None = None,
        threads: int = 1,
        block: int = BLOCK,
    ) -> None:
        """Run on rows of ``row`` elements.

        ``strides`` are the elements from one row to the next, for each array and output; None for
        rows without gaps. After ``channels`` rows the parameters start again. In layout
        ``columns`` every ``block`` rows are summed together.
        """
        steps = (row,) * self._strided if strides is None else strides
        self._run(length, (row, channels, 0), threads, addresses, steps, block)

    def _run(
        self,
        length: int,
        rows: tuple[int, int, int],
        threads: int,
        addresses: Sequence[int],
        strides: Sequence[int],
        block: int = BLOCK,
    ) -> None:
        """Run; ``rows`` are the words of :class:`Header` from ``row`` to ``stream``."""
        if not length:
            return  # nor is there a row length to divide by
        if threads > 1 and length >= 2 * GRAIN and (workers := team()) is not None:
            words = self._pack(length, *rows, *workers.asked, block, *addresses, *strides)
            workers.run(self._share, words, min(threads, length // GRAIN), 0)
        else:
            self._whole(self._pack(length, *rows, 0, 0, block, *addresses, *strides))


class _Team:
    """The OpenMP runtime that PyTorch loaded: its threads are used, so none are added."""

    def __init__(self, runtime: ctypes.CDLL) -> None:
        self.run: Any = runtime.GOMP_parallel
        self.run.argtypes = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_uint, ctypes.c_uint)
        self.run.restype = None
        self.asked: Sequence[int] = [
            ctypes.cast(getattr(runtime, name), ctypes.c_void_p).value or 0
            for name in ("omp_get_thread_num", "omp_get_num_threads")
        ]


@lru_cache(maxsize=1)
def team() -> _Team | None:
    """The process's OpenMP, or None where it has none: then kernels run on one thread."""
    runtime = ctypes.CDLL(None)
    return _Team(runtime) if hasattr(runtime, "GOMP_parallel") else None
