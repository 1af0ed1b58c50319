"""Weights drawn anew with the gain of the activation that each layer reads."""

from __future__ import annotations

from relucid.compare.changes.case import Case, Refusal
from relucid.compare.learner import Learner
from relucid.errors import ModelError
from relucid.nn import init_


def right_gain(learner: Learner, case: Case) -> str:
    """Start again from weights of the right gain and zero biases (:func:`relucid.nn.init_`)."""
    try:
        report = init_(learner.model, case.inputs)
    except ModelError as error:
        raise Refusal(str(error)) from error
    drawn = [layer for layer in report if layer.gain is not None]
    if not drawn:
        raise Refusal(f"no weights can be drawn; {report[0].layer}: {report[0].note}")
    learner.forget()
    left = f"; {len(report) - len(drawn)} left as they are" if len(drawn) < len(report) else ""
    return f"fresh weights of the right gain for {len(drawn)} layers{left}"
