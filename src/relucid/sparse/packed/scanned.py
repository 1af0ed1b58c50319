"""What one look at all numbers of a tensor tells."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Scanned(NamedTuple):
    """Where the nonzero ones are among integers, and what they have in common."""

    nonzero: int
    """How many are not zero."""
    only: int | None
    """The value that all nonzero ones have, where they have one; read without a sign."""
    most: int
    """None is larger than this; read without a sign."""
    mask: Tensor
    """One bit each, the first in the lowest bit."""
    starts: Tensor | None
    """Of each block, how many nonzero ones come before it; None where no block asks."""

    @property
    def nbytes(self) -> int:
        """Memory of the mask and what belongs to it."""
        return self.mask.nbytes + (0 if self.starts is None else self.starts.nbytes)
