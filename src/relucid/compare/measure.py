"""What is measured of a model in training, and when that is over."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from relucid.compare.learner import Loss
from relucid.compare.samples import Samples
from relucid.compare.subject import Subject
from relucid.errors import LossError
from relucid.probes import observe
from relucid.probes.batches import Batch, samples_in
from relucid.probes.observe import checked_loss
from relucid.records import Observation, Run


def measured(model: Any, samples: Samples, loss: Loss, seed: int) -> Run:
    """Run the held-out samples through a model in evaluation mode: loss, dead units, gradient."""
    seen = observed(model, samples, loss)
    found = math.nan if seen.loss is None else seen.loss
    return Run(seed, found, dead_units(seen), gradient_ratio(seen))


def observed(model: nn.Module, samples: Samples, loss: Loss) -> Observation:
    """Count on the held-out samples, in evaluation mode."""
    raw = [(batch.args or dict(batch.kwargs), batch.target) for batch in samples.held_out]
    return observe(model, raw, loss)


def held_out(model: nn.Module, samples: Samples, subject: Subject) -> tuple[float, float]:
    """Return mean loss and quality on the held-out samples, in evaluation mode.

    Both are means over batches, weighted by their samples.
    """

    def judge(batch: Batch, index: int) -> Tensor:
        return judged(subject, batch.call(model), batch.target, index)

    loss, quality = mean(model, samples, judge).tolist()
    return loss, quality


@torch.no_grad()
def mean(model: nn.Module, samples: Samples, judge: Callable[[Batch, int], Tensor]) -> Tensor:
    """Return the mean of what is said of each held-out batch, with the model evaluating."""
    flags = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        said = [(samples_in(b), judge(b, index)) for index, b in enumerate(samples.held_out)]
    finally:
        for module, flag in flags:
            module.training = flag
    weighted = torch.stack([size * values for size, values in said])
    return weighted.sum(0) / sum(size for size, _ in said)


def judged(subject: Subject, output: Any, target: Any, index: int) -> Tensor:
    """Return loss and quality of an output, float64 of shape (2,)."""
    loss = checked_loss(subject.loss, output, target, index)
    quality = accuracy(output, target) if subject.metric == "accuracy" else loss
    return torch.stack([loss.double().reshape(()), quality.double().reshape(())])


def accuracy(output: Any, target: Any) -> Tensor:
    """Return the share of classes that are right.

    Classes lie along axis 1 of the output, as for :func:`torch.nn.functional.cross_entropy`; one
    output a sample is a logit of the second of two classes.

    Raises :class:`~relucid.errors.LossError` where output and target are not of that kind.
    """
    if isinstance(output, Tensor) and isinstance(target, Tensor):
        if output.shape == target.shape:
            return ((output > 0) == (target > 0.5)).double().mean()
        if output.ndim == target.ndim + 1 and output.shape[:1] + output.shape[2:] == target.shape:
            return (output.argmax(1) == target).double().mean()
    shapes = [
        list(x.shape) if isinstance(x, Tensor) else type(x).__name__ for x in (output, target)
    ]
    raise LossError(
        f"there is no accuracy of an output {shapes[0]} for a target {shapes[1]}: classes lie "
        "along axis 1 of the output, and the target holds their numbers; compare by metric='loss'"
    )


def dead_units(seen: Observation) -> float | None:
    """Return the share of units that are dead on the data."""
    counted = [record for record in seen.sites if record.site.units]
    units = sum(record.site.units for record in counted)
    return sum(len(record.dead) for record in counted) / units if units else None


def zeros(seen: Observation) -> float | None:
    """Return the share of activations that are exactly zero."""
    counted = [record for record in seen.sites if record.site.units]
    elements = sum(record.elements * record.site.units for record in counted)
    return sum(int(record.zeros.sum()) for record in counted) / elements if elements else None


def gradient_ratio(seen: Observation) -> float | None:
    """Size of the gradient at the first site over that at the last one, which is 1 if alone."""
    sizes = [
        record.gradient.rms
        for record in sorted(seen.sites, key=lambda record: record.site.order)
        if record.gradient is not None
    ]
    return sizes[0] / sizes[-1] if sizes and sizes[-1] else None
