"""Calling the loops that pack on memory addresses."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Sequence
from functools import cache

from relucid.kernels.llvm.compile import compiled, machine
from relucid.kernels.llvm.packing_header import BLOCK, Header, Operation
from relucid.kernels.llvm.run import GRAIN, team

_ADDRESSES = {"scan": 5, "gather": 4, "scatter": 4, "fill": 3}


class PackingKernel:
    """A compiled operation on numbers of 8, 16, 32 or 64 bits; see :mod:`.packing`.

    ``kernel(length, addresses, threads)`` runs it on ``length`` numbers. The caller keeps the
    memory alive, and guarantees that it is as long as it says.
    """

    def __init__(self, operation: Operation, bits: int) -> None:
        self._operation, self._bits = operation, bits
        description = f"packing {operation} of {bits} bits, {_moves(bits)}"
        whole, self._share = compiled(description, self._text)
        self._whole = ctypes.CFUNCTYPE(None, ctypes.c_char_p)(whole)
        self._words = struct.Struct(f"{len(Header) + _ADDRESSES[operation]}q").pack

    def __call__(self, length: int, addresses: Sequence[int], threads: int = 1) -> None:
        """Run on one thread, or on several where each has enough to do."""
        workers = team() if threads > 1 and length >= 2 * GRAIN else None
        if workers is None:
            self._whole(self._words(length, 0, 0, *addresses))
            return
        words = self._words(length, *workers.asked, *addresses)
        workers.run(self._share, words, min(threads, length // GRAIN, -(-length // BLOCK)), 0)

    def _text(self, key: str) -> str:
        from relucid.kernels.llvm.packing import Emitter  # only a first use compiles

        lanes = machine().lanes(self._bits)
        return Emitter(self._operation, self._bits, lanes, _moves(self._bits), key).emit()


@cache
def kernel(operation: Operation, bits: int) -> PackingKernel:
    """The operation on numbers of that size, compiled when first asked for."""
    return PackingKernel(operation, bits)


def _moves(bits: int) -> bool:
    """Whether lanes can be moved together and apart by one instruction."""
    here = machine()
    return here.vector_bits == 512 and (bits >= 32 or "+avx512vbmi2" in here.features.split(","))
