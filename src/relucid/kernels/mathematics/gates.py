"""Sigmoids, x times a sigmoid or x * tanh(softplus(x)), and their derivatives.

All from one exponential 2**n * (1 + s) and one quotient, whose errors are damped where that is
cheap: 1/(1 + d) is 1 less d/(1 + d). What falls towards zero on the left is multiplied by 2**n
last, so that it keeps its digits where 2**n alone would be subnormal.

A derivative's numerator cancels near its root. Both terms are therefore measured from the root, by
exp(z) = exp(z0) * exp(z - z0): then they have the same sign. z0 is chosen next to the root such
that this arithmetic holds exp(z0) exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from relucid.kernels.mathematics.exponential import (
    Power,
    damping,
    fall,
    lost_in_product,
    parts,
)
from relucid.kernels.mathematics.formats import FORMATS, power_of_two
from relucid.kernels.mathematics.normal import GELU_CUBIC, gelu_exponent
from relucid.kernels.program import Value


@dataclass(frozen=True)
class Anchor:
    """The z0 next to the root of a derivative."""

    at: tuple[float, float]
    """z0 as a number of so few bits that adding a multiple of log(2) is exact, and the rest."""
    power: float
    """exp(z0)."""
    root: float
    """An x near the root, of so few bits that the distance to it is exact up to 8 or so."""
    lack: float
    """The numerator with this power and this x."""


# By bits.
# fmt: off
SILU = {
    32: Anchor(
        (-1.2784576416015625, -6.854549155832501e-06),
        0.27846455574035645, -1.2784643173217773, 2.384185791015625e-07,
    ),
    64: Anchor(
        (-1.2784645427018404, -5.923338883884235e-11),
        0.2784645427610738,
        -1.278464542761073,
        7.771561172376096e-16,
    ),
}
GELU_TANH = {
    32: Anchor(
        (-1.2311553955078125, 4.920175342704169e-07),
        0.29195520281791687,
        -0.7524614334106445,
        -3.131546577606059e-08,
    ),
    64: Anchor(
        (-1.2311548723373562, 5.4574561890282795e-12),
        0.29195521191476714,
        -0.7524614220710166,
        -7.152556740462631e-16,
    ),
}
# fmt: on

# The root of mish' in two parts, and mish'(root + h)/h in powers of h for abs(h) <= 0.3; relative
# error 2**-24.0.
MISH_ROOT = (-1.1924312114715576, -3.0439375464652585e-09)
MISH_SERIES = (
    0.2669479250907898, 0.20473134517669678, 0.041907742619514465, -0.02027878724038601,
    -0.015819940716028214, -0.003205573186278343, 0.001109958509914577,
)  # fmt: skip
MISH_REACH = 0.3

_GONE = {32: -106.0, 64: -748.0}
"""Four times exp rounds to 0 below."""
_SHUT = {32: -110.0, 64: -760.0}
"""x * exp(x) is below half of the smallest number from here on."""
_NARROW = {32: 11.0, 64: 22.0}
"""So is GELU-tanh below minus this."""
_OPEN = {32: 16.0, 64: 40.0}
"""Mish is x above."""
_WIDE = {32: 18.0, 64: 40.0}
"""So is SiLU, and sigmoid is 1."""
_FINITE = 3e38
_LIFT = {32: 40, 64: 100}
_SHARE = {bits: 2.0**-lift for bits, lift in _LIFT.items()}
"""Times the exponential of minus the least x within, still finite."""
_NEAR, _BESIDE = -1.0, -0.5
"""Where one form of a gate, and of Mish, becomes more accurate than the other."""


def sigmoid(m: Any, x: Any) -> Any:
    """1 / (1 + exp(-x)), within 2 units in the last place."""
    return _SHARE[m.bits] / _opening(m, _within(m, x))


def sigmoid_slope(m: Any, x: Any, times: float) -> Any:
    """exp(-x) / (1 + exp(-x))**2, times a power of two; within 3 units in the last place."""
    share = _SHARE[m.bits]
    s, pattern = parts(m, m.maximum(-abs(x), _GONE[m.bits]), FORMATS[m.bits].bias + _LIFT[m.bits])
    scale = power_of_two(m, pattern)
    decay = m.fma(scale, s, scale)  # over share
    # (1 + d)**2 = 1 + d*(2 + d) with fewer roundings
    square = m.fma(decay, m.fma(decay, share * share, 2.0 * share), 1.0)
    return decay / square * (times * share)


def silu(m: Any, x: Any, beta: Any) -> Any:
    """X * sigmoid(beta * x), within 2 units in the last place."""
    if _is_one(beta):
        bounded = _within(m, x)
        # Multiplied last, so that only the result can be subnormal.
        return m.where(x > _WIDE[m.bits], x, bounded / _opening(m, bounded) * _SHARE[m.bits])
    finite, right, exponent, low = _exponent(m, x, beta)
    right = right | (exponent == 0.0)
    near = right | (exponent > _NEAR)
    return _gated(m, x, finite, right, near, damping(m, exponent, low))


def silu_slope(m: Any, x: Any, beta: Any) -> Any:
    """The derivative of x * sigmoid(beta * x), within 4 units in the last place."""
    shut, anchor = _SHUT[m.bits], SILU[m.bits]
    if _is_one(beta):
        right, exponent, low = x > 0.0, m.maximum(-abs(x), shut), None
    else:
        _, right, exponent, low = _exponent(m, x, beta)
        low, exponent = m.where(exponent < shut, 0.0, low), m.maximum(exponent, shut)
    power = fall(m, exponent, low, about=anchor.at)
    lack = anchor.lack if low is None else low + anchor.lack
    # Two of the numerator's three terms are small: one rounding less.
    numerator = m.fma(anchor.power, power.growth(m), lack) + (exponent - anchor.root)
    return _gated_slope(m, right, numerator, anchor, power)


def gelu_tanh(m: Any, x: Any) -> Any:
    """X * sigmoid(2 * u), where u = sqrt(2/pi) * (x + 0.044715 * x**3)."""
    closing = m.maximum(-abs(x), -_NARROW[m.bits])
    power = fall(m, *gelu_exponent(m, closing))
    return _gated(m, x, closing, x >= 0.0, x > 0.5 * _NEAR, power)


def gelu_tanh_slope(m: Any, x: Any) -> Any:
    """Its derivative, within 4 units in the last place: the numerator is not rounded alone."""
    closing, anchor = m.maximum(-abs(x), -_NARROW[m.bits]), GELU_TANH[m.bits]
    power = fall(m, *gelu_exponent(m, closing), about=anchor.at)
    distance, steepness = closing - anchor.root, _gelu_steepness(m, closing, anchor.root)
    rest = m.fma(anchor.power, power.growth(m), anchor.lack)
    product = distance * steepness
    numerator = product + rest
    lost = m.fma(distance, steepness, -product) + (rest - (numerator - product))
    lifted = _lifted(m, anchor, power)
    decay = lifted * power.second
    share = lifted / m.fma(decay, 2.0 + decay, 1.0)
    shut = m.fma(numerator, share, lost * share) * power.second
    return m.where(x > 0.0, 1.0 - shut, shut)


def _gelu_steepness(m: Any, x: Any, root: float) -> Any:
    """linear*x + 3*cubic*x**3, which is x*v', less its value at the root, over the distance."""
    (linear, linear_low), cubic = m.held(GELU_CUBIC[0]), GELU_CUBIC[1]
    constant = root * root + linear_low / (3.0 * cubic)
    return m.fma(3.0 * cubic, m.fma(x, x, m.fma(x, root, constant)), linear)


def mish(m: Any, x: Any) -> Any:
    """X * tanh(log(1 + w)) for w = exp(x), within 2 units in the last place.

    With t = w*(2 + w) the gate is t/(t + 2): half of 1 + (t - 2)/(t + 2), or where that cancels
    w times 1 less w*(1 + w)/(t + 2).
    """
    right, bounded = x > _BESIDE, m.minimum(m.maximum(x, _SHUT[m.bits]), _OPEN[m.bits])
    power = fall(m, bounded)
    w = power.near_one(m)
    above = m.fma(w, w, w + w)
    share = m.where(right, above - 2.0, m.fma(w, w, w)) / (above + 2.0)
    gate = m.where(right, share, m.fma(-share, 1.0 + power.s, power.s))
    scale = m.where(right, 0.5 / power.second, power.first)
    result = m.fma(bounded, gate, bounded) * scale * power.second
    return m.where(x <= _OPEN[m.bits], result, x)


def mish_slope(m: Any, x: Any) -> Any:
    """The derivative of Mish as a quotient of polynomials in d = exp(-abs(x))."""
    right, bounded = x > 0.0, m.maximum(m.minimum(x, 1e4), _SHUT[m.bits])
    power = fall(m, m.maximum(-abs(x), _SHUT[m.bits]))
    d = power.near_one(m)
    bend = m.fma(4.0 * bounded, 1.0 + d, m.fma(4.0, d, 6.0))
    opening = m.fma(d, m.fma(d, bend, 4.0), 1.0)
    # For x <= 0 over d. Near the root 1 + x is exact.
    rise, bent = m.fma(4.0, bounded, 4.0), m.fma(4.0, bounded, 6.0)
    inner = m.fma(d, 4.0 + d, bent)
    closing = m.fma(d, inner, rise)
    if m.bits == 64:
        closing = m.fma(closing, power.s, closing)
    else:  # it does not cancel, nor is it rounded but where s multiplies it
        closing = m.fma(d, inner, m.fma(closing, power.s, rise))
    closing = closing * power.first * power.second
    # (1 + 2*d + 2*d**2)**2 or (2 + 2*d + d**2)**2
    square = m.fma(m.where(right, 4.0, 1.0), d, m.where(right, 8.0, 4.0))
    square = m.fma(d, m.fma(d, square, 8.0), m.where(right, 4.0, 8.0))
    square = m.fma(d, square, m.where(right, 1.0, 4.0))
    return _mish_near_root(m, x, m.where(right, opening, closing) / square)


def _mish_near_root(m: Any, x: Any, slope: Any) -> Any:
    """The slope, or where that cancels in 32 bits its series around the root."""
    if m.bits == 64:
        return slope
    distance = (x - MISH_ROOT[0]) - MISH_ROOT[1]
    near = distance * m.polynomial(distance, MISH_SERIES)
    return m.where(abs(distance) < MISH_REACH, near, slope)


def _within(m: Any, x: Any) -> Any:
    return m.minimum(m.maximum(x, _SHUT[m.bits]), _WIDE[m.bits])


def _opening(m: Any, x: Any) -> Any:
    """1 + exp(-x) = 1 + w*(1 + s), times a number that keeps it finite for all of ``_within``.

    32 bits cannot hold 2**24 + 1, nor the sum of 1 and w from there on. In (w*(1 - c) + 1) +
    w*(s + c) with a c of the last place of 1 nothing is lost at w = 2**24. A quarter of what is
    lost at 2**25 is put back by a c that is a sixteenth larger.
    """
    form, share = FORMATS[m.bits], _SHARE[m.bits]
    s, pattern = parts(m, -x, form.bias - _LIFT[m.bits])
    w, c = power_of_two(m, pattern), 2.0**-form.mantissa
    return m.fma(w, s + 1.0625 * c, m.fma(w, 1.0 - c, share))


def _is_one(beta: Any) -> bool:
    return not isinstance(beta, Value) and beta == 1.0


def _exponent(m: Any, x: Any, beta: Any) -> tuple[Any, Any, Any, Any]:
    """X without infinities, whether v = beta * x > 0, -abs(v), and what rounding took from it."""
    finite = m.maximum(m.minimum(x, _FINITE), -_FINITE)
    product = beta * finite
    right = product > 0.0
    lost = lost_in_product(m, beta, finite, product)
    return finite, right, -abs(product), m.where(right, -lost, lost)


def _gated(m: Any, x: Any, closing: Any, right: Any, near: Any, power: Power) -> Any:
    """X * sigmoid(v) from d = exp(-abs(v)); ``right`` says whether v > 0.

    ``closing`` is x where v <= 0, but for the far tail. The result is a quotient where that is
    ``near``; elsewhere 1 less d/(1 + d), which is small there, is multiplied.
    """
    decay = power.near_one(m)
    opened = m.where(right, x, m.fma(closing, power.s, closing))
    quotient = m.where(near, opened, decay) / power.above_one(m)
    result = m.where(near, quotient, m.fma(-quotient, opened, opened))
    return m.where(right, result, power.scaled(result))


def _gated_slope(m: Any, right: Any, numerator: Any, anchor: Anchor, power: Power) -> Any:
    """D * (1 + d + x*v') / (1 + d)**2 for d = exp(v), v < 0; for v > 0 it is 1 less that of -x."""
    lifted = _lifted(m, anchor, power)
    decay = lifted * power.second
    square = m.fma(decay, 2.0 + decay, 1.0)
    shut = numerator / square * lifted * power.second
    return m.where(right, 1.0 - shut, shut)


def _lifted(m: Any, anchor: Anchor, power: Power) -> Any:
    """The exponential before its last factor, from the power that is 1 at ``anchor``."""
    first = anchor.power * power.first
    return m.fma(first, power.s, first)
