"""Each change does to a copy what it says, and refuses with its reason where it cannot."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import relucid
from relucid.compare import add_normalisation, reinitialise_dead, right_gain
from relucid.compare.changes import CHANGES, Case, Refusal
from relucid.compare.learner import Learner, copied
from relucid.compare.samples import split
from relucid.errors import DataError, ModelError
from relucid.nn.flow import WEIGHTED
from relucid.probes import observe
from support.networks import LOSS, Batches, Residual, cnn, digits, mlp, train


def _case(model: nn.Module, data: Batches, *arguments: str, given: bool = True) -> Case:
    return Case(observe(model, data, LOSS), split(data).example(), arguments, given)


def _changed(name: str, model: nn.Module, *arguments: str, way: int = 0) -> tuple[Learner, str]:
    data = digits(300)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.9)
    train_step(model, optimizer, data)
    learner = copied(model, optimizer)
    said = CHANGES[name][way](learner, _case(model, data, *arguments))
    train_step(learner.model, learner.optimizer, data)
    return learner, said


def train_step(model: nn.Module, optimizer: torch.optim.Optimizer, data: Batches) -> None:
    optimizer.zero_grad()
    (0.0 * LOSS(model(data[0][0]), data[0][1])).backward()
    optimizer.step()


def _refusal(name: str, model: nn.Module, *arguments: str, given: bool = True, way: int = 0) -> str:
    with pytest.raises(Refusal) as refused:
        case = _case(model, digits(200), *arguments, given=given)
        CHANGES[name][way](copied(model, None), case)
    return str(refused.value)


@pytest.mark.parametrize("way", [0, 1])
def test_a_tenth_of_the_learning_rate(way: int) -> None:
    learner, said = _changed("lower_learning_rate", mlp(), way=way)
    assert [group["lr"] for group in learner.optimizer.param_groups] == [0.05]
    assert "from 0.5 to 0.05" in said


def test_starting_again_draws_what_the_layers_classes_draw() -> None:
    model = mlp()
    torch.manual_seed(3)
    learner, _ = _changed("lower_learning_rate", model, way=1)
    weights = learner.model[3].weight
    assert not torch.equal(weights, model[3].weight)
    assert weights.abs().max() <= 1 / 8 + 1e-6  # uniform within 1/sqrt(64)


def test_clipping_limits_the_norm_of_what_is_stepped_with() -> None:
    learner = copied(mlp(), None)
    CHANGES["clip_gradients"][0](learner, _case(learner.model, digits(200)))
    (1e3 * LOSS(learner.model(digits(100)[0][0]), digits(100)[0][1])).backward()
    for act in learner.after_backward:
        act(learner.model)
    norms = torch.stack([p.grad.norm() for p in learner.model.parameters() if p.grad is not None])
    assert float(norms.norm()) == pytest.approx(1.0, rel=1e-4)


def test_right_gain_is_that_of_init() -> None:
    learner, said = _changed("right_gain", Residual(4))
    assert "10 layers" in said
    assert float(learner.model.get_parameter("inner.0.weight").detach().std()) == pytest.approx(
        (2 / 64) ** 0.5, rel=0.05
    )


@pytest.mark.parametrize("build", [mlp, lambda: cnn(False)])
def test_a_normalisation_before_each_activation_and_not_behind_the_last_layer(build: Any) -> None:
    learner, _ = _changed("add_normalisation", build())
    norms = [m for m in learner.model.modules() if isinstance(m, nn.LayerNorm | nn.BatchNorm2d)]
    assert len(norms) == 3
    assert isinstance(list(learner.model.children())[-1], nn.Linear)
    held = {id(p) for group in learner.optimizer.param_groups for p in group["params"]}
    assert held == {id(p) for p in learner.model.parameters()}
    assert {group["lr"] for group in learner.optimizer.param_groups} == {0.5}


def test_a_swap_replaces_modules_of_torch_and_of_relucid() -> None:
    model = mlp()
    model[4] = relucid.nn.ReLU()
    learner, said = _changed("swap_activation", model, "relu", "gelu")
    assert "3 modules" in said
    found = observe(learner.model, digits(100))
    assert [record.site.activation for record in found.sites] == ["gelu"] * 3


@pytest.mark.parametrize(("build", "said"), [(lambda: Residual(2), "1 attribute"),
                                             (lambda: _Shared(), "2 calls")])  # fmt: skip
def test_a_swap_replaces_functions_too(build: Callable[[], nn.Module], said: str) -> None:
    learner, told = _changed("swap_activation", build(), "relu", "gelu")
    assert said in told
    found = observe(learner.model, digits(100))
    assert {record.site.activation for record in found.sites} == {"gelu"}


def test_refusals_say_why() -> None:
    normalised = cnn()
    assert "no gelu to swap; it has: relu (3)" in _refusal("swap_activation", mlp(), "gelu", "elu")
    assert "no linear layer" in _refusal("add_normalisation", normalised)
    assert "no unit is dead" in _refusal("reinitialise_dead", mlp(nn.Tanh))
    for name in ("lower_learning_rate", "clip_gradients"):
        assert "Trial(optimizer=" in _refusal(name, mlp(), given=False)
    scaled = mlp()
    scaled.insert(0, _Scale())
    assert "_Scale" in _refusal("lower_learning_rate", scaled, way=1)


class _Scale(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.by = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.by


class _Shared(nn.Module):
    """Two readers of one activation, as a function, behind a convolution that is flattened."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv2d(1, 8, 3, padding=1)
        self.second = nn.Conv2d(8, 4, 3, padding=1)
        self.flat = nn.Linear(8 * 16, 10)
        self.head = nn.Linear(4 * 64, 10)

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(self.first(x))
        flat: Tensor = self.flat(F.max_pool2d(h, 2).flatten(1))
        return flat + self.head(F.relu(self.second(h)).flatten(1))


def _killed(model: nn.Module, layer: str, units: list[int]) -> torch.optim.Optimizer:
    train(model, digits(300), 0.05, 1)
    with torch.no_grad():
        model.get_parameter(f"{layer}.bias")[units] = -1e3
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for images, labels in digits(300):
        optimizer.zero_grad()
        LOSS(model(images), labels).backward()
    optimizer.step()
    return optimizer


@pytest.mark.parametrize(
    ("build", "layer", "readers"),
    [
        (lambda: mlp(), "3", {"5": 1}),
        (lambda: cnn(False), "3", {"7": 1}),
        (_Shared, "first", {"second": 1, "flat": 16}),
    ],
)
def test_dead_units_start_again_and_the_outputs_stay(
    build: Any, layer: str, readers: dict[str, int]
) -> None:
    """Incoming weights are new, outgoing ones and the moments of both zero, all else is kept."""
    model, dead = build(), [1, 4, 5]
    optimizer = _killed(model, layer, dead)
    model.eval()
    images = digits(300)[0][0]
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    output = model(images).detach()
    done = reinitialise_dead(model, digits(300), optimizer)
    assert set(dead) <= set(done[layer])
    torch.testing.assert_close(model(images), output, rtol=1e-5, atol=1e-5)
    after = dict(model.named_parameters())
    units = done[layer]
    rest = [u for u in range(len(after[f"{layer}.bias"])) if u not in units]
    assert not bool((after[f"{layer}.weight"][units] == before[f"{layer}.weight"][units]).any())
    assert torch.equal(after[f"{layer}.weight"][rest], before[f"{layer}.weight"][rest])
    assert not after[f"{layer}.bias"][units].any()
    for reader, times in readers.items():
        columns = [u * times + k for u in units for k in range(times)]
        weight = after[f"{reader}.weight"]
        old = [row for row in range(len(weight)) if row not in done.get(reader, [])]
        assert not weight[old][:, columns].any()
        assert weight[:, [c for c in range(weight.shape[1]) if c not in columns]].any()
        assert not optimizer.state[weight]["exp_avg"][old][:, columns].any()
    assert not optimizer.state[after[f"{layer}.weight"]]["exp_avg_sq"][units].any()
    assert reinitialise_dead(model, digits(300)).get(layer, []) == []


def test_a_wholly_dead_layer_keeps_its_outgoing_weights() -> None:
    """Behind zeros, half of the next layer's units would stay dead."""
    model = mlp(depth=4)
    nn.init.constant_(model[3].bias, -1e3)
    outgoing = model[5].weight.detach().clone()
    assert len(reinitialise_dead(model, digits(300))["3"]) == 64
    assert model[5].weight.detach().count_nonzero() >= 0.4 * outgoing.numel()
    dead = [len(record.dead) for record in observe(model, digits(300)).sites]
    assert max(dead) < 16


def test_dead_channels_behind_batch_normalisation() -> None:
    """What killed them is the normalisation's own shift, which is reset with them."""
    model = train(cnn(), digits(300), 0.05, 1)
    with torch.no_grad():
        model[4].bias[[2, 7]] = -1e3
    assert reinitialise_dead(model, digits(300)) == {"3": [2, 7]}
    assert model[4].bias[[2, 7]].tolist() == [0.0, 0.0]


def test_what_cannot_be_drawn_is_an_error_with_the_reason() -> None:
    assert reinitialise_dead(mlp(nn.Tanh), digits(100)) == {}
    model = mlp()
    nn.init.constant_(model[3].bias, -1e3)
    for layer in (model[1], model[3], model[5]):
        layer.weight.requires_grad_(False)
    with pytest.raises(ModelError, match="frozen"):
        reinitialise_dead(model, digits(100))


@pytest.mark.parametrize("build", [mlp, lambda: Residual(2), _Shared])
def test_prescriptions_by_hand_keep_the_optimizer_in_step(build: Any) -> None:
    """Its state is forgotten with the weights, and it holds the normalisations' parameters."""
    model, data = build(), digits(200)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.9)
    train_step(model, optimizer, data)
    gains = right_gain(model, data, optimizer)
    layers = [name for name, module in model.named_modules() if isinstance(module, WEIGHTED)]
    assert list(gains) == layers and gains[layers[0]] == 1.0
    assert not optimizer.state
    normalised = add_normalisation(model, iter(data), optimizer)
    assert set(normalised) < set(layers)
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    assert held == {id(p) for p in model.parameters()}
    train_step(model, optimizer, data)


def test_what_cannot_be_followed_by_hand_says_why() -> None:
    with pytest.raises(ModelError, match="no normalisation was added: no linear layer"):
        add_normalisation(cnn(), digits(100))
    frozen = mlp().requires_grad_(False)
    with pytest.raises(ModelError, match=r"no weights can be drawn; 1: it is frozen"):
        right_gain(frozen, digits(100))
    with pytest.raises(DataError, match="no batch"):
        right_gain(mlp(), [])
