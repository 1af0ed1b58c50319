"""The truths that accuracy is judged by agree with one another and with differentiation."""

from __future__ import annotations

import numpy as np
import pytest
from mpmath import mp, mpf

from relucid.functions import catalogue
from support.cases import CASES, ELEMENTWISE, Case
from support.fast import UNCERTAINTY, fast
from support.truth import PRECISION, TRUTHS, exact
from support.ulp import root_distance, sample32

elementwise = pytest.mark.parametrize("case", ELEMENTWISE, ids=lambda case: case.id)


def test_every_catalogue_function_has_a_case_and_one_with_other_parameters() -> None:
    assert {case.name for case in CASES} == set(catalogue())
    varied = {case.name for case in CASES if case.parameters}
    assert varied == {n for n, activation in catalogue().items() if activation.parameters}


@elementwise
def test_fast_truth_agrees_with_mpmath(case: Case) -> None:
    points = sample32(case, 600, seed=1).astype(np.float64)
    for which in ("value", "derivative"):
        high, low = exact(case, which, points)
        difference = np.abs((fast(case, which, points) - high) - low)
        shown = np.abs(high) >= 2.0**-150  # what rounds to 0 in float32 is 0 in both
        allowed = np.where(shown, UNCERTAINTY * np.abs(high), 2.0**-150)
        near = root_distance(case, which, points) < 0.1
        assert np.all(difference <= np.where(near, 1e-15, allowed))


@elementwise
def test_derivative_of_truth_is_the_derivative_of_its_value(case: Case) -> None:
    points = np.random.default_rng(2).uniform(-9.0, 9.0, 12)
    derivative, _ = exact(case, "derivative", points)
    with mp.workprec(PRECISION):
        parameters = {n: mpf(v) for n, v in case.activation.arguments.items()}
        slopes = [
            mp.diff(lambda x: TRUTHS[case.name].value(x, **parameters), mpf(float(point)))
            for point in points
        ]
    np.testing.assert_allclose(np.array(slopes, dtype=float), derivative, rtol=1e-13, atol=1e-18)
