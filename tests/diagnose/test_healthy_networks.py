"""Healthy networks, at the start and trained, have no finding of severity ill."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from relucid.diagnose import diagnose
from relucid.probes import observe
from support.networks import LOSS, Residual, cnn, digits, mlp, train, with_gain

Build = Callable[[], nn.Module]
HEALTHY: dict[str, tuple[Build, float, int]] = {
    "relu": (mlp, 1e-3, 8),
    "relu, wide": (lambda: mlp(width=256), 1e-3, 8),
    "relu, 8 wide": (lambda: mlp(width=8), 3e-3, 8),
    "leaky relu": (lambda: mlp(nn.LeakyReLU), 1e-3, 8),
    "gelu": (lambda: mlp(nn.GELU), 1e-3, 8),
    "silu": (lambda: mlp(nn.SiLU), 1e-3, 8),
    "elu": (lambda: mlp(nn.ELU), 1e-3, 8),
    "tanh": (lambda: mlp(nn.Tanh), 3e-3, 15),
    "sigmoid": (lambda: mlp(nn.Sigmoid), 3e-3, 15),
    "convolutions": (lambda: cnn(False), 3e-3, 4),
    "convolutions, batch norm": (cnn, 3e-3, 3),
    "convolutions, batch norm, hard swish": (lambda: cnn(True, nn.Hardswish), 3e-3, 3),
    "residual": (Residual, 1e-3, 4),
    "20 relu, right gain": (lambda: with_gain(mlp(depth=20), 2**0.5), 3e-4, 4),
}


def _illnesses(model: nn.Module) -> list[tuple[str, str | None, str]]:
    found = diagnose(observe(model, digits(1000), LOSS))
    return [(f.rule, f.site, f.title) for f in found if f.severity == "ill"]


@pytest.mark.parametrize("name", HEALTHY)
def test_is_well_at_the_start_and_trained(name: str) -> None:
    """Neither the untrained nor the trained network is called ill; and training had worked."""
    build, rate, epochs = HEALTHY[name]
    model = build()
    assert _illnesses(model) == []
    before = observe(model, digits(1000), LOSS).loss
    train(model, digits(1000), rate, epochs, torch.optim.Adam)
    assert _illnesses(model) == []
    after = observe(model, digits(1000), LOSS).loss
    assert before is not None
    assert after is not None
    assert after < 0.8 * before


def test_without_a_loss_gradients_are_not_judged() -> None:
    """The gradient rules say how to get a verdict, and the others still give theirs."""
    found = diagnose(observe(mlp(), digits(300)))
    of_gradients = [f for f in found if f.rule in ("vanishing_gradients", "exploding_gradients")]
    assert {f.severity for f in of_gradients} == {"not applicable"}
    assert all("loss=" in f.title for f in of_gradients)
    assert {f.severity for f in found if f.rule == "dead_layer"} == {"well"}
