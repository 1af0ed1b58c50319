"""The files of a folder that may hold data."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

_SHOWN = 6
_ABOUT = re.compile(r"(readme|licen[cs]e|copying|notice|changelog)\b", re.IGNORECASE)
"""Files about the data."""


def files_at(path: Path) -> list[Path]:
    """Return the file, or the files of the folder that are neither hidden nor about the others."""
    if path.is_dir():
        files = sorted(path.iterdir())
        return [f for f in files if f.is_file() and f.name[0] != "." and not _ABOUT.match(f.name)]
    return [path] if path.is_file() else []


def listed(files: Sequence[Path]) -> str:
    """Return the names of some files, quoted."""
    names = [repr(file.name + "/" if file.is_dir() else file.name) for file in files[:_SHOWN]]
    more = len(files) - _SHOWN
    return ", ".join(names) + (f" and {more} more" if more > 0 else "")
