"""Pairs of real networks that differ in one thing: a rule speaks about one and not the other."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from relucid.diagnose import diagnose
from relucid.probes import observe, watch
from relucid.records import Finding, Observation, Severity
from support.networks import LOSS, Residual, digits, mlp, train, with_gain

LOUD = (Severity.ILL, Severity.TIP)


def _said(rule: str, observation: Observation) -> list[Finding]:
    return [finding for finding in diagnose(observation) if finding.rule == rule]


def _loud(rule: str, model: nn.Module, batches: int = 6) -> list[str | None]:
    said = _said(rule, observe(model, digits(100 * batches), LOSS))
    return [finding.site for finding in said if finding.severity in LOUD]


@pytest.mark.parametrize(
    ("between", "sites"),
    [
        ([], ["3"]),
        ([nn.Dropout(), nn.Unflatten(1, (8, 8)), nn.MaxPool1d(2), nn.Flatten()], ["7"]),
        ([nn.Linear(64, 64)], []),
        ([nn.LayerNorm(64)], []),
    ],
    ids=["nothing", "dropout and pooling", "a layer", "a normalisation"],
)
def test_relu_after_relu(between: list[nn.Module], sites: list[str]) -> None:
    """What keeps or picks values leaves nothing for a second ReLU to do."""
    torch.manual_seed(0)
    last = nn.Linear(32 if len(between) == 4 else 64, 10)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), *between, nn.ReLU(), last)
    assert _loud("idle_activation", model) == sites
    for rule in ("dead_units", "always_on", "exploitable_zeros"):
        said = {f.site: f.title for f in _said(rule, observe(model, digits(600), LOSS))}
        assert ("judged there" in said[str(3 + len(between))]) == bool(sites)


def test_relu_after_sigmoid_is_not_blamed_on_the_weights() -> None:
    """All units of the ReLU fire always, which is not a matter of biases."""
    model = mlp(nn.Sigmoid, depth=2)
    model.insert(3, nn.ReLU())
    ill = [f for f in diagnose(observe(model, digits(600), LOSS)) if f.severity is Severity.ILL]
    assert ill == []
    assert _loud("idle_activation", model) == ["3"]


class _Sum(nn.Module):
    """A ReLU over the sum, or the difference, of two others."""

    def __init__(self, sign: float) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.sign, self.one, self.two = sign, nn.Linear(64, 64), nn.Linear(64, 64)

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)
        one, two = self.one(x).relu(), self.two(x).relu()
        return torch.relu(one + self.sign * two)[:, :10]


@pytest.mark.parametrize(("sign", "sites"), [(1.0, ["relu#3"]), (-1.0, [])])
def test_relu_of_a_sum_of_relus(sign: float, sites: list[str]) -> None:
    """A sum is never negative and often 0; a difference may be either."""
    assert _loud("idle_activation", _Sum(sign)) == sites


class _Slopes(nn.Module):
    """Three layers and their PReLUs: one for all, one each, or one slope as a function call."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.kind, self.layers = kind, nn.ModuleList(nn.Linear(64, 64) for _ in range(3))
        one = nn.PReLU()
        self.acts = nn.ModuleList(nn.PReLU() if kind == "own" else one for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)
        for layer, act in zip(self.layers, self.acts, strict=True):
            layer = self.layers[0] if self.kind == "loop" else layer
            x = functional.prelu(layer(x), act.weight) if self.kind == "call" else act(layer(x))
        return x[:, :10]


@pytest.mark.parametrize(
    ("kind", "sites"),
    [("one", ["acts.0"]), ("call", ["prelu"]), ("own", []), ("loop", [])],
)
def test_a_slope_for_several_layers(kind: str, sites: list[str]) -> None:
    """One for three layers is shared; in a loop over one layer it is not."""
    assert _loud("shared_activation", _Slopes(kind)) == sites


class _Around(nn.Module):
    """Adds a number and takes it off again."""

    def __init__(self, number: float) -> None:
        super().__init__()
        self.number = number

    def forward(self, x: Tensor) -> Tensor:
        return (x + self.number) - self.number


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
@pytest.mark.parametrize("number", [0.0, 10.0])
def test_rounded_to_the_kink(dtype: torch.dtype, number: float) -> None:
    """Near 10, bfloat16 has a step of 1/16, float16 of 1/128, and both without it a tiny one."""
    model = train(mlp(), digits(), 1e-3, 2, torch.optim.Adam)
    model[3] = nn.Sequential(model[3], _Around(number))
    data = [(images.to(dtype), labels) for images, labels in digits(600)]
    said = _said("kink_hits", observe(model.to(dtype), data, LOSS))
    hit = [f.site for f in said if f.severity in LOUD]
    assert hit == (["4"] if dtype is torch.bfloat16 and number else [])


@pytest.mark.parametrize(
    ("blocks", "gain", "severity"),
    [(20, 2**0.5, Severity.ILL), (9, 2**0.5, Severity.TIP), (20, 0.3, Severity.WELL)],
)
def test_a_stream_of_residual_blocks(blocks: int, gain: float, severity: Severity) -> None:
    """At He et al.'s gain it doubles its variance with each block; with small branches it keeps."""
    model = with_gain(Residual(blocks), gain)
    said = _said("variance_drift", observe(model, digits(600), LOSS))
    judged = [f for f in said if f.severity is not Severity.NOT_APPLICABLE]
    assert [(f.severity, f.site) for f in judged] == [(severity, f"relu#{2 * blocks + 1}")]
    if gain > 1:
        assert judged[0].measured == pytest.approx(2 ** ((blocks - 1) / 2), rel=0.7)


@pytest.mark.parametrize(("rate", "ill"), [(0.1, True), (2e-3, False)])
def test_units_that_die_in_training(rate: float, ill: bool) -> None:
    """At 50 times the rate most units die while they are watched, and are named."""
    model = mlp()
    with watch(model) as probe:
        train(model, digits(), rate, 4, torch.optim.Adam)
    said = [f for f in _said("dying", probe.records()) if f.severity in LOUD]
    assert bool(said) == ill
    trained = {r.site.name: set(r.dead.tolist()) for r in observe(model, digits()).sites}
    for finding in said:
        assert finding.severity is Severity.ILL
        assert finding.n >= 1700
        assert len(set(finding.units) - trained[finding.site or ""]) <= 6
