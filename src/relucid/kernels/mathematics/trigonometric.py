"""arctan and hypot."""

from __future__ import annotations

import math
from typing import Any

from relucid.kernels.mathematics.formats import FORMATS, balanced, copy_sign

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
