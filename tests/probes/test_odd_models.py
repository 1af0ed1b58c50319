"""Models that tracers trip over: compiled, scripted, empty, threaded, ever changing."""

import warnings

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from relucid.probes import observe, watch
from relucid.probes.book import CALLS
from support.calling import Mlp


def watched(model, *inputs):
    with watch(model) as probe:
        for x in inputs:
            model(x)
    return probe.records()


def names(record):
    return [s.site.name for s in record.sites]


@pytest.mark.filterwarnings("ignore:The .grad attribute")  # the compiler's own look at a tensor
@pytest.mark.parametrize("times", [1, 2])
def test_a_compiled_function_inside_a_model_is_listed(times):
    """Its own calls may be invisible, also when it was compiled before."""
    compiled = torch.compile(lambda x: F.gelu(x) * 2, backend="aot_eager")

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Sequential(nn.Linear(4, 4))

        def forward(self, x):
            return torch.relu(compiled(self.inner(x)))

    model, x = Net(), torch.randn(3, 4)
    plain = model(x)
    for _ in range(times):
        record = watched(model, x)
        assert names(record) == ["gelu", "relu"], "this backend runs operators one by one"
        (missed,) = record.unobserved
        assert missed.name == "compiled function" and "torch.compile" in missed.reason
    assert torch.equal(model(x), plain)


def scripted(module):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return torch.jit.script(module)


def test_scripted_modules_are_listed():
    script = scripted(nn.Sequential(nn.Linear(4, 4), nn.ReLU()))
    x = torch.randn(3, 4)
    record = watched(nn.Sequential(script, nn.Tanh()), x)
    assert names(record) == ["1"]
    assert [(u.name, "TorchScript" in u.reason) for u in record.unobserved] == [("0", True)]
    record = observe(script, x, lambda out, _: out.sum())
    assert not record.sites and "TorchScript" in record.unobserved[0].reason


def gate(x):
    return x * torch.sigmoid(x)


class CallsScript(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x):
        return torch.tanh(scripted_gate(self.linear(x)))


scripted_gate = scripted(gate)


def test_scripted_functions_inside_a_model_are_listed():
    record = watched(nn.Sequential(CallsScript()), torch.randn(3, 4))
    assert names(record) == ["0.tanh"]
    assert [(u.name, "TorchScript" in u.reason) for u in record.unobserved] == [
        ("0.scripted_gate", True)
    ]


def test_a_watched_model_can_be_exported_and_copied_into_a_compiler():
    model, x = Mlp(), torch.randn(2, 6)
    with watch(model) as probe:
        exported = torch.export.export(model, (x,))
        compiled = torch.compile(model, backend="eager")
        assert torch.equal(compiled(x), model(x)) and torch.equal(exported.module()(x), model(x))
    assert probe.records().batches == 2


def test_a_model_that_is_only_used_compiled_says_so():
    model, x = Mlp(), torch.randn(2, 6)
    compiled = torch.compile(model, backend="eager")
    compiled(x)
    with watch(model) as probe:
        compiled(x)
    assert "not called while it was watched" in probe.records().unobserved[0].reason


def test_loops_longer_than_can_be_told_apart():
    class Loop(nn.Module):
        def forward(self, x):
            for _ in range(CALLS + 5):
                x = torch.tanh(x)
            return x

    record = watched(Loop(), torch.randn(2, 2))
    assert len(record.sites) == CALLS
    assert f"tanh#{CALLS + 1}" in {u.name for u in record.unobserved}


def test_empty_batches_count_nothing():
    record = watched(nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU()), torch.randn(0, 1, 5, 5))
    (site,) = record.sites
    assert (site.samples, site.elements, site.sparsity) == (0, 0, 0.0)
    assert site.histogram is None


def test_paths_that_change_from_call_to_call():
    """Another function, or another number of units, under one name is another site."""

    class Switch(nn.Module):
        def forward(self, x):
            return F.relu(x) if x.sum() > 0 else torch.tanh(x)

    ones = torch.ones(2, 3)
    record = watched(Switch(), ones, -ones, torch.ones(2, 4), torch.ones(5, 3))
    found = {s.site.name: (s.site.activation, s.samples, s.site.units) for s in record.sites}
    assert found == {"relu": ("relu", 7, 3), "tanh": ("tanh", 2, 3), "relu#2": ("relu", 2, 4)}


def test_lazy_and_parametrised_layers():
    lazy = nn.Sequential(nn.LazyLinear(4), nn.ReLU())
    assert watch(lazy).records().parameters == 0
    record = watched(lazy, torch.randn(3, 7))
    assert record.parameters == 32 and record.sites[0].layer.name == "0"
    normed = nn.utils.parametrizations.weight_norm(nn.Linear(4, 5))
    layer = watched(nn.Sequential(normed, nn.ReLU()), torch.randn(3, 4)).sites[0].layer
    assert (layer.name, layer.fan_in) == ("0", 4)


def test_values_that_cannot_be_read_are_listed():
    model = nn.Sequential(nn.ReLU())
    for z, reason in (
        (torch.randn(3, 4).to_sparse(), "sparse"),
        (torch.randn(3, 4, device="meta"), "meta"),
    ):
        record = watched(model, z)
        assert not record.sites and reason in record.unobserved[0].reason


def test_subclasses_of_tensors_are_counted_alike():
    class Own(torch.Tensor):
        pass

    model = Mlp()
    x = torch.randn(4, 6)
    one, other = watched(model, x).sites[0], watched(model, x.as_subclass(Own)).sites[0]
    assert (one.fired == other.fired).all()
