"""An even draw from a stream of unknown length."""

from __future__ import annotations

import random
from collections.abc import Iterable
from operator import itemgetter
from typing import TypeVar

from relucid.errors import ParameterError

T = TypeVar("T")


def drawn(items: Iterable[T], most: int) -> tuple[list[T], int]:
    """Keep so many items, each equally probable, in their order; say how many there were.

    The draw is the same for every stream of one length. Source: algorithm R, Vitter 1985,
    doi:10.1145/3147.3165.
    """
    if most < 1:
        raise ParameterError(f"samples must be a number from 1, not {most}")
    generator = random.Random(0)
    kept: list[tuple[int, T]] = []
    total = 0
    for total, item in enumerate(items, start=1):
        if total <= most:
            kept.append((total, item))
        elif (place := generator.randrange(total)) < most:
            kept[place] = (total, item)
    return [item for _, item in sorted(kept, key=itemgetter(0))], total
