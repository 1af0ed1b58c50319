"""ONNX as the mathematics that formulas speak, in the forms that keep their tails.

ONNX has neither expm1 nor log1p nor erfc, and ONNX Runtime computes Sigmoid to an absolute error
only: in float32 it is exactly 0 below -18, where the true value is 2e-8, and its exporter's
LogSigmoid, the logarithm of that, is minus infinity there. Exp, Log and Tanh are accurate, so the
words below are made of them. Measured with ONNX Runtime 1.31 by the tests.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir
from onnxscript import opset20 as op

from relucid.functions.words import Words


class Value:
    """A value of the ONNX graph with Python's operators. Numbers take its element type."""

    def __init__(self, node: Any, dtype: Any) -> None:
        self.node, self.dtype = node, dtype

    def made(self, operator: str, *operands: Any, truth: bool = False, **attributes: Any) -> Value:
        """Return a new value: an operator of ONNX on this one and others."""
        nodes = [self.constant(x).node for x in operands]
        result = getattr(op, operator)(self.node, *nodes, **attributes)
        return Value(result, onnx_ir.DataType.BOOL if truth else self.dtype)

    def constant(self, number: Any) -> Value:
        """Return a number as a value of this type; a value as it is."""
        if isinstance(number, Value):
            return number
        tensor = onnx_ir.tensor(np.float64(number).astype(self.dtype.numpy()), self.dtype)
        made = op.Constant(value=tensor)  # type: ignore[arg-type]  # takes onnx_ir's tensors too
        return Value(made, self.dtype)

    def __neg__(self) -> Value:
        return self.made("Neg")

    def __add__(self, other: Any) -> Value:
        return self.made("Add", other)

    def __sub__(self, other: Any) -> Value:
        return self.made("Sub", other)

    def __mul__(self, other: Any) -> Value:
        return self.made("Mul", other)

    def __truediv__(self, other: Any) -> Value:
        return self.made("Div", other)

    def __radd__(self, other: Any) -> Value:
        return self.constant(other) + self

    def __rsub__(self, other: Any) -> Value:
        return self.constant(other) - self

    def __rmul__(self, other: Any) -> Value:
        return self.constant(other) * self

    def __rtruediv__(self, other: Any) -> Value:
        return self.constant(other) / self

    def __lt__(self, other: Any) -> Value:
        return self.made("Less", other, truth=True)

    def __le__(self, other: Any) -> Value:
        return self.made("LessOrEqual", other, truth=True)

    def __gt__(self, other: Any) -> Value:
        return self.made("Greater", other, truth=True)

    def __ge__(self, other: Any) -> Value:
        return self.made("GreaterOrEqual", other, truth=True)

    def __eq__(self, other: object) -> Value:  # type: ignore[override]  # as arrays do
        return self.made("Equal", other, truth=True)

    __hash__ = None  # type: ignore[assignment]  # what compares by value has none

    def __and__(self, other: Any) -> Value:
        return self.made("And", other, truth=True)

    def __or__(self, other: Any) -> Value:
        return self.made("Or", other, truth=True)

    __rand__, __ror__ = __and__, __or__


class OnnxWords(Words):
    """The words on values of one element type. Products carry no rounding error along."""

    def __init__(self, like: Value) -> None:
        self._like = like

    def where(self, condition: Any, a: Any, b: Any) -> Any:
        if isinstance(condition, bool):
            return a if condition else b
        a, b = map(self._like.constant, (a, b))
        return Value(op.Where(condition.node, a.node, b.node), a.dtype)

    def minimum(self, a: Any, b: Any) -> Any:
        return self._like.constant(a).made("Min", b)

    def maximum(self, a: Any, b: Any) -> Any:
        return self._like.constant(a).made("Max", b)

    def abs(self, x: Any) -> Any:
        return x.made("Abs") if isinstance(x, Value) else abs(x)

    def sign(self, x: Any) -> Any:
        return x.made("Sign")

    def sqrt(self, x: Any) -> Any:
        return x.made("Sqrt") if isinstance(x, Value) else x**0.5

    def hypot(self, a: Any, b: Any) -> Any:
        large = self.maximum(self.abs(a), self.abs(b))
        small = self.minimum(self.abs(a), self.abs(b))
        ratio = small / self.maximum(large, 1e-30)
        return self.where(large < float("inf"), large * self.sqrt(1.0 + ratio * ratio), large)

    def exp(self, x: Any) -> Any:
        return x.made("Exp")

    def log(self, x: Any) -> Any:
        return x.made("Log")

    def sin(self, x: Any) -> Any:
        return x.made("Sin")

    def cos(self, x: Any) -> Any:
        return x.made("Cos")

    def tanh(self, x: Any) -> Any:
        return x.made("Tanh")

    def arctan(self, x: Any) -> Any:
        return x.made("Atan")

    def erf(self, x: Any) -> Any:
        return x.made("Erf")

    def expm1(self, x: Any) -> Any:
        """Exactly 2*t / (1 - t) for t = tanh(x / 2), which does not cancel near 0."""
        half = self.tanh(0.5 * self.minimum(x, 1.0))
        return self.where(x < 1.0, (half + half) / (1.0 - half), self.exp(x) - 1.0)

    def log1p(self, x: Any) -> Any:
        """Kahan's: the rounding of 1 + x counts in numerator and denominator alike."""
        moved = 1.0 + x
        exact = self.where(moved == 1.0, 1.0, moved - 1.0)
        near = self.log(moved) * (x / exact)
        return self.where(moved == 1.0, x, self.where(moved < float("inf"), near, moved))

    def erfc(self, x: Any) -> Any:
        """By the scaled tail where 1 - erf(x) would cancel."""
        near = self._clip(x, 1e4)  # infinity would be divided by infinity
        tail = 2.0 * self.exp(-(near * near)) * self.normal_tail(near * 2.0**0.5)
        return self.where(x > 0, tail, 2.0 - tail)

    def two_product(self, a: Any, b: Any) -> tuple[Any, Any]:
        return a * b, 0.0

    def sigmoid(self, x: Any) -> Any:
        """Overflow of exp(-x) gives 0, the right limit."""
        return 1.0 / (1.0 + self.exp(-x))

    def log1p_unit(self, x: Any, times: Any = 1.0) -> Any:
        """Higham's: what the rounding of 1 + x took, put back to first order."""
        moved = 1.0 + x
        return (self.log(moved) - ((moved - 1.0) - x) / moved) * times

    def silu(self, x: Any, beta: Any) -> Any:
        """As a quotient: a million numbers take 1 ms, x * Sigmoid(x) 0.2, a choice more than 3."""
        if isinstance(beta, Value) or beta <= 0:
            gate = self.sigmoid(x * beta)
            return self.where(gate == 0.0, gate, x * gate)  # at infinity no infinity times 0
        bounded = self.maximum(x, -1e4)
        return bounded / (1.0 + self.exp(-(bounded if beta == 1.0 else bounded * beta)))

    def mish(self, x: Any) -> Any:
        """By one exponential: a million numbers take 1 ms, and ONNX Runtime's own Mish 36."""
        # From where the quotient is 1: in float16 the square would not be finite at 20.
        far = 5.0 if self._like.dtype == onnx_ir.DataType.FLOAT16 else 20.0
        power = self.exp(self.minimum(x, far))
        opened = power * (power + 2.0)
        return self.maximum(x, -1e4) * (opened / (opened + 2.0))

    def gelu_tanh(self, x: Any) -> Any:
        return self.maximum(x, -1e4).made("Gelu", approximate="tanh")
