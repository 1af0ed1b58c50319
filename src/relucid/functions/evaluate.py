"""Evaluate a formula on whatever array it is given, with one answer for the same number.

NumPy arrays are evaluated in float64 and rounded once, because NumPy's own float32 functions
are up to 2.4 units in the last place off. Other libraries are evaluated in the array's own
precision, 16-bit ones in float32. A NaN passes through whatever the formula says of it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import numpy as np

from relucid.errors import DtypeError, ParameterError, ShapeError
from relucid.functions.libraries import is_array, numpy_words, words_of

Formula = Callable[..., Any]
"""``formula(m, x, **parameters)``, written in the words of ``m``."""

Integers = Literal["refused", "kept", "promoted"]
"""What becomes of integers: an error, integers again, or the library's default float."""

_FLOAT_NAMES = frozenset({"float16", "float32", "float64", "bfloat16", "longdouble"})


def apply_to_arrays(
    name: str,
    formula: Callable[..., Any],
    *arrays: Any,
    integers: Integers = "refused",
    elementwise: bool = True,
) -> Any:
    """Evaluate ``formula(m, *arrays)`` for arrays of NumPy or of an array-API library."""
    evaluated = partial(keep_nan, formula) if elementwise else formula
    if any(is_array(x) for x in arrays):
        return _in_own_library(name, evaluated, arrays, integers)
    operands = [_as_numpy(x) for x in arrays]
    dtype = np.result_type(*operands)
    if integers == "promoted" and np.issubdtype(dtype, np.integer):
        dtype = np.dtype(np.float64)
    if integers == "kept" and np.issubdtype(dtype, np.integer):
        with np.errstate(all="ignore"):
            return np.asarray(formula(numpy_words(), *operands)).astype(dtype)[()]
    check_dtype(name, dtype.name)
    wide = [x.astype(np.promote_types(np.float64, dtype), copy=False) for x in operands]
    with np.errstate(all="ignore"):
        return _rounded(evaluated(numpy_words(), *wide), dtype)[()]


def _rounded(value: Any, dtype: np.dtype[Any]) -> Any:
    """Round once. bfloat16's own conversion rounds to float32 before.

    A float32 with an odd last bit wherever it is inexact makes that first rounding harmless: no
    tie of bfloat16 has one.
    """
    if dtype.name != "bfloat16":
        return value.astype(dtype)
    near = np.asarray(value, dtype=np.float32)
    even = near.view(np.uint32) & 1 == 0
    beyond = np.where(near > value, -np.inf, np.inf).astype(np.float32)
    inexact = even & np.isfinite(near) & (near != value)
    return np.where(inexact, np.nextafter(near, beyond), near).astype(dtype)


def written(name: str, value: Any, out: Any) -> Any:
    """Copy a result into a NumPy array and return that array."""
    if not isinstance(out, np.ndarray):
        raise ParameterError(
            f"{name}: out= takes a NumPy array beside NumPy input, not {type(out).__name__}"
        )
    if out.shape != np.shape(value):
        raise ShapeError(f"{name}: out= has shape {out.shape}, and the result {np.shape(value)}")
    if out.dtype != value.dtype:
        raise DtypeError(f"{name}: out= is {out.dtype}, and the result {value.dtype}")
    out[...] = value
    return out


def keep_nan(formula: Callable[..., Any], m: Any, *arrays: Any) -> Any:
    """The formula's value, but NaN wherever an argument is."""
    value = formula(m, *arrays)
    for x in arrays:
        value = m.where(x == x, value, x)
    return value


def check_dtype(name: str, dtype: str) -> None:
    """Raise :class:`DtypeError` unless the element type is one of the supported floats."""
    if dtype in _FLOAT_NAMES:
        return
    cure = (
        "take its real part, its magnitude, or apply the function to both parts"
        if "complex" in dtype
        else "convert first, for example to float32"
    )
    raise DtypeError(
        f"{name} is defined here on float16, bfloat16, float32 and float64, not on {dtype}; {cure}"
    )


def _as_numpy(x: Any) -> np.ndarray[Any, Any]:
    array = np.asarray(x)
    if not hasattr(x, "dtype") and np.issubdtype(array.dtype, np.integer):
        return array.astype(np.float64)  # plain Python numbers mean real numbers
    return array


def _in_own_library(
    name: str, formula: Callable[..., Any], arrays: tuple[Any, ...], integers: Integers
) -> Any:
    first = next(x for x in arrays if is_array(x))
    namespace = first.__array_namespace__()
    operands = [namespace.asarray(x) for x in arrays]
    dtype = namespace.result_type(*operands)
    if integers == "promoted" and np.issubdtype(dtype, np.integer):
        dtype = namespace.asarray(0.0).dtype
    if not (integers == "kept" and np.issubdtype(dtype, np.integer)):
        check_dtype(name, str(getattr(dtype, "name", dtype)).rpartition(".")[2])
    halved = np.dtype(dtype).itemsize == 2 and not np.issubdtype(dtype, np.integer)
    compute = namespace.float32 if halved else dtype
    wide = [namespace.asarray(x, dtype=compute) for x in operands]
    value = formula(words_of(wide[0]), *wide)
    return namespace.asarray(value, dtype=dtype)
