"""The 8-byte words that a compiled function along an axis is given before the addresses."""

from __future__ import annotations

from enum import IntEnum


class Header(IntEnum):
    """Which word is what."""

    units = 0
    """Units of work."""
    length = 1
    """Elements of a vector, at least 1."""
    inner = 2
    """Vectors that lie side by side, in layout ``columns``."""
    blocks = 3
    """Units that these make."""
    thread = 4
    """Address of ``omp_get_thread_num``."""
    threads = 5
    """Address of ``omp_get_num_threads``."""
