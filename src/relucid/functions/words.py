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

# (1 + t) times the scaled upper tail of N(0, 1) at t, as a polynomial in (t - 4)/(t + 4) for all
# t >= 0: its Chebyshev interpolant, computed with 60 digits. The tests compute it again.
# SciPy's and PyTorch's erfcx, in its place, are up to 8 units in the last place off near 0.
NORMAL_TAIL = (
    0.47205320650984467, -0.09670347732652607, 0.013999634724430469, 0.02860036405357749,
    -0.03219783742831453, 0.01793609747886859, -0.0050023785870514665, -0.00028562308680939413,
    0.0006948970692570495, -9.443033944152223e-05, -8.785300442645791e-05, 2.1250446856208376e-05,
    1.3626315192600401e-05, -3.433372216853275e-06, -2.6118464340168558e-06,
    4.0671730125154447e-07, 5.507747965364098e-07, -1.237153366992197e-09,
    -1.1022354013739079e-07, -1.7932121916642413e-08, 1.7442583764419795e-08,
    5.474708632048689e-09, -1.5456221598143852e-09, -6.763267210562454e-10,
)  # fmt: skip

_EXP_MINUS_64 = math.exp(-64.0)

# 2*sqrt(2/pi) and 0.044715 times it, each as the sum of two float64.
_GELU_LINEAR = (1.5957691216057308, -9.96930880911092e-17)
_GELU_CUBIC = (0.07135481627260025, -6.175149918155315e-19)
_GELU_SLOPE = (0.21406444881780073, 1.2025242832367862e-17)  # three times the latter


class Words:
    """Primitive words, which a subclass takes from its array library, and derived ones.

    The primitive words are elementwise and broadcast, but for ``max``, ``sum`` and ``cumsum``,
    which act along an axis and keep it.
    """

    pi = math.pi
    split_bits: int
    """ceil(p/2) for a significand of p bits: what Veltkamp's splitting takes off."""

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
        def max(self, x: Any, axis: int) -> Any: ...
        def sum(self, x: Any, axis: int) -> Any: ...
        def cumsum(self, x: Any, axis: int) -> Any: ...

    def sigmoid(self, x: Any) -> Any:
        """1 / (1 + exp(-x)), without overflow on either side."""
        decay = self.exp(-self.abs(x))
        return self.where(x > 0, 1.0, decay) / (1.0 + decay)

    def sigmoid_slope(self, x: Any, times: float = 1.0) -> Any:
        """The sigmoid's derivative exp(-x) / (1 + exp(-x))**2, times a power of two."""
        decay = self.exp(-self.abs(x))
        below = 1.0 + decay
        return times * decay / (below * below)

    def expm1_times(self, factor: Any, x: Any) -> Any:
        """Factor * (exp(x) - 1)."""
        return factor * self.expm1(x)

    def expm1_quotient(self, a: Any, b: Any) -> Any:
        """B * (exp(a / b) - 1), for a <= 0 < b."""
        return self.expm1_times(b, a / b)

    def scaled(self, x: Any, factor: Any) -> Any:
        """X * factor, rounded once down to the smallest number."""
        return x * factor

    def difference(self, a: Any, b: Any) -> Any:
        """A - b for a >= b >= 0, rounded once."""
        return a - b

    def ramp(self, x: Any, shift: Any, width: Any) -> Any:
        """(x + shift) / width for -shift < x < width - shift, rounded once; 0 and 1 beside."""
        inside = (x + shift) / width
        return self.where(x <= -shift, 0.0, self.where(x >= width - shift, 1.0, inside))

    def excess(self, x: Any, b: Any, root: Any) -> Any:
        """B / (2 * (root + abs(x))): (root - abs(x)) / 2 for root = sqrt(x**2 + b), b > 0."""
        return 0.25 * b / (0.5 * root + 0.5 * self.abs(x))

    def log1p_unit(self, x: Any, times: Any = 1.0) -> Any:
        """Times * log(1 + x) for 0 <= x <= 1."""
        return self.log1p(x) * times

    def two_product(self, a: Any, b: Any) -> tuple[Any, Any]:
        """(p, e) with p = a * b rounded and p + e = a * b exactly (Dekker 1971).

        Outside the range in which the splitting is finite, e is 0.
        """
        if _is_power_of_two(a) or _is_power_of_two(b):
            return a * b, 0.0
        product = a * b
        (a, a_rest), (b, b_rest) = self._parts(a), self._parts(b)
        a_high, a_low = self._split(a)
        b_high, b_low = self._split(b)
        error = ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low
        if a_rest or b_rest:
            error = error + (a_rest * b + a * b_rest)
        return product, self.where(self.abs(error) <= self.abs(product), error, 0.0)

    def _parts(self, a: Any) -> tuple[Any, float]:
        """A number as what this arithmetic holds of it and the rest."""
        return self._constant((a, 0.0)) if isinstance(a, float | int) else (a, 0.0)

    def _split(self, a: Any) -> tuple[Any, Any]:
        if isinstance(a, float | int):
            return self._split_number(a)
        scaled = a * (2.0**self.split_bits + 1.0)
        high = scaled - (scaled - a)
        return high, a - high

    def _split_number(self, a: float) -> tuple[float, float]:
        """Split a Python number, which has 53 bits whatever the arrays have.

        Veltkamp's arithmetic, since torch.compile cannot trace ``math.frexp`` of a symbol.
        """
        scaled = a * (2.0 ** (53 - self.split_bits // 2 * 2) + 1.0)
        high = scaled - (scaled - a)
        return high, a - high

    def exp_product(self, a: Any, b: Any) -> Any:
        """exp(a * b)."""
        exponent, error = self.two_product(a, b)
        return self._corrected(self.exp(exponent), error)

    def decay(self, a: Any, b: Any) -> tuple[Any, Any]:
        """(power, scale) with power * scale = exp(a * b), for a * b <= 0.

        exp(a * b) is subnormal, and short of digits, where x * exp(a * b) can still be a normal
        number. power is normal there: multiply by it first and by scale last.
        """
        return self._scaled_exp(*self.two_product(a, b))

    def fma(self, a: Any, b: Any, c: Any) -> Any:
        """A * b + c, rounded once where there is an instruction for it."""
        return a * b + c

    def _scaled_exp(self, exponent: Any, error: Any) -> tuple[Any, Any]:
        far = exponent < -64.0
        power = self.exp(self.where(far, exponent + 64.0, exponent))
        return self._corrected(power, error), self.where(far, _EXP_MINUS_64, 1.0)

    def _corrected(self, power: Any, error: Any) -> Any:
        """exp(exponent + error) to first order, from power = exp(exponent)."""
        return power if isinstance(error, float) else power + power * error

    def exp_difference(self, a: Any, b: Any) -> Any:
        """exp(a - b)."""
        difference = a - b
        virtual = difference - a
        error = (a - (difference - virtual)) - (b + virtual)
        power = self.exp(difference)
        return power + power * self.where(self.abs(error) < 1.0, error, 0.0)

    def exp_quotient(self, a: Any, b: Any) -> Any:
        """exp(a / b)."""
        quotient = a / b
        product, error = self.two_product(quotient, b)
        remainder = ((a - product) - error) / b
        power = self.exp(quotient)
        return power + power * self.where(self.abs(remainder) < 1.0, remainder, 0.0)

    def normal_decay(self, x: Any) -> tuple[Any, Any]:
        """exp(-x**2 / 2) as a power and a scale (see :meth:`decay`)."""
        bounded = self.minimum(self.abs(x), 1e4)
        return self.decay(bounded * -0.5, bounded)

    def normal_tail(self, x: Any) -> Any:
        """erfc(abs(x) / sqrt(2)) * exp(x**2 / 2) / 2: the scaled upper tail of N(0, 1)."""
        size = self.abs(x)
        y = (size - 4.0) / (size + 4.0)
        tail: Any = NORMAL_TAIL[-1]
        for coefficient in NORMAL_TAIL[-2::-1]:
            tail = tail * y + coefficient
        return tail / (1.0 + size)

    def normal_below(self, x: Any) -> Any:
        """T * erfc(t / sqrt(2)) / 2 for t = abs(x): t times the upper tail of N(0, 1)."""
        power, scale = self.normal_decay(x)
        bounded = self._bounded(x)
        return self.abs(bounded) * self.normal_tail(bounded) * power * scale

    def normal_slope(self, x: Any) -> Any:
        """The upper tail of N(0, 1) at t = abs(x), less t times the density there."""
        power, scale = self.normal_decay(x)
        bounded = self._bounded(x)
        density = self.abs(bounded) / math.sqrt(2.0 * math.pi)
        return (self.normal_tail(bounded) - density) * power * scale

    def _bounded(self, x: Any) -> Any:
        """X kept finite, with its sign: abs(abs(x)) has the wrong slope at 0."""
        return self.maximum(self.minimum(x, 1e4), -1e4)

    def erfcx(self, x: Any) -> Any:
        """exp(x**2) * erfc(x)."""
        tail = 2.0 * self.normal_tail(x * math.sqrt(2.0))
        return self.where(x < 0, 2.0 * self.exp(x * x) - tail, tail)

    def tanh_residual(self, x: Any) -> Any:
        """X - tanh(x), by Lambert's continued fraction where the difference would cancel."""
        square = self.minimum(x * x, 4.0)
        fraction: Any = 29.0
        for odd in range(27, 1, -2):
            fraction = odd + square / fraction
        fraction = square / fraction
        return self.where(self.abs(x) < 2.0, x * (fraction / (1.0 + fraction)), x - self.tanh(x))

    def gelu_decay(self, x: Any) -> tuple[Any, Any]:
        """exp(-2*abs(u)) for u = sqrt(2/pi) * (x + 0.044715*x**3), as a power and a scale.

        The exponent is computed in double-word arithmetic (see :meth:`decay`).
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
        return self._scaled_exp(-exponent, -(exponent_error + bounded * total_error))

    def silu(self, x: Any, beta: Any) -> Any:
        """X * sigmoid(beta * x)."""
        right, a, b = self._silu_gate(x, beta)
        return self._gated(x, x, right, *self.decay(a, b))

    def silu_slope(self, x: Any, beta: Any) -> Any:
        """Its derivative by x."""
        right, a, b = self._silu_gate(x, beta)
        product, lost = self.two_product(beta, self._clip(x, 3e38))
        pull = self._clip(product, 1e4)
        bend = 1.0 + pull
        lost = (1.0 - (bend - pull)) + self.where(pull == product, lost, 0.0)
        return self._gated_slope(bend, lost, right, *self.decay(a, b))

    def gelu_tanh(self, x: Any) -> Any:
        """X * sigmoid(2 * u), with the u of :meth:`gelu_decay`."""
        return self._gated(x, self._clip(x, 1e4), x > 0, *self.gelu_decay(x))

    def gelu_tanh_slope(self, x: Any) -> Any:
        """Its derivative."""
        bend, lost = self._gelu_bend(self._clip(x, 1e4))
        return self._gated_slope(bend, lost, x > 0, *self.gelu_decay(x))

    def mish(self, x: Any) -> Any:
        """X * tanh(log(1 + exp(x)))."""
        finite, right = self._clip(x, 3e38), x > 0
        power, scale = self.decay(-1.0, self.abs(finite))
        d = power * scale
        square = self.where(right, 2.0, 1.0) * d * d
        base = square + 2.0 * d + self.where(right, 1.0, 2.0)
        opened = self.where(right, 1.0 + 2.0 * d, 2.0 + d) / base
        result = self.where(right, x * opened, finite * power * opened * scale)
        return self.where(x < 1e30, result, x)

    def mish_slope(self, x: Any) -> Any:
        """Its derivative."""
        bounded, right = self._clip(x, 1e4), x > 0
        power, scale = self.decay(-1.0, self.abs(bounded))
        d = power * scale
        # The numerator as a polynomial in d; for x <= 0 over d. Near the root 1 + x is exact.
        opening = 1.0 + d * (4.0 + d * (4.0 * bounded * (1.0 + d) + (6.0 + 4.0 * d)))
        rise = 4.0 * (1.0 + bounded)
        closing = (rise + d * (2.0 + rise + d * (4.0 + d))) * power * scale
        # 1 + 2*d + 2*d**2 or 2 + 2*d + d**2
        above = self.where(right, 2.0, 1.0) * d * d + 2.0 * d + self.where(right, 1.0, 2.0)
        return self.where(right, opening, closing) / (above * above)

    def _silu_gate(self, x: Any, beta: Any) -> tuple[Any, Any, Any]:
        """Whether beta*x > 0, and beta*x as two factors of which it is the negated magnitude."""
        finite = self._clip(x, 3e38)
        right = beta * finite > 0
        return right, beta, self.where(right, -finite, finite)

    def _gated(self, x: Any, bounded: Any, right: Any, power: Any, scale: Any) -> Any:
        """X * sigmoid(v) from exp(-abs(v)); ``right`` says whether v > 0.

        As x * (1 - decay/(1 + decay)), or where decay is large as x * (1/2 + what lacks from
        there), so that at most half of the quotient's error counts.
        """
        decay = power * scale
        finite = self.where(self.abs(x) < math.inf, bounded, -0.0)
        opened, near = self.where(right, x, finite * power * scale), decay > 0.25
        part = self.where(near, 1.0 - decay, -decay) / (1.0 + decay)
        result = self.where(near, 0.5, 1.0) * self.fma(opened, part, opened)
        infinite = self.where(right | (decay > 0), x, result)
        return self.where(self.abs(x) < math.inf, result, infinite)

    def _gated_slope(self, bend: Any, lost: Any, right: Any, power: Any, scale: Any) -> Any:
        """Its derivative s(v) * (1 + x*v'(x)*s(-v)), where bend + lost = 1 + x*v'(x).

        Near the root, where bend + decay cancels, bend is exact but for what ``lost`` restores.
        """
        decay = power * scale
        closing = (bend + (decay + lost)) * power * scale
        below = 1.0 + decay
        return self.where(right, self.fma(decay, bend, 1.0), closing) / (below * below)

    def _gelu_bend(self, x: Any) -> tuple[Any, Any]:
        """1 + 2 * x * u'(x) for the u of :meth:`gelu_decay`, and what rounding took from it."""
        (linear, linear_low), (slope, slope_low) = map(self._constant, (_GELU_LINEAR, _GELU_SLOPE))
        square = x * x
        steep = self.fma(slope, square, linear)
        lost = self.fma(slope, square, linear - steep) + self.fma(slope_low, square, linear_low)
        bend = self.fma(x, steep, 1.0)
        return bend, self.fma(x, lost, self.fma(x, steep, 1.0 - bend))

    def _clip(self, x: Any, reach: float) -> Any:
        """X brought to at most ``reach`` in magnitude, so that no product is inf * 0."""
        return self.maximum(self.minimum(x, reach), -reach)

    def _constant(self, pair: tuple[float, float]) -> tuple[float, float]:
        """Split a constant of two float64 into a part exact in this arithmetic and the rest."""
        return pair


def _is_power_of_two(a: Any) -> bool:
    return isinstance(a, float | int) and math.frexp(abs(a))[0] == 0.5
