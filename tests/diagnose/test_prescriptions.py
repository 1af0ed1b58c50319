"""Prescribed code runs as it stands, and the model still works after it."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import relucid
from relucid.diagnose import diagnose
from relucid.diagnose.remedies import MODULES, NORMALISE, swap
from relucid.probes import observe
from relucid.records import Prescription
from support.golden import observation
from support.networks import LOSS, cnn, digits, train, with_gain

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
    return list(dict.fromkeys(p for finding in found for p in finding.prescriptions))


@pytest.mark.parametrize("prescription", _prescribed(), ids=lambda p: p.text[:40])
def test_prescribed_code_runs(prescription: Prescription) -> None:
    """Each runs on a real model and optimizer, which then give finite outputs and can train."""
    assert prescription.trial in TRIALS
    assert prescription.text.endswith(".")
    model = cnn(False)
    names: dict[str, Any] = {
        "model": model,
        "optimizer": torch.optim.SGD(model.parameters(), lr=0.1),
        "data": digits(40, 20),
    }
    if prescription.code is None:
        return
    try:
        exec(compile(ast.parse(prescription.code), "prescription", "exec"), names)
        train(names["model"], digits(40, 20), 0.01, 1)
        assert names["model"](digits(5)[0][0]).isfinite().all()
    finally:
        torch.autograd.set_detect_anomaly(False)


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
    exec(NORMALISE.code or "", {"model": model})
    train(model, digits(300), 0.01, 1)
    assert _illnesses(model) == set()


def _illnesses(model: nn.Module) -> set[str]:
    found = diagnose(observe(model, digits(300), LOSS))
    return {f.rule for f in found if f.severity == "ill"}
