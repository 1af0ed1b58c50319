"""NaN and infinity in whatever an operation takes or returns."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import torch
from torch import Tensor

Value = Literal["nan", "inf"]


def trouble(values: Any) -> set[Value]:
    """Which of NaN and infinity occur in tensors and numbers."""
    found: set[Value] = set()
    for tensor in real_tensors(values):
        if not bool(tensor.isfinite().all()):
            found |= {"nan"} if bool(tensor.isnan().any()) else set()
            found |= {"inf"} if bool(tensor.isinf().any()) else set()
    for number in _leaves(values):
        if isinstance(number, float) and not math.isfinite(number):
            found.add("nan" if math.isnan(number) else "inf")
    return found


def real_tensors(values: Any) -> Iterator[Tensor]:
    """Yield the dense tensors of real numbers in tuples, lists and dictionaries."""
    for value in _leaves(values):
        if isinstance(value, Tensor) and value.layout is torch.strided:
            if value.is_floating_point() and value.device.type != "meta":
                yield value


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        value = tuple(value.values())
    if isinstance(value, tuple | list):
        for item in value:
            yield from _leaves(item)
    else:
        yield value
