"""The normal distribution's tail, with what GELU makes of it, in 32 bits."""

from __future__ import annotations

from typing import Any

from relucid.kernels.mathematics.exponential import fading_parts

# With t >= 0 and w = 1/(t + 3): (exp(-t**2/2)/Phi(-t) - 2)/t - 2 in powers of w - 3/16; error,
# times t, relative to exp(-t**2/2)/Phi(-t): 2**-25.6.
_BEND = (
    0.012793632224202156, -3.0708842277526855, -0.3235856592655182, 14.139451026916504,
    0.30484482645988464, -121.66352844238281, 55.324249267578125, 1135.3521728515625,
    -856.5138549804688, -7484.38427734375,
)  # fmt: skip
_SHIFT, _CENTRE = 3.0, 0.1875

# (Phi(-t) - t*phi(t)) / exp(-t**2/2) / (root - t) in powers of w; relative error 2**-25.0,
# where 2**-26.0 is possible: so the last coefficient balances what is rounded near 0.
_SLOPE = (
    0.39896899461746216, 0.07446609437465668, 0.06833714991807938, 0.032263774424791336,
    0.08961568772792816, -0.06405015289783478, 0.10206930339336395, -0.040795426815748215,
    0.004202551208436489,
)  # fmt: skip
_ROOT = (0.7517915368080139, -1.211444945855772e-08)

_REACH = 15.0
"""Beyond it the results are below half of the smallest number."""


def normal_below(m: Any, x: Any) -> Any:
    """abs(x) * Phi(-abs(x)), within 2 units in the last place.

    As t*exp(-t**2/2) / (2 + 2*t + t*g(t)), of which t*g(t) is a fifth at most. Other roundings are
    carried along, since four of them in a product may add up to 4 units. The long polynomial comes
    first: 22 cycles for 16 numbers on a Zen 5 core, against 25 after the exponential.
    """
    t = m.minimum(abs(x), _REACH)
    base, base_lost = _steepness(m, t)
    inverse = 1.0 / base
    s, scale, unlift = _decay(m, t)
    lifted = t * scale
    share = lifted * inverse
    lost = m.fma(-share, base_lost, m.fma(-share, base, lifted)) * inverse
    return (share + m.fma(share, s, lost * (1.0 + s))) * unlift


def _steepness(m: Any, t: Any) -> tuple[Any, Any]:
    """exp(-t**2/2) / Phi(-t), and what rounding took from it."""
    bend = m.polynomial(1.0 / (t + _SHIFT) - _CENTRE, _BEND)
    double = t + t
    line = double + 2.0
    line_lost = double - (line - 2.0)
    base = m.fma(t, bend, line)
    return base, m.fma(t, bend, line - base) + line_lost


def normal_slope(m: Any, x: Any) -> Any:
    """Phi(-t) - t*phi(t) for t = abs(x), by a form whose root at 0.75 is a factor."""
    t = m.minimum(abs(x), _REACH)
    distance = (_ROOT[0] - t) + _ROOT[1]
    slope = m.polynomial(4.0 / (t + 4.0), _SLOPE)
    s, scale, unlift = _decay(m, t)
    product = distance * slope
    lost = m.fma(distance, slope, -product)
    return (product + m.fma(product, s, lost)) * scale * unlift


def _decay(m: Any, t: Any) -> tuple[Any, Any, float]:
    """exp(-t**2/2) as (1 + s) * scale * unlift."""
    half = t * -0.5
    exponent = half * t
    return fading_parts(m, exponent, m.fma(half, t, -exponent))


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
