"""The words that carry rounding errors along do what their docstrings say."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from mpmath import mp, mpf
from numpy.polynomial.chebyshev import cheb2poly

from relucid.functions.libraries import ArrayWords, numpy_words
from relucid.functions.words import NORMAL_TAIL, Words
from relucid.nn.words import torch_words
from support.ulp import ulps

WORDS: dict[str, tuple[Words, Any]] = {
    "numpy": (numpy_words(), np.asarray),
    "torch": (torch_words(torch.float64), lambda x: torch.from_numpy(np.asarray(x))),
}
each = pytest.mark.parametrize("name", WORDS)


@pytest.mark.parametrize("bits", [32, 64])
def test_a_product_and_its_error_are_exact(bits: int) -> None:
    """As fractions, which do not round; of arrays, and of an array and a number."""
    dtype = np.float32 if bits == 32 else np.float64
    rng = np.random.default_rng(17)
    a, b = rng.normal(size=(2, 300)).astype(dtype)
    m = ArrayWords(np, bits)
    product, error = m.two_product(a, b)
    for values in zip(a, b, product, error, strict=True):
        left, right, p, e = (Fraction(float(v)) for v in values)
        assert p + e == left * right
    product, error = m.two_product(0.3, b)
    for values in zip(b, product, error, strict=True):
        right, p, e = (Fraction(float(v)) for v in values)
        exact = Fraction(0.3) * right
        assert abs(p + e - exact) <= abs(exact) * Fraction(2) ** -(2 * bits // 3 + 3)


@each
def test_exponentials_of_products_quotients_and_differences(name: str) -> None:
    m, convert = WORDS[name]
    rng = np.random.default_rng(18)
    x = rng.uniform(-60.0, 0.0, size=400)
    cases = {
        "product": (m.exp_product(convert(x), 0.7), lambda v: mpf(v) * mpf(0.7)),
        "quotient": (m.exp_quotient(convert(x), 0.7), lambda v: mpf(v) / mpf(0.7)),
        "difference": (m.exp_difference(convert(x), convert(x * 0 + 0.7)), lambda v: v - mpf(0.7)),
    }
    for which, (result, exponent) in cases.items():
        high, low = _exact(lambda v, exponent=exponent: mp.exp(exponent(v)), x)
        assert ulps(result, high, low, np.float64).max() <= 1.5, which


@each
def test_decay_keeps_digits_where_the_exponential_is_subnormal(name: str) -> None:
    m, convert = WORDS[name]
    x = np.linspace(700.0, 744.0, 200)
    power, scale = m.decay(-1.0, convert(x))
    high, low = _exact(lambda v: mp.exp(-v) * mpf(2) ** 64, x)
    assert ulps(power * 2.0**64 * scale, high, low, np.float64).max() <= 2.0


@each
def test_normal_tail(name: str) -> None:
    m, convert = WORDS[name]
    x = np.concatenate([np.linspace(0.0, 12.0, 900), np.logspace(1.1, 4.0, 100), [-0.5, -3.0]])
    high, low = _exact(_tail, x)
    assert ulps(m.normal_tail(convert(x)), high, low, np.float64).max() <= 3.0


def test_normal_tail_is_the_interpolant_that_its_comment_says() -> None:
    """Chebyshev's interpolant of 80 points, cut after 24 terms and written in powers."""
    points, terms = 80, len(NORMAL_TAIL)
    with mp.workdps(60):
        angles = [mp.pi * (mpf(j) + mpf(1) / 2) / points for j in range(points)]
        sizes = [4 * (1 + mp.cos(a)) / (1 - mp.cos(a)) for a in angles]
        samples = [(1 + t) * _tail(t) for t in sizes]
        series = [
            2 * mp.fsum(s * mp.cos(k * a) for s, a in zip(samples, angles, strict=True)) / points
            for k in range(terms)
        ]
        series[0] /= 2
        powers = cheb2poly(np.array(series, dtype=object))
    assert tuple(float(power) for power in powers) == NORMAL_TAIL


def _tail(x: Any) -> Any:
    """erfc(x/sqrt(2)) * exp(x**2/2) / 2, by its continued fraction far out."""
    size = abs(mpf(x))
    if size < 30:
        return mp.erfc(size / mp.sqrt(2)) * mp.exp(size**2 / 2) / 2
    fraction = size
    for k in range(200, 0, -1):
        fraction = size + k / fraction
    return 1 / (fraction * mp.sqrt(2 * mp.pi))


def _exact(function: Any, x: Any) -> tuple[Any, Any]:
    high, low = np.empty(len(x)), np.empty(len(x))
    with mp.workprec(200):
        for i, point in enumerate(x):
            truth = function(mpf(float(point)))
            high[i] = float(truth)
            low[i] = float(truth - high[i])
    return high, low


@each
def test_scaled_complementary_error_function(name: str) -> None:
    m, convert = WORDS[name]
    x = np.linspace(-5.0, 20.0, 300)
    high, low = _exact(lambda v: mp.erfc(v) * mp.exp(v * v), x)
    result = np.asarray(m.erfcx(convert(x)))
    np.testing.assert_allclose(result, high + low, rtol=2e-14)
