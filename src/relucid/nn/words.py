"""PyTorch as the mathematics that formulas speak."""

from __future__ import annotations

import math
from typing import Any

import torch

from relucid.functions.words import Words

_WIDER = {torch.float16: torch.float32, torch.bfloat16: torch.float32}


class TorchWords(Words):
    """The words on tensors of one element type, in plain operations that autograd can follow."""

    log: Any = staticmethod(torch.log)
    log1p: Any = staticmethod(torch.log1p)
    expm1: Any = staticmethod(torch.expm1)
    exp: Any = staticmethod(torch.exp)
    sin: Any = staticmethod(torch.sin)
    cos: Any = staticmethod(torch.cos)
    tanh: Any = staticmethod(torch.tanh)
    arctan: Any = staticmethod(torch.atan)
    erf: Any = staticmethod(torch.erf)
    erfc: Any = staticmethod(torch.erfc)

    def __init__(self, dtype: torch.dtype) -> None:
        self.dtype = dtype
        self.split_bits = 27 if dtype == torch.float64 else 12

    def where(self, condition: Any, a: Any, b: Any) -> Any:
        if not self.dtype.is_floating_point:
            a, b = (self._as_integer(v) if _is_number(v) else v for v in (a, b))
        if _is_number(a) and _is_number(b):  # no tensor that would tell the type
            a = self._like(condition, a)
        return torch.where(condition, a, b)

    def minimum(self, a: Any, b: Any) -> Any:
        return a.clamp(max=b) if _is_number(b) else torch.minimum(a, b)

    def maximum(self, a: Any, b: Any) -> Any:
        return a.clamp(min=b) if _is_number(b) else torch.maximum(a, b)

    def abs(self, x: Any) -> Any:
        # Formulas treat 0 as the left side does; torch.abs has no slope there, and a second
        # derivative would be wrong at 0.
        return torch.where(x > 0, x, -x)

    def sign(self, x: Any) -> Any:
        return math.copysign(1.0, x) if _is_number(x) else torch.sign(x)

    def sqrt(self, x: Any) -> Any:
        return math.sqrt(x) if _is_number(x) else torch.sqrt(x)

    def hypot(self, a: Any, b: Any) -> Any:
        return torch.hypot(a, self._like(a, b))

    def max(self, x: Any, axis: int) -> Any:
        if x.numel() == 0:  # torch.amax raises along an axis of length 0
            return torch.full_like(x, -math.inf)
        return x.amax(dim=axis, keepdim=True)

    def sum(self, x: Any, axis: int) -> Any:
        return x.sum(dim=axis, keepdim=True)

    def cumsum(self, x: Any, axis: int) -> Any:
        return x.cumsum(dim=axis)

    def two_product(self, a: Any, b: Any) -> tuple[Any, Any]:
        """In float32 the exact product fits into float64, which beats Dekker's 17 operations."""
        tensor = b if _is_number(a) else a
        if self.dtype == torch.float64 or tensor.device.type == "mps":  # which has no float64
            return super().two_product(a, b)
        product = a * b
        exact = _double(a) * _double(b)
        error = (exact - product.double()).to(product.dtype)
        return product, torch.where(torch.isfinite(product), error, torch.zeros_like(error))

    def _constant(self, pair: tuple[float, float]) -> tuple[float, float]:
        if self.dtype == torch.float64:
            return pair
        high = torch.tensor(pair[0], dtype=torch.float32).item()
        return high, pair[0] - high

    def _as_integer(self, value: float) -> int:
        limits = torch.iinfo(self.dtype)
        return int(min(max(value, limits.min), limits.max))

    def _like(self, tensor: Any, value: Any) -> Any:
        if not _is_number(value):
            return value
        return torch.full((), value, dtype=self.dtype, device=tensor.device)


def _is_number(value: Any) -> bool:
    return isinstance(value, float | int)


def _double(value: Any) -> Any:
    return value if _is_number(value) else value.double()


_WORDS = {
    dtype: TorchWords(dtype)
    for dtype in (
        torch.float32,
        torch.float64,
        torch.int8,
        torch.int16,
        torch.int32,
        torch.int64,
        torch.uint8,
    )
}


def torch_words(dtype: torch.dtype) -> TorchWords:
    """The words for tensors of ``dtype``."""
    return _WORDS[dtype]


def compute_dtype(x: torch.Tensor) -> torch.dtype:
    """The type in which a formula is evaluated, before one rounding to the type of ``x``.

    float32 for 16-bit. On CPUs float64 for float32: PyTorch's own float32 functions differ in
    their last bits between the vectorised body and the rest of a tensor, and a derivative near
    its root keeps no digits in float32.
    """
    if x.dtype == torch.float32 and x.device.type == "cpu":
        return torch.float64
    return _WIDER.get(x.dtype, x.dtype)
