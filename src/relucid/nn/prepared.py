"""The kernels of a function, made when they are first needed and kept with the function."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch

from relucid.errors import KernelError, KernelWarning
from relucid.functions import Activation
from relucid.kernels.choose import chosen_precision, forced
from relucid.nn.engines import Engine, OnCpu


def key(dtype: torch.dtype, engine: Engine, *learned: Any) -> tuple[Any, ...]:
    """What kernels are kept under in ``activation.prepared``: all that they depend on."""
    return dtype, chosen_precision.get(), engine, *learned


def kernels(
    kind: Callable[..., Any],
    activation: Activation,
    dtype: torch.dtype,
    *learned: Any,
    engine: Engine = OnCpu,
) -> Any:
    """Return ``kind(activation, dtype, bits, *learned, engine)``, made once.

    None, after one warning, for a formula that cannot be compiled.
    """
    prepared, wanted = activation.prepared, key(dtype, engine, *learned)
    if wanted not in prepared:
        prepared[wanted] = _made(kind, activation, wanted)
    return prepared[wanted]


@lru_cache(maxsize=1024)
def _made(kind: Callable[..., Any], activation: Activation, wanted: tuple[Any, ...]) -> Any:
    dtype, precision, engine, *learned = wanted
    bits = 64 if dtype == torch.float64 or precision == "correct" else 32
    try:
        return kind(activation, dtype, bits, *learned, engine)
    except KernelError as error:
        if forced.get() is not None:
            raise
        warnings.warn(
            f"{activation.name} runs in plain operations, since it has no kernel: {error}",
            KernelWarning,
            stacklevel=2,
        )
        return None
