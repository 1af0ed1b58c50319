"""The model's outputs on an example, and by how much they differ."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from relucid.errors import DataError, ModelError
from relucid.probes.batches import Batch, check_not_empty, ordinary, read_batches, tensors_in
from relucid.probes.refusals import Refusal
from relucid.probes.undisturbed import undisturbed
from relucid.swap.result import Difference


def first_batch(example: Any) -> Batch | None:
    """Read one batch in any form that a checkup takes; None for None.

    Raises :class:`~relucid.errors.DataError` for what is no batch, or an empty one.
    """
    if example is None or isinstance(example, Batch):
        return example
    batch = next(read_batches(example), None)
    if batch is None:
        raise DataError("the example holds no batch; an iterator may be used up, pass a fresh one")
    check_not_empty(batch, 0)
    return batch


def outputs(model: nn.Module, batch: Batch) -> list[Tensor]:
    """Run a batch in evaluation mode and copy the real tensors of the output."""
    with torch.inference_mode(False), undisturbed(model, evaluate=True), torch.no_grad():
        with Refusal(model, batch, 0):
            given = batch.mapped(lambda x: ordinary(x).clone()).call(model)
        return [x.detach().double() for x in tensors_in(given) if x.is_floating_point()]


def difference(before: list[Tensor], after: list[Tensor]) -> Difference | None:
    """Compare outputs number by number; None where there are none.

    Raises :class:`~relucid.errors.ModelError` where they have other shapes.
    """
    if [x.shape for x in before] != [x.shape for x in after]:
        raise ModelError(
            "the new activation changes the shape of the model's outputs, so it is none that could "
            "stand there; nothing was changed"
        )
    old, new = (
        torch.cat([x.reshape(-1) for x in one] or [torch.empty(0)]) for one in (before, after)
    )
    if not old.numel():
        return None
    apart = new - old
    rms = [float(x.square().mean().sqrt()) for x in (apart, old)]
    return Difference(float(apart.abs().max()), *rms)
