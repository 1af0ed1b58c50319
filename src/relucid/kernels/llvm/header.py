"""The 8-byte words that a compiled function is given before the addresses."""

from __future__ import annotations

from enum import IntEnum


class Header(IntEnum):
    """Which word is what."""

    length = 0
    """Elements in each array."""
    row = 1
    """Elements in a row."""
    channels = 2
    """After so many rows the parameters start again."""
    stream = 3
    """1 to store past the caches: outputs are then aligned to :data:`ALIGNED`."""
    thread = 4
    """Address of ``omp_get_thread_num``."""
    threads = 5
    """Address of ``omp_get_num_threads``."""
    block = 6
    """Rows that are summed together, in layout ``columns``."""


HEADER = len(Header)

ALIGNED = 64
"""Bytes on a multiple of which outputs begin that are stored past the caches; PyTorch's do."""
