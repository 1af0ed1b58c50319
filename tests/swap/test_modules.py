"""Modules are replaced soundly, and what cannot be is refused with the reason."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import relucid
from relucid.errors import ModelError, ParameterError, UnknownActivationError
from support.networks import cnn, mlp
from support.watching import process_state, random_states, seed, state
from support.written import GELU, Block, Functional, Gate, ResNet


def _images() -> torch.Tensor:
    return torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))


def _like(truth: nn.Module, model: nn.Module) -> nn.Module:
    truth.load_state_dict(model.state_dict())
    return truth.train(model.training)


@pytest.mark.parametrize("mode", [True, False])
def test_a_residual_network_equals_the_one_written_with_silu(mode: bool) -> None:
    seed()
    model = ResNet().train(mode)
    truth = _like(ResNet(nn.SiLU), model)
    swapped = relucid.swap(model, "relu", to=nn.SiLU)
    torch.testing.assert_close(model(_images()), truth(_images()), rtol=0, atol=0)
    assert [c.path for c in swapped.changed] == [
        "relu",
        *(f"layer{i}.{j}.relu" for i in (1, 2) for j in (0, 1)),
    ]
    assert all(c.note == "no longer in place" for c in swapped.changed)
    assert len({id(model.get_submodule(c.path)) for c in swapped.changed}) == 5
    assert all(model.get_submodule(c.path).training is mode for c in swapped.changed)


def test_in_place_is_kept_where_it_is_right() -> None:
    """A shortcut that reads its input after an in-place activation sees the activation."""

    class Shortcut(nn.Module):
        def __init__(self, act: nn.Module) -> None:
            super().__init__()
            self.act, self.layer = act, nn.Linear(4, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.layer(x)
            return self.act(y) * 2 + y

    seed()
    model = Shortcut(nn.ReLU(inplace=True))
    truth = _like(Shortcut(relucid.nn.SiLU(inplace=True)), model)
    relucid.swap(model, "relu", to="silu")
    x = torch.randn(5, 4)
    model(x).sum().backward()
    truth(x).sum().backward()
    assert torch.equal(model(x), truth(x))
    assert torch.equal(model.layer.weight.grad, truth.layer.weight.grad)
    y = model.layer(x)
    torch.testing.assert_close(model(x), 3 * F.silu(y))


def test_undo_leaves_no_trace() -> None:
    seed()
    model = ResNet()
    before, process, x = state(model), process_state(), _images()
    expected, randomness = model.eval()(x), random_states()
    model.train()
    before = state(model)
    swapped = relucid.swap(model, to="silu", example=x)
    assert swapped.difference is not None and swapped.difference.rms > 0
    swapped.undo()
    assert state(model) == before and process_state() == process
    assert random_states() == randomness
    assert torch.equal(model.eval()(x), expected)
    swapped.undo()  # the second time there is nothing to do


def test_a_module_at_several_places_becomes_one_at_each() -> None:
    shared = nn.ReLU()
    inner = nn.Sequential(nn.Linear(4, 4), shared)
    model = nn.Sequential(inner, shared, inner)
    swapped = relucid.swap(model, "relu", to="prelu")
    assert [(c.path, c.note) for c in swapped.changed] == [("0.1", "also 2.1"), ("1", "")]
    assert model[0] is model[2] and model[0][1] is not model[1]
    swapped.undo()
    assert model[0][1] is shared and model[1] is shared


def test_learned_parameters_lie_where_those_around_them_do() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Sequential(nn.ReLU(), nn.Dropout())).double()
    relucid.swap(model, "relu", to="prelu")
    assert model[1][0].weight.dtype == torch.float64
    model = nn.Sequential(nn.Linear(4, 4, device="meta"), nn.ReLU())
    relucid.swap(model, "relu", to=lambda: nn.PReLU(4))
    assert model[1].weight.is_meta


@pytest.mark.parametrize(
    ("to", "expected"),
    [
        ("Swish", "SiLU()"),
        (relucid.get("elu", alpha=0.5), "ELU(alpha=0.5)"),
        (relucid.nn.ELU, "ELU(alpha=1.0)"),
        (F.silu, "SiLU()"),
        (nn.SiLU, "SiLU()"),
        (nn.LeakyReLU(0.3), "LeakyReLU(negative_slope=0.3)"),
        (partial(nn.ELU, 0.7), "ELU(alpha=0.7)"),
        (lambda path: nn.Sequential(nn.ReLU(), nn.Dropout(0.1 if path == "2" else 0.2)), None),
    ],
)
def test_what_can_stand_for_the_new_activation(to: object, expected: str | None) -> None:
    model = mlp(depth=2)
    relucid.swap(model, nn.ReLU, to=to)
    if expected is None:
        assert (model[2][1].p, model[4][1].p) == (0.1, 0.2)
    else:
        assert [repr(model[i]) for i in (2, 4)] == [expected] * 2
    assert model[2] is not model[4]


@pytest.mark.parametrize(
    ("old", "swapped"),
    [
        ("leaky_relu", [0, 1, 2]),
        (nn.LeakyReLU, [0, 1, 2]),
        (nn.LeakyReLU(0.2), [1]),
        (relucid.get("leaky_relu", negative_slope=0.2), [1]),
        (Block, []),
        (nn.PReLU, [3]),
        (nn.PReLU(), [3]),
        ("gelu_tanh", [4]),
        ("silu", [5]),
        (Gate, [5]),
        (Gate(), [5]),
        ("all", [0, 1, 2, 3, 4, 5]),
        (None, [0, 1, 2, 3, 4, 5]),
    ],
)
def test_what_can_stand_for_the_old_one(old: object, swapped: list[int]) -> None:
    acts = [nn.LeakyReLU(), nn.LeakyReLU(0.2), relucid.nn.LeakyReLU(0.1), nn.PReLU(2), GELU()]
    model = nn.Sequential(*acts, Gate(), nn.Identity(), nn.Dropout())
    if not swapped:
        with pytest.raises(ModelError, match="no Block to swap"):
            relucid.swap(model, old, to="mish")
        return
    result = relucid.swap(model, old, to="mish")
    assert [int(c.path) for c in result.changed] == swapped and not result.refused


def test_functions_kept_as_attributes() -> None:
    for act, inplace in ((F.relu, False), (torch.relu_, True), (relucid.get("relu"), False)):
        model = Functional(act)
        before = dict(vars(model))
        swapped = relucid.swap(model, "relu", to="silu")
        x = torch.randn(3, 6)
        torch.testing.assert_close(model(x), model.second(F.silu(model.first(x))))
        assert model.act.inplace is inplace and swapped.changed[0].kind == "attribute"
        swapped.undo()
        assert vars(model) == before and model.act is act
    model = Functional(partial(F.leaky_relu, negative_slope=0.2))
    swapped = relucid.swap(model, nn.LeakyReLU(0.2), to=nn.SiLU)
    assert swapped.changed[0].old == "leaky_relu(negative_slope=0.2)"


def test_an_own_function_counts_by_its_values() -> None:
    def swish(x: torch.Tensor) -> torch.Tensor:
        return x * torch.sigmoid(x)

    def gelu(x: torch.Tensor) -> torch.Tensor:
        return x * torch.sigmoid(1.702 * x)

    assert relucid.swap(Functional(swish), "silu", to="relu").changed[0].path == "act"
    with pytest.raises(ModelError, match="no gelu"):
        relucid.swap(Functional(gelu), "gelu", to="relu")


def test_a_place_can_be_named() -> None:
    model = cnn()
    assert [c.path for c in relucid.swap(model, to="silu", at="2").changed] == ["2"]
    model = ResNet()
    swapped = relucid.swap(model, to="silu", at=["layer1", "layer2.*.relu"])
    assert [c.path for c in swapped.changed] == [
        f"layer{i}.{j}.relu" for i in (1, 2) for j in (0, 1)
    ]
    with pytest.raises(ModelError, match="'layer3' names no activation"):
        relucid.swap(model, to="relu", at=["relu", "layer3"])
    assert isinstance(model.relu, nn.ReLU)  # nothing was changed
    with pytest.raises(ParameterError, match="leave it out"):
        relucid.swap(model, to="relu", at=[])


@pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning")  # TorchScript itself
def test_what_is_closed_or_would_be_lost_is_refused() -> None:
    hooked = nn.ReLU()
    hooked.register_forward_hook(lambda *_: None)
    fused = torch.ao.nn.intrinsic.ConvReLU2d(nn.Conv2d(1, 1, 1), nn.ReLU())
    model = nn.Sequential(hooked, fused, torch.jit.script(nn.Sequential(nn.ReLU())), nn.LSTM(2, 2))
    model.append(nn.Softmax(-1))
    model[4].forward = model[4].forward
    swapped = relucid.swap(model, to="silu")
    why = {r.path: r.why for r in swapped.refused}
    assert "hooks" in why["0"] and "fused ConvReLU2d" in why["1.1"]
    assert "TorchScript" in why["2"] and "gates of LSTM" in why["3.gates"]
    assert "forward was replaced" in why["4"]
    assert not swapped.changed
    compiled = torch.compile(mlp(), backend="eager")
    with pytest.raises(ModelError, match=r"torch\.compile; swap before"):
        relucid.swap(compiled, "relu", to="silu")
    assert "torch.compile" in relucid.swap(nn.Sequential(compiled), to="silu").refused[0].why
    with pytest.raises(ModelError, match="TorchScript"):
        relucid.swap(torch.jit.script(nn.ReLU()), "relu", to="silu")


def test_functions_along_an_axis_change_places_with_their_like() -> None:
    model = nn.Sequential(nn.GLU(dim=1), nn.Softmax(dim=1), nn.ReLU())
    relucid.swap(model, "glu", to="swiglu")
    relucid.swap(model, "softmax", to="log_softmax")
    assert repr(model[0]) == "SwiGLU(dim=1)" and model[1].dim == 1
    refused = relucid.swap(model, to="silu").refused
    assert [r.path for r in refused] == ["0", "1"]
    assert refused[1].why == (
        "log_softmax acts along an axis, and silu acts on each number: it cannot stand there"
    )


def test_errors_name_the_cure() -> None:
    model = mlp()
    with pytest.raises(ModelError, match=r"no gelu to swap; it has: relu \(3\); .*pass example="):
        relucid.swap(model, "gelu", to="silu")
    with pytest.raises(UnknownActivationError, match="did you mean"):
        relucid.swap(model, "rellu", to="silu")
    with pytest.raises(UnknownActivationError, match="did you mean"):
        relucid.swap(model, "relu", to="gellu")
    with pytest.raises(ParameterError, match="glu takes two inputs"):
        relucid.swap(model, "relu", to="glu")
    with pytest.raises(ParameterError, match="softmax takes a whole axis"):
        relucid.swap(model, to="softmax")
    with pytest.raises(ParameterError, match="Threshold cannot be made without arguments"):
        relucid.swap(model, "relu", to=nn.Threshold)
    with pytest.raises(ParameterError, match="@relucid"):
        relucid.swap(model, "relu", to=lambda x: x * x.sigmoid())
    with pytest.raises(ParameterError, match="a float for '2'"):
        relucid.swap(model, "relu", to=lambda: 1.0)
    with pytest.raises(ModelError, match="an instance, not the class"):
        relucid.swap(nn.Linear, "relu", to="silu")
    with pytest.raises(ParameterError, match=r"right_gain.*example="):
        relucid.swap(model, "relu", to="silu", right_gain=True)
    assert [type(model[i]) for i in (2, 4, 6)] == [nn.ReLU] * 3


def test_a_later_swap_is_undone_first() -> None:
    model = mlp(depth=1)
    first = relucid.swap(model, "relu", to="silu")
    second = relucid.swap(model, "silu", to="mish")
    with pytest.raises(ModelError, match="undo what came later first"):
        first.undo()
    assert repr(model[2]) == "Mish()"
    second.undo()
    first.undo()
    assert isinstance(model[2], nn.ReLU)
