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


@pytest.mark.parametrize("change", ["hook", "hook before", "forward"])
def test_a_leaf_with_a_hook_of_the_users_or_a_forward_of_its_own(change):
    """What it calls is seen; a hook that is called before the leaf is not yet inside it."""
    model = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2))
    first = model[0]
    if change == "hook":
        first.register_forward_hook(lambda module, args, output: torch.relu(output))
    elif change == "hook before":
        first.register_forward_pre_hook(lambda module, args: (torch.relu(args[0]),))
    else:
        first.forward = lambda x: torch.relu(F.linear(x, first.weight, first.bias))
    (site,) = watched(model, torch.randn(5, 4)).sites
    name = "relu" if change == "hook before" else "0.relu"
    assert site.site.name == name and site.samples == 5
    assert (site.layer and site.layer.name) == (None if change == "hook before" else "0")


def test_tied_weights_are_each_their_own_layers():
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4), nn.GELU())
    model[2].weight = model[0].weight
    assert [s.layer.name for s in watched(model, torch.randn(5, 4)).sites] == ["0", "2"]


@pytest.mark.parametrize("passes", [1, 12])
def test_a_parameter_that_was_replaced_between_passes(passes):
    """The present one is read, also when the pass after did not look for it."""
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU())
    with watch(model) as probe:
        for scale in (1.0,) * passes + (2.0,):
            model[0].weight = nn.Parameter(torch.full((3, 4), scale))
            model(torch.randn(5, 4))
    layer = probe.records().sites[0].layer
    assert layer.name == "0" and layer.weight_rms == 2.0


@pytest.mark.parametrize("norm", [nn.BatchNorm1d(3), nn.GroupNorm(3, 3), nn.LayerNorm((3, 7))])
def test_a_normalisation_of_the_input(norm):
    """There is no layer before it; of the channels it still tells where they lie."""
    site = watched(nn.Sequential(norm, nn.ReLU()), torch.randn(4, 3, 7)).sites[0]
    assert site.layer is None
    assert site.site.units == (7 if isinstance(norm, nn.LayerNorm) else 3)


def test_a_call_that_comes_up_late_is_listed_until_it_is_counted():
    """Tensors are followed to their layers in some passes only; none is counted without that."""

    class Late(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv1d(2, 3, 1)

        def forward(self, x, late=False):
            h = torch.relu(self.conv(x))
            return torch.tanh(self.conv(x[:, :2])) if late else h

    model, x = Late(), torch.randn(4, 2, 7)
    with watch(model) as probe:
        for _ in range(10):
            model(x)
        model(x, late=True)
        record = probe.records()
        assert names(record) == ["relu"] and [one.name for one in record.unobserved] == ["tanh"]
        model(x, late=True)
        model(x, late=True)
    relu, tanh = probe.records().sites
    assert not probe.records().unobserved
    assert (relu.samples, tanh.samples) == (4 * 13, 4 * 2) and tanh.site.units == 3
