"""Lines of words as numbers."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

BUCKETS = 8192
"""Numbers that words are hashed to (Weinberger et al. 2009, arXiv:0902.2206); 0 is no word."""
LENGTH = 64
"""Words of a line that count."""
CHARACTERS = 4096
"""Characters of a line that are looked at."""
_WORD = re.compile(r"\w+(?:'\w+)*|[^\w\s]")


def has_words(line: str) -> bool:
    """Tell whether there is anything but white space in what is looked at."""
    return bool(line[:CHARACTERS].strip())


def hashed(lines: Sequence[str]) -> NDArray[np.int64]:
    """Return the words of lines in lower case, int64 (lines, longest), 0 behind the last.

    The same word has the same number in every process and version.
    """
    words = [_WORD.findall(line[:CHARACTERS].lower())[:LENGTH] for line in lines]
    numbers = np.zeros((len(lines), max(map(len, words))), np.int64)
    for row, line in zip(numbers, words, strict=True):
        row[: len(line)] = [zlib.crc32(word.encode()) % (BUCKETS - 1) + 1 for word in line]
    return numbers
