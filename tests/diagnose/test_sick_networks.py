"""Illnesses planted in real networks on real digits: the right rule, site and units, no other."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from relucid.diagnose import diagnose
from relucid.probes import observe
from relucid.records import Finding
from support.networks import LOSS, Batches, cnn, digits, mlp, train, with_gain


def _ill(model: nn.Module, data: Batches | None = None) -> list[Finding]:
    found = diagnose(observe(model, data or digits(600), LOSS))
    return [finding for finding in found if finding.severity == "ill"]


def _names(findings: list[Finding]) -> list[tuple[str, str | None]]:
    return [(finding.rule, finding.site) for finding in findings]


@pytest.mark.parametrize("activation", [nn.ReLU, nn.ReLU6, nn.Hardswish, nn.GELU])
def test_a_dead_layer(activation: type[nn.Module]) -> None:
    """A bias of -1e3 kills layer 2 of 4; the starved and gradientless others are not blamed."""
    model = mlp(activation, depth=4)
    nn.init.constant_(model[3].bias, -1e3)
    (found,) = _ill(model)
    assert (found.rule, found.site) == ("dead_layer", "4")
    assert found.units == tuple(range(64))
    assert found.n == 600
    assert "0.5%" in (found.confidence or "")  # 1 - 0.05**(1/600) = 0.498%


def test_a_dead_convolution_behind_batch_normalisation() -> None:
    """Padding makes later positions differ, and yet all later sites count as starved."""
    model = cnn()
    nn.init.constant_(model[4].bias, -1e3)
    assert _names(_ill(model)) == [("dead_layer", "5")]


@pytest.mark.parametrize("normalised", [False, True])
def test_seventeen_dead_units_in_a_convolution(normalised: bool) -> None:
    """Exactly the planted channels are named, at the planted site, with their share."""
    planted = [0, 2, 3, 5, 7, 8, 11, 12, 13, 17, 19, 20, 23, 26, 29, 30, 31]
    model = train(cnn(normalised), digits(300), 0.05, 1)
    with torch.no_grad():
        model[4 if normalised else 3].bias[planted] = -1e3
    (found,) = _ill(model)
    assert (found.rule, found.site, found.units) == ("dead_units", "5", tuple(planted))
    assert found.measured == 17 / 32


@pytest.mark.parametrize("gain", [0.5, 1.0, 1.846])
def test_a_chain_of_twenty_sigmoids(gain: float) -> None:
    """Whatever the gain of the weights, the function is to blame, and only it."""
    found = _ill(with_gain(mlp(nn.Sigmoid, depth=20), gain))
    assert _names(found) == [("vanishing_gradients", "2")]
    assert found[0].prescriptions[0].trial == "swap_activation"


def test_a_learning_rate_a_hundred_times_too_high() -> None:
    """Units die or weights overflow; every finding says to lower the rate. 0.1 is well."""
    assert not _ill(train(mlp(), digits(), 0.1, 2))
    found = _ill(train(mlp(), digits(), 10.0, 2))
    thrown = [f for f in found if f.rule in ("dead_units", "dead_layer", "nonfinite")]
    assert thrown
    assert {f.rule for f in found if f not in thrown} <= {"vanishing_gradients"}
    for finding in thrown:
        assert "lower_learning_rate" in {p.trial for p in finding.prescriptions}


@pytest.mark.parametrize("build", [mlp, lambda: cnn(False)])
def test_inputs_in_0_to_255(build: type[nn.Module]) -> None:
    """The first site is named, and the size is that of the pixels' deviation."""
    data = digits(600, full_range=True)
    (found,) = _ill(build(), data)
    assert (found.rule, found.site) == ("input_scale", "2")
    pixels = torch.cat([images for images, _ in data])
    assert found.measured == pytest.approx(float(pixels.std()), rel=0.5)


def test_inputs_in_0_to_255_saturate_tanh() -> None:
    """The saturation that they cause is found where it is, at the first layer only."""
    found = _ill(mlp(nn.Tanh), digits(600, full_range=True))
    assert sorted(_names(found)) == [("input_scale", "2"), ("saturation", "2")]


class _Logarithm(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.log()


def test_a_nan_born_in_one_layer() -> None:
    """The layer and the operation are named once; the sites that it spreads to are not."""
    model = mlp()
    model.insert(3, _Logarithm())
    (found,) = _ill(model)
    assert (found.rule, found.site) == ("nonfinite", "3")
    assert "log" in found.title
    assert "test_sick_networks.py" in found.title


def test_a_nan_in_the_data_or_the_weights() -> None:
    """What was not born in an operation is not blamed on one."""
    data = digits(300)
    data[1][0][0, 0, 0, 0] = float("nan")
    (in_data,) = _ill(mlp(), data)
    assert (in_data.rule, in_data.title) == ("nonfinite", "the data hold NaN")
    model = mlp()
    with torch.no_grad():
        model[3].weight[0, 0] = float("nan")
    (in_weights,) = _ill(model)
    assert (in_weights.rule, in_weights.site) == ("nonfinite", "3")


@pytest.mark.parametrize("activation", [nn.ReLU, nn.Tanh, nn.GELU])
def test_zero_initial_weights(activation: type[nn.Module]) -> None:
    """Each layer of zeros is named; with ReLU the first is dead too, and only the first."""
    model = mlp(activation)
    for parameter in model.parameters():
        nn.init.zeros_(parameter)
    found = _names(_ill(model))
    dead = [("dead_layer", "2")] if activation is nn.ReLU else []
    assert sorted(found) == [*dead, *(("wrong_gain", site) for site in ("2", "4", "6"))]


def test_weights_that_are_too_small() -> None:
    """PyTorch's default start fades over 20 ReLU layers, forward and backward."""
    found = _names(_ill(mlp(depth=20)))
    assert sorted(found) == [("vanishing_gradients", "2"), ("wrong_gain", "40")]


def test_weights_that_are_too_large() -> None:
    """Three times the right gain: signal and gradient grow."""
    found = _names(_ill(with_gain(mlp(depth=20), 4.0)))
    assert sorted(found) == [("exploding_gradients", "2"), ("wrong_gain", "40")]


def test_a_layer_that_is_always_on() -> None:
    """A bias of +1e3 makes a layer linear."""
    model = mlp()
    nn.init.constant_(model[3].bias, 1e3)
    assert _names(_ill(model)) == [("always_on", "4")]


def test_a_saturated_layer() -> None:
    """The layer is named, and the gradient that it stops is not a second illness."""
    model = mlp(nn.Tanh)
    nn.init.constant_(model[3].bias, 1e3)
    assert _names(_ill(model)) == [("saturation", "4")]


def test_three_samples_prove_no_death() -> None:
    """On three samples the same dead layer is a tip that says so."""
    model = mlp(depth=4)
    nn.init.constant_(model[3].bias, -1e3)
    found = diagnose(observe(model, digits(3), LOSS))
    assert not [f for f in found if f.severity == "ill"]
    (tip,) = [f for f in found if f.severity == "tip" and f.rule == "dead_layer"]
    assert tip.site == "4"
    assert "samples are needed" in tip.meaning
    assert "63.2%" in (tip.confidence or "")  # 1 - 0.05**(1/3)
