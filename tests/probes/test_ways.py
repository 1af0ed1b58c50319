"""Every way of calling an activation, against the operators that it reaches."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from relucid.probes import observe, watch
from support.watching import check_sites

aten = torch.ops.aten
RECTIFIED = {
    "torch.relu": torch.relu,
    "torch.relu_": torch.relu_,
    "input=": lambda x: torch.relu(input=x),
    "relu_": lambda x: x.relu_(),
    "F.relu in place": lambda x: F.relu(x, inplace=True),
    "aten.relu": aten.relu,
    "aten.relu.default": aten.relu.default,
    "aten.relu_.default": aten.relu_.default,
    "aten.clamp": lambda x: aten.clamp.default(x, 0),
    "clamp(0)": lambda x: x.clamp(0),
    "clamp(min=0)": lambda x: torch.clamp(input=x, min=0),
    "clamp(0, None)": lambda x: torch.clamp(x, 0, None),
    "clamp_": lambda x: x.clamp_(0.0),
    "clamp_min": lambda x: x.clamp_min(0),
    "clamp_min_": lambda x: x.clamp_min_(0),
    "clip": lambda x: torch.clip(x, min=0),
    "clip_": lambda x: x.clip_(0),
    "clamp by a tensor": lambda x: x.clamp(min=torch.zeros(())),
    "clamp_min by a tensor": lambda x: x.clamp_min(torch.tensor(0.0)),
    "maximum": lambda x: torch.maximum(x, torch.zeros(())),
    "maximum turned round": lambda x: torch.maximum(torch.zeros_like(x), x),
    "max": lambda x: torch.max(x, torch.zeros(())),
    "x.max": lambda x: x.max(torch.zeros(5)),
    "fmax": lambda x: torch.fmax(x, torch.zeros(())),
    "where >": lambda x: torch.where(x > 0, x, 0),
    "where >=": lambda x: torch.where(x >= 0, x, 0.0),
    "where <": lambda x: torch.where(x < 0, 0, x),
    "where <=": lambda x: torch.where(x <= 0, torch.zeros_like(x), x),
    "where with keywords": lambda x: torch.where(x > 0, input=x, other=torch.zeros(())),
    "x.where": lambda x: x.where(x > 0, 0),
}
OTHERS = {
    "silu": lambda x: F.silu(x, inplace=True),
    "silu_": lambda x: torch._C._nn.silu_(x),
    "mish": lambda x: F.mish(x, inplace=True),
    "hardswish": lambda x: F.hardswish(x, inplace=True),
    "hardsigmoid": lambda x: F.hardsigmoid(x, inplace=True),
    "sigmoid": lambda x: torch.special.expit(x),
    "sigmoid_": lambda x: x.sigmoid_(),
    "tanh_": torch.tanh_,
    "arctan_": lambda x: x.atan_(),
    "gelu_tanh": lambda x: aten.gelu.default(x, approximate="tanh"),
    "relu6": F.relu6,
    "relu6 as clamp": lambda x: x.clamp(0, 6),
    "relu6 as hardtanh": lambda x: F.hardtanh(x, 0.0, 6.0),
    "hardtanh_": F.hardtanh_,
    "leaky_relu_": F.leaky_relu_,
    "elu_": F.elu_,
    "celu_": torch.celu_,
    "selu_": torch.selu_,
    "rrelu_": torch.rrelu_,
    "threshold_": lambda x: F.threshold_(x, 0.1, 0.2),
    "hardshrink": lambda x: x.hardshrink(),
    "softshrink": F.softshrink,
    "tanhshrink": F.tanhshrink,
    "logsigmoid": F.logsigmoid,
    "softplus": F.softplus,
    "prelu": lambda x: x.prelu(torch.tensor([0.2])),
    "softmax": lambda x: x.softmax(-1),
    "softmax (aten)": lambda x: aten._softmax.default(x, -1, False),
    "softmax (special)": lambda x: torch.special.softmax(x, -1),
    "softmin": lambda x: F.softmin(x, -1),
    "log_softmax": lambda x: torch.special.log_softmax(x, -1),
}
NONE = {
    "a guard": lambda x: x.clamp(min=1e-6),
    "a limiter": lambda x: x.clamp(-1, 1),
    "a maximum of two": lambda x: torch.maximum(x, x.flip(0)),
    "a mask": lambda x: torch.where(torch.tensor([True, False, True, False, True]), x, 0),
    "a maximum along an axis": lambda x: x.max(0).values,
    "integers": lambda x: (x * 10).int().clamp(0).float(),
    "complex numbers": lambda x: x.to(torch.complex64).sigmoid().real,
}


class Calling(nn.Module):
    """A linear layer, so that z needs a gradient, and one call."""

    def __init__(self, call):
        super().__init__()
        self.linear, self.call = nn.Linear(4, 5), call

    def forward(self, x):
        return self.call(self.linear(x) * 1)


def batch():
    return {"x": torch.randn(6, 4)}


@pytest.mark.parametrize("way", RECTIFIED)
def test_every_way_of_writing_relu(way):
    (site,) = check_sites(Calling(RECTIFIED[way]), batch()).sites
    assert (site.site.activation, site.site.units) == ("relu", 5)


@pytest.mark.parametrize("way", OTHERS)
def test_every_other_function(way):
    (site,) = check_sites(Calling(OTHERS[way]), batch()).sites
    assert site.site.activation == way.split(" ")[0].strip("_")


@pytest.mark.parametrize("way", NONE)
def test_what_is_no_activation(way):
    with watch(model := Calling(NONE[way])) as probe:
        model(torch.randn(6, 4))
    record = probe.records()
    assert not record.sites and not record.unobserved


def test_gumbel_softmax_is_listed():
    record = observe(Calling(F.gumbel_softmax), torch.randn(6, 4))
    assert not record.sites
    assert [(u.name, "gumbel_softmax" in u.reason) for u in record.unobserved] == [
        ("softmax", True)
    ]


def test_values_that_only_torch_func_knows_decide_nothing():
    """``where`` and ``maximum`` are told by values; under vmap there are none."""
    per_row = torch.vmap(lambda row: torch.where(row > 0, row, 0) + row.maximum(torch.zeros(5)))
    model, x = Calling(per_row), torch.randn(6, 4)
    plain = model(x)
    with watch(model):
        assert torch.equal(model(x), plain)


@pytest.mark.parametrize("averaged", [True, False])
def test_the_softmax_inside_multihead_attention_is_listed(averaged):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

        def forward(self, x):
            return F.relu(self.attention(x, x, x, need_weights=averaged)[0])

    record = check_sites(Net(), {"x": torch.randn(2, 3, 8)}, ["attention.softmax"])
    assert [s.site.name for s in record.sites] == ["relu"]


@pytest.mark.parametrize(
    "layer",
    [nn.LSTM, nn.GRU, nn.RNN, nn.LSTMCell, nn.GRUCell, nn.RNNCell],
)
def test_gates_of_recurrent_layers_are_listed(layer):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn = layer(4, 4)

        def forward(self, x):
            out = self.rnn(x)
            return torch.tanh(out if isinstance(out, torch.Tensor) else out[0])

    record = check_sites(Net(), batch(), ["rnn.gates"])
    assert "fused call" in record.unobserved[0].reason


class Wrapped(nn.Module):
    """A library's own class around a torch function."""

    def forward(self, x):
        return F.gelu(x)


class Shifted(nn.Module):
    """No activation of its input, but of another tensor under the same name."""

    def forward(self, x):
        x = x.add_(1.0)
        return F.relu(x)


def test_a_wrapped_function_is_known_by_its_call_where_values_cannot_tell():
    """Near zero, GELU and its tanh form agree to the last digits."""
    record = observe(nn.Sequential(nn.Identity(), Wrapped()), torch.randn(6, 4) * 1e-3)
    assert [(s.site.name, s.site.activation) for s in record.sites] == [("1", "gelu")]


def test_a_call_on_other_values_than_the_modules_input_is_a_site_inside():
    record = observe(nn.Sequential(nn.Identity(), Shifted()), torch.randn(6, 4))
    (site,) = record.sites
    assert site.site.name == "1.relu" and site.site.activation == "relu"


def test_parameters_swapped_in_by_functional_call():
    model, x = nn.Sequential(nn.Linear(4, 5), nn.ReLU()), torch.randn(6, 4)
    weights = {name: p.detach() * 2 for name, p in model.named_parameters()}
    plain = torch.func.functional_call(model, weights, (x,))
    with watch(model) as probe:
        watched = torch.func.functional_call(model, weights, (x,))
    (site,) = probe.records().sites
    assert torch.equal(plain, watched)
    assert (site.site.name, site.samples, site.layer.name) == ("1", 6, "0")
    assert (site.fired == (plain > 0).sum(0).numpy()).all()


def test_gradients_by_torch_func_hide_the_values():
    """``torch.func.grad`` of ``functional_call``: same numbers, and the site is listed."""
    model, x = nn.Sequential(nn.Linear(4, 5), nn.ReLU()), torch.randn(6, 4)
    weights = dict(model.named_parameters())

    def loss(weights):
        return torch.func.functional_call(model, weights, (x,)).square().sum()

    plain = torch.func.grad(loss)(weights)
    with watch(model) as probe:
        watched = torch.func.grad(loss)(weights)
    assert all(torch.equal(plain[name], watched[name]) for name in weights)
    (missed,) = probe.records().unobserved
    assert missed.name == "1" and "torch.func" in missed.reason
