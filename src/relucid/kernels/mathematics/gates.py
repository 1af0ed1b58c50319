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

from relucid.kernels.mathematics.exponential import Power, damping, exp, fall, lost_in_product
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
    """The x nearest to the root."""
    lack: float
    """The numerator with this power and this x."""


# By bits.
# fmt: off
SILU = {
    32: Anchor(
        (-1.2784576416015625, -6.854549155832501e-06), 0.27846455574035645, -1.2784645557403564, 0.0
    ),
    64: Anchor(
        (-1.2784645427018404, -5.923338883884235e-11),
        0.2784645427610738,
        -1.2784645427610737,
        1.1102230246251565e-16,
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
        -0.7524614220710163,
        -6.265175877435862e-17,
    ),
}
MISH = {
    32: Anchor(
        (-1.1924285888671875, -2.6348095616413048e-06),
        0.3034825325012207,
        -1.1924312114715576,
        4.9319210937426305e-09,
    ),
    64: Anchor(
        (-1.192431214498356, -1.7139292729237646e-11),
        0.3034825352815289,
        -1.1924312145154952,
        1.748506315648315e-16,
    ),
}

# fmt: on

# The numerator of mish' with exp(x) = exp(z0) * (1 + q) is 4*(1 + exp(x))*(x - root) and a
# polynomial in q, which begins with ``lack`` and goes on with these.
MISH_BEND = (1.194033938963939, 0.45226032291112817, 0.02795124200917013)

_GONE = {32: -106.0, 64: -748.0}
"""Four times exp rounds to 0 below."""
_SHUT = {32: -110.0, 64: -760.0}
"""x * exp(x) is below half of the smallest number from here on."""
_NARROW = {32: 11.0, 64: 22.0}
"""So is GELU-tanh below minus this."""
_OPEN = {32: 16.0, 64: 40.0}
"""Mish is x, and its slope 1, above."""
_FINITE = 3e38
_BESIDE = -0.5
"""Where one form of Mish becomes more accurate than the other."""


def sigmoid(m: Any, x: Any) -> Any:
    """1 / (1 + exp(-x)), within 2 units in the last place."""
    decay = exp(m, -abs(x))
    share = decay / (1.0 + decay)
    return m.where(x > 0.0, 1.0 - share, m.fma(-decay, share, decay))


def sigmoid_slope(m: Any, x: Any, times: float) -> Any:
    """exp(-x) / (1 + exp(-x))**2, times a power of two; within 3 units in the last place."""
    power = fall(m, m.maximum(-abs(x), _GONE[m.bits]))
    decay = power.near_one(m)
    square = m.fma(decay, 2.0 + decay, 1.0)  # (1 + decay)**2 with fewer roundings
    return power.scaled(m.fma(times, power.s, times) / square)


def silu(m: Any, x: Any, beta: Any) -> Any:
    """X * sigmoid(beta * x), within 2 units in the last place."""
    if _is_one(beta):
        closing = m.maximum(-abs(x), _SHUT[m.bits])
        result = _gated(m, m.where(x > 0.0, x, closing), x > 0.0, fall(m, closing))
        return m.where(x <= -_SHUT[m.bits], result, x)
    finite, right, exponent, low = _exponent(m, x, beta)
    result = _gated(m, finite, right, damping(m, exponent, low))
    open_ = right | (exponent == 0.0)
    return m.where(abs(x) <= _FINITE, result, m.where(open_, x, -0.0))


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
    result = _gated(m, m.where(x > 0.0, x, closing), x > 0.0, power)
    return m.where(x <= _NARROW[m.bits], result, x)


def gelu_tanh_slope(m: Any, x: Any) -> Any:
    """Its derivative."""
    closing, anchor = m.maximum(-abs(x), -_NARROW[m.bits]), GELU_TANH[m.bits]
    power = fall(m, *gelu_exponent(m, closing), about=anchor.at)
    root, (linear, cubic) = anchor.root, GELU_CUBIC
    # x*v' = linear*x + 3*cubic*x**3, less its value at the root, over the distance to it.
    steepness = m.fma(3.0 * cubic, m.fma(closing, closing + root, root * root), linear)
    rest = m.fma(anchor.power, power.growth(m), anchor.lack)
    return _gated_slope(m, x > 0.0, m.fma(closing - root, steepness, rest), anchor, power)


def mish(m: Any, x: Any) -> Any:
    """X * tanh(log(1 + w)) for w = exp(x), within 2 units in the last place.

    With t = w*(2 + w) the gate is t/(t + 2): half of 1 + (t - 2)/(t + 2), or where that cancels
    w times 1 less w*(1 + w)/(t + 2).
    """
    right, bounded = x > _BESIDE, m.minimum(m.maximum(x, _SHUT[m.bits]), _OPEN[m.bits])
    power = fall(m, bounded)
    w = power.near_one(m)
    above = m.fma(w, w, 2.0 * w)
    share = m.where(right, above - 2.0, m.fma(w, w, w)) / (above + 2.0)
    gate = m.where(right, share, m.fma(-share, 1.0 + power.s, power.s))
    result = m.fma(bounded, gate, bounded)
    return m.where(x <= _OPEN[m.bits], m.where(right, 0.5 * result, power.scaled(result)), x)


def mish_slope(m: Any, x: Any) -> Any:
    """W * (4*(1 + x) + w*(6 + 4*x) + 4*w**2 + w**3) / (2 + 2*w + w**2)**2 for w = exp(x)."""
    bounded = m.minimum(m.maximum(x, _SHUT[m.bits]), _OPEN[m.bits])
    anchor = MISH[m.bits]
    power = fall(m, bounded, about=anchor.at)
    lifted, growth = _lifted(m, anchor, power), power.growth(m)
    distance = 4.0 * (bounded - anchor.root)
    bend = m.polynomial(growth, (anchor.lack, *MISH_BEND))
    w = lifted * power.second
    numerator = m.fma(distance, w, bend) + distance
    above = m.fma(w, w, 2.0 * w)
    square = m.fma(above, 4.0 + above, 4.0)  # (2 + above)**2 with fewer roundings
    return numerator / square * lifted * power.second


def _is_one(beta: Any) -> bool:
    return not isinstance(beta, Value) and beta == 1.0


def _exponent(m: Any, x: Any, beta: Any) -> tuple[Any, Any, Any, Any]:
    """X without infinities, whether v = beta * x > 0, -abs(v), and what rounding took from it."""
    finite = m.maximum(m.minimum(x, _FINITE), -_FINITE)
    product = beta * finite
    right = product > 0.0
    lost = lost_in_product(m, beta, finite, product)
    return finite, right, -abs(product), m.where(right, -lost, lost)


def _gated(m: Any, x: Any, right: Any, power: Power) -> Any:
    """X * sigmoid(v) for finite x from d = exp(-abs(v)); ``right`` says whether v > 0.

    As x * (1 - d/(1 + d)) with the quotient's error damped, times d where not ``right``.
    """
    decay = power.near_one(m)
    opened = m.where(right, x, m.fma(x, power.s, x))
    result = m.fma(-opened, decay / (1.0 + decay), opened)
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
