"""Paired differences against SciPy's own paired test, and what is read from them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from relucid.compare.statistics import outcome, paired
from relucid.records import Difference, Outcome


def test_a_plain_difference_has_scipys_paired_interval() -> None:
    """Losses of both signs; at 95%, and at the level that four comparisons share."""
    random = np.random.default_rng(0)
    changed, untouched = random.normal(0.0, 1.0, 7), random.normal(0.5, 1.0, 7)
    for comparisons in (1, 4):
        found = paired(list(changed), list(untouched), comparisons=comparisons)
        truth = stats.ttest_rel(changed, untouched).confidence_interval(1 - 0.05 / comparisons)
        assert found.scale == "difference"
        assert (found.low, found.high) == pytest.approx((truth.low, truth.high))
        assert found.mean == pytest.approx(np.mean(changed - untouched))


def test_a_ratio_is_that_of_the_logarithms_for_small_differences() -> None:
    random = np.random.default_rng(1)
    untouched = random.uniform(0.5, 3.0, 8)
    changed = untouched * np.exp(random.normal(-0.02, 0.01, 8))
    found = paired(list(changed), list(untouched))
    truth = stats.ttest_rel(np.log(changed), np.log(untouched)).confidence_interval(0.95)
    assert found.scale == "ratio"
    assert found.mean == pytest.approx(np.exp(np.mean(np.log(changed / untouched))), rel=1e-4)
    assert (found.low, found.high) == pytest.approx(tuple(np.exp(truth)), rel=1e-4)


def test_runs_that_diverged_are_counted() -> None:
    """Against an untouched copy that always diverges anything helps; the other way it hurts."""
    nan, inf = math.nan, math.inf
    assert paired([1.0, 2.0], [nan, inf]).high == 0.0
    assert paired([nan, inf], [1.0, 2.0]).low == inf
    assert outcome(paired([1.0, 2.0, 1.5], [nan] * 3)) is Outcome.HELPS
    assert outcome(paired([nan] * 3, [1.0, 2.0, 1.5])) is Outcome.HURTS
    assert outcome(paired([nan] * 3, [nan] * 3)) is Outcome.NO_DIFFERENCE
    assert outcome(paired([nan, 0.1, 0.1], [1.0, 1.0, 1.0])) is Outcome.NO_EVIDENCE
    assert outcome(paired([nan, -1.0], [-1.0, -1.0])) is Outcome.NO_EVIDENCE


def test_one_pair_shows_nothing() -> None:
    found = paired([1.0], [100.0])
    assert (found.low, found.high) == (0.0, math.inf)
    assert outcome(found) is Outcome.NO_EVIDENCE


@pytest.mark.parametrize(
    ("low", "high", "says"),
    [
        (0.5, 0.94, Outcome.HELPS),
        (0.5, 0.96, Outcome.NO_EVIDENCE),
        (0.96, 1.04, Outcome.NO_DIFFERENCE),
        (0.96, 1.06, Outcome.NO_EVIDENCE),
        (1.06, 2.0, Outcome.HURTS),
    ],
)
def test_a_whole_interval_must_be_beyond_five_percent(
    low: float, high: float, says: Outcome
) -> None:
    assert outcome(Difference("ratio", 5, (low + high) / 2, low, high, 0.95)) is says


def test_no_false_alarm_more_often_than_promised() -> None:
    """Changes that do nothing: at most 5% of trials of four call any a difference."""
    random = np.random.default_rng(2)
    alarms = 0
    for _ in range(400):
        untouched = random.lognormal(0.0, 0.3, 5)
        found = [
            paired(list(random.lognormal(0.0, 0.3, 5)), list(untouched), comparisons=4)
            for _ in range(4)
        ]
        alarms += any(one.excludes_no_difference for one in found)
    # 400 trials at 5% give at most 32 with probability 0.996.
    assert alarms <= 32
