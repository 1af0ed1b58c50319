"""The mathematics that formulas speak: the words every ``m`` understands.

A formula's first argument ``m`` offers the *primitive* words of some array library (``exp``,
``expm1``, ``where``, ...) and the *derived* words below, which are built from the primitive ones
in a form that stays accurate where the obvious one does not. A symbolic ``m`` reads a derived
word as its plain definition, which the docstring gives.

``exp(a * b)`` shows why they are needed: the rounding of ``a * b`` is an absolute error of the
exponent, so at an exponent of -80 half a unit in the last place becomes forty of them. The
derived words carry that rounding error along (``two_product``) and put it back to first order.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

SQRT_HALF = math.sqrt(0.5)
INVERSE_SQRT_TWO_PI = 1.0 / math.sqrt(2.0 * math.pi)

# 2*sqrt(2/pi) and 0.044715 times it, each as the sum of two float64.
_GELU_LINEAR = (1.5957691216057308, -9.96930880911092e-17)
_GELU_CUBIC = (0.07135481627260025, -6.175149918155315e-19)


class Words:
    """Primitive words, which a subclass takes from its array library, and derived ones.

    The primitive words are elementwise and broadcast, but for ``max``, ``sum`` and ``cumsum``,
    which act along an axis and keep it.
    """

    pi = math.pi
    split_factor: float
    """2**ceil(p/2) + 1 for a significand of p bits: what Veltkamp's splitting multiplies by."""

    if TYPE_CHECKING:

        def where(self, condition: Any, a: Any, b: Any) -> Any: ...
        def minimum(self, a: Any, b: Any) -> Any: ...
        def maximum(self, a: Any, b: Any) -> Any: ...
        def abs(self, x: Any) -> Any: ...
        def sign(self, x: Any) -> Any: ...
        def sqrt(self, x: Any) -> Any: ...
        def exp(self, x: Any) -> Any: ...
        def expm1(self, x: Any) -> Any: ...
        def log(self, x: Any) -> Any: ...
        def log1p(self, x: Any) -> Any: ...
        def sin(self, x: Any) -> Any: ...
        def cos(self, x: Any) -> Any: ...
        def tanh(self, x: Any) -> Any: ...
        def arctan(self, x: Any) -> Any: ...
        def hypot(self, a: Any, b: Any) -> Any: ...
        def erf(self, x: Any) -> Any: ...
        def erfc(self, x: Any) -> Any: ...
        def erfcx(self, x: Any) -> Any: ...
        def max(self, x: Any, axis: int) -> Any: ...
        def sum(self, x: Any, axis: int) -> Any: ...
        def cumsum(self, x: Any, axis: int) -> Any: ...

    def sigmoid(self, x: Any) -> Any:
        """1 / (1 + exp(-x)), without overflow on either side."""
        decay = self.exp(-self.abs(x))
        return self.where(x >= 0, 1.0, decay) / (1.0 + decay)

    def two_product(self, a: Any, b: Any) -> tuple[Any, Any]:
        """(p, e) with p = a * b rounded and p + e = a * b exactly (Dekker 1971).

        Outside the range in which the splitting is finite, e is 0.
        """
        if _is_power_of_two(a) or _is_power_of_two(b):
            return a * b, 0.0
        product = a * b
        a_high, a_low = self._split(a)
        b_high, b_low = self._split(b)
        error = ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low
        return product, self.where(self.abs(error) <= self.abs(product), error, 0.0)

    def _split(self, a: Any) -> tuple[Any, Any]:
        scaled = a * self.split_factor
        high = scaled - (scaled - a)
        return high, a - high

    def exp_product(self, a: Any, b: Any) -> Any:
        """exp(a * b)."""
        exponent, error = self.two_product(a, b)
        power = self.exp(exponent)
        return power + power * error

    def exp_quotient(self, a: Any, b: Any) -> Any:
        """exp(a / b)."""
        quotient = a / b
        product, error = self.two_product(quotient, b)
        remainder = ((a - product) - error) / b
        power = self.exp(quotient)
        return power + power * self.where(self.abs(remainder) < 1.0, remainder, 0.0)

    def normal_decay(self, x: Any) -> Any:
        """exp(-x**2 / 4), the square root of the normal density's exponential.

        It is used twice, with the large factor between, so that no subnormal intermediate
        spoils a product that is itself a normal number.
        """
        bounded = self.minimum(self.abs(x), 1e4)
        return self.exp_product(bounded * -0.25, bounded)

    def normal_tail(self, x: Any) -> Any:
        """erfc(abs(x) / sqrt(2)) * exp(x**2 / 2) / 2: the scaled upper tail of N(0, 1)."""
        return 0.5 * self.erfcx(self.abs(x) * SQRT_HALF)

    def tanh_residual(self, x: Any) -> Any:
        """x - tanh(x), by Lambert's continued fraction where the difference would cancel."""
        square = self.minimum(x * x, 4.0)
        fraction: Any = 29.0
        for odd in range(27, 1, -2):
            fraction = odd + square / fraction
        fraction = square / fraction
        return self.where(self.abs(x) < 2.0, x * (fraction / (1.0 + fraction)), x - self.tanh(x))

    def gelu_decay(self, x: Any) -> Any:
        """exp(-abs(u)) for u = sqrt(2/pi) * (x + 0.044715 * x**3), in double-word arithmetic.

        Half of the exponent of GELU's tanh form, used twice (see :meth:`normal_decay`).
        """
        bounded = self.minimum(self.abs(x), 100.0)
        square, square_error = self.two_product(bounded, bounded)
        (linear, linear_low), (cubic, cubic_low) = map(self._constant, (_GELU_LINEAR, _GELU_CUBIC))
        scaled, scaled_error = self.two_product(square, cubic)
        scaled_error = scaled_error + (cubic * square_error + cubic_low * square)
        total = linear + scaled
        # Knuth's two-sum: the part of the sum that rounding lost.
        virtual = total - linear
        total_error = (linear - (total - virtual)) + (scaled - virtual)
        total_error = total_error + (scaled_error + linear_low)
        exponent, exponent_error = self.two_product(bounded, total)
        exponent_error = exponent_error + bounded * total_error
        power = self.exp(exponent * -0.5)
        return power - power * (exponent_error * 0.5)

    def _constant(self, pair: tuple[float, float]) -> tuple[float, float]:
        """Split a constant of two float64 into a part exact in this arithmetic and the rest."""
        return pair


def _is_power_of_two(a: Any) -> bool:
    return isinstance(a, float | int) and math.frexp(abs(a))[0] == 0.5
