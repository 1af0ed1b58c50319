"""What data must have at the least, and may have at the most."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from relucid.compare.samples import SMALLEST
from relucid.errors import DataError

LEAST = 10
"""Samples below which no classes and scales are told from them; a comparison takes more."""
CLASSES = 1000


def plain(name: object) -> str:
    """Return a name from the data as it may be shown: without control characters."""
    return "".join(c if c.isprintable() else "?" for c in str(name))


def check_enough(count: int, where: str | Path, unit: str) -> None:
    """Raise :class:`~relucid.errors.DataError` where there are too few samples for a split."""
    if count < LEAST:
        raise DataError(
            f"{plain(where)}: {count} {unit} are too few to train on some and measure on others; "
            f"give at least {SMALLEST}"
        )


def numbered(values: NDArray[np.generic], where: str | Path) -> tuple[Tensor, int]:
    """Number the classes in their order: int64 of the same length, and how many there are.

    Raises :class:`~relucid.errors.DataError` for one class, or more than a classifier is for.
    """
    names, numbers = np.unique(values, return_inverse=True)
    if len(names) == 1:
        raise DataError(
            f"{plain(where)}: all {len(values)} samples are of one class, {plain(names[0])!r}; "
            "there is nothing to tell apart"
        )
    if len(names) > CLASSES:
        raise DataError(
            f"{plain(where)}: {len(names)} different values are no classes (at most {CLASSES}); "
            "choose another target"
        )
    return torch.from_numpy(numbers.astype(np.int64).reshape(-1)), len(names)
