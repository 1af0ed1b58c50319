"""Where in the user's code a call was made."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from types import FrameType

import torch

_OURS = os.path.dirname(os.path.abspath(__file__)) + os.sep
_SKIPPED = (_OURS, os.path.dirname(os.path.abspath(torch.__file__)) + os.sep, contextlib.__file__)


def users_frame(frame: FrameType | None = None) -> FrameType | None:
    """Return the innermost frame that belongs neither to PyTorch nor to this probe."""
    current = frame or sys._getframe(1)
    while current is not None and current.f_code.co_filename.startswith(_SKIPPED):
        current = current.f_back  # type: ignore[assignment]
    return current


def users_line() -> str | None:
    """Return ``file.py:line`` of the innermost line of the user's code.

    The path is relative to the working directory or, for an installed package, to the folder
    that the package is installed in.
    """
    frame = users_frame(sys._getframe(1))
    return None if frame is None else f"{_short(frame.f_code.co_filename)}:{frame.f_lineno}"


def _short(filename: str) -> str:
    path = Path(filename)
    for root in (Path.cwd(), *map(Path, filter(None, sys.path))):
        with contextlib.suppress(ValueError):
            return path.relative_to(root).as_posix()
    return path.name
