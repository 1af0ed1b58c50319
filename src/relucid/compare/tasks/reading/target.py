"""The column of a table that is told from the others: a class or a number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from relucid.compare.tasks.reading.cells import are_numbers, missing, numbers
from relucid.compare.tasks.reading.encode import standardised
from relucid.compare.tasks.reading.limits import check_enough, numbered, plain
from relucid.errors import DataError

Predict = Literal["class", "number"]

MOST_CLASSES = 20
"""Different whole numbers that may be classes."""
OF_A_CLASS = 5
"""Rows of a class, on average, below which numbers are no classes."""


@dataclass(frozen=True)
class Target:
    """What is to be told."""

    known: NDArray[np.bool_]
    """The rows in which there is one."""
    values: Tensor
    """Of these rows: classes as int64 (rows,), or standardised numbers as float32 (rows, 1)."""
    outputs: int
    """Classes, or 1."""
    is_number: bool

    @property
    def described(self) -> str:
        """Say what it is."""
        unknown = int((~self.known).sum())
        kind = "number" if self.is_number else f"{self.outputs} classes"
        return f"{kind}, {unknown} rows without it left out" if unknown else kind


def read_target(cells: Sequence[str], predict: Predict | None, where: str) -> Target:
    """Read the target, deciding by :func:`kind_of` what it is.

    Raises :class:`~relucid.errors.DataError` where there is nothing to learn.
    """
    found = numbers(cells)
    if are_numbers(cells, found):
        known = np.isfinite(found)
        check_enough(int(known.sum()), where, "rows with a target")
        if (predict or kind_of(found[known])) == "number":
            return Target(known, _standardised(found[known], where), 1, True)
        return Target(known, *numbered(found[known], where), False)
    if predict == "number":
        word = next((cell for cell in cells if not missing(cell)), "nothing")
        raise DataError(f"{where}: it holds {plain(word)!r}, and is no number; choose another")
    known = np.array([not missing(cell) for cell in cells])
    check_enough(int(known.sum()), where, "rows with a target")
    return Target(known, *numbered(np.array(cells)[known], where), False)


def kind_of(values: NDArray[Any]) -> Predict:
    """Decide what numbers are: a class where they are whole, few and each of them is frequent."""
    different = np.unique(values)
    whole = bool(np.all(different == np.floor(different)))
    few = len(different) <= min(MOST_CLASSES, len(values) / OF_A_CLASS)
    return "class" if whole and few else "number"


def _standardised(values: NDArray[np.float64], where: str) -> Tensor:
    if values.min() == values.max():
        raise DataError(f"{where}: it is {values[0]:g} in all rows; there is nothing to learn")
    return torch.from_numpy(standardised(values).astype(np.float32))[:, None]
