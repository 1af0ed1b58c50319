"""The normal distribution's tail, with what GELU makes of it, in 32 bits."""

from __future__ import annotations

from typing import Any

from relucid.kernels.mathematics.exponential import fading_parts

# With t >= 0 and w = 4/(t + 4): (exp(-t**2/2)/Phi(-t) - 2)/t in powers of w - 3/4; relative
# error 2**-26.1.
_STEEPNESS = (
    1.8804417848587036, -1.1442006826400757, -0.1480167806148529, 0.6761358380317688,
    0.19094349443912506, -0.6966511607170105, -0.21561259031295776, 0.8271284103393555,
    0.295428067445755, -0.8805128335952759, -0.6483493447303772,
)  # fmt: skip

# (Phi(-t) - t*phi(t)) / exp(-t**2/2) / (root - t) in powers of w; relative error 2**-26.0.
_SLOPE = (
    0.39896899461746216, 0.07446609437465668, 0.06833714991807938, 0.032263774424791336,
    0.08961568772792816, -0.06405015289783478, 0.10206930339336395, -0.040795426815748215,
    0.004202560987323523,
)  # fmt: skip
_ROOT = (0.7517915368080139, -1.211444945855772e-08)

_REACH = 15.0
"""Beyond it the results are below half of the smallest number."""


def normal_below(m: Any, x: Any) -> Any:
    """abs(x) * Phi(-abs(x)).

    As t*exp(-t**2/2) / (2 + t*h(t)). Roundings are carried along, since four of them in a product
    may add up to 4 units in the last place.
    """
    t = m.minimum(abs(x), _REACH)
    h = m.polynomial(4.0 / (t + 4.0) - 0.75, _STEEPNESS)
    base = m.fma(t, h, 2.0)
    base_lost = m.fma(t, h, 2.0 - base)
    inverse = 1.0 / base
    share = t * inverse
    lost = m.fma(-share, base_lost, m.fma(-share, base, t)) * inverse
    return _decayed(m, t, share, lost)


def normal_slope(m: Any, x: Any) -> Any:
    """Phi(-t) - t*phi(t) for t = abs(x), by a form whose root at 0.75 is a factor."""
    t = m.minimum(abs(x), _REACH)
    distance = (_ROOT[0] - t) + _ROOT[1]
    slope = m.polynomial(4.0 / (t + 4.0), _SLOPE)
    product = distance * slope
    return _decayed(m, t, product, m.fma(distance, slope, -product))


def _decayed(m: Any, t: Any, factor: Any, lost: Any) -> Any:
    """(factor + lost) * exp(-t**2/2), rounded once but for the parts that are small."""
    half = t * -0.5
    exponent = half * t
    s, scale, unlift = fading_parts(m, exponent, m.fma(half, t, -exponent))
    return (factor + m.fma(factor, s, lost)) * scale * unlift


GELU_CUBIC = (1.5957691216057308, 0.07135481627260025)
"""2*sqrt(2/pi) and 0.044715 times it."""

# The same by bits, each in two parts. The first of the former has so few bits that subtracting it
# from the sum below is exact.
_GELU = {
    32: ((1.595768928527832, 1.930778986805098e-07), (0.07135481387376785, 2.3988323959931355e-09)),
    64: (
        (1.5957691216057306, 1.223515168339221e-16),
        (0.07135481627260025, -6.175149918155315e-19),
    ),
}


def gelu_exponent(m: Any, x: Any) -> tuple[Any, Any]:
    """2*sqrt(2/pi) * (x + 0.044715*x**3) for abs(x) <= 100, and what rounding took from it.

    As x * (a + b*x**2), with every rounding error above 2**-32 carried along.
    """
    (a, a_low), (b, b_low) = _GELU[m.bits]
    square = x * x
    total = m.fma(b, square, a)
    lost = m.fma(b, square, a - total) + m.fma(b_low, square, m.fma(b, m.fma(x, x, -square), a_low))
    exponent = x * total
    return exponent, m.fma(x, lost, m.fma(x, total, -exponent))
