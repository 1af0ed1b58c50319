"""PyTorch's fused encoder layer, in which nothing can be seen."""

from __future__ import annotations

import threading

import torch


class FastPath:
    """PyTorch's switch of the fused encoder layer, off while any pass is sampled."""

    def __init__(self) -> None:
        self._lock, self._passes, self._was = threading.Lock(), 0, True

    def forbid(self) -> None:
        """Switch it off for one more pass."""
        with self._lock:
            if not self._passes:
                self._was = torch.backends.mha.get_fastpath_enabled()
            self._passes += 1
            torch.backends.mha.set_fastpath_enabled(False)

    def allow(self) -> None:
        """Switch it back, if no other pass still needs it off."""
        with self._lock:
            self._passes -= 1
            if not self._passes:
                torch.backends.mha.set_fastpath_enabled(self._was)


fast_path = FastPath()
