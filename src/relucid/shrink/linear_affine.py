"""Operators that are affine in the operands that the model's inputs have a part in.

Their derivative is the operator's own, in float64, so that no operator needs a rule of its own.
How far the model's rounding goes is what its interval rule allows beyond exact arithmetic.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.fx import Node

from relucid.probes.bounds.interval import Interval, unit
from relucid.probes.bounds.shadow import Shadow
from relucid.shrink.linear_calls import Call
from relucid.shrink.linear_forms import Passed, smallest, weighed

_SAFE = 1.01
_NARROW = 2.0**-26
"""Roundoff of float64 over that of float32, 2**-29, and three bits to spare."""
_OURS = 8.0 * unit(torch.float64)


@dataclass(frozen=True)
class Affine:
    """An affine operator: its value at zero, and how far the computed value may be from exact."""

    call: Call
    shapes: tuple[torch.Size, ...]
    offset: Tensor
    error: Tensor
    moves: bool
    """Whether the model's own operator rounds nothing."""

    @property
    def cost(self) -> float:
        """Multiply-adds that a row takes, roughly."""
        weights = (x[0].numel() for x in self.call.tensors if x.ndim > 1)
        return self.offset.numel() * float(4 + max(weights, default=0))

    @property
    def operands(self) -> tuple[Node, ...]:
        """What it reads."""
        return self.call.operands

    def through(self, rows: Tensor, choice: int) -> Passed:
        """Replace the result, of which each row holds coefficients, by the operands."""
        return weighed(rows, self.offset, self.error).but(self.back(rows))

    def back(self, rows: Tensor) -> tuple[Tensor, ...]:
        """Multiply each row, (count, *shape of the result), by the operator's derivative."""
        with torch.enable_grad():
            zeros = [rows.new_zeros(shape, requires_grad=True) for shape in self.shapes]
            result = self.call.cast(rows.dtype, rows.device).run(*zeros)
            found: tuple[Tensor, ...] = torch.autograd.grad(
                result, zeros, rows, is_grads_batched=True
            )
        return found


def affine(
    call: Call,
    sizes: Sequence[Tensor],
    dtypes: Sequence[torch.dtype],
    result: torch.dtype,
    users: int,
) -> Affine | None:
    """Return an affine operator on operands that are at most ``sizes`` in abs value.

    ``users`` is how many operators read the operands: that many coefficients are added up.
    None where its interval rule bounds nothing, or where its derivative is not what it should be.
    """
    try:
        return _affine(call, sizes, dtypes, result, users)
    except RuntimeError:  # what float64, or the derivative of many rows at once, is missing for
        return None


def _affine(
    call: Call,
    sizes: Sequence[Tensor],
    dtypes: Sequence[torch.dtype],
    result: torch.dtype,
    users: int,
) -> Affine | None:
    device = sizes[0].device
    exact = call.cast(torch.float64, device)
    offset = exact.run(*(torch.zeros_like(size) for size in sizes))
    doubles = [torch.float64] * len(sizes)
    cpu = torch.device("cpu")  # where no kernel is allowed to be less exact
    reach = _image(call.cast(torch.float64, cpu), [size.cpu() for size in sizes], doubles)
    if result is torch.float64:
        singles = [torch.float32] * len(sizes)
        found, factor = _image(call.cast(torch.float32, device), sizes, singles), _NARROW
    else:
        found, factor = _image(call, sizes, dtypes), _SAFE
    if reach is None or found is None:
        return None
    half = ((reach.high - reach.low) / 2.0).to(device)
    beyond = torch.maximum(found.high - (offset + half), (offset - half) - found.low).clamp(min=0.0)
    terms = offset.numel() + max(size.numel() for size in sizes) + users + 64
    error = (
        factor * beyond + smallest(result) * (beyond > 0) + _OURS * terms * (half + offset.abs())
    )
    shapes = tuple(size.shape for size in sizes)
    made = Affine(call, shapes, offset, error, moves=not bool(beyond.any()))
    return made if _agrees(made, exact, half) else None


def _image(call: Call, sizes: Sequence[Tensor], dtypes: Sequence[torch.dtype]) -> Interval | None:
    """Bound the result for all operands between minus and plus their sizes, by interval rules."""
    shadow = Shadow()
    operands = [torch.zeros_like(s, dtype=d) for s, d in zip(sizes, dtypes, strict=True)]
    for operand, size in zip(operands, sizes, strict=True):
        shadow.set(operand, Interval(-size, size.clone()))
    with torch.no_grad(), shadow:
        result = call.run(*operands)
    found = shadow.of(result)
    if found is None or shadow.lost is not None:
        return None
    return found if bool((found.low.isfinite() & found.high.isfinite()).all()) else None


def _agrees(made: Affine, exact: Call, half: Tensor) -> bool:
    """Whether the derivative is that of the operator, on one direction and one row.

    It is not where an operator hides from differentiation, as ``detach`` does.
    """
    operands = [_waves(torch.empty(s, dtype=half.dtype, device=half.device)) for s in made.shapes]
    row = _waves(half).unsqueeze(0)
    forward = (row[0] * (exact.run(*operands) - made.offset)).sum()
    backward = [(one[0] * x) for one, x in zip(made.back(row), operands, strict=True)]
    total, size = (sum(f(x).sum() for x in backward) for f in (torch.Tensor.double, torch.abs))
    return bool((forward - total).abs() <= 1e-9 * size + 1e-300)


def _waves(like: Tensor) -> Tensor:
    numbers = torch.arange(like.numel(), dtype=torch.float64, device=like.device)
    return torch.cos(numbers * 1.7 + 0.3).reshape(like.shape)
