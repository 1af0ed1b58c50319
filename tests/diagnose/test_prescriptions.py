"""Prescribed code runs as it stands, and the model still works after it."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD

import relucid
from relucid.compare.changes import CHANGES, Case
from relucid.compare.learner import copied
from relucid.diagnose import diagnose, remedies, rules
from relucid.diagnose.remedies import MODULES, NORMALISE, RIGHT_GAIN, swap
from relucid.probes import observe
from relucid.probes.batches import read_batches
from relucid.records import Prescription
from support.golden import observation
from support.networks import LOSS, Batches, Residual, Transformer, cnn, digits, train, with_gain

GOLDEN = Path(__file__).parent / "golden"
TRIALS = {
    "swap_activation",
    "reinitialise_dead",
    "right_gain",
    "lower_learning_rate",
    "add_normalisation",
    "clip_gradients",
    None,
}


def _prescribed() -> list[Prescription]:
    cases: list[dict[str, Any]] = [
        case
        for file in sorted(GOLDEN.glob("*/fires.json"))
        for case in json.loads(file.read_text(encoding="utf-8"))
    ]
    found = [finding for case in cases for finding in diagnose(observation(case))]
    reached = [p for finding in found for p in finding.prescriptions]
    return list(dict.fromkeys([*reached, *_written()]))


def _written() -> list[Prescription]:
    """Those that stand in the files of the rules, whether a golden case reaches them or not."""
    files = [remedies, *(import_module(f"relucid.diagnose.rules.{name}") for name in rules())]
    held = [value for file in files for value in vars(file).values()]
    return [value for value in held if isinstance(value, Prescription)]


def _sick(model: nn.Module) -> nn.Module:
    """Plant an illness: half of a layer's units can never fire."""
    layer = next(m for m in model.modules() if isinstance(m, nn.Linear | nn.Conv2d))
    assert layer.bias is not None
    with torch.no_grad():
        layer.bias[: len(layer.bias) // 2] = -1e3
    return model


class _Arguments(nn.Module):
    """A model that is called by name, with two activations that are one module."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second, self.head = nn.Linear(64, 32), nn.Linear(32, 32), nn.Linear(32, 10)
        self.act = self.again = nn.ReLU()

    def forward(self, *, image: Tensor, label: Tensor) -> Tensor:
        h = self.again(self.second(self.act(self.first(image.flatten(1)))))
        return LOSS(self.head(h), label)


MODELS: dict[str, Callable[[], nn.Module]] = {
    "sequential": lambda: cnn(False),
    "residual, functional": lambda: Residual(2),
    "transformer": Transformer,
    "called by name": _Arguments,
}


@pytest.mark.parametrize("build", MODELS.values(), ids=MODELS)
@pytest.mark.parametrize("prescription", _prescribed(), ids=lambda p: p.text[:40])
def test_prescribed_code_runs(prescription: Prescription, build: Callable[[], nn.Module]) -> None:
    """Each runs on a sick model and its optimizer, which then can still be trained."""
    assert prescription.trial in TRIALS
    assert prescription.text.endswith(".")
    if prescription.code is None:
        return
    model, data = _sick(build()), digits(40, 20)
    batches: Any = data
    if isinstance(model, _Arguments):
        batches = [{"image": image, "label": label} for image, label in data]
    names = {"model": model, "optimizer": SGD(model.parameters(), lr=0.01), "data": batches}
    try:
        exec(compile(ast.parse(prescription.code), "prescription", "exec"), names)
        assert _trained(names["model"], names["optimizer"], data).isfinite()
    finally:
        torch.autograd.set_detect_anomaly(False)


def _trained(model: nn.Module, optimizer: torch.optim.Optimizer, data: Batches) -> Tensor:
    """Take a step a batch with the optimizer, which must hold every parameter."""
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    assert {id(p) for p in model.parameters()} <= held
    for image, label in data:
        optimizer.zero_grad()
        by_name = isinstance(model, _Arguments)
        loss = model(image=image, label=label) if by_name else LOSS(model(image), label)
        loss.backward()
        optimizer.step()
    return loss


@pytest.mark.parametrize("build", [lambda: cnn(False), lambda: Residual(2), Transformer])
@pytest.mark.parametrize("prescribed", [NORMALISE, RIGHT_GAIN], ids=lambda p: p.trial)
def test_the_code_does_what_the_trial_does(
    prescribed: Prescription, build: Callable[[], nn.Module]
) -> None:
    """The same modules and, from one seed, the same weights; the last layer is not normalised."""
    data = digits(100, 50)
    learner = copied(_sick(build()), None)
    case = Case(observe(learner.model, data), next(read_batches(data)))
    torch.manual_seed(1)
    CHANGES[prescribed.trial or ""][0](learner, case)
    model = _sick(build())
    torch.manual_seed(1)
    exec(prescribed.code or "", {"model": model, "data": data,
                                 "optimizer": SGD(model.parameters(), lr=0.01)})  # fmt: skip
    theirs = learner.model.state_dict()
    assert list(model.state_dict()) == list(theirs)
    assert all(torch.equal(value, theirs[name]) for name, value in model.state_dict().items())


def test_lowering_the_learning_rate_lowers_it() -> None:
    """A tenth, in every parameter group."""
    (code,) = {p.code for p in _prescribed() if p.trial == "lower_learning_rate"}
    optimizer = torch.optim.SGD(cnn().parameters(), lr=0.5)
    exec(code or "", {"optimizer": optimizer})
    assert [group["lr"] for group in optimizer.param_groups] == [0.05]


@pytest.mark.parametrize("name", MODULES)
def test_swap_replaces_torchs_module(name: str) -> None:
    """torch.nn's class is the one that the catalogue means, and none of it is left."""
    kind = getattr(nn, MODULES[name])
    one = kind(0.0, 0.0) if name == "threshold" else kind()
    assert relucid.get(one).name == name
    model = nn.Sequential(nn.Linear(4, 4), nn.Sequential(one, nn.Linear(4, 2)))
    exec(swap(name, "leaky_relu", "it helps").code or "", {"model": model})
    kinds = [relucid.get(m).name for m in model.modules() if not list(m.children())
             and not isinstance(m, nn.Linear)]  # fmt: skip
    assert kinds == ["leaky_relu"]
    assert model(torch.ones(3, 4)).shape == (3, 2)


def test_a_normalisation_cures_what_it_is_prescribed_for() -> None:
    """Where an illness of scale asks for it, adding it takes the illness away."""
    model = with_gain(cnn(False), 0.01)
    assert "wrong_gain" in _illnesses(model)
    exec(NORMALISE.code or "", {"model": model, "data": digits(100), "optimizer": None})
    train(model, digits(), 0.01, 5)  # so long that the running variances hold nothing of their 1
    assert _illnesses(model) == set()


def _illnesses(model: nn.Module) -> set[str]:
    found = diagnose(observe(model, digits(300), LOSS))
    return {f.rule for f in found if f.severity == "ill"}
