"""Weights drawn anew with the gain of the activation that each layer reads."""

from __future__ import annotations

from typing import Any

from torch import nn

from relucid.compare.changes.case import Case, Refusal
from relucid.compare.learner import Learner, Optimizer
from relucid.errors import DataError, ModelError
from relucid.nn import LayerInit, init_
from relucid.probes.batches import Batch, read_batches


def right_gain(model: nn.Module, data: Any, optimizer: Optimizer | None = None) -> dict[str, float]:
    """Start again from weights of the right gain and zero biases, in place.

    It is :func:`relucid.nn.init_`, which runs the model once to see what each layer reads.

    Args:
        model: the model, changed in place.
        data: a batch or batches, as :func:`relucid.checkup` takes them; the first is run.
        optimizer: the optimizer that trains it, whose state is reset.

    Returns:
        The gain of each layer that was drawn, by its name.

    Raises:
        ModelError: if no layer can be drawn, with the reason.
        DataError: if there is no batch.

    """
    example = next(read_batches(data), None)
    if example is None:
        raise DataError("the data hold no batch; an iterator may be used up, pass a fresh one")
    try:
        drawn = _drawn(model, example)
    except Refusal as refusal:
        raise ModelError(str(refusal)) from refusal
    if optimizer is not None:
        optimizer.state.clear()
    return {layer.layer: layer.gain for layer in drawn if layer.gain is not None}


def draw_right_gain(learner: Learner, case: Case) -> str:
    """Start again from weights of the right gain and zero biases (:func:`relucid.nn.init_`)."""
    report = _drawn(learner.model, case.example)
    learner.forget()
    drawn = sum(layer.gain is not None for layer in report)
    left = f"; {len(report) - drawn} left as they are" if drawn < len(report) else ""
    return f"fresh weights of the right gain for {drawn} layers{left}"


def _drawn(model: nn.Module, example: Batch) -> list[LayerInit]:
    try:
        report = init_(model, dict(example.kwargs) or example.args)
    except ModelError as error:
        raise Refusal(str(error)) from error
    if all(layer.gain is None for layer in report):
        raise Refusal(f"no weights can be drawn; {report[0].layer}: {report[0].note}")
    return report
