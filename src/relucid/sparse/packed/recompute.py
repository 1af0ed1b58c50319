"""Memory that is computed anew when backward asks for it, from other memory that the graph keeps.

``down(F.gelu(u))`` saves u for the derivative of GELU, and GELU(u) for the weights of ``down``.
The second is what the same operator makes of the first, bit by bit, which is tried when it is let
go. The last bits depend on how many threads share the work (the end of each one's part is not
computed in vectors) and on oneDNN, so these settings are kept, too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

if TYPE_CHECKING:
    from relucid.sparse.packed.stored import Share


class Recipe:
    """How memory comes from a tensor that was saved: a form of it, once that was tried."""

    how = "recomputed"

    def __init__(self, source: Share, *ways: Callable[[Tensor], Tensor], nbytes: int = 0) -> None:
        self.source, self._ways, self.nbytes = source, ways, nbytes

    @property
    def waits(self) -> bool:
        """Whether the source may still be changed in place, which this must not suffer from."""
        assert self.source.stored is not None
        return not self.source.stored.settled

    def gives(self, numbers: Tensor) -> bool:
        """Whether these integers are what comes out; if so, they will come out of ``unpack``."""
        if self.waits or self.source.changed:
            return False
        self._settings, self._dtype = _Settings.now(), numbers.dtype
        gives = any(self._gives_by(way, numbers) for way in self._ways)
        assert self.source.stored is not None
        self.source.stored.forget()
        return gives

    def _gives_by(self, way: Callable[[Tensor], Tensor], numbers: Tensor) -> bool:
        self._again = way
        return _equal(self.unpack(), numbers)

    def unpack(self) -> Tensor:
        """Return the memory as integers, computed anew."""
        now = _Settings.now()
        if now != self._settings:
            self._settings.set()
        try:
            source = self.source.tensor()
            with torch.autocast(source.device.type, enabled=False):
                found = self._again(source)
        finally:
            if now != self._settings:
                now.set()
        numbers = torch.empty(0, dtype=self._dtype, device=found.device)
        return numbers.set_(found.untyped_storage())


def _equal(some: Tensor, others: Tensor) -> bool:
    """As integers of 64 bits where they come out even, which takes half the time."""
    if some.nbytes == others.nbytes and some.nbytes % 8 == 0:
        some, others = some.view(torch.int64), others.view(torch.int64)
    return torch.equal(some, others)


class _Settings(NamedTuple):
    """What the last bits of a function of PyTorch's depend on besides its arguments."""

    threads: int
    one_dnn: bool
    flushes: bool
    """Whether numbers below the least normal one are taken for zero."""

    @classmethod
    def now(cls) -> _Settings:
        return cls(torch.get_num_threads(), torch._C._get_mkldnn_enabled(), _LEAST * _ONE == 0.0)

    def set(self) -> None:
        torch.set_num_threads(self.threads)
        torch._C._set_mkldnn_enabled(self.one_dnn)
        torch.set_flush_denormal(self.flushes)


_LEAST, _ONE = 5e-324, 1.0
