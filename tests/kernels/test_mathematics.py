"""The kernels' functions against mpmath, and their polynomials against what they approximate."""

import math
from dataclasses import dataclass

import numpy as np
import pytest
from mpmath import mp, mpf

from kernels.minimax import largest_error, rounded
from relucid.kernels.mathematics import (
    error,
    exponential,
    gates,
    hyperbolic,
    logarithm,
    normal,
    trigonometric,
)
from support.kernels import compiled
from support.ulp import ulps

HALF_LOG2 = math.log(2.0) / 2.0
TYPES = {32: np.float32, 64: np.float64}
BITS = pytest.mark.parametrize("bits", TYPES)


def near(function, limit):
    """A function with its limit where the formula is 0/0."""
    return lambda z: function(z) if abs(z) > mpf(2) ** -90 else mpf(limit)


def tail(t):
    return mp.erfc(t / mp.sqrt(2)) * mp.exp(t * t / 2) / 2


def slope_tail(t):
    return (tail(t) - t / mp.sqrt(2 * mp.pi)) / (mpf(ROOT) - t)


ROOT = "0.7517915246935644574579049467795240396645"
exp_series = near(lambda r: (mp.expm1(r) - r) / r**2, 0.5)
log_series = near(lambda z: (2 * mp.atanh(mp.sqrt(z)) / mp.sqrt(z) - 2) / z, mpf(2) / 3)
log_unit = near(lambda x: (x - mp.log1p(x)) / x**2, 0.5)
residual = near(lambda z: (1 - mp.tanh(mp.sqrt(z)) / mp.sqrt(z)) / z, mpf(1) / 3)
arctan_series = near(lambda z: (mp.atan(mp.sqrt(z)) / mp.sqrt(z) - 1) / z, -mpf(1) / 3)
erf_series = near(lambda z: mp.erf(mp.sqrt(z)) / mp.sqrt(z), 2 / mp.sqrt(mp.pi))


def bend_at(y):
    """The t at which a power of y is taken."""
    return 1 / (y + mpf(normal._CENTRE)) - mpf(normal._SHIFT)


def bend(y):
    t = bend_at(y)
    return (1 / tail(t) - 2) / t - 2


def bend_weight(y):
    t = bend_at(y)
    return t * tail(t)


@dataclass(frozen=True)
class Polynomial:
    """Coefficients, the function they stand for, where, and the logarithm of their error."""

    series: tuple[float, ...]
    function: object
    low: float
    high: float
    weight: object
    bits: float
    """The weighted error is at most 2**-bits."""


def relative(function):
    return lambda z: 1 / abs(function(z))


POLYNOMIALS = {
    "exp 32": Polynomial(
        exponential._CONSTANTS[32].series, exp_series, -HALF_LOG2, HALF_LOG2,
        lambda r: r * r / mp.exp(r), 28.2,
    ),
    "exp 64": Polynomial(
        exponential._CONSTANTS[64].series, exp_series, -HALF_LOG2, HALF_LOG2,
        lambda r: r * r / mp.exp(r), 57.3,
    ),
    "log 32": Polynomial(
        logarithm._SERIES[32], log_series, 0.0, 1 / 9, lambda z: z / (2 + z * log_series(z)), 27.7
    ),
    "log 64": Polynomial(
        logarithm._SERIES[64], log_series, 0.0, 1 / 9, lambda z: z / (2 + z * log_series(z)), 59.3
    ),
    "log unit": Polynomial(
        logarithm._UNIT, log_unit, 0.0, 1.0, lambda x: x / (1 - x * log_unit(x)), 27.4
    ),
    "tanh residual": Polynomial(
        hyperbolic._RESIDUAL, residual, 0.0, 1.0, relative(residual), 24.9
    ),
    "arctan 32": Polynomial(
        trigonometric._SERIES[32], arctan_series, 0.0, 1.0,
        lambda z: z / (1 + z * arctan_series(z)), 26.2,
    ),
    "arctan 64": Polynomial(
        trigonometric._SERIES[64], arctan_series, 0.0, 1.0,
        lambda z: z / (1 + z * arctan_series(z)), 55.2,
    ),
    "erf 32": Polynomial(error._SERIES[32], erf_series, 0.0, 1.0, relative(erf_series), 23.7),
    "erf 64": Polynomial(error._SERIES[64], erf_series, 0.0, 1.0, relative(erf_series), 55.3),
    "normal bend": Polynomial(
        normal._BEND, bend, 1 / (13.4 + 3) - 3 / 16, 1 / 3 - 3 / 16 - 1e-9, bend_weight, 25.6
    ),
    "normal slope": Polynomial(
        normal._SLOPE, lambda w: slope_tail(4 / w - 4), 4 / 18.6, 1.0,
        lambda w: 1 / slope_tail(4 / w - 4), 25.0,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", POLYNOMIALS)
def test_a_polynomial_has_the_error_that_its_comment_says(name):
    p = POLYNOMIALS[name]
    with mp.workprec(200):
        for z in np.linspace(p.low, p.high, 257):
            z = mpf(float(z))
            value = mp.polyval([mpf(c) for c in p.series[::-1]], z)
            assert abs((value - p.function(z)) * p.weight(z)) <= mpf(2) ** -p.bits


def test_no_better_polynomial_of_that_degree_was_to_be_had():
    """Remez's exchange, with every coefficient rounded, finds one of the same error."""
    powers, weight = range(5), POLYNOMIALS["exp 32"].weight
    with mp.workprec(120):
        best = rounded(exp_series, powers, -HALF_LOG2, HALF_LOG2, weight, np.float32)
        ours, least = (
            largest_error(exp_series, series, powers, -HALF_LOG2, HALF_LOG2, weight, 400)
            for series in (exponential._CONSTANTS[32].series, best)
        )
    assert ours <= 1.05 * least


def linear(x):
    return x


def twice_u(x):
    return 2 * mp.sqrt(2 / mp.pi) * (x + mpf("0.044715") * x**3)


def gate_numerator(v):
    return lambda x, power: 1 + power + x * mp.diff(v, x)


ANCHORS = {
    "silu": (gates.SILU, linear, gate_numerator(linear)),
    "gelu_tanh": (gates.GELU_TANH, twice_u, gate_numerator(twice_u)),
}


@BITS
@pytest.mark.parametrize("name", ANCHORS)
def test_an_anchor_is_the_root_of_a_numerator(name, bits):
    anchors, exponent, numerator = ANCHORS[name]
    anchor, held = anchors[bits], TYPES[bits]
    unit = mpf(float(np.finfo(held).eps))
    with mp.workprec(200):
        high, low = map(mpf, anchor.at)
        power, root = mpf(anchor.power), mpf(anchor.root)
        assert all(float(held(v)) == v for v in (*anchor.at, anchor.power, anchor.root))
        step = mpf(2) ** -(bits // 2)
        assert high / step == int(high / step)
        assert abs(mp.exp(high + low) / power - 1) < unit * step
        assert abs(exponent(root) - (high + low)) < 16 * unit
        assert abs(numerator(root, power) - mpf(anchor.lack)) < 16 * unit**2


def mish(x):
    return x * mp.tanh(mp.log1p(mp.exp(x)))


def test_around_its_root_the_slope_of_mish_is_a_polynomial():
    with mp.workprec(200):
        at = sum(map(mpf, gates.MISH_ROOT))
        assert abs(mp.diff(mish, at)) < mpf(2) ** -48
        for h in np.linspace(-gates.MISH_REACH, gates.MISH_REACH, 64):
            h = mpf(float(h))
            value = h * mp.polyval([mpf(c) for c in gates.MISH_SERIES[::-1]], h)
            assert abs(value / mp.diff(mish, at + h) - 1) <= mpf(2) ** -23.9


def both_signs(low, high):
    return lambda rng: rng.choice([-1.0, 1.0], 1500) * np.exp2(rng.uniform(low, high, 1500))


WORDS = {
    "exp": (mp.exp, lambda rng: rng.uniform(-86.0, 88.0, 1500), 1.1),
    "expm1": (mp.expm1, both_signs(-20, 6), 1.3),
    "log": (mp.log, lambda rng: np.exp2(rng.uniform(-125, 125, 1500)), 1.2),
    "log1p": (mp.log1p, lambda rng: np.exp2(rng.uniform(-60, 60, 1500)), 1.5),
    "log1p_unit": (mp.log1p, lambda rng: rng.uniform(0.0, 1.0, 1500), 1.2),
    "tanh": (mp.tanh, both_signs(-20, 5), 2.5),
    "arctan": (mp.atan, both_signs(-20, 20), 1.6),
    "erf": (mp.erf, both_signs(-20, 3), 2.5),
    "erfc": (mp.erfc, lambda rng: rng.uniform(-5.0, 9.0, 1500), 6.0),
    "tanh_residual": (lambda x: x - mp.tanh(x), both_signs(-8, 5), 3.5),
}


@BITS
@pytest.mark.parametrize("word", WORDS)
def test_a_word_is_within_its_bound(word, bits):
    truth, draw, bound = WORDS[word]
    x = draw(np.random.default_rng(21)).astype(TYPES[bits])
    high, low = np.empty(len(x)), np.empty(len(x))
    with mp.workprec(400):
        for i, point in enumerate(x):
            exact = truth(mpf(float(point)))
            high[i] = float(exact)
            low[i] = float(exact - high[i])
    found = ulps(compiled(word, bits)(x), high, low, TYPES[bits]).max()
    assert found <= bound, found


def sigmoid(x):
    return 1 / (1 + mp.exp(-x))


GATES = {
    "sigmoid": (sigmoid, (), 2.0),
    "sigmoid_slope": (lambda x: sigmoid(x) * sigmoid(-x), (), 3.0),
    "silu": (lambda x: x * sigmoid(x), (1.0,), 2.0),
    "silu_slope": (lambda x: sigmoid(x) * (1 + x * sigmoid(-x)), (1.0,), 4.0),
    "gelu_tanh": (lambda x: x * sigmoid(twice_u(x)), (), 2.0),
    "gelu_tanh_slope": (lambda x: mp.diff(lambda z: z * sigmoid(twice_u(z)), x), (), 4.0),
    "mish": (mish, (), 2.0),
    "mish_slope": (lambda x: mp.diff(mish, x), (), 4.0),
}


@BITS
@pytest.mark.parametrize("word", GATES)
def test_a_gate_and_its_slope_are_within_their_bounds_up_to_their_roots(word, bits):
    """Relative precision: half of the points are within a thousandth of the derivative's root."""
    truth, further, bound = GATES[word]
    rng, anchor = np.random.default_rng(23), ANCHORS.get(word.removesuffix("_slope"))
    middle = anchor[0][64].root if anchor and "slope" in word else -1.0
    close = middle + rng.choice([-1.0, 1.0], 300) * np.exp2(rng.uniform(-10, -7, 300))
    x = np.concatenate([close, rng.uniform(-9.0, 9.0, 500)]).astype(TYPES[bits])
    with mp.workprec(300):
        exact = [truth(mpf(float(point))) for point in x]
        high = np.array([float(v) for v in exact])
        low = np.array([float(v - mpf(h)) for v, h in zip(exact, high, strict=True)])
    found = ulps(compiled(word, bits, further=further)(x), high, low, TYPES[bits]).max()
    assert found <= (bound if bits == 32 else bound + 1.0), found


def distance(x, result, truth, bits):
    """The largest error of results at x, in units in the last place."""
    with mp.workprec(400):
        exact = [truth(mpf(float(point))) for point in x]
        high = np.array([float(t) for t in exact])
        low = np.array([float(t - mpf(h)) for t, h in zip(exact, high, strict=True)])
    return ulps(result, high, low, TYPES[bits]).max()


@BITS
@pytest.mark.parametrize("b", [4.0, 0.01, 3e7, 1e-12])
def test_what_a_root_has_above_the_number(b, bits):
    """(sqrt(x**2 + b) - abs(x)) / 2, from where it is the root's half to where it all but fades."""
    x = math.sqrt(b) * both_signs(-20, 60)(np.random.default_rng(25))
    x = np.concatenate([[0.0, -0.0], x]).astype(TYPES[bits])
    root = compiled(lambda m, v: m.hypot(v, math.sqrt(b)), bits)(x)
    assert distance(x, root, lambda v: mp.hypot(v, mp.sqrt(b)), bits) <= 1.6
    result = compiled(lambda m, v: m.excess(v, b, m.hypot(v, m.sqrt(b))), bits)(x)
    assert distance(x, result, lambda v: (mp.hypot(v, mp.sqrt(b)) - abs(v)) / 2, bits) <= 2.0


@BITS
def test_an_infinity_has_no_excess(bits):
    x = np.array([math.inf, -math.inf], TYPES[bits])
    result = compiled(lambda m, v: m.excess(v, 4.0, m.hypot(v, 2.0)), bits)(x)
    np.testing.assert_array_equal(result, np.zeros(2))


@pytest.mark.parametrize("b", [1e-36, 1e36])
def test_a_root_of_what_float32_cannot_square(b):
    x = np.array([0.0, 1e-18, -3e-19, 1e18, -1e19, math.inf], np.float32)
    root = compiled(lambda m, v: m.hypot(v, m.sqrt(b)), 32)(x)
    result = compiled(lambda m, v: m.excess(v, b, m.hypot(v, m.sqrt(b))), 32)(x)
    np.testing.assert_allclose(root, np.hypot(x.astype(np.float64), math.sqrt(b)), rtol=3e-7)
    exact = np.hypot(x.astype(np.float64), math.sqrt(b)) + np.abs(x)
    np.testing.assert_allclose(result, 0.5 * b / exact, rtol=5e-7, atol=2e-45)


@BITS
@pytest.mark.parametrize("divisor", [0.3, 7.0, 1e-3])
def test_an_exponential_of_a_quotient_less_one(divisor, bits):
    x = -np.abs(divisor * both_signs(-60, 7)(np.random.default_rng(26))).astype(TYPES[bits])
    result = compiled("expm1_quotient", bits, further=(divisor,))(x)
    assert distance(x, result, lambda v: divisor * mp.expm1(v / divisor), bits) <= 2.0
    ends = np.array([-math.inf, -0.0], TYPES[bits])
    found = compiled("expm1_quotient", bits, further=(divisor,))(ends)
    np.testing.assert_array_equal(found, np.array([-divisor, -0.0], TYPES[bits]))


@BITS
def test_hypot_neither_overflows_nor_underflows(bits):
    rng = np.random.default_rng(22)
    reach = 120 if bits == 32 else 1000
    a, b = (np.exp2(rng.uniform(-reach, reach, 1500)).astype(TYPES[bits]) for _ in "ab")
    b[::2] = a[::2] * rng.uniform(0.01, 100.0, 750).astype(TYPES[bits])
    with mp.workprec(200):
        truth = [mp.hypot(mpf(float(p)), mpf(float(q))) for p, q in zip(a, b, strict=True)]
        high = np.array([float(t) for t in truth])
        low = np.array([float(t - mpf(h)) for t, h in zip(truth, high, strict=True)])
    assert ulps(compiled("hypot", bits, 2)(a, b), high, low, TYPES[bits]).max() <= 1.6


@BITS
def test_specials(bits):
    inf, tiny = math.inf, float(np.finfo(TYPES[bits]).smallest_subnormal)
    expected = {
        "exp": {-inf: 0.0, inf: inf, 0.0: 1.0, 1e4: inf, -1e4: 0.0},
        "expm1": {-inf: -1.0, inf: inf, tiny: tiny, -tiny: -tiny},
        "log": {0.0: -inf, inf: inf, 1.0: 0.0, -1.0: math.nan},
        "log1p": {-1.0: -inf, inf: inf, tiny: tiny, -2.0: math.nan},
        "tanh": {-inf: -1.0, inf: 1.0, tiny: tiny, -tiny: -tiny},
        "arctan": {-inf: -math.pi / 2, inf: math.pi / 2, tiny: tiny},
        "erf": {-inf: -1.0, inf: 1.0, 0.0: 0.0},
        "erfc": {-inf: 2.0, inf: 0.0, 0.0: 1.0},
    }
    for word, table in expected.items():
        x = np.array(list(table), TYPES[bits])
        np.testing.assert_array_equal(
            compiled(word, bits)(x), np.array(list(table.values()), TYPES[bits]), word
        )


@BITS
@pytest.mark.parametrize("word", ["expm1", "tanh", "arctan", "erf", "log1p"])
def test_zero_keeps_its_sign(word, bits):
    x = np.array([-0.0, 0.0], TYPES[bits])
    np.testing.assert_array_equal(np.signbit(compiled(word, bits)(x)), [True, False])


@BITS
def test_subnormal_exponentials_are_rounded_once(bits):
    low, high = (-103.5, -87.5) if bits == 32 else (-744.5, -708.5)
    x = np.linspace(low, high, 800).astype(TYPES[bits])
    result, unit = compiled("exp", bits)(x), float(np.finfo(TYPES[bits]).smallest_subnormal)
    with mp.workprec(200):
        for point, value in zip(x, result, strict=True):
            assert abs(mpf(float(value)) - mp.exp(mpf(float(point)))) <= 0.75 * mpf(unit)
