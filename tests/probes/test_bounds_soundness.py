"""Nothing is found outside the bounds, and nothing that is called dead fires, by brute force.

The search evaluates 600 random networks in float32, in which every function of the catalogue is
some 20 times; ``benchmarks/bounds.py`` does 100,000.
"""

import pytest
import torch
from torch import nn

from relucid.functions import catalogue
from relucid.probes import observe
from support.small_networks import ELEMENTWISE, declared, examined, violations

PART = 100


@pytest.mark.parametrize("start", range(0, 600, PART))
def test_no_value_is_outside_the_bounds(start):
    units = dead = on = 0
    for seed, (network, low, high, sites, gaps) in enumerate(
        examined(range(start, start + PART)), start
    ):
        assert not gaps and sites
        assert violations(network, low, high, sites, seed) == []
        units += sum(s.site.units for s in sites)
        dead += sum(int(s.bounds.dead.sum()) for s in sites)
        on += sum(int(s.bounds.on.sum()) for s in sites)
    assert dead > 0.02 * units and on > 0.1 * units  # the planted ones


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_every_declared_function_stays_within_its_bounds(name):
    """A second activation sees the first one's values: its bounds are the function's own."""
    generator = torch.Generator().manual_seed(1)
    ends = torch.randn(300, generator=generator) * torch.tensor([0.3, 3.0, 30.0]).repeat(100)
    radius = torch.rand(300, generator=generator) * torch.tensor([0.01, 1.0, 9.0]).repeat(100)
    low, high = ends - radius, ends + radius
    function = declared(name)

    class Twice(nn.Module):
        def forward(self, x):
            return torch.tanh(function(x))

    found = observe(Twice(), torch.stack([low, high]), domain=(low, high)).sites[1].bounds
    points = low + (high - low) * torch.linspace(0, 1, 4001)[:, None]
    values = function(points.clamp(low, high)).double().numpy()
    assert (values >= found.lower).all() and (values <= found.upper).all()
    # They are close, too: the widest of 4,001 points comes near each end.
    span = found.upper - found.lower
    slack = (values.min(0) - found.lower) + (found.upper - values.max(0))
    rounding = 1e-5 * (1 + abs(values).max(0) + points.abs().amax(0).numpy())
    assert (slack <= 0.02 * span + rounding).all()


def test_all_of_the_catalogue_is_searched():
    assert {a.name for a in catalogue().values() if a.kind == "elementwise"} == set(ELEMENTWISE)


@pytest.mark.filterwarnings("ignore:ripples runs in plain operations")
def test_a_function_of_ones_own_that_turns_often():
    import relucid
    from relucid.functions.base import DECLARED

    @relucid.activation(source="this test")
    def ripples(m, x):
        return m.sin(7.0 * x) + 0.1 * x

    try:
        layer = nn.Linear(2, 16)

        class Rippling(nn.Module):
            def __init__(self):
                super().__init__()
                self.layer = layer

            def forward(self, x):
                return torch.relu(ripples(self.layer(x)))

        bounds = observe(Rippling(), torch.rand(4, 2), domain=(0.0, 1.0)).sites[-1].bounds
        axis = torch.linspace(0, 1, 200)
        with torch.no_grad():
            values = ripples(layer(torch.cartesian_prod(axis, axis))).double().numpy()
        assert (values >= bounds.lower).all() and (values <= bounds.upper).all()
        assert (bounds.upper - bounds.lower < 7.1 * 3.0).all()  # slope times width
    finally:
        DECLARED.pop("ripples")


@pytest.mark.parametrize("eps", [1e-5, 1e-2])
@pytest.mark.parametrize("norm", [nn.LayerNorm, nn.RMSNorm])
def test_a_norm_bounds_any_input(norm, eps):
    """Adversarial inputs: along each row of weights, single spikes, nearly equal numbers."""
    width, units = 6, 12
    first, second = norm(width, eps=eps), nn.Linear(width, units)
    nn.init.normal_(first.weight)
    model = nn.Sequential(first, second, nn.ReLU()).eval()
    largest = 100.0
    bounds = observe(model, torch.randn(4, width), domain=(-largest, largest)).sites[0].bounds
    rows = (second.weight * first.weight).detach()
    centred = rows - rows.mean(1, keepdim=True) if norm is nn.LayerNorm else rows
    directions = torch.cat([centred, -centred, torch.eye(width), -torch.eye(width)])
    directions = directions / directions.abs().amax(1, keepdim=True)
    scales = torch.logspace(-9, 0, 40)[:, None, None] * largest
    shifts = torch.tensor([0.0, 1e-3, 0.5, 0.99, -0.99])[:, None, None, None] * largest
    x = (directions * scales + shifts).reshape(-1, width).clamp(-largest, largest)
    with torch.no_grad():
        z = second(first(x)).double().numpy()
    assert (z >= bounds.lower).all() and (z <= bounds.upper).all()
    if eps == 1e-2:  # they are attained but for the rounding that is allowed for
        reach = (bounds.upper - bounds.lower) / (z.max(0) - z.min(0))
        assert (reach < 1.02).all()
