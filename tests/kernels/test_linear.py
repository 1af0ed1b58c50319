"""Straight lines in kernels are correctly rounded: against fractions, which do not round."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from support.kernels import compiled

Array = NDArray[np.float32]
SLACK = Fraction(1, 10**6)
"""In ULP: what the last correction, itself rounded, may be off."""


def units_off(x: Array, result: Array, exact: Callable[[Fraction], Fraction]) -> Fraction:
    """The largest error in units in the last place, of the smallest number below the normal."""
    worst = Fraction(0)
    for point, found in zip(x, result, strict=True):
        truth = exact(Fraction(float(point)))
        exponent = max(math.frexp(float(truth))[1], -125) - 24
        worst = max(worst, abs(Fraction(float(found)) - truth) / Fraction(2) ** exponent)
    return worst


def signed(rng: np.random.Generator, low: float, high: float, size: int = 4000) -> Array:
    """Random numbers, log-uniform in size from 2**low to 2**high."""
    return (rng.choice([-1.0, 1.0], size) * np.exp2(rng.uniform(low, high, size))).astype(
        np.float32
    )


@pytest.mark.parametrize("factor", [0.01, 0.2, 11 / 48, -0.3, 1e-4, 7.7])
def test_a_scaled_number_is_rounded_once_down_to_the_subnormals(factor: float) -> None:
    rng = np.random.default_rng(31)
    x = np.concatenate([signed(rng, -149, -90), signed(rng, -90, 100)])
    result = compiled("scaled", 32, further=(factor,))(x)
    assert units_off(x, result, lambda v: v * Fraction(factor)) <= Fraction(1, 2) + SLACK


@pytest.mark.parametrize("factor", [0.01, -0.01])
def test_a_scaled_zero_or_infinity_keeps_its_sign(factor: float) -> None:
    x = np.array([0.0, -0.0, math.inf, -math.inf], np.float32)
    result = compiled("scaled", 32, further=(factor,))(x)
    np.testing.assert_array_equal(result, x * np.float32(factor))
    np.testing.assert_array_equal(np.signbit(result), np.signbit(x * np.float32(factor)))


@pytest.mark.parametrize("taken", [0.1, 0.3, 1e-3, 17.7])
def test_a_difference_is_rounded_once(taken: float) -> None:
    rng = np.random.default_rng(32)
    near = np.float32(taken) * (1.0 + np.exp2(rng.uniform(-22, 0, 4000)))
    x = np.concatenate([near, near * np.exp2(rng.uniform(0, 30, 4000))]).astype(np.float32)
    result = compiled("difference", 32, further=(taken,))(x)
    assert units_off(x, result, lambda v: v - Fraction(taken)) <= Fraction(1, 2) + SLACK


def test_an_infinite_difference_is_no_nan() -> None:
    x = np.array([math.inf], np.float32)
    assert compiled("difference", 32, further=(0.1,))(x)[0] == math.inf


@pytest.mark.parametrize(("shift", "width"), [(3.0, 6.0), (2.5, 5.0), (1.0, 7.0), (-1.0, 3.0)])
def test_a_ramp_is_rounded_once_up_to_its_ends(shift: float, width: float) -> None:
    rng = np.random.default_rng(33)
    start = -shift + np.exp2(rng.uniform(-30, 0, 4000))
    x = np.concatenate([start, rng.uniform(-shift, width - shift, 8000)]).astype(np.float32)
    result = compiled("ramp", 32, further=(shift, width))(x)

    def ramp(v: Fraction) -> Fraction:
        return min(max((v + Fraction(shift)) / Fraction(width), Fraction(0)), Fraction(1))

    assert units_off(x, result, ramp) <= Fraction(1, 2) + SLACK


@pytest.mark.parametrize("bits", [32, 64])
def test_a_ramp_is_flat_beside(bits: int) -> None:
    dtype: Any = np.float32 if bits == 32 else np.float64
    x = np.array([-math.inf, -1e30, -3.0, 3.0, 1e30, math.inf], dtype)
    result = compiled("ramp", bits, further=(3.0, 6.0))(x)
    np.testing.assert_array_equal(result, np.array([0, 0, 0, 1, 1, 1], dtype))
