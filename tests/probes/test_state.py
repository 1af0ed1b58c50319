"""A watch that is saved and resumed is as one that was never interrupted."""

import io

import numpy as np
import pytest
import torch
from safetensors.torch import load, save
from torch import nn

from relucid.errors import ModelError, RecordError
from relucid.probes import watch
from relucid.records import Checkup, to_json
from support.calling import ConvNet, Mlp


def batches(count, *shape):
    torch.manual_seed(2)
    return [torch.randn(8, *shape) for _ in range(count)]


def text(probe):
    """All records as text: equal where every number is."""
    return to_json([Checkup("t", "d", probe.records(), ())])


def ordinary(model):
    return model


class Several(nn.Module):
    """Learned, vector, reused, unknown-module and functional activations."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(6, 10), nn.Linear(10, 6)
        self.learned, self.shared = nn.PReLU(10), nn.LeakyReLU(0.2)

    def forward(self, x):
        x = self.shared(self.learned(self.first(x)))
        x = torch.clamp(self.shared(self.second(x)), min=0)
        return torch.softmax(x, -1)


MODELS = {"mlp": (Mlp, (6,)), "conv": (ConvNet, (1, 12, 12)), "several": (Several, (6,))}


def through_torch(state):
    stored = io.BytesIO()
    torch.save(state, stored)
    stored.seek(0)
    return torch.load(stored, weights_only=True)


def through_safetensors(state):
    return load(save(state))


@pytest.mark.parametrize("stored", [ordinary, through_torch, through_safetensors])
@pytest.mark.parametrize("kind", MODELS)
def test_a_resumed_run_ends_as_one_never_interrupted(kind, stored):
    build, shape = MODELS[kind]
    model, data = build(), batches(11, *shape)

    def run(some):
        for batch in some:
            model(batch).square().sum().backward()

    with watch(model, every=2, values=300, window=2) as whole:
        run(data)
    with watch(model, every=2, values=300, window=2) as first:
        run(data[:5])
    state = stored(first.state_dict())
    with watch(model, every=2, values=300, window=2) as second:
        second.load_state_dict(state)
        run(data[5:])
    assert text(second) == text(whole)


def test_a_loaded_probe_is_the_saved_one():
    """Without a further pass too; only the layers are not known yet."""
    model = Mlp()
    with watch(model) as probe:
        model(torch.randn(8, 6)).sum().backward()
    other = watch(model)
    other.load_state_dict(probe.state_dict())
    for one, same in zip(probe.records().sites, other.records().sites, strict=True):
        assert one.site == same.site and same.layer is None
        np.testing.assert_array_equal(one.fired, same.fired)
        np.testing.assert_array_equal(one.histogram.counts, same.histogram.counts)
    again = other.state_dict()
    for name, tensor in probe.state_dict().items():
        assert torch.equal(tensor, again[name]), name


def test_nothing_counted_yet():
    probe = watch(model := Mlp())
    other = watch(model)
    other.load_state_dict(probe.state_dict())
    assert other.records() == probe.records()


def test_the_state_is_a_copy():
    model = Mlp()
    with watch(model) as probe:
        model(torch.randn(8, 6))
        state = probe.state_dict()
        before = {name: tensor.clone() for name, tensor in state.items()}
        other = watch(model).start()
        other.load_state_dict(state)
        model(torch.randn(8, 6))
        other.remove()
    assert all(torch.equal(before[name], state[name]) for name in state)


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (lambda: nn.Sequential(nn.Linear(6, 9), nn.ReLU()), r"0\.weight was of shape \(5, 6\)"),
        (lambda: nn.Sequential(nn.Linear(6, 5), nn.GELU()), "1 was ReLU and is GELU"),
        (lambda: nn.Sequential(nn.Linear(6, 5)), "1 was ReLU and is not there"),
        (
            lambda: nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 1)),
            "2 was not there and is Linear",
        ),
    ],
)
def test_a_state_of_another_model_says_what_differs(other, said):
    model = nn.Sequential(nn.Linear(6, 5), nn.ReLU())
    with watch(model) as probe:
        model(torch.randn(8, 6))
    fresh = watch(other())
    with pytest.raises(ModelError, match=said):
        fresh.load_state_dict(probe.state_dict())
    assert fresh.records().sites == ()


def test_a_function_that_is_not_declared_here():
    model = nn.Sequential(nn.Linear(6, 5), nn.ReLU())
    with watch(model) as probe:
        model(torch.randn(8, 6))
    state = probe.state_dict()
    told = bytes(state["relucid"].tolist()).replace(b'"relu"', b'"gone"')
    state["relucid"] = torch.tensor(list(told), dtype=torch.uint8)
    with pytest.raises(ModelError, match=r"gone at 1, which is not declared here"):
        watch(model).load_state_dict(state)


def damaged():
    model = nn.Sequential(nn.Linear(6, 5), nn.ReLU())
    with watch(model) as probe:
        model(torch.randn(8, 6))
    state = probe.state_dict()
    newer = bytes(state["relucid"].tolist()).replace(b'"version": 1', b'"version": 9')
    return model, {
        "no state": {"weight": torch.zeros(3)},
        "nothing": None,
        "half": {name: t for name, t in state.items() if name != "1/z"},
        "shape": {**state, "1/z": state["1/z"][:, :3]},
        "text": {**state, "relucid": state["relucid"][:-5]},
        "version 9": {**state, "relucid": torch.tensor(list(newer), dtype=torch.uint8)},
    }


@pytest.mark.parametrize("kind", ["no state", "nothing", "half", "shape", "text", "version 9"])
def test_a_damaged_state_is_refused_and_changes_nothing(kind):
    model, states = damaged()
    probe = watch(model)
    with pytest.raises(RecordError):
        probe.load_state_dict(states[kind])
    assert probe.records().sites == ()
