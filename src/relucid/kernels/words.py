"""The words that formulas speak to a kernel: they record operations on a :class:`Tape`.

Primitive words that processors have (arithmetic, comparison, selection, square root, fused
multiply-add) are recorded as they are. Functions (``exp``, ``tanh``, ...) are recorded as the
branch-free sequences of :mod:`relucid.kernels.mathematics`.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Sequence
from typing import Any

from relucid.errors import KernelError
from relucid.functions.words import Words
from relucid.kernels import mathematics
from relucid.kernels.mathematics import (
    exponential,
    gates,
    hyperbolic,
    linear,
    normal,
    trigonometric,
)
from relucid.kernels.nan import carries
from relucid.kernels.program import Operand, Tape, Value


class KernelWords(Words):
    """The words for arithmetic of ``tape.bits`` bits."""

    def __init__(self, tape: Tape) -> None:
        self.tape = tape
        self.bits = tape.bits
        self.split_bits = 27 if tape.bits == 64 else 12

    def __getattr__(self, word: str) -> Callable[..., Any]:
        """A function of the mathematics; on Python numbers Python's own."""
        function = getattr(mathematics, word, None)
        if function is None:
            raise KernelError(f"m.{word} is not among the words that can be compiled")

        def speak(*arguments: Operand) -> Any:
            if not any(isinstance(a, Value) for a in arguments):
                return _PYTHON[word](*arguments)
            return function(self, *arguments)

        return speak

    def where(self, condition: Any, a: Operand, b: Operand) -> Any:
        if self._asks_for_nan(condition, b) and carries(self.tape, a, b):
            return a
        return self.tape.choice(condition, a, b)

    def minimum(self, a: Operand, b: Operand) -> Any:
        return self.where(b < a, b, a)

    def maximum(self, a: Operand, b: Operand) -> Any:
        return self.where(b > a, b, a)

    def abs(self, x: Operand) -> Any:
        return abs(x)

    def sign(self, x: Operand) -> Any:
        if not isinstance(x, Value):
            return math.copysign(1.0, x)
        return self.where(x > 0.0, 1.0, self.where(x < 0.0, -1.0, x))

    def sqrt(self, x: Operand) -> Any:
        return self.tape.record("sqrt", x) if isinstance(x, Value) else math.sqrt(x)

    def fma(self, a: Operand, b: Operand, c: Operand) -> Value:
        """A * b + c, rounded once."""
        return self.tape.record("fma", a, b, c)

    def as_bits(self, x: Value) -> Value:
        """The bit pattern of a number, as an integer of the same width."""
        return self.tape.record("as_bits", x)

    def from_bits(self, pattern: Value) -> Value:
        """The number that has a bit pattern."""
        return self.tape.record("from_bits", pattern)

    def polynomial(self, x: Value, coefficients: Sequence[float]) -> Any:
        """Coefficients[0] + coefficients[1] * x + ..., by Horner's rule in fused steps."""
        total: Any = coefficients[-1]
        for coefficient in coefficients[-2::-1]:
            total = self.fma(total, x, coefficient)
        return total

    def two_product(self, a: Operand, b: Operand) -> tuple[Any, Any]:
        if _is_power_of_two(a) or _is_power_of_two(b):
            return a * b, 0.0
        (a, a_rest), (b, b_rest) = self._parts(a), self._parts(b)
        product = a * b
        error = self.fma(a, b, -product)
        if a_rest or b_rest:
            error = error + (a_rest * b + a * b_rest)
        return product, self.where(abs(error) <= abs(product), error, 0.0)

    def expm1_times(self, factor: Operand, x: Operand) -> Any:
        return mathematics.expm1_times(self, factor, x)

    def expm1_quotient(self, a: Operand, b: Operand) -> Any:
        if _is_power_of_two(b) or not _is_ordinary(b):
            return super().expm1_quotient(a, b)
        return exponential.expm1_quotient(self, a, b)

    def scaled(self, x: Operand, factor: Operand) -> Any:
        if self.held(factor)[1] == 0.0:
            return x * factor
        return linear.scaled(self, x, factor)

    def difference(self, a: Operand, b: Operand) -> Any:
        return linear.difference(self, a, b) if self.held(b)[1] else a - b

    def ramp(self, x: Operand, shift: Operand, width: Operand) -> Any:
        if isinstance(shift, Value) or not _is_ordinary(width):
            return super().ramp(x, shift, width)
        return linear.ramp(self, x, shift, width)

    def excess(self, x: Operand, b: Operand, root: Operand) -> Any:
        if not _is_ordinary(b):
            return super().excess(x, b, root)
        return trigonometric.excess(self, x, b, root)

    def log1p_unit(self, x: Operand, times: Operand = 1.0) -> Any:
        return mathematics.log1p_unit(self, x, times)

    def exp_quotient(self, a: Operand, b: Operand) -> Any:
        if _is_power_of_two(b):
            return self.exp(a / b)
        return super().exp_quotient(a, b)

    def exp_product(self, a: Operand, b: Operand) -> Any:
        if _is_power_of_two(a) or _is_power_of_two(b):
            return self.exp(a * b)
        if not _falls(a, b):
            return super().exp_product(a, b)
        return exponential.exp_of_product(self, *self._factors(a, b))

    def silu(self, x: Operand, beta: Operand) -> Any:
        return gates.silu(self, x, beta)

    def silu_slope(self, x: Operand, beta: Operand) -> Any:
        return gates.silu_slope(self, x, beta)

    def gelu_tanh(self, x: Operand) -> Any:
        return gates.gelu_tanh(self, x)

    def gelu_tanh_slope(self, x: Operand) -> Any:
        return gates.gelu_tanh_slope(self, x)

    def mish(self, x: Operand) -> Any:
        return gates.mish(self, x)

    def mish_slope(self, x: Operand) -> Any:
        return gates.mish_slope(self, x)

    def decay(self, a: Operand, b: Operand) -> tuple[Any, Any]:
        damping = self._damping(a, b)
        return self.fma(damping.first, damping.s, damping.first), damping.second

    def _damping(self, a: Operand, b: Operand) -> exponential.Power:
        if _is_power_of_two(a) or _is_power_of_two(b):
            return exponential.damping(self, a * b)
        return exponential.damping_of_product(self, *self._factors(a, b))

    def _factors(self, a: Operand, b: Operand) -> tuple[Any, Any, Any]:
        """Two factors that this arithmetic holds, and what that leaves of their product."""
        (a, a_rest), (b, b_rest) = self._parts(a), self._parts(b)
        return a, b, a_rest * b + a * b_rest if a_rest or b_rest else None

    def sigmoid(self, x: Operand) -> Any:
        return gates.sigmoid(self, x)

    def sigmoid_slope(self, x: Operand, times: float = 1.0) -> Any:
        return gates.sigmoid_slope(self, x, times)

    def normal_below(self, x: Operand) -> Any:
        return normal.normal_below(self, x) if self.bits == 32 else super().normal_below(x)

    def normal_slope(self, x: Operand) -> Any:
        return normal.normal_slope(self, x) if self.bits == 32 else super().normal_slope(x)

    def tanh_residual(self, x: Operand) -> Any:
        if self.bits == 64:
            return super().tanh_residual(x)
        return hyperbolic.tanh_residual(self, x)

    def held(self, a: Operand) -> tuple[Any, float]:
        """An operand as what this arithmetic holds of it, and the rest of a constant."""
        return self._parts(a)

    @staticmethod
    def _asks_for_nan(condition: Any, x: Operand) -> bool:
        """Whether x is chosen where it is NaN."""
        if not isinstance(condition, Value) or condition.operation != "eq":
            return False
        return isinstance(x, Value) and all(given is x for given in condition.arguments)

    def _constant(self, pair: tuple[float, float]) -> tuple[float, float]:
        if self.bits == 64:
            return pair
        high: float = struct.unpack("f", struct.pack("f", pair[0]))[0]
        return high, pair[0] - high


def _falls(a: Operand, b: Operand) -> bool:
    """Whether a * b is known not to be above 0: a number that is not, times a magnitude."""
    return isinstance(a, float) and a <= 0.0 and isinstance(b, Value) and b.operation == "abs"


def _is_ordinary(a: Operand) -> bool:
    """Whether an operand is a positive constant of which float32 can hold the inverse too."""
    return isinstance(a, float | int) and 1e-30 < a < 1e30


def _is_power_of_two(a: Operand) -> bool:
    return isinstance(a, float | int) and math.frexp(abs(a))[0] == 0.5


_PYTHON: dict[str, Callable[..., float]] = {
    "exp": math.exp,
    "expm1": math.expm1,
    "log": math.log,
    "log1p": math.log1p,
    "tanh": math.tanh,
    "arctan": math.atan,
    "hypot": math.hypot,
    "erf": math.erf,
    "erfc": math.erfc,
    "sin": math.sin,
    "cos": math.cos,
}
