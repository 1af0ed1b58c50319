"""Changes of the steps: a lower learning rate, clipped gradients."""

from __future__ import annotations

from torch import nn

from relucid.compare.changes.case import Case, Refusal
from relucid.compare.learner import Learner

FACTOR = 10
MAX_NORM = 1.0


def lower_learning_rate(learner: Learner, case: Case) -> str:
    """Go on from here at a tenth of the learning rate."""
    return f"{_lower(learner, case)}, from here on"


def start_again_lower(learner: Learner, case: Case) -> str:
    """Train again from fresh weights at a tenth: units that are dead come back at no rate."""
    said = _lower(learner, case)
    _reset(learner.model)
    learner.forget()
    return f"{said}, and fresh weights as each layer's class draws them"


def clip_gradients(learner: Learner, case: Case) -> str:
    """Clip the norm of the gradient over all parameters."""
    _check_given(case)
    learner.after_backward.append(
        lambda model: nn.utils.clip_grad_norm_(model.parameters(), max_norm=MAX_NORM)
    )
    return f"gradient norm clipped to {MAX_NORM:g}"


def _lower(learner: Learner, case: Case) -> str:
    _check_given(case)
    groups = [group for group in learner.optimizer.param_groups if "lr" in group]
    if not groups:
        raise Refusal(f"{type(learner.optimizer).__name__} has no learning rate")
    before = float(groups[0]["lr"])
    for group in groups:
        group["lr"] = group["lr"] / FACTOR
    return f"learning rate lowered from {before:g} to {float(groups[0]['lr']):g}"


def _check_given(case: Case) -> None:
    if not case.optimizer_given:
        raise Refusal(
            "it changes the steps of your optimizer, which the trial does not know; give it: "
            "trial=relucid.Trial(optimizer=...)"
        )


def _reset(model: nn.Module) -> None:
    """Draw the weights as the layers' classes do; frozen ones are pretrained, and stay."""
    for name, module in model.named_modules():
        own = list(module.parameters(recurse=False))
        if not any(parameter.requires_grad for parameter in own):
            continue
        names = ("reset_parameters", "_reset_parameters")
        reset = next((found for n in names if callable(found := getattr(module, n, None))), None)
        if reset is None:
            raise Refusal(
                f"fresh weights for {name or 'the model'} are not known: its class "
                f"{type(module).__name__} has parameters of its own and no reset_parameters()"
            )
        reset()
