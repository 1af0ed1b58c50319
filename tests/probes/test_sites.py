"""Which sites are found in real models, and under which names."""

from collections import Counter

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import relucid
from relucid.probes import watch
from relucid.records import Reader
from support.aten_oracle import AtenOracle
from support.calling import Checkpointed, ConvNet, Functional, Mlp, Residual


def sites_of(model, *args, **kwargs):
    with watch(model) as probe:
        model(*args, **kwargs)
    return probe.records()


def names(record):
    return {s.site.name: s.site.activation for s in record.sites}


def test_modules_are_named_by_their_path():
    record = sites_of(Mlp(), torch.randn(4, 6))
    (one,) = record.sites
    site = one.site
    assert (site.name, site.activation, site.kind, site.source) == ("act", "relu", "module", None)
    assert (site.units, site.unit_axis, site.shape, one.samples) == (9, 1, (9,), 4)


def test_in_place_modules_and_functions_in_a_convolutional_network():
    record = sites_of(ConvNet(), torch.randn(3, 1, 12, 12))
    first, second = record.sites
    assert names(record) == {"relu": "relu", "relu#2": "relu"}
    assert (first.site.units, first.site.unit_axis, first.site.shape) == (5, 1, (5, 10, 10))
    assert second.site.kind == "function"
    assert second.site.source.startswith("tests/support/calling.py:")
    assert first.elements == 3 * 100 and second.elements == 3 * 9


def test_one_shared_module_makes_one_site_a_call():
    record = sites_of(Residual(), torch.randn(2, 3, 8, 8))
    assert names(record) == {"relu": "relu", "relu#2": "relu"}
    assert [s.site.kind for s in record.sites] == ["module", "module"]
    assert [s.site.order for s in record.sites] == [0, 1]


def test_every_way_of_calling_a_function():
    """And no clip that is a guard or a limiter is taken for an activation."""
    model = Functional()
    record = sites_of(model, torch.randn(8, 5))
    assert names(record) == {
        **{"relu": "relu", "sigmoid": "sigmoid", "gelu": "gelu", "elu": "elu"},
        **{"clamp": "relu", "clip": "relu", "clamp_min": "relu", "maximum": "relu"},
        **{"where": "relu", "relu#2": "relu", "leaky_relu": "leaky_relu", "tanh": "tanh"},
        "clamp#2": "relu6",
    }
    by_name = {s.site.name: s.site for s in record.sites}
    assert by_name["elu"].parameters == {"alpha": 0.5}
    assert by_name["leaky_relu"].parameters == {"negative_slope": 0.2}
    assert by_name["sigmoid"].kind == "method" and by_name["tanh"].kind == "function"
    assert by_name["relu"].source.startswith("tests/support/calling.py:")
    assert not record.unobserved


@pytest.mark.parametrize("batch_first", [True, False])
def test_the_fused_encoder_path_does_not_hide_sites(batch_first):
    """In inference PyTorch runs the whole layer as one operator; sampled passes may not."""
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=batch_first)
    model = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False).eval()
    enabled = torch.backends.mha.get_fastpath_enabled()
    with torch.no_grad():
        plain = model(x := torch.randn(3, 5, 8))
        with watch(model) as probe:
            watched = model(x)
    record = probe.records()
    assert names(record) == {"layers.0.relu": "relu", "layers.1.relu": "relu"}
    assert [s.site.units for s in record.sites] == [16, 16]
    assert {u.name for u in record.unobserved} == {
        "layers.0.self_attn.softmax",
        "layers.1.self_attn.softmax",
    }
    assert torch.backends.mha.get_fastpath_enabled() is enabled
    torch.testing.assert_close(plain, watched)


def test_fused_recurrent_gates_are_reported():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn, self.cell, self.head = nn.LSTM(3, 4), nn.GRUCell(4, 4), nn.Linear(4, 1)

        def forward(self, x):
            out, _ = self.rnn(x)
            return torch.sigmoid(self.head(self.cell(out[-1])))

    record = sites_of(Net(), torch.randn(5, 2, 3))
    assert names(record) == {"sigmoid": "sigmoid"}
    assert {u.name: "fused" in u.reason for u in record.unobserved} == {
        "rnn.gates": True,
        "cell.gates": True,
    }


@pytest.mark.parametrize("reentrant", [True, False])
def test_checkpointed_sites_are_counted_once(reentrant):
    model = Checkpointed(reentrant)
    with watch(model) as probe:
        model(torch.randn(6, 4, requires_grad=True)).sum().backward()
    record = probe.records()
    assert names(record) == {"relu": "relu", "tanh": "tanh"}
    assert [s.samples for s in record.sites] == [6, 6]
    seen = {s.site.name: s.gradient is not None for s in record.sites}
    assert seen == {"relu": True, "tanh": not reentrant}
    assert ("tanh (gradient)" in {u.name for u in record.unobserved}) is reentrant


def test_modules_that_are_never_called_are_listed():
    model = Mlp()
    model.spare = nn.SiLU()
    record = sites_of(model, torch.randn(2, 6))
    assert [(u.name, "never called" in u.reason) for u in record.unobserved] == [("spare", True)]


def test_compiled_parts_are_listed_with_the_reason():
    body = nn.Sequential(nn.Linear(6, 6), nn.ReLU())
    model = nn.Sequential(torch.compile(body, backend="eager"), nn.Tanh())
    x = torch.randn(4, 6)
    plain = model(x)
    frames = torch._dynamo.utils.counters["frames"]["total"]
    with watch(model) as probe:
        watched = model(x)
        model(x)
    record = probe.records()
    assert torch.equal(plain, watched)
    assert names(record) == {"1": "tanh"}
    assert [u.name for u in record.unobserved] == ["0"]
    assert "torch.compile" in record.unobserved[0].reason
    assert torch._dynamo.utils.counters["frames"]["total"] == frames, "nothing is compiled anew"


def test_a_model_compiled_in_place_is_listed_and_runs_as_before():
    model = Mlp()
    model.compile(backend="eager")
    record = sites_of(model, torch.randn(2, 6))
    assert not record.sites
    assert "torch.compile" in record.unobserved[0].reason


class WrittenOut(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("silu", lambda x: x * torch.sigmoid(x)),
        ("quick_gelu", lambda x: x * torch.sigmoid(1.702 * x)),
        ("gelu_tanh", lambda x: 0.5 * x * (1 + torch.tanh(0.7978845608 * (x + 0.044715 * x**3)))),
        ("gelu", lambda x: x * 0.5 * (1.0 + torch.erf(x / 2**0.5))),
        ("mish", lambda x: x * torch.tanh(F.softplus(x))),
        ("squared_relu", lambda x: F.relu(x).square()),
        ("relu", lambda x: x * (x > 0)),
        ("relu", lambda x: x.clamp_(min=0)),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_an_activation_written_out_in_a_module_is_one_site(name, function, dtype):
    """Told from its values; what it calls inside is not counted beside it."""
    model = nn.Sequential(nn.Linear(6, 50), WrittenOut(function)).to(dtype)
    with torch.no_grad():
        model[0].weight.mul_(4)
    record = sites_of(model, 2 * torch.randn(40, 6, dtype=dtype))
    if dtype is torch.bfloat16 and "gelu" in name:
        assert "gelu" in record.sites[0].site.activation
    else:
        assert names(record) == {"1": name}
    assert len(record.sites) == 1 and not record.unobserved
    assert record.sites[0].site.kind == "module"


def test_a_module_that_is_no_activation_keeps_the_sites_inside():
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.eye(4) * 3)

        def forward(self, x):
            return F.relu(x @ self.weight) @ self.weight

    record = sites_of(nn.Sequential(Block()), torch.randn(5, 4))
    assert names(record) == {"0.relu": "relu"}


def test_written_out_modules_are_counted_alike_in_every_pass():
    model = nn.Sequential(nn.Linear(6, 5), WrittenOut(lambda x: x * torch.sigmoid(x)))
    with watch(model) as probe:
        for _ in range(3):
            model(torch.randn(8, 6)).sum().backward()
    (site,) = probe.records().sites
    assert (site.samples, site.elements, site.gradient.batches) == (24, 24, 3)


@pytest.mark.parametrize(
    ("build", "shape"),
    [(Mlp, (4, 6)), (ConvNet, (2, 1, 12, 12)), (Residual, (2, 3, 6, 6))],
)
def test_as_many_sites_as_operators_below(build, shape):
    model, x = build(), torch.randn(shape)
    with AtenOracle(model) as oracle:
        model(x)
    record = sites_of(model, x)
    assert Counter(s.site.module for s in record.sites) == oracle.by_path()


def test_passes_between_samples_are_not_counted():
    model = Mlp()
    with watch(model, every=3) as probe:
        for size in (1, 2, 4, 8, 16, 32, 64):
            model(torch.randn(size, 6))
    record = probe.records()
    assert (record.batches, record.samples) == (3, 1 + 8 + 64)
    assert record.sites[0].samples == 73


def test_integers_and_parameters_are_no_sites():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.zeros(3))

        def forward(self, x):
            index = torch.arange(3).clamp(min=0)
            return torch.relu(x[:, index]) * F.softplus(self.scale)

    assert names(sites_of(Net(), torch.randn(2, 3))) == {"relu": "relu"}


def test_functional_transforms_inside_are_listed():
    class Net(nn.Module):
        def forward(self, x):
            return torch.vmap(torch.relu)(x)

    record = sites_of(Net(), torch.randn(2, 3))
    assert not record.sites
    assert [(u.name, "torch.func" in u.reason) for u in record.unobserved] == [("relu", True)]


def test_the_root_may_itself_be_an_activation():
    assert names(sites_of(nn.ReLU(), torch.randn(3, 2))) == {"relu": "relu"}


def test_vector_functions_have_no_units():
    class Net(nn.Module):
        def forward(self, x):
            scores = x.masked_fill(x > 1, float("-inf"))
            return F.glu(F.softmax(scores, dim=-1))

    record = sites_of(Net(), torch.randn(3, 6))
    assert names(record) == {"softmax": "softmax", "glu": "glu"}
    for one in record.sites:
        assert one.site.units == 0 and one.fired.size == 0 and one.nonfinite_in == 0


class Declared(nn.Module):
    """relucid's own modules and functions."""

    def __init__(self):
        super().__init__()
        self.fc, self.elu = nn.Linear(4, 4), relucid.nn.make("elu", alpha=0.5)
        self.prelu = relucid.nn.make("prelu")
        self.inplace = relucid.nn.make("silu", inplace=True)

    def forward(self, x):
        x = self.inplace(self.prelu(self.elu(self.fc(x))))
        return relucid.get("softmax")(relucid.get("gelu")(x))


def test_declared_modules_and_functions_are_sites():
    """They run inside one autograd function, which no function mode sees into."""
    model = Declared()
    with watch(model) as probe:
        model(torch.randn(5, 4)).square().sum().backward()
    record = probe.records()
    assert names(record) == {
        **{"elu": "elu", "prelu": "prelu", "inplace": "silu"},
        **{"gelu": "gelu", "softmax": "softmax"},
    }
    assert [s.site.kind for s in record.sites] == ["module"] * 3 + ["function"] * 2
    assert record.sites[0].site.parameters == {"alpha": 0.5}
    assert record.sites[3].site.source.startswith("tests/probes/test_sites.py:")
    assert all(s.samples == 5 and s.gradient.batches == 1 for s in record.sites)
    assert not record.unobserved
    relucid.get("gelu")(torch.randn(3))
    assert [s.samples for s in probe.records().sites] == [5] * 5


class Blocks(nn.Module):
    """A plain block, one that squares, and a gated one, on the same input."""

    def __init__(self):
        super().__init__()
        self.up, self.gate, self.down = nn.Linear(4, 6), nn.Linear(4, 6), nn.Linear(6, 3)
        self.drop = nn.Dropout(0.1)

    def forward(self, x):
        plain = self.down(self.drop(F.relu(self.up(x))))
        squared = self.down(F.relu6(self.up(x)).square())
        gated = self.down(self.drop(F.relu(self.gate(x)) * self.up(x)))
        return plain + squared + gated, F.relu(plain) + 1.0


def test_the_linear_layer_that_reads_a_site():
    record = sites_of(Blocks().eval(), torch.randn(2, 4))
    assert [(s.site.name, s.reader and (s.reader.name, s.reader.factor)) for s in record.sites] == [
        ("relu", ("down", None)),
        ("relu6", ("down", None)),
        ("relu#2", ("down", "up")),
        ("relu#3", None),
    ]
    assert record.sites[0].reader == Reader("down", "Linear", 3)
