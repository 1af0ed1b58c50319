"""The regions where a function is nearly flat agree with its declared derivative."""

import math

import numpy as np
import pytest

from relucid.functions import Elementwise, catalogue, get
from relucid.probes.flat import NEARLY_FLAT, flat_regions

ELEMENTWISE = [name for name, a in catalogue().items() if isinstance(a, Elementwise)]


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_regions_agree_with_the_derivative_everywhere(name):
    activation = get(name)
    rng = np.random.default_rng(0)
    z = np.concatenate([rng.normal(0, s, 5000) for s in (0.1, 1, 10, 1000)] + [np.arange(-9, 9)])
    inside = np.zeros(z.shape, bool)
    for low, high in flat_regions(activation):
        inside |= (low <= z) & (z <= high)
    np.testing.assert_array_equal(inside, np.abs(activation.derivative(z)) < NEARLY_FLAT)


def test_known_regions():
    assert flat_regions(get("relu")) == ((-math.inf, 0.0),)
    assert flat_regions(get("relu6")) == ((-math.inf, 0.0), (6.0, math.inf))
    assert flat_regions(get("identity")) == ()
    (low, high) = flat_regions(get("sigmoid"))
    edge = 4.5848654  # s(z) s(-z) = 0.01
    assert low[1] == pytest.approx(-edge) and high[0] == pytest.approx(edge)
