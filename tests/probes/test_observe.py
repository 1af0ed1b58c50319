"""Running data through a model: forms of data, errors, and everything left as it was."""

import random

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from relucid.errors import DataError, LossError, ModelError, NoActivationError
from relucid.probes import count_batches, observe
from relucid.probes.batches import few, read_batches, samples_in
from support.calling import Checkpointed, ConvNet, Failing, Mlp

X, Y = torch.randn(20, 6), torch.randint(0, 3, (20,))


class TwoInputs(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(6, 3)

    def forward(self, x, bias=0.0):
        return torch.relu(self.fc(x) + bias)


FORMS = [
    (Mlp, X, 1, 20),
    (Mlp, (X, Y), 1, 20),
    (Mlp, (X, None), 1, 20),
    (Mlp, [X, Y], 1, 20),
    (Mlp, [(X, Y), (X[:5], Y[:5])], 2, 25),
    (Mlp, [X, X[:3], X[:2]], 3, 25),
    (Mlp, ((X, Y), (X[:5], Y[:5])), 2, 25),
    (Mlp, DataLoader(TensorDataset(X, Y), batch_size=8), 3, 20),
    (Mlp, DataLoader(TensorDataset(X), batch_size=8), 3, 20),
    (Mlp, iter([(X, Y)]), 1, 20),
    (Mlp, ((x, None) for x in X.split(10)), 2, 20),
    (TwoInputs, {"x": X, "bias": torch.ones(3)}, 1, 20),
    (TwoInputs, [{"x": X}, {"x": X[:4]}], 2, 24),
    (TwoInputs, ((X, torch.ones(3)), Y), 1, 20),
    (TwoInputs, ({"x": X, "bias": 1.0}, Y), 1, 20),
    (TwoInputs, (X, torch.ones(3), Y), 1, 20),
]


@pytest.mark.parametrize("form", FORMS, ids=range(len(FORMS)))
def test_forms_of_data(form):
    build, data, batches, samples = form
    done = []
    record = observe(build(), data, progress=done.append)
    assert (record.batches, record.samples) == (batches, samples)
    assert record.sites[0].samples == samples
    assert done == list(range(1, batches + 1))
    assert record.mode == "eval" and record.loss is None


def test_the_loss_is_given_the_target_or_the_batch():
    model, batch = TwoInputs(), {"x": X}
    seen = []

    def loss(output, given):
        seen.append(given)
        return output.mean()

    observe(model, (X, Y), loss)
    observe(model, X, loss)
    observe(model, batch, loss)
    observe(model, (X, None), loss)
    assert seen[0] is Y and torch.equal(seen[1], X) and seen[3] is None
    assert torch.equal(seen[2]["x"], X)


def test_loss_and_gradients_are_those_of_autograd():
    model = Mlp().eval()
    batches = [(X[:10], Y[:10]), (X[10:], Y[10:])]
    record = observe(model, batches, F.cross_entropy)
    absolute, losses = 0, []
    for x, y in batches:
        z = model.first(x).detach().requires_grad_()
        losses.append(F.cross_entropy(model.last(z.relu()), y))
        (g,) = torch.autograd.grad(losses[-1], z)
        absolute += g.abs().sum(0).double().numpy()
    assert record.loss == pytest.approx(float(sum(losses).detach()) / 2)
    np.testing.assert_allclose(record.sites[0].gradient.absolute, absolute, rtol=1e-4)


class Restless(nn.Module):
    """Changes whatever a model can change in evaluation mode."""

    def __init__(self):
        super().__init__()
        self.body, self.drop = ConvNet(), nn.Dropout()
        self.register_buffer("calls", torch.zeros(()))
        self.register_buffer("last", torch.zeros(2))

    def forward(self, x):
        self.calls += 1
        self.last = torch.rand(2)
        random.random(), np.random.rand()
        return self.drop(self.body(x)) + self.calls


@pytest.mark.parametrize("with_loss", [True, False])
def test_everything_is_as_before(with_loss):
    model = Restless()
    model.body.norm.eval()
    model.drop.eval()
    model.body.fc.weight.requires_grad_(False)
    first, *rest = model.parameters()
    first.grad = torch.ones_like(first)
    grads = [p.grad for p in model.parameters()]
    flags = [m.training for m in model.modules()]
    buffers = {n: (b, b.clone()) for n, b in model.named_buffers()}
    needs = [p.requires_grad for p in model.parameters()]
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()
    x = torch.randn(4, 1, 12, 12)
    states = (torch.get_rng_state(), *states[1:])

    record = observe(model, x, (lambda out, _: out.square().mean()) if with_loss else None)

    assert record.mode == "eval" and len(record.sites) == 2
    assert [m.training for m in model.modules()] == flags
    assert all(a is b for a, b in zip(grads, [p.grad for p in model.parameters()], strict=True))
    assert torch.equal(first.grad, torch.ones_like(first)) and all(p.grad is None for p in rest)
    assert [p.requires_grad for p in model.parameters()] == needs
    for name, buffer in model.named_buffers():
        assert buffer is buffers[name][0] and torch.equal(buffer, buffers[name][1])
    assert torch.equal(torch.get_rng_state(), states[0]) and random.getstate() == states[1]
    assert np.array_equal(np.random.get_state()[1], states[2])
    assert not x.requires_grad and not any(m._forward_pre_hooks for m in model.modules())


@pytest.mark.parametrize("frozen", ["all", "first", "none"])
def test_frozen_models_have_gradients_at_every_site(frozen):
    model = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3), nn.Sigmoid())
    reference = observe(model, X, lambda out, _: out.sum())
    for p in model.parameters() if frozen == "all" else model[0].parameters():
        p.requires_grad_(frozen == "none")
    record = observe(model, X, lambda out, _: out.sum())
    assert not record.unobserved
    for one, other in zip(record.sites, reference.sites, strict=True):
        np.testing.assert_allclose(one.gradient.absolute, other.gradient.absolute, rtol=1e-5)


def test_frozen_models_of_indices_say_that_gradients_are_missing():
    model = nn.Sequential(nn.Embedding(9, 4), nn.ReLU()).requires_grad_(False)
    record = observe(model, torch.arange(6).reshape(2, 3), lambda out, _: out.sum())
    assert record.loss is not None and record.sites[0].gradient is None
    assert "gradient" in record.unobserved[0].name


def test_a_model_without_parameters():
    record = observe(nn.Sequential(nn.ReLU()), X, lambda out, _: out.sum())
    np.testing.assert_allclose(record.sites[0].gradient.absolute, (X > 0).sum(0).numpy())


def test_inputs_may_be_changed_in_place_by_the_model():
    class Net(nn.Module):
        def forward(self, x):
            x -= 0.5
            return torch.relu_(x)

    x = X.clone()
    record = observe(Net(), x, lambda out, _: out.sum())
    assert torch.equal(x, X), "the user's data are not the model's to change"
    np.testing.assert_array_equal(record.sites[0].fired, (X > 0.5).sum(0).numpy())


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_gradients_are_counted_although_the_caller_switched_them_off(context):
    model = Mlp()
    with context():
        record = observe(model, torch.randn(4, 6), lambda out, _: out.sum())
        assert not torch.is_grad_enabled()
    assert record.sites[0].gradient.batches == 1


@pytest.mark.parametrize("reentrant", [True, False])
def test_checkpointed_models(reentrant):
    model = Checkpointed(reentrant)
    model.inner.weight.grad = held = torch.ones(4, 4)
    record = observe(model, torch.randn(5, 4), lambda out, _: out.sum())
    assert [s.samples for s in record.sites] == [5, 5]
    assert model.inner.weight.grad is held and torch.equal(held, torch.ones(4, 4))
    assert model.first.weight.grad is None


def test_hooks_of_an_optimizer_in_the_backward_pass_do_not_run():
    model, ran = Mlp(), []
    for p in model.parameters():
        p.register_post_accumulate_grad_hook(ran.append)
    observe(model, X, lambda out, _: out.sum())
    assert not ran


@pytest.mark.parametrize("data", [[], (), iter(()), DataLoader([])])
def test_no_data(data):
    with pytest.raises(DataError, match="no batch"):
        observe(Mlp(), data)


def test_an_empty_batch():
    with pytest.raises(DataError, match="batch 1 has no samples"):
        observe(Mlp(), [(X, Y), (X[:0], Y[:0])])


def test_data_that_cannot_be_read():
    with pytest.raises(DataError, match="DataLoader"):
        observe(Mlp(), TensorDataset(X, Y))
    with pytest.raises(DataError, match="int cannot be read"):
        observe(Mlp(), 3)
    with pytest.raises(DataError, match="str cannot be read"):
        observe(Mlp(), "data.csv")
    with pytest.raises(DataError, match="torch tensors"):
        observe(Mlp(), [np.ones((2, 6))])


def test_data_that_the_model_refuses():
    model = nn.Sequential(nn.Linear(6, 4), nn.Sequential(nn.ReLU(), nn.Linear(5, 2)))
    before = [m.training for m in model.modules()]
    with pytest.raises(DataError) as caught:
        observe(model, [X])
    text = str(caught.value)
    assert "batch 0" in text and "float32 tensor of shape (20, 6) on cpu" in text
    assert "'1.1'" in text and "mat1 and mat2" in text
    assert isinstance(caught.value.__cause__, RuntimeError)
    assert [m.training for m in model.modules()] == before


def test_the_second_batch_is_the_wrong_one():
    with pytest.raises(DataError, match=r"refuses batch 1 \(float32 tensor of shape \(20, 5\)"):
        observe(Mlp(), [(X, Y), (X[:, :5], Y)])


def test_data_on_another_device_are_not_moved_and_the_error_says_so():
    with pytest.raises(DataError, match="the data are on meta and the model on cpu"):
        observe(Mlp(), X.to("meta"))


def test_an_interrupt_is_no_refusal():
    model = Failing()
    model.inner.error = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        observe(model, torch.randn(2, 3))


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (lambda out, y: out, r"shape \(20, 3\).*mean"),
        (lambda out, y: 3.0, "returned float"),
        (lambda out, y: None, "returned NoneType"),
        (lambda out, y: out.detach().sum(), "detach"),
        (lambda out, y: out.argmax().sum(), "real number"),
        (lambda out, y: F.cross_entropy(out, y.float()), "batch 0.*float32 tensor.*int64 tensor"),
        (3, "must be callable"),
    ],
)
def test_losses_that_cannot_be_used(loss, message):
    with pytest.raises(LossError, match=message):
        observe(Mlp(), (X, Y), loss)


def test_models_that_cannot_be_examined():
    with pytest.raises(NoActivationError, match="not one of its linear layers"):
        observe(nn.Linear(6, 3), X)
    with pytest.raises(ModelError, match="not the class"):
        observe(Mlp, X)
    with pytest.raises(ModelError):
        observe(len, X)


def test_a_recurrent_model_has_no_sites_but_says_why():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn = nn.LSTM(6, 4, batch_first=True)

        def forward(self, x):
            return self.rnn(x)[0]

    record = observe(Net(), X[:, None], lambda out, _: out.sum())
    assert not record.sites and record.unobserved[0].name == "rnn.gates"


def test_batches_are_counted_where_the_data_can_tell():
    one = torch.zeros(50, 4)
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(one), batch_size=20)
    cases = [one, (one, torch.zeros(50)), {"input": one}, [one, one, one], loader, iter([one] * 2)]
    assert [count_batches(data) for data in cases] == [1, 1, 1, 3, 3, 2]
    assert count_batches(one for _ in range(3)) is None


def test_samples_are_the_rows_of_the_first_input_that_has_any():
    """What has as many rows is cut with it; numbers, and what all samples share, are whole."""
    scale, mask = torch.tensor(2.0), torch.ones(7, 7)
    (batch,) = read_batches(({"scale": scale, "x": X, "ids": (Y,), "mask": mask}, Y))
    assert samples_in(batch) == 20
    cut = few(batch).kwargs
    assert torch.equal(cut["x"], X[:2]) and torch.equal(cut["ids"][0], Y[:2])
    assert cut["scale"] is scale and cut["mask"] is mask
    (empty,), (single,) = read_batches(X[:0]), read_batches((scale, None))
    assert (samples_in(empty), samples_in(single)) == (0, 1)
