"""Running sums that stay on the device until they are read."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from relucid.probes.rows import wide


class Totals:
    """Named sums in int64 or float64, kept where the first summand was.

    They are never changed in place: a pass under ``torch.inference_mode`` makes tensors that
    may not be.
    """

    def __init__(self) -> None:
        self._held: dict[str, Tensor] = {}

    def add_rows(self, name: str, rows: Tensor) -> None:
        """Add counts of shape (samples, units), which may be written as reals."""
        self._add(name, rows.to(wide(rows)).sum(0).long())

    def add(self, name: str, amount: Tensor) -> None:
        """Add a tensor of counts (any integer type) or of reals."""
        self._add(name, amount.to(wide(amount)))

    def counts(self, name: str, size: int) -> NDArray[np.int64]:
        """Read int64 counts; zeros where nothing was added."""
        held = self._held.get(name)
        return np.zeros(size, np.int64) if held is None else held.reshape(-1).cpu().numpy()

    def reals(self, name: str, size: int) -> NDArray[np.float64]:
        """Read float64 sums; zeros where nothing was added."""
        held = self._held.get(name)
        if held is None:
            return np.zeros(size)
        return held.reshape(-1).cpu().double().numpy()

    def count(self, name: str) -> int:
        """Read one count."""
        return int(self.counts(name, 1)[0])

    def _add(self, name: str, amount: Tensor) -> None:
        held = self._held.get(name)
        self._held[name] = amount if held is None else held + amount.to(held.device)
