"""The difference, the gain and the texts of a result."""

from __future__ import annotations

import pytest
import torch
from rich.console import Console
from torch import Tensor, nn
from torch.nn import functional as F

import relucid
from relucid.errors import DataError, ModelError
from support.networks import cnn, digits, mlp
from support.watching import state
from support.written import Functional, LeNet


def test_the_difference_is_that_of_the_outputs() -> None:
    model, x = mlp().eval(), digits(100)[0][0]
    before = model(x)
    swapped = relucid.swap(model, "relu", to="silu", example=digits(100))
    apart = (model(x) - before).detach().double()
    found = swapped.difference
    assert found is not None
    assert found.largest == pytest.approx(float(apart.abs().max()), rel=1e-6)
    assert found.rms == pytest.approx(float(apart.square().mean().sqrt()), rel=1e-6)
    assert found.scale == pytest.approx(float(before.detach().square().mean().sqrt()), rel=1e-6)


def test_an_example_may_have_any_form_of_data() -> None:
    x, y = digits(20, 20)[0]
    for example in (x, (x, y), [(x, y)], {"input": x}, iter([x])):
        assert relucid.swap(mlp(), to="silu", example=example).difference is not None
    with pytest.raises(DataError, match="no batch"):
        relucid.swap(mlp(), to="silu", example=[])
    with pytest.raises(DataError, match="refuses"):
        relucid.swap(mlp(), to="silu", example=torch.randn(3, 5))


def test_the_gain_is_that_of_both_functions() -> None:
    (gain,) = relucid.swap(mlp(), "relu", to="silu").gain
    assert gain.old == pytest.approx(2**0.5) and gain.new == pytest.approx(1.6765, rel=1e-4)
    assert gain.factor == pytest.approx(1.6765 / 2**0.5, rel=1e-4)
    pairs = relucid.swap(nn.Sequential(nn.ReLU(), nn.Tanh(), nn.ReLU()), to=nn.GELU).gain
    assert [(g.of_old, g.of_new) for g in pairs] == [("relu", "gelu"), ("tanh", "gelu")]


@pytest.mark.parametrize("build", [mlp, lambda: cnn(False), LeNet])
def test_right_gain_scales_the_layers_that_read_the_new_activation(build: type[nn.Module]) -> None:
    """All weighted layers but the first read one, through pooling and views."""
    torch.manual_seed(0)
    model = build()
    x = digits(50, 50)[0][0]
    weights = {name: p.clone() for name, p in model.named_parameters()}
    before = state(model)
    swapped = relucid.swap(model, "relu", to="silu", example=x, right_gain=True)
    layers = [n for n, m in model.named_modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    (gain,) = swapped.gain
    assert list(gain.scaled) == list(gain.layers) == layers[1:]
    for name, parameter in model.named_parameters():
        scaled = name.endswith("weight") and name != f"{layers[0]}.weight"
        factor = gain.factor if scaled else 1.0
        torch.testing.assert_close(parameter, weights[name] * factor)
    swapped.undo()
    assert state(model) == before
    assert all(torch.equal(p, weights[n]) for n, p in model.named_parameters())


def test_a_trained_weight_is_scaled_back() -> None:
    model = mlp(depth=1)
    swapped = relucid.swap(model, to="silu", example=digits(9, 9)[0][0], right_gain=True)
    with torch.no_grad():
        model[3].weight.add_(1.0)
    trained = model[3].weight.clone()
    swapped.undo()
    torch.testing.assert_close(model[3].weight, trained / swapped.gain[0].factor)


def test_weights_that_are_not_the_layers_own_are_not_scaled() -> None:
    model = Functional(F.relu)
    model.second.weight.requires_grad_(False)
    (gain,) = relucid.swap(model, to="silu", example=torch.randn(2, 6), right_gain=True).gain
    assert gain.layers == ("second",) and gain.scaled == ()


def test_a_layer_that_also_reads_something_else_is_not_scaled() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 4)

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = self.layer(F.relu(self.layer(x)))
            return y

    (gain,) = relucid.swap(Twice(), "relu", to="silu", example=torch.randn(3, 4)).gain
    assert gain.layers == ()


def test_the_text_names_every_site() -> None:
    model = nn.Sequential(LeNet(), nn.LSTM(10, 3))
    swapped = relucid.swap(model, to="silu", example=torch.randn(2, 1, 8, 8))
    text = " ".join(repr(swapped).split())
    assert "Sequential: 5 calls swapped; 1 refused" in text
    assert "0.relu#5" in text and "now 0.silu" in text and "1.gates" in text
    assert "Gain 1.41 (relu) to 1.68 (silu)" in text and "times as large" in text
    assert "Outputs on the example differ by" in text
    console = Console(width=60, legacy_windows=False)
    with console.capture() as shown:
        swapped.show(console)
    assert "0.relu#5" in shown.get()


def test_names_are_written_so_that_no_terminal_obeys_them() -> None:
    model = nn.Sequential()
    model.add_module("[red]\x1b[2J", nn.ReLU())
    text = repr(relucid.swap(model, to="silu"))
    assert "\x1b" not in text and "[red]" in text


def test_a_swap_may_end_with_a_block() -> None:
    model = mlp()
    with pytest.raises(KeyError), relucid.swap(model, to="silu"):
        assert repr(model[2]) == "SiLU()"
        raise KeyError
    assert isinstance(model[2], nn.ReLU)


def test_a_shape_that_changes_is_refused() -> None:
    class Half(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x[:, ::2]

    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
    with pytest.raises(ModelError, match="shape of the model's outputs"):
        relucid.swap(model, "relu", to=Half, example=torch.randn(2, 4))
    assert isinstance(model[1], nn.ReLU)
