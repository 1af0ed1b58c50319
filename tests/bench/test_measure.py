"""A row: its ratios, its control, and whether the results are right."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

import relucid
from bench.fakes import Clock, Lineup, inputs, setting
from relucid.bench.measure import ATTEMPTS, measure
from relucid.bench.sides import Subject
from relucid.interleave import Effort

FEW = Effort(0.0, least=15, most=15)
FORWARD = setting("elu", work="forward", size=64)
X = inputs()
Y = relucid.get("elu")(X.arguments[0])


def subject(
    clock: Clock, nanoseconds: Callable[[], float] | float, value: Any = Y, **about: Any
) -> Subject:
    def run(number: int) -> Any:
        clock.work(nanoseconds() if callable(nanoseconds) else nanoseconds)
        return value, None

    return Subject(run, **about)


def lineup(clock: Clock, **changes: Subject) -> Lineup:
    usual = {
        "relucid": subject(clock, 3e6),
        "eager": subject(clock, 6e6, compile_seconds=2.5, note="composed"),
        "copy": subject(clock, 1e6),
    }
    return Lineup({**usual, **changes}, (X,))


def test_a_row_holds_ratios_to_relucid_and_to_a_copy() -> None:
    clock = Clock()
    row = measure(FORWARD, lineup(clock), FEW, clock)
    assert [side.name for side in row.sides] == ["relucid", "eager", "copy"]
    eager = row.side("eager")
    assert eager is not None
    assert (eager.speedup.median, eager.copies.median, eager.time.median) == (2.0, 6.0, 6e6)
    assert (eager.compile_seconds, eager.note) == (2.5, "composed")
    assert (row.control.median, row.attempts, row.iterations) == (1.0, 1, 15)
    assert not row.discarded and not row.wrong


def test_a_row_whose_control_fails_is_measured_thrice_and_discarded() -> None:
    """relucid's subject alternates between two paces: against itself it is never equal."""
    clock, calls = Clock(), []

    def unsteady() -> float:
        calls.append(1)
        return 3e6 * 1.05 ** len(calls)

    row = measure(FORWARD, lineup(clock, relucid=subject(clock, unsteady)), FEW, clock)
    assert row.discarded
    assert row.attempts == ATTEMPTS == 3
    # Four trials and 15 iterations of a warm call and a timed one, for two subjects, thrice; then
    # one call for the result.
    assert len(calls) == 3 * 2 * (4 + 15 * 2) + 1


def test_a_row_is_measured_again_until_its_control_holds() -> None:
    clock, calls = Clock(), []

    def unsteady_at_first() -> float:
        calls.append(1)
        return 3e6 * 1.05 ** min(len(calls), 68)  # all of the first attempt

    row = measure(FORWARD, lineup(clock, relucid=subject(clock, unsteady_at_first)), FEW, clock)
    assert (row.attempts, row.discarded) == (2, False)


@pytest.mark.parametrize("spoil", [lambda y: y * (1 + 1e-6), lambda y: y + torch.nan])
def test_a_wrong_result_of_relucid_is_told(spoil: Any) -> None:
    clock = Clock()
    wrong = subject(clock, 3e6, spoil(Y))
    row = measure(FORWARD, lineup(clock, relucid=wrong), FEW, clock)
    assert row.wrong.startswith("its value is ")


def test_a_wrong_result_of_a_peer_is_recorded_only() -> None:
    clock = Clock()
    row = measure(FORWARD, lineup(clock, eager=subject(clock, 6e6, Y + torch.nan)), FEW, clock)
    eager = row.side("eager")
    assert eager is not None
    assert eager.value_error == math.inf
    assert not row.wrong
