"""What a packing did, as plain facts."""

from __future__ import annotations

from dataclasses import dataclass

PACKED = ("bit mask and values", "bit mask", "narrower integers", "recomputed")
"""The ways of keeping that are packed; all others leave the tensor as it is."""

WAITING = "waiting"
"""How memory is kept until it is let go: as it is."""


@dataclass(frozen=True)
class Kept:
    """What was kept in one way, or left for one reason, added up over all steps."""

    how: str
    memories: int
    """Storages; a parameter or small tensor counts as often as it was saved."""
    before: int
    """Bytes as PyTorch keeps them."""
    after: int
    """Bytes as they were kept."""

    @property
    def packed(self) -> bool:
        """Whether this was packed."""
        return self.how in PACKED


@dataclass(frozen=True)
class PackingRecord:
    """What was packed, what was left and why, and the bytes that it took."""

    kept: tuple[Kept, ...]
    saved: int
    """Tensors that autograd saved; several may share a storage."""
    now_before: int
    """Bytes of activations that graphs keep at present, if nothing were packed."""
    now_after: int
    """The same as they are kept."""
    peak_before: int
    """The most that ``now_before`` ever was."""
    peak_after: int

    @property
    def packed(self) -> tuple[Kept, ...]:
        """The ways of packing."""
        return tuple(kept for kept in self.kept if kept.packed)

    @property
    def left(self) -> tuple[Kept, ...]:
        """What was left as it is, and why."""
        return tuple(kept for kept in self.kept if not kept.packed)

    @property
    def ratio(self) -> float:
        """How many times smaller the greatest amount of saved activations is."""
        return self.peak_before / self.peak_after if self.peak_after else 1.0
