"""exp, expm1, and exponentials that fade below the smallest number.

exp(x) = 2**n * (1 + s), where n is the whole number nearest to x/log(2) and s = exp(r) - 1 for
the rest r = x - n*log(2), abs(r) <= log(2)/2. s is a polynomial, and 2**n a pattern of bits.
The product n*log(2) is taken in two parts of which the first is exact, so that r has the rounding
error of one operation. So does the r of a product a*b that is never rounded itself.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

from relucid.kernels.constants import nearest
from relucid.kernels.mathematics.formats import FORMATS, copy_sign, power_of_two
from relucid.kernels.program import Value

_UNREDUCED = -0.34
"""Above it, up to 0, n is 0."""


@dataclass(frozen=True)
class _Constants:
    log2: tuple[float, float]
    """log(2) as a number of so few bits that n times it is exact, and the rest."""
    series: tuple[float, ...]
    """(exp(r) - 1 - r) / r**2 in powers of r."""
    flat: float
    """expm1 rounds to -1 below."""
    tiny: float
    """exp rounds to 0 below."""
    gone: float
    """exp times the largest number rounds to 0 below."""
    huge: float
    """exp overflows above."""
    lift: int
    """Numbers down to exp(tiny) are normal when multiplied by 2**lift."""


_CONSTANTS = {
    # Error relative to exp(r): 2**-28.2.
    32: _Constants(
        (0.693145751953125, 1.4286068203094173e-06),
        (
            0.4999999403953552, 0.16666516661643982, 0.041668105870485306, 0.008369140326976776,
            0.0013836733996868134,
        ),
        -17.5, -104.0, -174.0, 89.0, 64,
    ),
    # Relative error of s: 2**-57.3.
    64: _Constants(
        (0.6931471805598903, 5.497923018708371e-14),
        (
            0.5, 0.16666666666666669, 0.04166666666666668, 0.008333333333331657,
            0.0013888888888876224, 0.00019841269846138999, 2.4801587345816204e-05,
            2.7557313195022494e-06, 2.755725245734442e-07, 2.5055371077259087e-08,
            2.0925932618435785e-09, 1.5557099951717563e-10,
        ),
        -38.0, -746.0, -1416.0, 710.0, 512,
    ),
}  # fmt: skip


class Parts(NamedTuple):
    """exp(x) = 2**n * (1 + s)."""

    s: Any
    pattern: Any
    """An integer in whose lowest bits is n + offset."""


def parts(
    m: Any, x: Any, offset: int, low: Any = None, about: tuple[float, float] | None = None
) -> Parts:
    """Reduce x, or x + ``low``, where ``low`` is below the last place of x.

    ``about`` is taken off first: a number to which multiples of the first part of log(2) add
    exactly, and its rest. Near it the result keeps the relative precision of the difference.
    """
    constants = _CONSTANTS[m.bits]
    magic = FORMATS[m.bits].magic + offset
    start, rest = about or (0.0, 0.0)
    shifted = m.fma(x - start if about else x, 1.0 / math.log(2.0), magic)
    n = shifted - magic
    high, tiny = constants.log2
    r = x - m.fma(n, high, start) if about else m.fma(n, -high, x)
    if about or low is not None:
        lost = -rest if low is None else low - rest if about else low
        r = r + m.fma(n, -tiny, lost)
    else:
        r = m.fma(n, -tiny, r)
    return _reduced(m, r, shifted)


def near_parts(m: Any, x: Any, offset: int) -> Parts:
    """The same for x <= 0 where exp(x) is added to 1.

    There log(2) in one part is enough: n is large only where 2**n is small.
    """
    magic = FORMATS[m.bits].magic + offset
    shifted = m.fma(x, 1.0 / math.log(2.0), magic)
    r = m.fma(shifted - magic, -math.log(2.0), x)
    return _reduced(m, r, shifted)


def _reduced(m: Any, r: Any, shifted: Any) -> Parts:
    square = r * r
    s = m.fma(square, m.polynomial(r, _CONSTANTS[m.bits].series), r)
    return Parts(s, m.as_bits(shifted))


def halves(m: Any, pattern: Any) -> tuple[Any, Any]:
    """Two powers of two whose product is 2**n, from n + 2*bias; each alone is a normal number."""
    first = pattern >> 1
    return power_of_two(m, first), power_of_two(m, pattern - first)


def exp(m: Any, x: Any) -> Any:
    """The exponential; error below 1.1 units in the last place, subnormal results included."""
    if nonpositive(x):
        return _fading(m, x)
    constants = _CONSTANTS[m.bits]
    x = m.maximum(m.minimum(x, constants.huge), constants.tiny)
    s, pattern = parts(m, x, 2 * FORMATS[m.bits].bias)
    first, second = halves(m, pattern)
    return (1.0 + s) * first * second


def _fading(m: Any, x: Any, low: Any = None) -> Any:
    """exp(x + low) for x <= 0."""
    s, lifted, unlift = fading_parts(m, m.maximum(x, _CONSTANTS[m.bits].tiny), low)
    scale = lifted * unlift
    return m.fma(scale, s, scale)


def fading_parts(m: Any, x: Any, low: Any = None) -> tuple[Any, Any, float]:
    """(s, f, g) with f * g = 2**n, for x from a little below ``tiny`` to 0.

    2**n may be a subnormal number; f is none.
    """
    lift = _CONSTANTS[m.bits].lift
    s, pattern = parts(m, x, FORMATS[m.bits].bias + lift, low)
    return s, power_of_two(m, pattern), 2.0**-lift


def nonpositive(x: Any) -> bool:
    """Whether an operation's result cannot be above 0, as far as one can tell from it."""
    if not isinstance(x, Value):
        return bool(x <= 0.0)
    given = x.arguments
    if x.operation == "neg":
        return isinstance(given[0], Value) and given[0].operation in ("abs", "sqrt")
    if x.operation == "where":  # min(a, 0)
        test = given[0]
        bounded = test.operation == "gt" and test.arguments[1] == 0.0 == given[1]
        return bounded and test.arguments[0] is given[2]
    return False


def exp_of_product(m: Any, a: Any, b: Any, rest: Any = None) -> Any:
    """exp(a * b + rest) for a * b <= 0."""
    exponent = a * b
    gone = exponent < _CONSTANTS[m.bits].tiny
    return _fading(m, exponent, m.where(gone, 0.0, _lost(m, a, b, exponent, rest)))


def lost_in_product(m: Any, a: Any, b: Any, product: Any) -> Any:
    """What rounding took from a product, and from a constant factor before."""
    (a, a_rest), (b, b_rest) = m.held(a), m.held(b)
    if a_rest or b_rest:
        return _lost(m, a, b, product, a_rest * b + a * b_rest)
    return _lost(m, a, b, product, None)


def _lost(m: Any, a: Any, b: Any, product: Any, rest: Any) -> Any:
    error = m.fma(a, b, -product)
    return error if rest is None else error + rest


class Power(NamedTuple):
    """exp(x) = (1 + s) * first * second, of which only the whole can be subnormal."""

    s: Any
    first: Any
    second: Any

    def near_one(self, m: Any) -> Any:
        """exp(x), for sums with numbers of the size of 1: rounded twice where it is subnormal."""
        whole = self.first * self.second
        return m.fma(whole, self.s, whole)

    def above_one(self, m: Any) -> Any:
        """1 + exp(x), rounded once."""
        whole = self.first * self.second
        return m.fma(whole, self.s, 1.0 + whole)

    def growth(self, m: Any) -> Any:
        """exp(x) - 1, with the relative precision of x."""
        whole = self.first * self.second
        return m.fma(whole, self.s, whole - 1.0)

    def scaled(self, y: Any) -> Any:
        """Y * 2**n; multiplied by ``second`` last, so that only the result can be subnormal."""
        return y * self.first * self.second


def fall(m: Any, x: Any, low: Any = None, about: tuple[float, float] | None = None) -> Power:
    """Take exp(x + low) apart, or where ``about`` is given exp(x + low - about).

    For x from about twice ``tiny`` to some units above 0.
    """
    lift = _CONSTANTS[m.bits].lift
    s, pattern = parts(m, x, FORMATS[m.bits].bias + lift, low, about)
    return Power(s, power_of_two(m, pattern), 2.0**-lift)


def damping(m: Any, x: Any, low: Any = None) -> Power:
    """Take exp(x + low) apart, for x <= 0; 0 where even its product with the largest number is."""
    gone = x < _CONSTANTS[m.bits].gone
    bounded = m.maximum(x, _CONSTANTS[m.bits].gone)
    low = None if low is None else m.where(gone, 0.0, low)
    s, pattern = parts(m, bounded, 2 * FORMATS[m.bits].bias, low)
    first, second = halves(m, pattern)
    return Power(s, m.where(gone, 0.0, first), second)


def damping_of_product(m: Any, a: Any, b: Any, rest: Any = None) -> Power:
    """The same for exp(a * b + rest)."""
    exponent = a * b
    return damping(m, exponent, _lost(m, a, b, exponent, rest))


def expm1(m: Any, x: Any) -> Any:
    """exp(x) - 1; error below 1.1 units in the last place."""
    return expm1_times(m, 1.0, x)


def expm1_times(m: Any, factor: Any, x: Any) -> Any:
    """Factor * (exp(x) - 1): factor * 2**n * s + (factor * 2**n - factor)."""
    if m.bits == 32 and not isinstance(factor, Value):
        factor, _ = nearest(factor)  # the difference below needs the very same factor twice
    constants = _CONSTANTS[m.bits]
    fading = nonpositive(x)
    bounded = m.maximum(x if fading else m.minimum(x, constants.huge), constants.flat)
    # Halved where 2**n alone would overflow.
    half = 1.0 if fading else 0.5
    bias = FORMATS[m.bits].bias
    s, pattern = near_parts(m, bounded, bias) if fading else parts(m, bounded, bias - 1)
    scale = power_of_two(m, pattern) * factor
    result = m.fma(scale, s, scale - half * factor)
    if not fading:  # doubled, but for what halving may have made subnormal
        tiny = abs(x) < 2.0 ** -(FORMATS[m.bits].mantissa + 2)
        result = m.where(tiny, factor * x, 2.0 * result)
    if not isinstance(factor, Value):
        return copy_sign(m, result, x if factor > 0.0 else -x)
    return copy_sign(m, result, factor * x)


def expm1_quotient(m: Any, a: Any, b: float) -> Any:
    """B * (exp(a/b) - 1) for a <= 0 and a constant b > 0, without a division.

    Where s is exp(a/b) - 1 it is a plus b times what s has above a/b: then neither the quotient's
    rounding nor that of b counts.
    """
    constants = _CONSTANTS[m.bits]
    (b, b_rest), (inverse, _) = m.held(b), m.held(1.0 / b)
    exponent = a * inverse
    lost = m.fma(exponent, -b, a)
    if b_rest:
        lost = m.fma(exponent, -b_rest, lost)
    small = exponent > _UNREDUCED
    low = m.where(small | (exponent < constants.flat), 0.0, lost * inverse)
    s, pattern = parts(m, m.maximum(exponent, constants.flat), FORMATS[m.bits].bias, low)
    scale = power_of_two(m, pattern) * b
    size = m.fma(scale, s, scale - b)
    return copy_sign(m, m.where(small, m.fma(b, s - exponent, a), size), a)
