"""Prescriptions that several rules share. Their code runs as it stands.

It speaks of ``model``, a ``torch.nn.Module``, ``optimizer``, any ``torch.optim.Optimizer``, and
``data``, what the checkup was given; any model will do, not only an ``nn.Sequential``. What has a
trial is done by the trial's own code, or says the same.
It names no site, so that a report shows it once for all sites that need it.
"""

from __future__ import annotations

from relucid.records import Prescription

LOWER_LEARNING_RATE = Prescription(
    "Train again with a learning rate 10 times smaller: steps that are too large push units out "
    "of their working range for good.",
    'for group in optimizer.param_groups:\n    group["lr"] /= 10',
    "lower_learning_rate",
)

RIGHT_GAIN = Prescription(
    "Start again from weights that are scaled to the activation of each layer, so that signals "
    "and gradients keep their size through the depth. `data` are the batches that the checkup was "
    "given: the first shows what each layer reads.",
    "from relucid.compare import right_gain\n\nright_gain(model, data, optimizer)",
    "right_gain",
)

CLIP_GRADIENTS = Prescription(
    "Clip the gradient's norm between backward() and step(), so that a single step cannot throw "
    "the weights far away.",
    "import torch\n\ntorch.nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)",
    "clip_gradients",
)

NORMALISE = Prescription(
    "Put a normalisation between each linear layer and its activation: it brings the "
    "pre-activations back to a mean near 0 and a deviation near 1. The optimizer is given the "
    "weights of the normalisations.",
    "from relucid.compare import add_normalisation\n\nadd_normalisation(model, data, optimizer)",
    "add_normalisation",
)

REINITIALISE = Prescription(
    "Give the dead units a new start: weights drawn anew with the right gain, zero bias, and the "
    "optimizer's memory of them reset (ReDo, Sokar et al. 2023, arXiv:2302.12902). `data` are the "
    "batches that the checkup was given.",
    "from relucid.compare import reinitialise_dead\n\nreinitialise_dead(model, data, optimizer)",
    "reinitialise_dead",
)


def swap(activation: str, new: str, why: str) -> Prescription:
    """Replace every module of torch.nn's class for ``activation`` by the catalogue's ``new``."""
    old = MODULES[activation]
    return Prescription(
        f"Replace {old} by {new}: {why}. Where the model calls a function instead of a module "
        f'(`F.relu(x)`), call `relucid.get("{new}")(x)` there.',
        f"""\
import torch

import relucid

for path, module in list(model.named_modules(remove_duplicate=False)):
    if path and isinstance(module, torch.nn.{old}):
        model.set_submodule(path, relucid.nn.make("{new}"))""",
        "swap_activation",
        (activation, new),
    )


MODULES = {
    "relu": "ReLU",
    "relu6": "ReLU6",
    "hardswish": "Hardswish",
    "hardsigmoid": "Hardsigmoid",
    "hardtanh": "Hardtanh",
    "sigmoid": "Sigmoid",
    "tanh": "Tanh",
    "softsign": "Softsign",
    "threshold": "Threshold",
    "hardshrink": "Hardshrink",
    "softshrink": "Softshrink",
    "softplus": "Softplus",
    "gelu": "GELU",
    "silu": "SiLU",
    "elu": "ELU",
    "leaky_relu": "LeakyReLU",
}
"""torch.nn's class for names of the catalogue."""


def swap_at(activation: str, new: str, why: str) -> tuple[Prescription, ...]:
    """Return :func:`swap` for a site's function, or nothing where torch.nn has no class for it."""
    return (swap(activation, new, why),) if activation in MODULES else ()
