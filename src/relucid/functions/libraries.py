"""Array libraries as words: NumPy, and any other that speaks the array API (JAX, CuPy)."""

from __future__ import annotations

import importlib
import math
import sys
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from relucid.functions.words import Words

_SPECIAL = {"numpy": "scipy.special", "jax": "jax.scipy.special", "cupy": "cupyx.scipy.special"}
_ARRAY_API_NAMES = {"arctan": "atan"}


class ArrayWords(Words):
    """Words of an array-API namespace; the error functions come from its SciPy counterpart."""

    def __init__(self, namespace: Any, bits: int) -> None:
        self._namespace = namespace
        self._bits = bits
        self.split_bits = 27 if bits == 64 else 12

    def __getattr__(self, word: str) -> Callable[..., Any]:
        if word in ("erf", "erfc"):
            function = getattr(self._special(), word)
        else:
            function = getattr(self._namespace, word, None) or getattr(
                self._namespace, _ARRAY_API_NAMES.get(word, word), None
            )
        if function is None:
            raise AttributeError(f"{self._namespace.__name__} has no word {word!r}")
        setattr(self, word, function)
        return function  # type: ignore[no-any-return]  # an array library is untyped here

    def where(self, condition: Any, a: Any, b: Any) -> Any:
        return self._namespace.where(condition, _as_integer(a, b), _as_integer(b, a))

    def minimum(self, a: Any, b: Any) -> Any:
        # NumPy's own may return either of 0.0 and -0.0, and the sign of zero is part of a result.
        return self.where((a <= b) | (a != a), a, b)

    def maximum(self, a: Any, b: Any) -> Any:
        return self.where((a >= b) | (a != a), a, b)

    def max(self, x: Any, axis: int) -> Any:
        return self._namespace.max(x, axis=axis, keepdims=True, initial=-math.inf)

    def sum(self, x: Any, axis: int) -> Any:
        return self._namespace.sum(x, axis=axis, keepdims=True)

    def cumsum(self, x: Any, axis: int) -> Any:
        return self._namespace.cumsum(x, axis=axis).reshape(x.shape)  # not so for 0 dimensions

    def _special(self) -> Any:
        root = self._namespace.__name__.partition(".")[0]
        return importlib.import_module(_SPECIAL.get(root, "scipy.special"))

    def _constant(self, pair: tuple[float, float]) -> tuple[float, float]:
        if self._bits == 64:
            return pair
        high = float(np.float32(pair[0]))
        return high, pair[0] - high


def _as_integer(value: Any, other: Any) -> Any:
    """A number beside integers as one of them: as a float it would cost large ones digits."""
    dtype = getattr(other, "dtype", None)
    if not isinstance(value, float) or dtype is None or not np.issubdtype(dtype, np.integer):
        return value
    limits = np.iinfo(dtype)
    return int(min(max(value, limits.min), limits.max))


@lru_cache(maxsize=8)
def numpy_words() -> ArrayWords:
    """The words of NumPy in float64."""
    return ArrayWords(np, 64)


@lru_cache(maxsize=8)
def _words(namespace: Any, bits: int) -> ArrayWords:
    return ArrayWords(namespace, bits)


def words_of(array: Any) -> ArrayWords:
    """The words of the library that ``array`` belongs to, for its precision."""
    bits = 64 if array.dtype.itemsize == 8 else 32
    return _words(array.__array_namespace__(), bits)


def is_array(x: Any) -> bool:
    """Whether ``x`` is an array of a library other than NumPy that speaks the array API."""
    return hasattr(x, "__array_namespace__") and not isinstance(x, np.ndarray | np.generic)


def is_torch(x: Any) -> bool:
    """Whether ``x`` is a PyTorch tensor, without importing PyTorch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(x, torch.Tensor)
