"""Paired ratios, spreads and means, against values worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from relucid.bench.statistics import CONTROL, Spread, geometric_mean, held, paired, spread


def test_a_spread_is_median_and_quartiles() -> None:
    assert spread(np.array([5.0, 1.0, 4.0, 2.0, 3.0])) == Spread(3.0, 2.0, 4.0)
    assert Spread(2.0, 1.5, 3.0).width == 0.75


def test_pairing_cancels_what_slows_both() -> None:
    slowed = np.array([1.0, 10.0, 3.0, 100.0, 2.0])
    assert paired(2.0 * slowed, slowed) == Spread(2.0, 2.0, 2.0)
    # Unpaired, the quotient of the medians of these would be 3.
    assert paired(np.array([1.0, 3.0, 90.0]), np.array([1.0, 1.0, 90.0])).median == 1.0


def test_the_median_ratio_of_the_inverse_is_the_inverse() -> None:
    a, b = np.array([1.0, 5.0, 2.0]), np.array([3.0, 4.0, 8.0])
    assert math.isclose(paired(a, b).median * paired(b, a).median, 1.0)


def test_geometric_mean() -> None:
    assert math.isclose(geometric_mean([2.0, 8.0]), 4.0)
    assert math.isclose(geometric_mean([0.5, 2.0]), 1.0)


@pytest.mark.parametrize(
    ("median", "holds"), [(0.969, False), (0.971, True), (1.029, True), (1.031, False)]
)
def test_the_control_must_land_in_its_band(median: float, holds: bool) -> None:
    assert CONTROL == (0.97, 1.03)
    assert held(Spread(median, 0.5, 2.0)) is holds
