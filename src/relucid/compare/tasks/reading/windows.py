"""A text as windows of characters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from relucid.compare.tasks.reading.streams import check_text, opened_text

LENGTH = 32
"""Characters that a model sees of a window; as many follow, each one later."""
VOCABULARY = 128
"""Different characters at most; all rarer ones are 0."""


def windows(path: Path) -> Iterator[str]:
    """Yield the text in pieces that do not overlap, without an incomplete last one."""
    with opened_text(path) as text:
        start = 0
        while len(window := text.read(LENGTH + 1)) == LENGTH + 1:
            check_text(window, path, f"the text behind character {start}")
            yield window
            start += len(window)


def characters(texts: Sequence[str]) -> tuple[NDArray[np.int64], int]:
    """Number the characters of texts of one length: int64 (texts, length), and how many differ."""
    counts = Counter[str]()
    for text in texts:
        counts.update(text)
    frequent = sorted(counts, key=lambda c: (-counts[c], c))[: VOCABULARY - 1]
    number = {character: place for place, character in enumerate(frequent, start=1)}
    rows = [[number.get(character, 0) for character in text] for text in texts]
    return np.array(rows, np.int64), len(number)
