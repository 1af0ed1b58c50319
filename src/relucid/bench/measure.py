"""One row: all sides of a setting timed in turn, their control, and their errors."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from relucid.bench.buffers import FROM_MEMORY
from relucid.bench.record import Row, Setting, Side
from relucid.bench.sides import Lineup, Subject
from relucid.bench.sides.lineup import COPY, RELUCID, YARDSTICKS
from relucid.bench.statistics import Spread, held, paired, spread
from relucid.bench.truth import Truth, broken, truth_of
from relucid.interleave import Clock, Effort, interleave

ATTEMPTS = 3
"""How often a row is measured until its control holds."""
_AGAIN = "relucid again"

Times = Mapping[str, NDArray[Any]]
"""Nanoseconds a call in every iteration, by subject."""
Errors = tuple[float | None, float | None]


def effort_for(setting: Setting, quick: bool) -> Effort:
    """How long a setting is measured."""
    seconds = 2.0 if setting.size >= FROM_MEMORY else 0.5
    return Effort(seconds / 4.0, least=7) if quick else Effort(seconds)


def measure(
    setting: Setting, lineup: Lineup, effort: Effort, clock: Clock = time.perf_counter_ns
) -> Row:
    """Measure one setting with the contenders of its cell."""
    subjects = lineup.subjects((setting.work, setting.policy))
    in_cache = setting.size < FROM_MEMORY
    times, attempts = _steady_times(subjects, len(lineup.inputs), effort, clock, in_cache)
    truth = truth_of(setting.function, lineup.inputs[0])
    errors = {name: _errors(name, subject, truth) for name, subject in subjects.items()}
    return Row(
        setting=setting,
        sides=tuple(_side(name, subjects[name], times, errors[name]) for name in subjects),
        control=control_of(times),
        iterations=len(times[RELUCID]),
        attempts=attempts,
        wrong=broken(truth, *errors[RELUCID]),
    )


def control_of(times: Times) -> Spread:
    """Relucid's second time over its first, paired."""
    return paired(times[_AGAIN], times[RELUCID])


def _steady_times(
    subjects: Mapping[str, Subject], sets: int, effort: Effort, clock: Clock, warm: bool
) -> tuple[Times, int]:
    """Times whose control holds, or the last ones; and how many attempts that took."""
    runs = {name: subject.run for name, subject in subjects.items()}
    runs[_AGAIN] = subjects[RELUCID].run
    for attempt in range(1, ATTEMPTS + 1):
        table = interleave(list(runs.values()), sets, effort, clock, warm=warm, seed=attempt)
        times = dict(zip(runs, table.T, strict=True))
        if held(control_of(times)):
            break
    return times, attempt


def _errors(name: str, subject: Subject, truth: Truth) -> Errors:
    if name in YARDSTICKS:
        return None, None
    value, gradients = subject.run(0)
    return (
        None if value is None else truth.value_error(value),
        None if gradients is None else truth.gradient_error(gradients),
    )


def _side(name: str, subject: Subject, times: Times, errors: Errors) -> Side:
    own = times[name]
    return Side(
        name=name,
        time=spread(own),
        speedup=paired(own, times[RELUCID]),
        copies=paired(own, times[COPY]),
        value_error=errors[0],
        gradient_error=errors[1],
        compile_seconds=subject.compile_seconds,
        note=subject.note,
    )
