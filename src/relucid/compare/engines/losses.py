"""What is said of the outputs of many models: of each by itself, or of all in one call."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from relucid.compare.learner import Loss
from relucid.compare.measure import judged
from relucid.compare.subject import Subject
from relucid.probes.observe import checked_loss
from relucid.probes.refusals import FailingLoss


class Says(Protocol):
    """Says one thing of outputs and targets, in a tensor."""

    def __call__(self, output: Any, target: Any) -> Tensor:
        """Judge one model."""

    def of_all(self, outputs: Any, targets: Any) -> Tensor:
        """Judge all models, of which outputs and targets are (models, ...)."""


@dataclass(frozen=True)
class Judge:
    """The loss on the batch of this number."""

    loss: Loss
    index: int

    def __call__(self, output: Any, target: Any) -> Tensor:
        """Return a scalar."""
        return checked_loss(self.loss, output, target, self.index)

    def of_all(self, outputs: Any, targets: Any) -> Tensor:
        """Return (models,). From smaller operations, as vmap does it, it takes twice as long."""
        options = _options(self.loss)
        if options is None or not _are_classes(outputs, targets):
            return _one_by_one(self, outputs, targets)
        with FailingLoss(outputs, targets, self.index):
            return _cross_entropies(outputs, targets, **options)


@dataclass(frozen=True)
class Quality:
    """Loss and quality on the held-out batch of this number."""

    subject: Subject
    index: int

    def __call__(self, output: Any, target: Any) -> Tensor:
        """Return (2,)."""
        return judged(self.subject, output, target, self.index)

    def of_all(self, outputs: Any, targets: Any) -> Tensor:
        """Return (models, 2)."""
        if self.subject.metric != "accuracy" or not _are_classes(outputs, targets):
            return _one_by_one(self, outputs, targets)
        losses = Judge(self.subject.loss, self.index).of_all(outputs, targets)
        right = (outputs.argmax(2) == targets).double().flatten(1).mean(1)
        return torch.stack([losses.double(), right], 1)


def _one_by_one(says: Says, outputs: Any, targets: Any) -> Tensor:
    found: Tensor = torch.vmap(says)(outputs, targets)
    return found


def _are_classes(outputs: Any, targets: Any) -> bool:
    """Whether targets are numbers of classes that lie along axis 1 of each model's output."""
    if not (isinstance(outputs, Tensor) and isinstance(targets, Tensor)) or targets.ndim < 2:
        return False
    same = outputs.shape[:2] + outputs.shape[3:] == targets.shape
    return outputs.ndim > 2 and same and not targets.is_floating_point()


def _options(loss: Loss) -> dict[str, Any] | None:
    """Return the options of a mean cross-entropy; None for any other loss."""
    call: Any = loss
    options: dict[str, Any] = {}
    if type(call) is partial and not call.args:
        call, options = call.func, call.keywords
    elif type(call) is nn.CrossEntropyLoss and call.weight is None and call.reduction == "mean":
        options = {name: getattr(call, name) for name in _OPTIONS}
        call = functional.cross_entropy
    return options if call is functional.cross_entropy and options.keys() <= _OPTIONS else None


_OPTIONS = {"ignore_index", "label_smoothing"}


def _cross_entropies(
    outputs: Tensor, targets: Tensor, *, ignore_index: int = -100, label_smoothing: float = 0.0
) -> Tensor:
    losses = functional.cross_entropy(
        outputs.flatten(0, 1),
        targets.flatten(0, 1),
        ignore_index=ignore_index,
        reduction="none",
        label_smoothing=label_smoothing,
    )
    counted = (targets != ignore_index).flatten(1).sum(1)
    total: Tensor = losses.reshape(len(targets), -1).sum(1)
    return total / counted
