"""The measuring loop, on a clock that only the subjects move."""

from __future__ import annotations

import gc
from collections import Counter

import numpy as np
import pytest

from bench.fakes import Clock
from relucid.bench.statistics import paired
from relucid.interleave import Effort, Run, interleave

FEW = Effort(0.0, least=30, most=30)


def taking(clock: Clock, nanoseconds: float) -> Run:
    return lambda number: clock.work(nanoseconds)


def test_a_subject_that_is_twice_as_slow_is_found_so() -> None:
    clock = Clock()
    table = interleave([taking(clock, 1e6), taking(clock, 2e6)], 1, FEW, clock, warm=False)
    assert table.shape == (30, 2)
    assert paired(table[:, 1], table[:, 0]).median == 2.0


def test_so_it_is_on_a_machine_whose_pace_drifts_fivefold() -> None:
    clock, many = Clock(pace=lambda now: 3.0 + 2.0 * np.sin(now / 1e8)), Effort(0.0, least=200)
    table = interleave([taking(clock, 1e6), taking(clock, 2e6)], 1, many, clock, warm=False)
    assert np.ptp(table[:, 0]) > 2.0 * table[:, 0].min()  # the drift is there
    assert paired(table[:, 1], table[:, 0]).median == pytest.approx(2.0, rel=0.02)


def test_short_calls_are_timed_many_at_a_time() -> None:
    """A call of 7.5 ns cannot be read off a clock that counts whole nanoseconds."""
    clock = Clock()
    table = interleave([taking(clock, 7.5), taking(clock, 15.0)], 1, FEW, clock, warm=False)
    assert table[:, 0] == pytest.approx(7.5, rel=1e-3)
    assert paired(table[:, 1], table[:, 0]).median == pytest.approx(2.0, rel=1e-3)


def test_no_subject_always_follows_the_same_other() -> None:
    clock, order = Clock(), []

    def subject(name: str) -> Run:
        def run(number: int) -> None:
            order.append(name)
            clock.work(1e6)

        return run

    interleave([subject(name) for name in "abc"], 1, FEW, clock, warm=False)
    measured = order[-90:]
    assert all(set(measured[i : i + 3]) == set("abc") for i in range(0, 90, 3))
    before_b = Counter(measured[i - 1] for i in range(1, 90) if measured[i] == "b")
    assert min(before_b["a"], before_b["c"]) >= 5


def test_buffer_sets_are_taken_in_turn() -> None:
    clock, numbers = Clock(), []

    def run(number: int) -> None:
        numbers.append(number)
        clock.work(1e6)

    interleave([run, run], 3, FEW, clock, warm=False)
    assert numbers == [i % 3 for i in range(len(numbers))]


@pytest.mark.parametrize(("seconds", "expected"), [(0.0, 5), (0.0199, 10), (10.0, 40)])
def test_it_stops_when_the_time_is_spent_within_its_bounds(seconds: float, expected: int) -> None:
    clock = Clock()
    effort = Effort(seconds, least=5, most=40)
    assert len(interleave([taking(clock, 2e6)], 1, effort, clock, warm=False)) == expected


def test_the_garbage_collector_is_off_meanwhile_and_on_again_after() -> None:
    clock, seen = Clock(), []

    def run(number: int) -> None:
        seen.append(gc.isenabled())
        clock.work(1e6)
        if len(seen) > 4:
            raise RuntimeError

    with pytest.raises(RuntimeError):
        interleave([run], 1, FEW, clock, warm=False)
    assert not any(seen)
    assert gc.isenabled()


def test_a_warm_call_goes_before_every_sample_and_is_not_timed() -> None:
    """Whoever runs first after another finds the cache cold, and takes ten times as long."""
    clock, last = Clock(), [-1]

    def cold_after_others(which: int) -> Run:
        def run(number: int) -> None:
            clock.work(1e6 if last[0] == which else 1e7)
            last[0] = which

        return run

    runs = [cold_after_others(0), cold_after_others(1)]
    assert (interleave(runs, 1, FEW, clock, warm=True) == 1e6).all()
    assert (interleave(runs, 1, FEW, clock, warm=False) == 1e7).any()
