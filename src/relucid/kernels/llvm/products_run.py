"""Calling the loops of sparse products on memory addresses."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable, Mapping
from enum import IntEnum
from functools import lru_cache
from typing import Any, Literal

from relucid.kernels.contract import Storage
from relucid.kernels.llvm.compile import compiled, machine
from relucid.kernels.llvm.products_header import ListedHeader, SkippingHeader
from relucid.kernels.llvm.run import team

Kind = Literal["certified", "selected", "skipping"]

_CALL = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
_HEADERS: dict[Kind, type[IntEnum]] = {
    "certified": ListedHeader,
    "selected": ListedHeader,
    "skipping": SkippingHeader,
}


class Product:
    """A compiled sparse product with the words that it is called with.

    ``words`` are those of its header; who changes one (an address, say) sees to it that nobody
    else runs it meanwhile. The memory at the addresses is as long as the other words say.
    """

    __slots__ = ("_share", "_start", "_team", "_threads", "_whole", "words")

    def __init__(
        self, kind: Kind, storage: Storage, units: int, threads: int,
        words: Mapping[int, int | float],
    ) -> None:  # fmt: skip
        whole, share = _addresses(kind, storage, lanes())
        self.words = (ctypes.c_int64 * len(_HEADERS[kind]))(units)
        for slot, value in words.items():
            self.words[slot] = _bits(value) if isinstance(value, float) else value
        self._start = ctypes.addressof(self.words)
        self._whole, self._share, self._threads = _CALL(whole), share, min(threads, units)
        self._team = team() if self._threads > 1 else None
        if self._team is not None:
            self.words[1], self.words[2] = self._team.asked

    def run(self) -> None:
        """Run on all units of work."""
        if self._team is None:
            self._whole(self._start)
        else:
            self._team.run(self._share, ctypes.cast(self._start, ctypes.c_char_p), self._threads, 0)


def lanes() -> int:
    """How many float32 a vector register of this processor holds."""
    return machine().lanes(32)


def _bits(value: float) -> int:
    """The float64 as the word that it is in memory."""
    bits: int = struct.unpack("q", struct.pack("d", value))[0]
    return bits


@lru_cache(maxsize=16)
def _addresses(kind: Kind, storage: Storage, lanes: int) -> tuple[int, int]:
    """Where the compiled product begins, for one thread and for a share of it."""
    description = f"{kind} product of {storage}, {lanes} lanes"
    return compiled(description, lambda key: text(kind, storage, key))


def text(kind: Kind, storage: Storage, key: str) -> str:
    """The LLVM code of a product."""
    from relucid.kernels.llvm import listed, skipping  # only a first use compiles

    writers: dict[Kind, Callable[[Storage, str], Any]] = {
        "certified": listed.Certified, "selected": listed.Selected, "skipping": skipping.Skipping,
    }  # fmt: skip
    written: str = writers[kind](storage, key).emit()
    return written
