"""Both models beside each other: by how much their outputs differ."""

from __future__ import annotations

import math
import traceback
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn

from relucid.probes.batches import Batch, ordinary, read_batches
from relucid.probes.bounds.domain import Boxes
from relucid.probes.contents import tensors_within
from relucid.probes.fast_path import fast_path
from relucid.probes.undisturbed import undisturbed
from relucid.records.receipt import Agreement
from relucid.shrink.inputs import draw, hard
from relucid.shrink.measures import largest_difference
from relucid.shrink.wide import wide_outputs

TOLERANCE = {torch.float64: 1e-12, torch.float32: 1e-6}
COARSE = 1e-2
"""For 16-bit models."""


@dataclass(frozen=True)
class Failure:
    """Why the smaller model is not the same."""

    told: str
    lines: tuple[tuple[str, int], ...] = ()
    """File and line of the calls that failed, inmost last."""


def tolerance_of(model: nn.Module) -> float:
    """Return the difference that exact removal may make, by the dtype of the parameters."""
    dtypes = {p.dtype for p in model.parameters() if p.is_floating_point()}
    return max((TOLERANCE.get(dtype, COARSE) for dtype in dtypes), default=TOLERANCE[torch.float32])


def outputs(model: nn.Module, batch: Batch) -> list[Tensor]:
    """Run a batch in evaluation mode, and return all tensors of the output."""
    with torch.inference_mode(False), torch.no_grad(), undisturbed(model, evaluate=True):
        given = batch.mapped(lambda x: ordinary(x).clone()).call(model)
        return [x.detach().clone() for x in tensors_within(given)]


def compare(before: nn.Module, after: nn.Module, batch: Batch) -> float | Failure:
    """Return the largest relative difference of an output on a batch, or why there is none."""
    fast_path.forbid()  # both without fused layers, which round otherwise
    try:
        wanted = outputs(before, batch)
        try:
            made = outputs(after, batch)
        except Exception as error:  # whatever the user's code raises with other sizes
            return Failure(f"the model fails ({type(error).__name__}: {error})", _lines(error))
    finally:
        fast_path.allow()
    if [x.shape for x in wanted] != [x.shape for x in made]:
        return Failure("outputs have other shapes")
    apart = [largest_difference(a, b) for a, b in zip(wanted, made, strict=True)]
    return math.nan if any(map(math.isnan, apart)) else max(apart, default=0.0)


def _lines(error: Exception) -> tuple[tuple[str, int], ...]:
    frames = traceback.extract_tb(error.__traceback__)
    return tuple((f.filename, f.lineno or 0) for f in frames)


EVERYWHERE = frozenset(("given", "random", "adversarial"))
ON_DATA = frozenset(("given",))
NOWHERE: frozenset[str] = frozenset()
_GIVEN = 8
"""Batches of the data that both models are run on."""


@dataclass(frozen=True)
class Checker:
    """Compares smaller models with one model: on given inputs, on random ones, on hard ones."""

    model: nn.Module
    batch: Batch
    boxes: Boxes | None
    tolerance: float
    data: Iterable[Any] | None

    def __call__(
        self, smaller: nn.Module, where: frozenset[str]
    ) -> tuple[Agreement, ...] | Failure:
        """Return how both agree; a failure where one fails, or they differ where they may not."""
        kinds = {"given": self._given(), "random": draw(self.batch, self.boxes, 4),
                 "adversarial": hard(self.model, smaller, self.batch, self.boxes)}  # fmt: skip
        found = []
        for kind, batches in kinds.items():
            one = self._agreement(kind, smaller, batches, kind in where)
            if isinstance(one, Failure):
                return one
            found.append(one)
        return tuple(found)

    def _given(self) -> Iterable[Batch]:
        return [self.batch] if self.data is None else islice(read_batches(self.data), _GIVEN)

    def _agreement(
        self, kind: str, smaller: nn.Module, batches: Iterable[Batch], exact: bool
    ) -> Agreement | Failure:
        largest, samples = 0.0, 0
        for batch in batches:
            found = compare(self.model, smaller, batch)
            if isinstance(found, Failure):
                return found
            if exact and not found <= self.tolerance and not self._rounds(smaller, batch):
                return Failure(f"an output differs by {found:.2g} of the largest")
            largest = found if math.isnan(found) else max(largest, found)
            samples += max((len(x) for x in batch.tensors() if x.ndim), default=1)
        return Agreement(kind, samples, largest)  # type: ignore[arg-type]  # one of its three

    def _rounds(self, smaller: nn.Module, batch: Batch) -> bool:
        """Whether the difference is of rounding alone: in float64 arithmetic it is gone."""
        before, after = (wide_outputs(model, batch) for model in (self.model, smaller))
        if before is None or after is None or [x.dtype for x in before] != [x.dtype for x in after]:
            return False
        apart = (largest_difference(a, b) for a, b in zip(before, after, strict=True))
        return all(one <= self.tolerance for one in apart)
