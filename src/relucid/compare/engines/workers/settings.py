"""What decides a run besides the experiment, and holds for a whole process."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Settings:
    """What decides a run besides the experiment: settings that torch holds for a whole process.

    With these the same, on processors of one kind, a run has the same bits in every process.
    """

    threads: int
    """That torch computes with. Sums are split among threads, so another number rounds otherwise:
    with 2 threads and with 1, losses of two networks for the digits were within 2e-7 relative over
    40 steps. It grows as training goes on."""
    dtype: torch.dtype
    device: torch.device
    deterministic: bool
    warn_only: bool
    folder: str | None
    """The current folder, entered where there is one of this name; None leaves it as it is."""
    path: tuple[str, ...]
    """Where modules are found, besides the worker's own places."""

    @classmethod
    def here(cls, threads: int) -> Settings:
        """Return those of this process, for another number of threads."""
        folder = os.getcwd()
        return cls(
            threads=threads,
            dtype=torch.get_default_dtype(),
            device=torch.get_default_device(),
            deterministic=torch.are_deterministic_algorithms_enabled(),
            warn_only=torch.is_deterministic_algorithms_warn_only_enabled(),
            folder=folder,
            path=tuple(str(entry) or folder for entry in sys.path),
        )

    def apply(self) -> None:
        """Make them those of this process."""
        torch.set_num_threads(self.threads)
        torch.set_default_dtype(self.dtype)
        if torch.get_default_device() != self.device:  # setting it slows every call of torch down
            torch.set_default_device(self.device)
        torch.use_deterministic_algorithms(self.deterministic, warn_only=self.warn_only)
        if self.folder is not None and os.path.isdir(self.folder):
            os.chdir(self.folder)
        sys.path += [p for p in self.path if p not in sys.path and os.path.exists(p)]

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Apply them for a while, in a process that others use as well."""
        before = Settings.here(torch.get_num_threads())
        self.apply()
        try:
            yield
        finally:
            before.apply()
