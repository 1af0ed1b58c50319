"""Calling a user's formula with recording words, and saying where it cannot be compiled."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable
from typing import Any

from relucid.errors import KernelError

_HERE = os.path.dirname(__file__)


def traced(formula: Callable[..., Any], m: Any, *values: Any) -> Any:
    """Return what ``formula(m, *values)`` records.

    Raises :class:`~relucid.errors.KernelError`, which names the line, for whatever the formula
    raises: it was written for arrays and is here called with something else.
    """
    try:
        return formula(m, *values)
    except Exception as error:
        raise KernelError(f"{_place(error)}: {type(error).__name__}: {error}") from error


def _place(error: Exception) -> str:
    """The innermost line that is not relucid's own words: where the formula is at fault."""
    frames = traceback.extract_tb(error.__traceback__)[1:]
    outside = [frame for frame in frames if not frame.filename.startswith(_HERE)] or frames
    at = outside[-1] if outside else traceback.extract_tb(error.__traceback__)[-1]
    return f"{at.filename}, line {at.lineno} ({at.line})"
