"""The account of a packing: what was done with what autograd saved, and what it took."""

from __future__ import annotations

import threading
import weakref
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import Parameter

from relucid.sparse.packed.record import WAITING, Kept, PackingRecord

if TYPE_CHECKING:
    from relucid.sparse.packed.stored import Stored

HELD = "held elsewhere"


class Book:
    """Counts what is kept, and how. Used under its ``lock``, since backward has threads."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._kept: dict[str, Kept] = {}
        self._saved = 0
        self._before = self._after = self._peak_before = self._peak_after = 0
        self._at_hand: weakref.ref[Stored] | None = None

    def left(self, why: str, tensor: Tensor) -> None:
        """A tensor that was not looked at any further; what others' kinds take is not known."""
        plain = type(tensor) in (Tensor, Parameter) and tensor.layout is torch.strided
        size = tensor.nbytes if plain else 0
        self._saved += 1
        self._add(why, 1, size, size)

    def saved(self) -> None:
        """A tensor on memory that is, or may be, packed."""
        self._saved += 1

    def opened(self, stored: Stored) -> None:
        """Memory that is kept from now on, as it is."""
        self._add(stored.how, 1, stored.before, stored.after)
        self._hold(stored.before, stored.after)

    def moved(self, stored: Stored, how: str, after: int) -> None:
        """From now on the memory is kept in another way."""
        with self.lock:
            self._add(stored.how, -1, -stored.before, -stored.after)
            self._hold(0, after - stored.after)
            stored.how, stored.after = how, after
            self._add(how, 1, stored.before, after)

    def closed(self, stored: Stored) -> None:
        """Nothing of the memory is kept any more."""
        with self.lock:
            if stored.how == WAITING:
                self.moved(stored, HELD, stored.after)
            self._hold(-stored.before, -stored.after)

    def keep_at_hand(self, stored: Stored) -> None:
        """Keep its unpacked memory, and that of no other: the next to ask is its neighbour."""
        last = None if self._at_hand is None else self._at_hand()
        if last is not None and last is not stored:
            last.forget()
        self._at_hand = weakref.ref(stored)

    def record(self) -> PackingRecord:
        """What was counted up to now."""
        with self.lock:
            kept = tuple(k for k in self._kept.values() if k.memories)
            peaks = self._peak_before, self._peak_after
            return PackingRecord(kept, self._saved, self._before, self._after, *peaks)

    def _add(self, how: str, memories: int, before: int, after: int) -> None:
        old = self._kept.get(how, Kept(how, 0, 0, 0))
        self._kept[how] = replace(
            old,
            memories=old.memories + memories,
            before=old.before + before,
            after=old.after + after,
        )

    def _hold(self, before: int, after: int) -> None:
        self._before += before
        self._after += after
        self._peak_before = max(self._peak_before, self._before)
        self._peak_after = max(self._peak_after, self._after)
