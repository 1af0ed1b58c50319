"""Gradients at the pre-activations against autograd.grad."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from relucid.probes import watch


class Visible(nn.Module):
    """Hands out its pre-activations, so that autograd.grad can be asked for them."""

    def __init__(self, inplace):
        super().__init__()
        self.conv, self.fc, self.relu = nn.Conv2d(2, 4, 3), nn.Linear(4 * 36, 5), nn.ReLU(inplace)
        self.z = []

    def forward(self, x):
        z1 = self.conv(x)
        h1 = self.relu(z1)
        z2 = self.fc(h1.flatten(1))
        self.z = [z1, z2]
        return torch.tanh(z2)


@pytest.mark.parametrize("inplace", [False, True])
def test_sums_and_root_mean_square(inplace):
    """An in-place activation overwrites z; the gradient is still that of the value before."""
    model, twin = Visible(inplace), Visible(False)
    twin.load_state_dict(model.state_dict())
    absolute, squares, count = [0, 0], [0, 0], [0, 0]
    with watch(model) as probe:
        for _ in range(2):
            x = torch.randn(6, 2, 8, 8)
            model(x).square().sum().backward()
            twin(x)
            gradients = torch.autograd.grad(torch.tanh(twin.z[1]).square().sum(), twin.z)
            for i, g in enumerate(gradients):
                dims = [d for d in range(g.ndim) if d != 1]
                absolute[i] += g.double().abs().sum(dims).numpy()
                squares[i] += float(g.double().square().sum())
                count[i] += g.numel()
    for i, site in enumerate(probe.records().sites):
        assert site.gradient.batches == 2 and site.gradient.nonfinite == 0
        np.testing.assert_allclose(site.gradient.absolute, absolute[i], rtol=1e-5)
        assert site.gradient.rms == pytest.approx((squares[i] / count[i]) ** 0.5, rel=1e-5)


def test_vanishing_gradients_do_not_underflow():
    """Squares of 1e-25 are zero in float32."""
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh())
    with watch(model) as probe:
        (model(torch.randn(5, 3)) * 1e-25).sum().backward()
    gradient = probe.records().sites[0].gradient
    assert 1e-26 < gradient.rms < 1e-25 and np.all(gradient.absolute > 0)


def test_nonfinite_gradients_are_counted_apart():
    model = nn.Linear(3, 4)
    net = nn.Sequential(model, nn.ReLU())
    with watch(net) as probe:
        h = net(torch.ones(2, 3))
        h.backward(torch.tensor([[1.0, torch.nan, 1.0, torch.inf], [1.0, 1.0, 1.0, 1.0]]))
    gradient = probe.records().sites[0].gradient
    z = model(torch.ones(2, 3))
    fires = (z > 0).sum(0).detach().numpy()
    expected = fires - np.array([0, 1, 0, 1]) * (fires > 0)
    assert gradient.nonfinite == int((fires[[1, 3]] > 0).sum())
    np.testing.assert_allclose(gradient.absolute, expected)


def test_gradients_can_be_left_out():
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh())
    with watch(model, gradients=False) as probe:
        model(torch.randn(5, 3)).sum().backward()
    assert probe.records().sites[0].gradient is None


def test_the_loss_scale_is_divided_out():
    class Scaler:
        def get_scale(self):
            return 1024.0

    model, x = nn.Sequential(nn.Linear(3, 4), nn.Tanh()), torch.randn(5, 3)
    found = []
    for scale, scaler in ((1.0, None), (1024.0, Scaler())):
        with watch(model, scaler=scaler) as probe:
            (model(x).sum() * scale).backward()
        found.append(probe.records().sites[0].gradient)
    np.testing.assert_allclose(found[0].absolute, found[1].absolute)
    assert found[0].rms == pytest.approx(found[1].rms)


def test_two_passes_before_one_backward():
    model, x = nn.Sequential(nn.Linear(3, 4), nn.Tanh()), torch.randn(5, 3)
    with watch(model) as probe:
        (model(x).sum() + model(x).sum()).backward()
    assert probe.records().sites[0].gradient.batches == 2


def test_vector_functions_have_a_gradient_but_no_units():
    model = nn.Linear(3, 4)
    weight = torch.randn(4)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, x):
            return F.softmax(self.model(x), -1) @ weight

    x = torch.randn(5, 3)
    with watch(net := Net()) as probe:
        net(x).sum().backward()
    z = model(x).detach().requires_grad_()
    (g,) = torch.autograd.grad((F.softmax(z, -1) @ weight).sum(), z)
    gradient = probe.records().sites[0].gradient
    assert gradient.absolute.size == 0
    assert gradient.rms == pytest.approx(float(g.square().mean().sqrt()), rel=1e-5)
