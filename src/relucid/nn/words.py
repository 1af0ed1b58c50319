"""PyTorch as the mathematics that formulas speak."""

from __future__ import annotations

import math
from typing import Any

import torch

from relucid.functions.words import Words

_WIDER = {torch.float16: torch.float32, torch.bfloat16: torch.float32}


class TorchWords(Words):
    """The words on tensors of one element type, in plain operations that autograd can follow."""

    log = staticmethod(torch.log)
    log1p = staticmethod(torch.log1p)
    expm1 = staticmethod(torch.expm1)
    exp = staticmethod(torch.exp)
    sin = staticmethod(torch.sin)
    cos = staticmethod(torch.cos)
    tanh = staticmethod(torch.tanh)
    arctan = staticmethod(torch.atan)
    erf = staticmethod(torch.erf)
    erfc = staticmethod(torch.erfc)
    abs = staticmethod(torch.abs)

    def __init__(self, dtype: torch.dtype) -> None:
        self.dtype = dtype
        self.split_factor = float(2 ** (27 if dtype == torch.float64 else 12) + 1)

    def where(self, condition: Any, a: Any, b: Any) -> Any:
        return torch.where(condition, self._like(condition, a), self._like(condition, b))

    def minimum(self, a: Any, b: Any) -> Any:
        return a.clamp(max=b) if _is_number(b) else torch.minimum(a, b)

    def maximum(self, a: Any, b: Any) -> Any:
        return a.clamp(min=b) if _is_number(b) else torch.maximum(a, b)

    def sign(self, x: Any) -> Any:
        return math.copysign(1.0, x) if _is_number(x) else torch.sign(x)

    def sqrt(self, x: Any) -> Any:
        return math.sqrt(x) if _is_number(x) else torch.sqrt(x)

    def hypot(self, a: Any, b: Any) -> Any:
        return torch.hypot(a, self._like(a, b))

    def max(self, x: Any, axis: int) -> Any:
        return x.amax(dim=axis, keepdim=True)

    def sum(self, x: Any, axis: int) -> Any:
        return x.sum(dim=axis, keepdim=True)

    def cumsum(self, x: Any, axis: int) -> Any:
        return x.cumsum(dim=axis)

    def erfcx(self, x: Any) -> Any:
        # In float32 torch.special.erfcx is up to 7 units in the last place off.
        return torch.special.erfcx(x.double()).to(x.dtype)

    def two_product(self, a: Any, b: Any) -> tuple[Any, Any]:
        """In float32 the exact product fits into float64, which beats Dekker's 17 operations."""
        if self.dtype == torch.float64 or _is_number(a) and _is_number(b):
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

    def _like(self, tensor: Any, value: Any) -> Any:
        if not _is_number(value):
            return value
        number = value if self.dtype.is_floating_point else int(value)
        return torch.full((), number, dtype=self.dtype, device=tensor.device)


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


def compute_dtype(dtype: torch.dtype) -> torch.dtype:
    """The type in which a formula is evaluated: float32 for 16-bit, else the tensor's own."""
    return _WIDER.get(dtype, dtype)
