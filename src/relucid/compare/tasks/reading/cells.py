"""Cells of a table: what is missing, what is a number."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

MISSING = frozenset({"", "?", "na", "n/a", "#n/a", "<na>", "nan", "null", "none"})
"""What stands for a value that is not known, in lower case."""
LEAST_NUMBERS = 0.9
"""Part of a column's values that must be numbers, for it to be a column of numbers."""


def missing(cell: str) -> bool:
    """Tell whether a cell holds no value."""
    return cell.strip().lower() in MISSING


def number(cell: str) -> float:
    """Return the number that a cell holds; NaN where it is none, or not finite."""
    try:
        value = float(cell)
    except ValueError:
        return math.nan
    # Python takes 1_000 for a number, which no table writes.
    return value if math.isfinite(value) and "_" not in cell else math.nan


def is_number(cell: str) -> bool:
    """Tell whether a cell holds a finite number."""
    return not math.isnan(number(cell))


def numbers(cells: Sequence[str]) -> NDArray[np.float64]:
    """Return the numbers of a column, NaN where there is none."""
    return np.fromiter(map(number, cells), np.float64, len(cells))


def are_numbers(cells: Sequence[str], values: NDArray[np.float64]) -> bool:
    """Tell whether a column is one of numbers: at least 9 in 10 of what is not missing are."""
    present = len(cells) - sum(map(missing, cells))
    found = int(np.isfinite(values).sum())
    return found > 0 and found >= LEAST_NUMBERS * present
