"""Columns of a table as numbers that a network takes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from relucid.compare.tasks.reading.cells import are_numbers, missing, numbers

CATEGORIES = 31
"""Most frequent words of a column that have an input each; all others share one."""

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Encoded:
    """Inputs, float32 (rows, inputs), and the columns that tell nothing, with the reason."""

    inputs: NDArray[np.float32]
    left_out: Mapping[str, str]


def encode(columns: Mapping[str, Sequence[str]], places: Sequence[int]) -> Encoded:
    """Turn columns into inputs.

    Numbers are standardised; a missing one is the mean, and an input of its own says that it is
    missing. Words have an input each, 0 or 1, and so has that they are missing. A column that
    counts the rows (``places``), holds one value, or never the same word twice, is left out.
    """
    inputs: list[Numbers] = []
    left_out: dict[str, str] = {}
    for name, cells in columns.items():
        values = numbers(cells)
        counts = are_numbers(cells, values)
        reason = _useless_numbers(values, places) if counts else _useless_words(cells)
        if reason:
            left_out[name] = reason
        else:
            inputs += _of_numbers(values) if counts else _of_words(cells)
    rows = len(places)
    joined = np.stack(inputs, axis=1) if inputs else np.empty((rows, 0))
    return Encoded(joined.astype(np.float32), left_out)


def standardised(values: Numbers) -> Numbers:
    """Return finite values with mean 0 and variance 1; of equal ones zeros."""
    largest = float(np.abs(values).max())
    scaled = values / largest if largest > 0.0 else values  # the square of 1e200 is infinite
    spread = float(scaled.std())
    return (scaled - scaled.mean()) / spread if spread > 0.0 else np.zeros_like(values)


def _useless_numbers(values: Numbers, places: Sequence[int]) -> str:
    present = values[np.isfinite(values)]
    if len(present) == len(values):
        if present.min() == present.max():
            return "it holds one value"
        with np.errstate(over="ignore"):
            ahead = present - np.asarray(places)
        if np.all(ahead == ahead[0]):
            return "it counts the rows"
    return ""


def _useless_words(cells: Sequence[str]) -> str:
    counts = Counter(map(_word, cells))
    if len(counts) == 1:
        return "it holds one value"
    return "no value occurs twice" if len(counts) == len(cells) else ""


def _of_numbers(values: Numbers) -> list[Numbers]:
    unknown = np.isnan(values)
    scaled = np.zeros_like(values)
    scaled[~unknown] = standardised(values[~unknown])
    return [scaled, unknown.astype(np.float64)] if unknown.any() else [scaled]


def _of_words(cells: Sequence[str]) -> list[Numbers]:
    words = [_word(cell) for cell in cells]
    counts = Counter(words)
    repeated = (word for word in counts if counts[word] > 1)
    frequent = sorted(repeated, key=lambda word: (-counts[word], word))[:CATEGORIES]
    number = {word: place for place, word in enumerate(frequent)}
    chosen = np.array([number.get(word, len(frequent)) for word in words])
    return [(chosen == place).astype(np.float64) for place in np.unique(chosen)]


def _word(cell: str) -> str:
    return "" if missing(cell) else cell
