"""With a GradScaler at work, gradients are counted as those of the loss itself."""

import numpy as np
import torch
from torch import nn

from relucid.probes import watch


def test_a_real_scaler_whose_scale_changes():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2))
    optimiser = torch.optim.SGD(model.parameters(), lr=0.01)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10, growth_interval=2)
    scales, expected = [], []
    with watch(model, scaler=scaler) as probe:
        for step in range(9):
            inputs = torch.randn(16, 6)
            scales.append(scaler.get_scale())
            expected.append(gradient_at_z(model, inputs))
            optimiser.zero_grad()
            loss = model(inputs).square().mean()
            scaler.scale(loss * torch.inf if step == 4 else loss).backward()
            scaler.step(optimiser)
            scaler.update()
    assert len(set(scales)) > 2 and scales[5] < scales[4], "the scale must grow and shrink"
    found = probe.records().sites[0]
    rms = np.array([np.sqrt(np.mean(one**2)) for one in expected])
    np.testing.assert_allclose(np.delete(found.history.gradient, 4), np.delete(rms, 4), rtol=1e-5)
    kept = [one for step, one in enumerate(expected) if step != 4]
    np.testing.assert_allclose(found.gradient.absolute, abs(np.array(kept)).sum((0, 1)), rtol=1e-5)
    assert found.gradient.nonfinite > 0


def gradient_at_z(model, inputs):
    """That of the unscaled loss, by autograd, with respect to the pre-activations."""
    z = model[0](inputs).detach().requires_grad_()
    (gradient,) = torch.autograd.grad(model[2](torch.relu(z)).square().mean(), z)
    return gradient.double().numpy()
