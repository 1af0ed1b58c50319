"""The textbook definitions in arbitrary precision, by case: see ``relucid.verify.textbook``."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from relucid.verify import textbook
from relucid.verify.textbook import PRECISION, TRUTHS
from support.cases import Case

__all__ = ["PRECISION", "TRUTHS", "exact"]


def exact(case: Case, which: str, points: Any) -> tuple[NDArray[Any], NDArray[Any]]:
    """``which`` ("value" or "derivative") at each point, as two float64 whose sum is the truth."""
    return textbook.exact(case.activation, which, points)
