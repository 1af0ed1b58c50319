"""log and log1p.

With s = f/(2 + f), log(1 + f) = f - s*(f - s**2 * R(s**2)), in which only the small second term
has rounding errors; R(z) = (2*atanh(sqrt(z))/sqrt(z) - 2)/z.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from relucid.kernels.mathematics.formats import FORMATS, balanced
from relucid.kernels.program import Value

# R on 0 <= z <= 1/9; error relative to log(1 + f): 2**-27.7 and 2**-59.4.
_SERIES = {
    32: (0.666664183139801, 0.40021437406539917, 0.28002968430519104, 0.2800746262073517),
    64: (
        0.6666666666666631, 0.40000000000155905, 0.28571428548022115, 0.22222223959280288,
        0.18181744291174268, 0.15386552203485118, 0.13301073443185843, 0.12105310378732019,
        0.08343424185806958, 0.17012548322167598,
    ),
}  # fmt: skip

# (x - log(1 + x))/x**2 on 0 <= x <= 1; error relative to log(1 + x): 2**-27.5.
_UNIT = (
    0.4999993145465851, -0.33330464363098145, 0.24958018958568573, -0.19692103564739227,
    0.1534489244222641, -0.10661164671182632, 0.05745777115225792, -0.020086629316210747,
    0.0032905766274780035,
)  # fmt: skip

_LOG2 = {
    32: (0.693145751953125, 1.4286068203094173e-06),
    64: (0.6931471805598903, 5.497923018708371e-14),
}


class _Scaled(NamedTuple):
    """x = 2**k * (1 + f) with 1 + f between sqrt(1/2) and sqrt(2)."""

    f: Any
    k: Any
    pattern: Any
    """k + bias, as an integer."""


def log1p_unit(m: Any, x: Any, times: Any = 1.0) -> Any:
    """Times * log(1 + x) for 0 <= x <= 1.

    Error below 1.2 units in the last place, or 2 where ``times`` is not 1. In 32 bits by a
    polynomial of degree 10, which takes no division. Horner's rule is closer than Estrin's scheme
    here, and takes three operations less.
    """
    above, factor = (x * x, m.polynomial(x, _UNIT)) if m.bits == 32 else _bend(m, x)
    if not isinstance(times, Value) and times == 1.0:
        return m.fma(-above, factor, x)
    # log(1 + x) is not rounded before it is multiplied.
    high, rest = m.held(times)
    lack = above * factor * -high
    return m.fma(x, high, m.fma(x, rest, lack) if rest else lack)


def _bend(m: Any, f: Any) -> tuple[Any, Any]:
    """Two factors of what f has above log(1 + f)."""
    s = f / (2.0 + f)
    square = s * s
    return s, m.fma(-square, balanced(m, square, _SERIES[m.bits]), f)


def log(m: Any, x: Any) -> Any:
    """The logarithm: -inf at 0, NaN below; error below 1.2 units in the last place."""
    form = FORMATS[m.bits]
    least = 2.0 ** (1 - form.bias)
    small = x < least
    lifted = m.where(small, x * 2.0 ** (form.mantissa + 1), x)
    f, k, _ = _scaled(m, lifted)
    k = m.where(small, k - float(form.mantissa + 1), k)
    return _special(m, x, _combined(m, f, k), 0.0)


def log1p(m: Any, x: Any) -> Any:
    """log(1 + x): -inf at -1, NaN below; error below 1 unit in the last place."""
    total = 1.0 + x
    virtual = total - 1.0
    lost = (1.0 - (total - virtual)) + (x - virtual)
    f, k, pattern = _scaled(m, total)
    # 2**-k; k stays above -bias here, since 1 + x is no subnormal number.
    form = FORMATS[m.bits]
    shrink = m.from_bits((2 * form.bias - pattern) << form.mantissa)
    small = m.where(total < 2.0 ** (form.bias - 2), lost * shrink, 0.0)
    result = _combined(m, f + small, k)
    return m.where(abs(x) < 2.0**-form.mantissa / 2, x, _special(m, x, result, -1.0))


def _scaled(m: Any, x: Any) -> _Scaled:
    form = FORMATS[m.bits]
    low = {32: 0x3F3504F3, 64: 0x3FE6A09E667F3BCD}[m.bits]  # sqrt(1/2)
    one = form.bias << form.mantissa
    shifted = m.as_bits(x) + (one - low)
    pattern = shifted >> form.mantissa
    z = m.from_bits((shifted & ((1 << form.mantissa) - 1)) + low)
    base = 2.0**form.mantissa
    whole = (form.bias + form.mantissa) << form.mantissa  # the pattern of base
    k = m.from_bits(pattern | whole) - (base + form.bias)
    return _Scaled(z - 1.0, k, pattern)


def _combined(m: Any, f: Any, k: Any) -> Any:
    high, low = _LOG2[m.bits]
    s, above = _bend(m, f)
    return m.fma(k, high, f - m.fma(k, -low, s * above))


def _special(m: Any, x: Any, result: Any, pole: float) -> Any:
    result = m.where(x == math.inf, math.inf, result)
    return m.where(x > pole, result, m.where(x == pole, -math.inf, math.nan))
