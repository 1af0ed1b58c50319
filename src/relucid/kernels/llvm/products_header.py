"""The 8-byte words that the loops of sparse products are given."""

from __future__ import annotations

from enum import IntEnum, auto

BLOCK = 4
"""Rows that the products of listed rows go through side by side."""

CHUNK = 128
"""Rows that are gone through for all tokens before the next ones are: they stay in the cache."""

LIST = CHUNK + BLOCK
"""Room for the numbers of a chunk's rows, and for those written behind the end of a list."""


class _Slot(IntEnum):
    @staticmethod
    def _generate_next_value_(name: str, start: int, count: int, last: list[int]) -> int:
        return count


class ListedHeader(_Slot):
    """Of the product of some rows: ``listed.py``. Scratch memory is that of the first thread."""

    units = auto()
    """Blocks of rows."""
    thread = auto()
    """Address of ``omp_get_thread_num``."""
    threads = auto()
    """Address of ``omp_get_num_threads``."""
    tokens = auto()
    width = auto()
    """Elements of a row."""
    rows = auto()
    padded = auto()
    """Elements of a row of the shadow."""
    inputs = auto()
    weight = auto()
    bias = auto()
    """float32."""
    outputs = auto()
    rounded = auto()
    """Scratch: the inputs as int16."""
    wide = auto()
    """Scratch: the inputs as float32."""
    measures = auto()
    """Scratch: three float64 a token, their scale, norm and the norm of their rounding."""
    numbers = auto()
    """Scratch: a list of as many int32 as a chunk has rows, and one block."""
    stride = auto()
    """Bytes from the scratch memory of one thread to that of the next."""
    results = auto()
    """Two int64 a thread: 1 if nothing was computed, and how many rows were, over all tokens."""
    shadow = auto()
    facts = auto()
    """Of the shadow: four times as many float64 as it has rows."""
    gate = auto()
    """What the rows that are wanted are read off: those above ``level``."""
    level = auto()
    """float64."""
    reach = auto()
    """float64: the largest int16 that inputs are rounded to."""
    most = auto()
    """float64: the norm of inputs beyond which float32 could overflow."""


class SkippingHeader(_Slot):
    """Of the product that skips zeros: ``skipping.py``."""

    units = auto()
    """Vectors of columns."""
    thread = auto()
    """Address of ``omp_get_thread_num``."""
    threads = auto()
    """Address of ``omp_get_num_threads``."""
    tokens = auto()
    neurons = auto()
    columns = auto()
    chunk = auto()
    """Neurons that are gone through for all tokens before the next ones are."""
    limit = auto()
    """How many may be active, over all tokens."""
    inputs = auto()
    weight = auto()
    """Neuron-major."""
    bias = auto()
    """float32."""
    outputs = auto()
    sums = auto()
    """float32: the outputs before they are rounded; the outputs themselves where they are that."""
    numbers = auto()
    """Scratch of the first thread: int32, a chunk of them."""
    factors = auto()
    """Scratch of the first thread: float32, a chunk of them."""
    stride = auto()
    """Bytes from the scratch memory of one thread to that of the next."""
    results = auto()
    """One int64 a thread: how many are active, over all tokens."""
