"""Timing several subjects in turn, so that what disturbs one disturbs all.

Knows neither tensors nor statistics. The clock is an argument: tests pass one of their own.
"""

from __future__ import annotations

import gc
import math
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle

import numpy as np
from numpy.typing import NDArray

Clock = Callable[[], int]
"""Nanoseconds since some moment."""
Run = Callable[[int], object]
"""One call of a subject on the buffer set with the given number."""

_LEAST_SAMPLE = 100_000
"""Nanoseconds. Shorter calls are timed several at a time: reading the clock takes about 50."""
_MOST_REPEATS = 1000
_TRIALS = 4


@dataclass(frozen=True)
class Effort:
    """How long to measure: for ``seconds``, but within these numbers of iterations."""

    seconds: float
    least: int = 11
    most: int = 201


def interleave(
    runs: Sequence[Run],
    sets: int,
    effort: Effort,
    clock: Clock = time.perf_counter_ns,
    *,
    warm: bool,
    seed: int = 0,
) -> NDArray[np.float64]:
    """Nanoseconds a call: one row an iteration, one column a subject.

    In every iteration each subject is timed once, in an order drawn anew, so that none always
    follows the same other. Every call takes the next of ``sets`` buffer sets. With ``warm`` a
    call that does not count goes before, so that every subject finds its buffers in cache: the
    others pushed them out, and a slow subject, timed for one call, would pay for that alone.
    """
    draw, numbers = random.Random(seed), cycle(range(sets))
    with uncollected():
        repeats = [_repeats(run, numbers, clock) for run in runs]
        start = clock()
        rows: list[list[float]] = []
        while len(rows) < effort.most:
            if len(rows) >= effort.least and clock() - start > effort.seconds * 1e9:
                break
            row = [0.0] * len(runs)
            for which in draw.sample(range(len(runs)), len(runs)):
                if warm:
                    runs[which](next(numbers))
                row[which] = _timed(runs[which], repeats[which], numbers, clock)
            rows.append(row)
    return np.array(rows)


def _repeats(run: Run, numbers: Iterator[int], clock: Clock) -> int:
    """How many calls make one sample, by the fastest of a few."""
    took = min(_timed(run, 1, numbers, clock) for _ in range(_TRIALS))
    return min(max(math.ceil(_LEAST_SAMPLE / max(took, 1.0)), 1), _MOST_REPEATS)


def _timed(run: Run, repeats: int, numbers: Iterator[int], clock: Clock) -> float:
    chosen = [next(numbers) for _ in range(repeats)]
    begin = clock()
    for number in chosen:
        run(number)
    return (clock() - begin) / repeats


@contextmanager
def uncollected() -> Iterator[None]:
    """Without the garbage collector, whose pauses would fall on some subject at random."""
    was_enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
