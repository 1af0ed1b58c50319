"""A watch changes nothing: no output, no gradient, no attribute, whatever happens inside."""

import copy
import io
import pickle

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from relucid.errors import ModelError, ParameterError
from relucid.functions import bridge
from relucid.probes import watch
from support.calling import Checkpointed, ConvNet, Failing, Functional, Mlp, Residual
from support.watching import state

MODELS = [
    (Mlp, (4, 6)),
    (ConvNet, (3, 1, 12, 12)),
    (Residual, (2, 3, 8, 8)),
    (Functional, (4, 5)),
    (lambda: Checkpointed(True), (4, 4)),
    (lambda: Checkpointed(False), (4, 4)),
]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(("build", "shape"), MODELS)
def test_outputs_gradients_and_attributes_are_the_same_to_the_last_bit(build, shape, training):
    torch.manual_seed(0)
    model = build().train(training)
    twin = copy.deepcopy(model)
    x = torch.randn(shape)
    before = state(model)

    def run(net, x):
        x = x.clone().requires_grad_()
        output = net(x)
        output.square().sum().backward()
        return output, x.grad, [p.grad for p in net.parameters()]

    plain = run(twin, x)
    with watch(model):
        watched = run(model, x)
        inside = state(model)
    assert torch.equal(plain[0], watched[0]) and torch.equal(plain[1], watched[1])
    assert all(map(torch.equal, plain[2], watched[2]))
    assert all(map(torch.equal, twin.buffers(), model.buffers()))
    assert inside != before, "while watching there is a hook"
    assert state(model) == before


def test_between_samples_there_is_one_hook():
    model = ConvNet()
    with watch(model, every=2):
        model(torch.randn(1, 1, 12, 12))
        hooks = [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules()]
        assert sum(hooks) == 1 and len(model._forward_pre_hooks) == 1
        assert not torch.overrides._get_current_function_mode_stack()


def test_an_exception_in_the_block_or_in_forward_leaves_nothing():
    model = Failing()
    before, error = state(model), ValueError("mine")
    probe = watch(model)
    with pytest.raises(ValueError, match="mine"), probe:
        model.inner.error = error
        model(torch.randn(2, 3))
    model.inner.error = None
    assert state(model) == before
    assert not torch.overrides._get_current_function_mode_stack()
    with probe:
        model(torch.randn(2, 3))
    assert {s.site.name for s in probe.records().sites} == {"inner.relu", "sigmoid"}


def test_an_exception_that_the_model_catches_does_not_confuse_the_paths():
    class Careful(nn.Module):
        def __init__(self):
            super().__init__()
            self.failing = Failing()
            self.failing.inner.error = ValueError("mine")

        def forward(self, x):
            try:
                return self.failing(x)
            except ValueError:
                return torch.tanh(x)

    with watch(model := Careful()) as probe:
        model(torch.randn(2, 3))
    assert {s.site.name for s in probe.records().sites} == {"failing.inner.relu", "tanh"}


def test_an_interrupt_is_cleaned_up_by_the_next_pass_or_by_remove():
    """Ctrl-C runs no ``always_call`` hook."""
    model = Failing()
    before = state(model)
    probe = watch(model).start()
    model.inner.error = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        model(torch.randn(2, 3))
    model.inner.error = None
    model(torch.randn(2, 3))
    assert not torch.overrides._get_current_function_mode_stack()
    model.inner.error = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        model(torch.randn(2, 3))
    probe.remove()
    model.inner.error = None
    assert state(model) == before
    assert not torch.overrides._get_current_function_mode_stack()
    assert probe.records().sites[0].samples == 6


def test_backward_after_remove_counts_nothing_and_leaves_no_hook():
    model, x = Mlp(), torch.randn(4, 6, requires_grad=True)
    with watch(model) as probe:
        loss = model(x).sum()
        leaf = torch.randn(3, requires_grad=True)
        del leaf
    loss.backward()
    assert probe.records().sites[0].gradient is None


def test_hooks_on_leaves_are_removed():
    """An activation of the input itself puts the hook on the user's own tensor."""
    x = torch.randn(3, 2, requires_grad=True)
    with watch(model := nn.ReLU()):
        model(x)
        assert x._backward_hooks
    assert not x._backward_hooks


def test_copies_and_pickles_of_a_watched_model_are_not_watched():
    model = Mlp()
    with watch(model) as probe:
        copied = copy.deepcopy(model)
        pickled = pickle.loads(pickle.dumps(model))
        torch.save(model, io.BytesIO())
        copied(torch.randn(2, 6))
        pickled(torch.randn(2, 6))
    assert probe.records().batches == 0


def test_watching_twice_at_once():
    """Also what the passes switch off for all of PyTorch is as before, whichever ends first."""
    model, routes = Mlp(), bridge.torch_routes()
    with watch(model) as outer, watch(model, every=2) as inner:
        for _ in range(4):
            model(torch.randn(2, 6)).sum().backward()
    assert [p.records().sites[0].samples for p in (outer, inner)] == [8, 4]
    assert bridge.torch_routes() is routes and torch.backends.mha.get_fastpath_enabled()
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_start_and_remove_may_be_repeated():
    model = Mlp()
    probe = watch(model)
    for _ in range(2):
        probe.start().start()
        model(torch.randn(3, 6))
        probe.remove()
        probe.remove()
        model(torch.randn(3, 6))
    assert probe.records().samples == 6


def test_a_model_that_calls_itself_is_counted_once_a_pass():
    class Recursive(nn.Module):
        def forward(self, x, depth=2):
            x = F.relu(x)
            return self(x, depth - 1) if depth else x

    with watch(model := Recursive()) as probe:
        model(torch.randn(4, 2))
        model(torch.randn(4, 2))
    record = probe.records()
    assert record.batches == 2
    assert [s.site.name for s in record.sites] == ["relu", "relu#2", "relu#3"]


def test_random_numbers_and_dropout_are_not_disturbed():
    model = nn.Sequential(nn.Linear(5, 50), nn.ReLU(), nn.Dropout())
    x = torch.randn(4, 5)
    torch.manual_seed(1)
    plain = model(x)
    torch.manual_seed(1)
    with watch(model):
        assert torch.equal(model(x), plain)


def test_wrong_use():
    with pytest.raises(ModelError, match="not the class"):
        watch(Mlp)
    with pytest.raises(ModelError, match=r"torch\.nn\.Module"):
        watch(lambda x: x)
    for every in (0, -1, 1.5, True):
        with pytest.raises(ParameterError, match="every"):
            watch(Mlp(), every=every)
