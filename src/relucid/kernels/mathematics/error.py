"""erf and erfc."""

from __future__ import annotations

import math
from typing import Any

from relucid.kernels.mathematics.exponential import fading_parts
from relucid.kernels.mathematics.formats import balanced, copy_sign

# erf(x)/x in powers of x**2 for abs(x) <= 1; relative errors 2**-23.8 and 2**-55.5.
_SERIES = {
    32: (
        1.1283791065216064, -0.3761262595653534, 0.1128358542919159, -0.026853814721107483,
        0.005188330542296171, -0.0008010202436707914, 7.853849820094183e-05,
    ),
    64: (
        1.1283791670955126, -0.3761263890318375, 0.11283791670954858, -0.02686617064507296,
        0.00522397762478137, -0.0008548326978765149, 0.00012055331037551082,
        -1.4925593518727687e-05, 1.6460972954145884e-06, -1.6350026192000367e-07,
        1.465788353043927e-08, -1.1365670670090166e-09, 5.945255581458664e-11,
    ),
}  # fmt: skip

_REACH = {32: 10.5, 64: 27.5}
"""erfc is below half of the smallest number from here on."""


def erf(m: Any, x: Any) -> Any:
    """Error below 2 units in the last place."""
    square = x * x
    near = x * balanced(m, square, _SERIES[m.bits])
    return m.where(abs(x) < 1.0, near, copy_sign(m, 1.0 - _above(m, abs(x)), x))


def erfc(m: Any, x: Any) -> Any:
    """Error below 4 units in the last place, which the tail's quotient and products add up to."""
    above = _above(m, abs(x))
    return m.where(x < 0.0, 2.0 - above, above)


def _above(m: Any, size: Any) -> Any:
    """erfc(size) for size >= 0."""
    t = m.minimum(size, _REACH[m.bits])
    exponent = -t * t
    s, lifted, unlift = fading_parts(m, exponent, -m.fma(t, t, exponent))
    tail = 2.0 * m.normal_tail(t * math.sqrt(2.0))
    return m.fma(tail, s, tail) * lifted * unlift
