"""Calling compiled loops along an axis on memory addresses."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Sequence
from typing import NamedTuple

from relucid.kernels.llvm.compile import compiled, machine
from relucid.kernels.llvm.run import GRAIN, team
from relucid.kernels.llvm.vector_header import Header
from relucid.kernels.vector import VectorLoop, describe

WIDE = 4
"""Registers of neighbouring vectors that are computed together in layout ``columns``.

Their operations do not wait for each other, and memory is read in longer pieces: softmax over 3
channels of 64x64 took 480 us with 4, 520 with 2 and 800 with 1; over dimension 1 of 64x64x64 it
took 78, 82 and 91.
"""

SHORT = (1, 2, 4)
"""Registers into which a vector of layout ``rows`` may fit as a whole."""


class Geometry(NamedTuple):
    """How vectors lie in memory: ``outer`` blocks of ``inner`` vectors side by side."""

    outer: int
    length: int
    inner: int


class VectorKernel:
    """A compiled loop along an axis.

    ``kernel(geometry, addresses, strides, threads)`` runs it on the memory at ``addresses``:
    those of its arrays, given totals, output and taken totals. ``strides`` are, for each array
    and for the output, the elements from block to block and from element to element of a vector.
    ``registers`` is what :func:`registers_for` says of the geometry.
    """

    def __init__(self, loop: VectorLoop, registers: int) -> None:
        self.loop, self._registers = loop, registers
        self._columns = loop.layout == "columns"
        self._partial = machine().lanes(loop.tape.bits)
        self._lanes = self._partial * registers
        description = f"{describe(loop)}\n{registers} of {self._partial}"
        whole, self._share = compiled(description, self._text)
        self._whole = ctypes.CFUNCTYPE(None, ctypes.c_char_p)(whole)
        streams = len(loop.arrays) + 1
        count = len(Header) + 3 * streams + len(loop.given) + len(loop.taken)
        self._pack = struct.Struct(f"{count}q").pack

    def __call__(
        self, geometry: Geometry, addresses: Sequence[int], strides: Sequence[int], threads: int = 1
    ) -> None:
        """Run on one thread, or on several where each has enough to do."""
        outer, length, inner = geometry
        blocks = -(-inner // self._lanes) if self._columns else 1
        units = outer * blocks
        if threads > 1 and (size := outer * length * inner) >= 2 * GRAIN and units > 1:
            workers = team()
            if workers is not None:
                words = self._pack(
                    units, length, inner, blocks, *workers.asked, *addresses, *strides
                )
                workers.run(self._share, words, min(threads, size // GRAIN, units), 0)
                return
        self._whole(self._pack(units, length, inner, blocks, 0, 0, *addresses, *strides))

    def _text(self, key: str) -> str:
        from relucid.kernels.llvm.vector import Emitter  # only a first use compiles

        return Emitter(self.loop, self._partial, self._registers, key).emit()


def registers_for(bits: int, geometry: Geometry) -> int:
    """How many registers a kernel for arithmetic of ``bits`` bits should have side by side.

    Of neighbouring vectors as many as waste few lanes; of one vector as many as it fills, or 0
    where that are too many.
    """
    lanes = machine().lanes(bits)
    if geometry.inner == 1:
        return next((n for n in SHORT if geometry.length <= n * lanes), 0)
    padded = -(-geometry.inner // (WIDE * lanes)) * WIDE * lanes
    return WIDE if 4 * padded <= 5 * -(-geometry.inner // lanes) * lanes else 1
