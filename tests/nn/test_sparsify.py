"""Training that makes units die: its gradients by hand, no trace, and digits trained with it."""

from __future__ import annotations

import copy
import io
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from relucid.demo import HEALTHY, accuracy, load_digits, train
from relucid.errors import ModelError, ParameterError
from relucid.nn import sparsify_


class Functional(nn.Module):
    """Activations as calls, and channels."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.body = nn.Conv2d(4, 3, 3)
        self.head = nn.Linear(3 * 16, 2)

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(self.norm(self.stem(x)))
        return self.head(F.relu(self.body(h)).flatten(1))


def gradients(model: nn.Module, loss: Tensor) -> list[Tensor]:
    model.zero_grad()
    loss.backward()
    return [p.grad.clone() for p in model.parameters() if p.grad is not None]


def chain() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 3))


def test_the_gradient_is_that_of_the_penalty_in_the_loss() -> None:
    """The loss is as it was; its gradient is that of loss plus penalty, written out by hand."""
    model, x = chain(), torch.randn(7, 5)
    first = model[1](model[0](x))
    second = model[3](model[2](first))
    penalty = first.abs().sum(1).mean() + second.abs().sum(1).mean()
    plain = model(x).square().mean()
    expected = gradients(model, plain + 0.01 * penalty)
    with sparsify_(model, strength=0.01, pull=0.0) as found:
        loss = model(x).square().mean()
        assert torch.equal(loss, plain)
        found_gradients = gradients(model, loss)
    assert found.layers == ("2", "4")
    for one, other in zip(found_gradients, expected, strict=True):
        torch.testing.assert_close(one, other, atol=1e-7, rtol=1e-4)


def test_channels_are_units_and_calls_are_seen() -> None:
    """The mean is over samples and positions, the sum over channels, behind F.relu too."""
    torch.manual_seed(0)
    model, x = Functional(), torch.randn(5, 1, 8, 8)
    h = F.relu(model.norm(model.stem(x)))
    expected = gradients(model, model.head.weight.sum() * 0 + 0.5 * h.sum((1,)).mean())[0]
    with sparsify_(model, x, strength=0.5, pull=0.0, at="body"):
        silent = gradients(model, model(x).sum() * 0.0)[0]
    torch.testing.assert_close(silent, expected)


def test_a_silent_unit_is_emptied_and_others_are_not() -> None:
    """Its row is drawn towards 0 by a gradient of the length of ``pull``, its bias down."""
    model, x = chain(), torch.rand(7, 5)
    with torch.no_grad():
        model[0].weight[3], model[0].bias[3] = -1.0, -0.5
    untouched = gradients(model, model(x).sum())
    with sparsify_(model, strength=0.0, pull=0.25):
        weight, bias, *_ = gradients(model, model(x).sum())
    row = model[0].weight[3]
    torch.testing.assert_close(weight[3], 0.25 * row / row.norm())
    assert bias[3] == 0.25
    alive = (untouched[0] != 0).any(1)
    assert not alive[3] and alive.sum() > 3
    assert torch.equal(weight[alive], untouched[0][alive])
    assert torch.equal(bias[alive], untouched[1][alive])


def test_nothing_is_left() -> None:
    """No hook anywhere, the same gradients, and a file as small as before."""
    model, x = chain(), torch.randn(4, 5)
    before, size = gradients(model, model(x).sum()), stored(model)
    found = sparsify_(model)
    assert not all(map(torch.equal, gradients(model, model(x).sum()), before))
    found.remove()
    found.remove()
    assert all(map(torch.equal, gradients(model, model(x).sum()), before))
    assert all(not m._forward_pre_hooks for m in model.modules())
    assert all(p._backward_hooks is None for p in model.parameters())
    assert stored(model) == size


def stored(model: nn.Module) -> int:
    stream = io.BytesIO()
    copied = copy.deepcopy(model)
    copied.zero_grad(set_to_none=True)
    torch.save(copied, stream)
    return len(stream.getvalue())


@pytest.mark.parametrize("where", ["eval", "no_grad", "inference"])
def test_nothing_happens_outside_of_training(where: str) -> None:
    """Not even a node in the graph."""
    model, x = chain(), torch.randn(4, 5)
    expected = model(x)
    contexts: dict[str, Any] = {"no_grad": torch.no_grad(), "inference": torch.inference_mode()}
    with sparsify_(model, pull=0.0):
        if where == "eval":
            before = gradients(model.eval(), model(x).sum())
            assert "_Penalised" not in str(model(x).grad_fn.next_functions)
            with sparsify_(model, strength=5.0, pull=0.0):
                assert all(map(torch.equal, gradients(model, model(x).sum()), before))
        else:
            with contexts[where]:
                assert torch.equal(model(x), expected)


def test_a_copy_is_trained_as_ever() -> None:
    """What was put on the model stays with it."""
    model, x = chain(), torch.randn(4, 5)
    expected = gradients(model, model(x).sum())
    with sparsify_(model):
        twin = copy.deepcopy(model)
    assert all(map(torch.equal, gradients(twin, twin(x).sum()), expected))


def test_digits_lose_units_for_every_image() -> None:
    """Trained as ever, at the same accuracy, a third of the units cannot fire on any image.

    Proved here by plain interval arithmetic on the weights, in float64.
    """
    digits = load_digits()
    plain = train(HEALTHY, digits, 300)
    sparse = train(HEALTHY, digits, 300, within=lambda m: sparsify_(m, strength=3e-3))
    assert _can_fire(plain) >= 0.95 * 224
    assert _can_fire(sparse) <= 0.67 * 224
    assert accuracy(sparse, digits) >= accuracy(plain, digits) - 0.015


def _can_fire(network: nn.Sequential) -> int:
    low, high = torch.zeros(64).double(), torch.ones(64).double()
    count = 0
    for linear in [m for m in network if isinstance(m, nn.Linear)][:-1]:
        weight, bias = linear.weight.detach().double(), linear.bias.detach().double()
        up, down = weight.clamp(min=0), weight.clamp(max=0)
        low, high = up @ low + down @ high + bias, up @ high + down @ low + bias
        count += int((high > 0).sum())
        low, high = low.clamp(min=0), high.clamp(min=0)
    return count


def test_errors_name_the_cure() -> None:
    with pytest.raises(ParameterError, match="strength must be a finite number"):
        sparsify_(chain(), strength=-1.0)
    with pytest.raises(ModelError, match="reads an activation"):
        sparsify_(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)))
    with pytest.raises(ModelError, match="among 'nowhere'"):
        sparsify_(chain(), at="nowhere")
    with pytest.raises(ModelError, match="pass an example"):
        sparsify_(Functional())
