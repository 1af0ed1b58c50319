"""What the loops that pack, and those who call them, agree on."""

from __future__ import annotations

from enum import IntEnum
from typing import Literal

Operation = Literal["scan", "gather", "scatter", "fill"]

GROUP = 64
"""Numbers whose bits are one word of the mask."""

BLOCK = 4096
"""Numbers of a block; 8 bytes of memory each say where its values begin, 0.05% in float32."""


class Header(IntEnum):
    """The 8-byte words that a compiled function is given before its addresses."""

    length = 0
    """Numbers in the source or target."""
    thread = 1
    """Address of ``omp_get_thread_num``."""
    threads = 2
    """Address of ``omp_get_num_threads``."""
