"""arctan, hypot, and what the longest side of a triangle has above another."""

from __future__ import annotations

import math
from typing import Any

from relucid.kernels.mathematics.formats import FORMATS, balanced, copy_sign
from relucid.kernels.program import Value

# (arctan(x)/x - 1)/x**2 in powers of x**2 for abs(x) <= 1; errors relative to arctan: 2**-26.3
# and 2**-55.3.
_SERIES = {
    32: (
        -0.33333298563957214, 0.19998548924922943, -0.14264242351055145, 0.10952186584472656,
        -0.0840345248579979, 0.05795762687921524, -0.03117787279188633, 0.010914618149399757,
        -0.0017936239019036293,
    ),
    64: (
        -0.33333333333333287, 0.19999999999990448, -0.14285714285036644, 0.11111111086448014,
        -0.0909090854726955, 0.07692299711955365, -0.06666583724270093, 0.05881716162532777,
        -0.05259433824830384, 0.04744926232464572, -0.042863911980319705, 0.0382100689814074,
        -0.032785435409764266, 0.026151673680631513, -0.018614205199111725,
        0.01131765549847872, -0.005612390564911206, 0.00215158956843338,
        -0.0005928937380667805, 0.00010387198794209183, -8.654213783308097e-06,
    ),
}  # fmt: skip

_HALF_PI = {
    32: (1.5707963705062866, -4.371139000186241e-08),
    64: (1.5707963267948966, 6.123233995736766e-17),
}

_FAR = 2.0**30
"""The smaller side is lost in the longer one that is so many times as long."""


def arctan(m: Any, x: Any) -> Any:
    """Above 1 by way of 1/x; error below 1.5 units in the last place."""
    size = abs(x)
    far = size > 1.0
    y = m.where(far, 1.0 / size, size)
    square = y * y
    angle = m.fma(y * square, balanced(m, square, _SERIES[m.bits]), y)
    high, low = _HALF_PI[m.bits]
    return copy_sign(m, m.where(far, high - (angle - low), angle), x)


def hypot(m: Any, a: Any, b: Any) -> Any:
    """sqrt(a**2 + b**2) without overflow or underflow on the way; error below 1.5 units."""
    if not isinstance(b, Value) and 1.0 / _FAR < b < _FAR:
        return _hypot_with(m, a, b)
    form = FORMATS[m.bits]
    a, b = abs(a), abs(b)
    big, small = m.maximum(a, b), m.minimum(a, b)
    least, most = 2.0 ** (form.mantissa + 2 - form.bias), 2.0 ** (form.bias - 1)
    bounded = m.minimum(m.maximum(big, least), most)
    exponent = m.as_bits(bounded) & (-1 << form.mantissa)
    scale = m.from_bits(exponent)
    inverse = m.from_bits((2 * form.bias << form.mantissa) - exponent)
    p, q = big * inverse, small * inverse
    return m.where(big < math.inf, m.sqrt(m.fma(p, p, q * q)) * scale, math.inf)


def _hypot_with(m: Any, a: Any, b: float) -> Any:
    """The same for a constant b > 0, brought to between 1 and 2 by a power of two."""
    exponent = math.frexp(b)[1] - 1
    scale, b = 2.0**exponent, math.ldexp(b, -exponent)
    size = abs(a)
    p = size * (1.0 / scale)
    bounded = m.minimum(p, _FAR)
    return m.where(p < _FAR, m.sqrt(m.fma(bounded, bounded, b * b)) * scale, size)


def excess(m: Any, x: Any, b: float, root: Any) -> Any:
    """(root - abs(x)) / 2 for root = sqrt(x**2 + b), within 1.5 units in the last place.

    As y = b/4 / ((root + abs(x)) / 2), and a step of Newton's method towards y*(y + abs(x)) = b/4:
    it leaves little of the errors of the root, the sum and the quotient.
    """
    size, product = abs(x), 0.25 * b
    y = product / (0.5 * root + 0.5 * size)
    finite = m.where(y > 0.0, size, 0.0)
    high, rest = m.held(product)
    lack = m.fma(y, y, m.fma(y, finite, -high)) - rest
    # The step is lack/(2*y + abs(x)). With z = 4*y**2/b that is 4*lack*y/b / (1 + z), and 0 <= z
    # <= 1: half a unit in the last place that y is off needs no more than 1 - z/2 for 1/(1 + z).
    inverse, _ = m.held(1.0 / product)
    z = y * y * inverse
    return m.fma(-y, lack * inverse * m.fma(z, -0.5, 1.0), y)
