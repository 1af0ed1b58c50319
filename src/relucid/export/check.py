"""Comparing what a file computes with what the model does."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from relucid.errors import ExportError
from relucid.probes.batches import Batch, samples_in
from relucid.probes.undisturbed import undisturbed

Run = Callable[[Batch], Sequence[Tensor]]
"""The tensors that a file computes from a batch."""

TOLERANCES = {torch.float16: 2e-2, torch.bfloat16: 1e-1, torch.float32: 1e-4, torch.float64: 1e-9}
"""Largest relative difference by the coarsest type of an output: other orders of summation, and
other elementary functions, make far less of one. A network of 12 transformer blocks in float32
comes to 3e-6."""


@dataclass
class Differences:
    """Differences of outputs, gathered over batches."""

    samples: int = 0
    largest: float = 0.0
    tolerance: float = 0.0
    _squares: list[tuple[float, float]] = field(default_factory=list)

    @property
    def rms(self) -> float:
        """Root mean square of the difference over that of the output."""
        if not self._squares:
            return 0.0
        off, whole = (math.fsum(column) for column in zip(*self._squares, strict=True))
        return math.sqrt(off / whole) if whole else (0.0 if not off else math.inf)

    def add(self, expected: Tensor, found: Tensor) -> None:
        """Count one output."""
        tolerance = TOLERANCES.get(expected.dtype, 0.0)
        self.tolerance = max(self.tolerance, tolerance)
        expected, found = expected.detach().cpu().double(), found.detach().cpu().double()
        usual = expected.isfinite()
        if not torch.equal(expected[~usual].nan_to_num(), found[~usual].nan_to_num()):
            self.largest = math.nan
        off, whole = (expected - found)[usual], expected[usual]
        if off.numel():
            scale = float(whole.abs().max())
            largest = float(off.abs().max())
            relative = largest / scale if scale else (math.inf if largest else 0.0)
            self.largest = relative if not relative <= self.largest else self.largest
        self._squares.append((float((off * off).sum()), float((whole * whole).sum())))


def outputs_of(model: nn.Module, batch: Batch) -> list[Tensor]:
    """Return the tensors that a model computes in evaluation mode."""
    with undisturbed(model, evaluate=True), torch.no_grad():
        return [x for x in tree_leaves(batch.call(model)) if isinstance(x, Tensor)]


def compared(model: nn.Module, run: Run, batches: Iterable[Batch]) -> Differences:
    """Run model and file on batches, each once.

    Raises :class:`~relucid.errors.ExportError` where they differ in number or shape of outputs.
    """
    found = Differences()
    for batch in batches:
        expected, computed = outputs_of(model, batch), list(run(batch))
        shapes = [tuple(x.shape) for x in expected], [tuple(x.shape) for x in computed]
        if shapes[0] != shapes[1]:
            raise ExportError(
                f"the file computes outputs of the shapes {shapes[1]} where the model computes "
                f"{shapes[0]}, on {batch}; nothing was written. Check that forward has no sizes "
                "written into it that belong to one batch"
            )
        found.samples += samples_in(batch)
        for one, other in zip(expected, computed, strict=True):
            found.add(one, other)
    return found


def check(found: Differences, *, rounded: bool) -> None:
    """Raise :class:`~relucid.errors.ExportError` where the file is not the model's equal.

    ``rounded`` says that it computes in int8, whose difference is told and not judged, unless it
    is no number.
    """
    limit = math.inf if rounded else found.tolerance
    if not found.largest <= limit:
        raise ExportError(
            f"the file's outputs differ from the model's by {found.largest:.3g} of their size, "
            f"where {limit:.3g} is the most that rounding explains; nothing was written. Look for "
            "what in the model depends on random numbers, or changes between calls"
        )


def as_arrays(inputs: dict[str, Tensor]) -> dict[str, Any]:
    """Return the inputs as ONNX Runtime takes them."""
    return {name: x.detach().cpu().contiguous().numpy() for name, x in inputs.items()}
