"""Which route computes, and in what precision: the chooser's settings."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal, get_args

from relucid.errors import ParameterError

Route = Literal["plain", "llvm", "triton"]
Precision = Literal["standard", "correct"]

_ALIASES = {"numba": "llvm"}
"""The CPU's compiler is the LLVM that Numba brings as llvmlite."""

forced: ContextVar[Route | None] = ContextVar("forced", default=None)
"""The route that was asked for; None leaves the choice to relucid."""

ran: ContextVar[Route | None] = ContextVar("ran", default=None)
"""The route of the latest call in this thread or task."""

chosen_precision: ContextVar[Precision] = ContextVar("chosen_precision", default="standard")


@contextmanager
def route(name: Route) -> Iterator[None]:
    """Compute activations on PyTorch tensors by one route, within ``with relucid.route(name):``.

    ``"plain"`` uses PyTorch's own operations and works everywhere; ``"llvm"`` (also ``"numba"``)
    the fused kernels for CPUs; ``"triton"`` those for GPUs. Without it relucid takes the fused
    kernel where there is one and falls back to plain operations elsewhere.

    Raises :class:`~relucid.errors.ParameterError` for another name. A call inside raises
    :class:`~relucid.errors.KernelError` where the route cannot compute it.
    """
    with _set(forced, _known(_ALIASES.get(name, name), Route)):
        yield


@contextmanager
def precision(name: Precision) -> Iterator[None]:
    """Compute in another precision within ``with relucid.precision("correct"):``.

    ``"standard"`` keeps the accuracy of docs/accuracy.md: float32 is computed in float32 with
    errors of a few units in the last place at most. ``"correct"`` evaluates float32 and 16-bit
    numbers in float64 and rounds once, so that nearly every result is the float nearest to the
    true one; from memory that costs almost nothing, in cache about twice the time.

    Raises :class:`~relucid.errors.ParameterError` for another name.
    """
    with _set(chosen_precision, _known(name, Precision)):
        yield


def _known(name: str, kinds: object) -> object:
    if name not in get_args(kinds):
        known = ", ".join(get_args(kinds))
        raise ParameterError(f"{name!r} is none of: {known}")
    return name


@contextmanager
def _set(variable: ContextVar, value: object) -> Iterator[None]:  # type: ignore[type-arg]  # either
    token = variable.set(value)
    try:
        yield
    finally:
        variable.reset(token)
