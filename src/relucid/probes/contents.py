"""The tensors that a model's output holds, in whatever containers and objects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor, nn

_PLAIN = (str, bytes, int, float, complex, bool, type(None), nn.Module, type)


def tensors_within(value: Any, seen: set[int] | None = None) -> Iterator[Tensor]:
    """Yield each tensor once, in the order of the containers; objects by their attributes."""
    seen = set() if seen is None else seen
    if isinstance(value, _PLAIN) or id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from tensors_within(item, seen)
    elif isinstance(value, tuple | list | set | frozenset):
        for item in value:
            yield from tensors_within(item, seen)
    elif hasattr(value, "__dict__"):
        yield from tensors_within(vars(value), seen)
