"""Running data through a model once, as a checkup needs it."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import islice
from typing import Any, Literal

import torch
from torch import Tensor, nn

from relucid.errors import DataError, LossError, NoActivationError
from relucid.probes.backward import run_backward
from relucid.probes.batches import Batch, check_not_empty, differentiable, ordinary, read_batches
from relucid.probes.birth import find_birth
from relucid.probes.bounds import Boxes, with_bounds
from relucid.probes.probe import Probe, check_model
from relucid.probes.refusals import FailingLoss, Refusal
from relucid.probes.undisturbed import undisturbed
from relucid.records import Birth, Observation

Loss = Callable[[Any, Any], Tensor]
Progress = Callable[[int], None]
Bounding = Callable[[int, int], object]


def observe(
    model: nn.Module,
    data: Any,
    loss: Loss | None = None,
    *,
    batches: int | None = None,
    progress: Progress | None = None,
    domain: Any = None,
    bounding: Bounding | None = None,
) -> Observation:
    """Run ``data`` through ``model`` in evaluation mode and return what was counted.

    ``data`` is a batch or an iterable of batches: see
    :func:`~relucid.probes.batches.read_batches`. ``loss(output, target)`` gives a scalar tensor;
    it is given the batch itself where there is no target, for a tensor or a dictionary. With a
    loss, gradients at the pre-activations are counted too. ``batches`` is the most to run; None
    runs all. ``progress`` is called after each batch with the number of batches done. ``domain``
    declares the range of the inputs, as :func:`relucid.checkup` says; then each site has bounds of
    its pre-activations over all inputs of that domain, of the shapes of the first batch.
    ``bounding`` is called meanwhile with the sites that are bounded, and of how many.

    The model is as before afterwards: each module's own training flag, buffers, parameters,
    ``requires_grad`` and ``.grad``; so are the random states. Nothing is moved between devices.

    Raises :class:`~relucid.errors.ModelError` for anything but a module,
    :class:`~relucid.errors.NoActivationError` for one without activations;
    :class:`~relucid.errors.DataError` for empty data and data that the model refuses;
    :class:`~relucid.errors.LossError` for a loss that fails or is no scalar;
    :class:`~relucid.errors.DomainError` for a domain that is no range, does not fit the inputs, or
    that the data leave.
    """
    check_model(model)
    if loss is not None and not callable(loss):
        raise LossError(f"the loss must be callable as loss(output, target), and {loss!r} is not")
    boxes = None if domain is None else Boxes(domain, model)
    with (
        torch.inference_mode(False),
        undisturbed(model, evaluate=True),
        Probe(model, gradients=loss is not None) as probe,
    ):
        run, first = _Run(model, loss, probe), None
        for index, batch in enumerate(islice(read_batches(data), batches)):
            if boxes is not None:
                boxes.check(batch, index)
                first = first or batch.mapped(ordinary)
            run.one(batch, index)
            if progress is not None:
                progress(index + 1)
        observation = run.observation()
        if boxes is not None and first is not None:
            probe.remove()
            observation = with_bounds(observation, model, first, boxes, probe.verdicts, bounding)
    return observation


class _Run:
    """The batches run so far."""

    def __init__(self, model: nn.Module, loss: Loss | None, probe: Probe) -> None:
        self._model, self._loss, self._probe = model, loss, probe
        self._losses: list[float] = []
        self._births: list[Birth] = []
        self._batches = self._nonfinite = 0
        self._frozen = not all(p.requires_grad for p in model.parameters()) or not any(
            True for _ in model.parameters()
        )

    def one(self, batch: Batch, index: int) -> None:
        """Run one batch, forward and, with a loss, backward."""
        self._batches += 1
        check_not_empty(batch, index)
        with_gradient = self._loss is not None and self._frozen
        given = batch.mapped(differentiable if with_gradient else ordinary)
        with torch.set_grad_enabled(self._loss is not None):
            with Refusal(self._model, batch, index):
                output = given.call(self._model)
            finite = self._loss is None or self._backward(given, output, index)
        before, self._nonfinite = self._nonfinite, self._probe.nonfinite()
        if not self._births and (not finite or self._nonfinite > before):
            birth = _in_data(given, index) or self._rerun(given, index)
            self._births += [] if birth is None else [birth]

    def _backward(self, batch: Batch, output: Any, index: int) -> bool:
        """Run the loss and its backward pass; return whether both are finite."""
        loss = checked_loss(self._loss, output, batch.target, index)
        self._losses.append(float(loss.detach()))
        finite = run_backward(loss, self._model, batch.tensors())
        return finite and math.isfinite(self._losses[-1])

    def _rerun(self, batch: Batch, index: int) -> Birth | None:
        """Run a batch again, unwatched, in search of the operation."""
        loss = self._loss
        again = None if loss is None else lambda output: loss(output, batch.target)
        self._probe.remove()
        try:
            return find_birth(self._model, lambda: batch.call(self._model), again, batch=index)
        finally:
            self._probe.start()

    def observation(self) -> Observation:
        """Read the counts."""
        if not self._batches:
            raise DataError("the data hold no batch; an iterator may be used up, pass a fresh one")
        mean = sum(self._losses) / len(self._losses) if self._losses else None
        observation = self._probe.records(loss=mean, births=tuple(self._births))
        if not observation.sites and not observation.unobserved:
            raise NoActivationError(
                f"{observation.model} calls no activation, so there is nothing to examine; "
                "pass the whole model, not one of its linear layers"
            )
        return observation


def checked_loss(loss: Loss | None, output: Any, target: Any, index: int) -> Tensor:
    """Call the loss and make sure that it is a scalar that can be differentiated."""
    with FailingLoss(output, target, index):
        value: Any = None if loss is None else loss(output, target)
    if not isinstance(value, Tensor):
        raise LossError(f"the loss returned {type(value).__name__}; return a scalar tensor")
    if value.numel() != 1:
        raise LossError(
            f"the loss returned a tensor of shape {tuple(value.shape)}; return one number, for "
            "example its .mean()"
        )
    if not value.is_floating_point():
        raise LossError(f"the loss is of dtype {value.dtype}; return a real number")
    if not value.requires_grad and _requires_grad(output):
        raise LossError(
            "the loss does not depend on the model's output in a way that can be differentiated; "
            "look for .detach(), .item(), .argmax() or torch.no_grad() in it"
        )
    return value


def _requires_grad(output: Any) -> bool:
    if isinstance(output, Tensor):
        return output.requires_grad
    values = output.values() if hasattr(output, "values") else output
    return isinstance(output, dict | tuple | list) and any(_requires_grad(v) for v in values)


def _in_data(batch: Batch, index: int) -> Birth | None:
    for tensor in batch.tensors():
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            value: Literal["nan", "inf"] = "nan" if bool(tensor.isnan().any()) else "inf"
            return Birth("", "input data", value, None, index)
    return None
