"""Gains and init_: the scale of signals is kept, and every layer gets what it reads."""

import itertools
import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils import parametrizations

import relucid
from relucid import nn as rnn
from relucid.errors import ModelError, ParameterError
from support.cases import ELEMENTWISE
from support.modules import by_case

DEPTH, WIDTH = 30, 256
UNSTABLE = 1.02
"""Where the length map's slope at 1 exceeds this, a deviation grows from layer to layer."""
GATED = {"silu", "gelu", "gelu_tanh", "quick_gelu", "hardswish", "mish"}
STEEP = {"squared_relu", "softshrink", "hardshrink", "tanhshrink", "thresholded_relu"}
FLAT = {"softshrink-lambd=0", "hardshrink-lambd=0", "thresholded_relu-threshold=0.3"}
"""Cases of the steep functions that are stable."""


@relucid.activation(source="this test", parameters={"height": relucid.Parameter(2.0)})
def stair(m, x, height):
    """A user's own activation, whose second moment is height**2 / 2."""
    return m.where(x > 0, height, 0.0)


@relucid.activation(source="this test")
def nothing(m, x):
    """Zero everywhere."""
    return x * 0.0


def second_moment(activation, variance):
    """E[phi(z)^2] for z ~ N(0, variance): the trapezoid rule, not the library's quadrature."""
    z = np.linspace(-12.0, 12.0, 400_001)
    weights = np.exp(-z * z / 2) / math.sqrt(2 * math.pi) * (z[1] - z[0])
    return float(np.sum(weights * activation(z * math.sqrt(variance)) ** 2))


def stability(activation):
    """Slope at 1 of the map from one layer's second moment to the next (Poole et al. 2016)."""
    step = 1e-3
    above, below = (second_moment(activation, 1 + s) for s in (step, -step))
    return (above - below) / (2 * step) / second_moment(activation, 1.0)


def moments_of_preactivations(name, parameters, depth, seed=0):
    """Second moments of every layer's pre-activations in a fresh plain network."""
    torch.manual_seed(seed)
    layers = [(nn.Linear(WIDTH, WIDTH), rnn.make(name, **parameters)) for _ in range(depth)]
    model = nn.Sequential(*(module for pair in layers for module in pair)).eval()
    rnn.init_(model)
    x, moments = torch.randn(64, WIDTH), []
    with torch.no_grad():
        for linear, act in layers:
            z = linear(x)
            moments.append(z.square().mean().item())
            x = act(z)
    return moments


@by_case(ELEMENTWISE)
def test_gain_is_one_over_the_root_of_the_second_moment(case):
    expected = second_moment(case.activation, 1.0) ** -0.5
    assert rnn.gain(case.name, **case.parameters) == pytest.approx(expected, rel=1e-4)


def test_gains_against_pytorchs():
    torch_gain = nn.init.calculate_gain
    assert rnn.gain("relu") == pytest.approx(torch_gain("relu"), rel=1e-12)
    assert rnn.gain("relu", backward=True) == pytest.approx(torch_gain("relu"), rel=1e-12)
    for slope in (0.01, 0.2, 1.5):
        ours = rnn.gain("leaky_relu", negative_slope=slope)
        assert ours == pytest.approx(torch_gain("leaky_relu", slope), rel=1e-12)
    # Conventions there, computed here; the numbers stand in gain's docstring.
    assert torch_gain("tanh") == pytest.approx(5 / 3)
    assert rnn.gain("tanh") == pytest.approx(1.5925, abs=5e-5)
    assert rnn.gain("selu") == pytest.approx(1.0, abs=1e-6)
    assert rnn.gain("sigmoid") == pytest.approx(1.8462, abs=5e-5)


def test_gain_takes_modules_learned_values_and_own_activations():
    prelu = rnn.PReLU(3)
    with torch.no_grad():
        prelu.weight.copy_(torch.tensor([0.0, 0.2, 0.4]))
    assert rnn.gain(prelu) == pytest.approx(rnn.gain("leaky_relu", negative_slope=0.2))
    assert rnn.gain(nn.ELU(0.5)) == rnn.gain("elu", alpha=0.5)
    assert rnn.gain(stair, height=4.0) == pytest.approx(math.sqrt(2) / 4)
    assert rnn.gain("swiglu") == rnn.gain("silu")
    assert rnn.gain(nothing) == math.inf
    with pytest.raises(ParameterError, match="softmax has no gain"):
        rnn.gain("softmax")


def is_stable(case):
    return case.name not in GATED | STEEP or case.id in FLAT


@by_case([case for case in ELEMENTWISE if is_stable(case)])
def test_thirty_layers_keep_the_second_moment(case):
    moments = moments_of_preactivations(case.name, case.parameters, DEPTH)
    assert 1 / 4 < min(moments)
    assert max(moments) < 4


def test_the_functions_that_no_gain_makes_stable_are_known_and_hold_for_a_few_layers():
    stable = {case.id: is_stable(case) for case in ELEMENTWISE}
    assert {c.id: stability(c.activation) < UNSTABLE for c in ELEMENTWISE} == stable
    for name in GATED:
        moments = moments_of_preactivations(name, {}, depth=6)
        assert 1 / 2 < min(moments)
        assert max(moments) < 2


def test_fan_out_keeps_the_second_moment_of_gradients():
    torch.manual_seed(0)
    widths = [64, 256] * 10
    layers = [nn.Linear(a, b) for a, b in itertools.pairwise(widths)]
    model = nn.Sequential(*(m for layer in layers for m in (layer, rnn.ReLU())))
    rnn.init_(model, mode="fan_out")
    x = torch.randn(512, 64, requires_grad=True)
    z = layers[0](x)
    output = model[1:](z)
    gradient = torch.randn_like(output)
    (by_z,) = torch.autograd.grad(output, z, gradient)
    # The last ReLU halves the moment once; the layers keep it.
    assert by_z.square().mean().item() == pytest.approx(0.5, rel=0.6)


@pytest.mark.parametrize(
    "layer",
    [
        nn.Linear(64, 32),
        nn.Conv1d(32, 16, 5),
        nn.Conv2d(16, 8, 3, stride=2, groups=4),
        nn.Conv3d(8, 8, 3, dilation=2),
        nn.ConvTranspose1d(32, 16, 4, stride=2),
        nn.ConvTranspose2d(16, 16, 4, stride=2, groups=2),
    ],
    ids=repr,
)
def test_every_kind_of_layer_keeps_the_second_moment_of_what_it_reads(layer):
    torch.manual_seed(0)
    space = 0 if isinstance(layer, nn.Linear) else layer.weight.ndim - 2
    channels = layer.in_features if space == 0 else layer.in_channels
    x = torch.randn(40, channels, *(17,) * space)
    model = nn.Sequential(rnn.Tanh(), layer)
    (report,) = rnn.init_(model)
    y = model(x)
    inner = y[(..., *(slice(8, -8) if n > 24 else slice(None) for n in y.shape[2:]))]
    assert report.reads == "tanh"
    assert inner.square().mean().item() == pytest.approx(1.0, rel=0.15)
    assert not layer.bias.any()


class Tangled(nn.Module):
    """Registered in another order than used; functions, in place, a residual, a shared module."""

    def __init__(self):
        super().__init__()
        self.last = nn.Linear(8, 3)
        self.unused = nn.Linear(8, 8)
        self.shared = rnn.SiLU()
        self.third = nn.Linear(8, 8)
        self.second = nn.Conv2d(8, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.after_sum = nn.Linear(8, 8)

    def forward(self, x):
        x = functional.leaky_relu(self.norm(self.first(x)), 0.2, inplace=True)
        x = self.shared(self.second(functional.max_pool2d(x, 2)))
        x = functional.dropout(x.flatten(2).mean(-1), 0.5, self.training)
        x = self.third(x) + x
        x = self.after_sum(x).clamp(min=0)
        return self.last(x)


def test_each_layer_gets_the_gain_of_what_it_reads_in_a_tangled_model():
    model = Tangled()
    report = {entry.layer: entry for entry in rnn.init_(model, torch.randn(2, 3, 8, 8))}
    reads = {name: (e.reads, e.gain) for name, e in report.items()}
    assert reads == {
        "first": ("input", 1.0),
        "second": ("leaky_relu", rnn.gain("leaky_relu", negative_slope=0.2)),
        "third": ("silu", rnn.gain("silu")),
        "after_sum": ("add", 1.0),
        "last": ("relu", rnn.gain("relu")),
        "unused": ("", None),
    }
    assert "add is no declared activation" in report["after_sum"].note
    assert "not called" in report["unused"].note
    assert report["second"].std == pytest.approx(reads["second"][1] / math.sqrt(72))


def test_functional_calls_are_read_with_their_parameters():
    calls = {
        "elu": lambda x: functional.elu(x, 0.5),
        "gelu_tanh": lambda x: functional.gelu(x, approximate="tanh"),
        "hardtanh": lambda x: torch.clamp(x, -0.5, 2.0),
        "softplus": lambda x: functional.softplus(x, beta=2.0),
        "prelu": lambda x: functional.prelu(x, torch.tensor(0.1)),
        "tanh": lambda x: x.tanh(),
        "swiglu": rnn.SwiGLU(),
        "stair": rnn.make(stair),
        "squared_relu": relucid.get("squared_relu"),
    }
    expected = {
        "elu": rnn.gain("elu", alpha=0.5),
        "hardtanh": rnn.gain("hardtanh", min_val=-0.5, max_val=2.0),
        "softplus": rnn.gain("softplus", beta=2.0),
        "prelu": rnn.gain("prelu", negative_slope=0.1),
    }
    for name, call in calls.items():
        model = Calling(call, 4 if name == "swiglu" else 8)
        entry = rnn.init_(model, torch.randn(2, 8))[0]
        wanted = expected.get(name) or rnn.gain(name)
        assert (entry.reads, entry.gain) == (name, pytest.approx(wanted, rel=1e-6))


class Calling(nn.Module):
    def __init__(self, call, width):
        super().__init__()
        self.linear, self.call = nn.Linear(width, 2), call

    def forward(self, x):
        return self.linear(self.call(x))


def test_a_transformer_layer_is_seen_through_its_fused_path():
    layer = nn.TransformerEncoderLayer(16, 2, 32, activation="gelu", batch_first=True)
    report = {entry.layer: entry for entry in rnn.init_(layer, torch.randn(2, 5, 16))}
    assert report["linear1"].reads == "layer_norm"
    assert (report["linear2"].reads, report["linear2"].gain) == ("gelu", rnn.gain("gelu"))
    assert report["self_attn.out_proj"].std is None  # attention uses its weight directly


def test_norms_embeddings_and_what_cannot_be_drawn_are_left_as_they_were():
    embedding, tied = nn.Embedding(7, 4), nn.Linear(4, 7, bias=False)
    tied.weight = embedding.weight
    frozen = nn.Linear(4, 4)
    frozen.requires_grad_(False)
    parametrised = parametrizations.weight_norm(nn.Linear(4, 4))
    nn.init.uniform_(norm := nn.LayerNorm(4).weight)
    layer_norm = nn.LayerNorm(4)
    layer_norm.weight = norm
    model = nn.Sequential(embedding, layer_norm, frozen, parametrised, nn.Linear(4, 4), tied)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    notes = {e.layer: e.note for e in rnn.init_(model, torch.tensor([1, 2]))}
    assert "frozen" in notes["2"]
    assert "parametrisation" in notes["3"]
    assert "shared" in notes["5"]
    assert notes["4"] == "linear is no declared activation: gain 1"
    changed = {n for n, p in model.named_parameters() if not torch.equal(p, before[n])}
    assert changed == {"4.weight", "4.bias"}


def test_lazy_layers_are_drawn_once_the_example_gave_them_a_shape():
    model = nn.Sequential(nn.LazyLinear(8), rnn.ReLU(), nn.LazyLinear(2))
    assert [e.note for e in rnn.init_(model)] == [
        "its shape is unknown until it has run; pass an example"
    ] * 2
    assert [e.gain for e in rnn.init_(model, torch.randn(3, 5))] == [1.0, rnn.gain("relu")]


def test_an_activation_that_passes_nothing_gives_gain_1_and_says_so():
    for act, text in ((rnn.make(nothing), "passes nothing"), (rnn.Softmax(-1), "has no gain")):
        entry = rnn.init_(nn.Sequential(act, nn.Linear(4, 4)))[0]
        assert entry.gain == 1.0
        assert text in entry.note


def test_a_layer_that_reads_different_things_says_which_counted():
    entry = rnn.init_(Twice(), torch.randn(2, 4))[0]
    assert (entry.reads, entry.gain) == ("input", 1.0)
    assert "also reads relu" in entry.note


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x):
        return self.linear(torch.relu(self.linear(x)))


def test_sequential_order_and_a_run_agree():
    def build():
        head = nn.Sequential(nn.BatchNorm2d(4), nn.MaxPool2d(2), rnn.Mish(), nn.Conv2d(4, 4, 1))
        return nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.ReLU(), head, nn.Dropout(), nn.Flatten(), nn.Linear(36, 2)
        )

    by_order = rnn.init_(build())
    by_run = rnn.init_(build(), torch.randn(2, 3, 8, 8))
    assert [(e.layer, e.gain, e.std) for e in by_order] == [
        (e.layer, e.gain, e.std) for e in by_run
    ]
    assert by_order[1].reads == "mish"


def test_nothing_else_of_the_model_changes_even_when_it_fails():
    model = Tangled().train()
    model.norm.eval()
    statistics = model.norm.running_mean.clone()
    for example in (torch.randn(2, 3, 8, 8), torch.randn(2, 5, 8, 8)):
        try:
            rnn.init_(model, example)
        except RuntimeError as error:
            assert "channels" in str(error)
        assert [m for m in model.modules() if not m.training] == [model.norm]
        assert torch.equal(model.norm.running_mean, statistics)
        assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_a_generator_makes_it_repeatable_and_examples_may_be_tuples_or_dicts():
    drawn = []
    for example in (torch.ones(1, 4), (torch.ones(1, 4),), {"x": torch.ones(1, 4)}):
        model = Twice()
        rnn.init_(model, example, generator=torch.Generator().manual_seed(3))
        drawn.append(model.linear.weight)
    assert torch.equal(drawn[0], drawn[1])
    assert torch.equal(drawn[0], drawn[2])


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: rnn.init_(Twice()), ModelError, "pass an example"),
        (lambda: rnn.init_(nn.Sequential(rnn.ReLU())), ModelError, "no Linear or convolution"),
        (lambda: rnn.init_(Twice(), mode="fan_avg"), ParameterError, "'fan_in' or 'fan_out'"),
    ],
)
def test_wrong_use_is_refused_with_the_cure(call, error, text):
    with pytest.raises(error, match=text):
        call()
