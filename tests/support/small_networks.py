"""Random small networks, and the search of their domain for a value outside the proved bounds.

The search knows nothing of the bounds' arithmetic: it evaluates the network, on corners, grids,
random points and along gradients, and compares.
"""

import itertools
import random
from functools import cache

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

import relucid
import relucid.nn
from relucid.functions import catalogue
from relucid.probes import observe

ELEMENTWISE = [name for name, a in catalogue().items() if a.kind == "elementwise"]
TORCH = [
    *(torch.relu, F.relu6, F.elu, F.selu, F.celu, F.gelu, F.silu, F.mish, F.hardswish),
    *(F.hardsigmoid, F.hardtanh, F.softplus, F.softsign, F.tanhshrink, F.logsigmoid, F.hardshrink),
    *(F.softshrink, torch.tanh, torch.sigmoid, torch.atan, F.rrelu),
    lambda x: F.leaky_relu(x, 0.3),
    lambda x: F.elu(x, 2.5),
    lambda x: F.gelu(x, approximate="tanh"),
    lambda x: F.threshold(x, 0.25, -1.0),
    lambda x: F.hardtanh(x, -0.5, 0.75),
    lambda x: x.clamp(min=0),
    lambda x: torch.maximum(x, torch.zeros_like(x)),
]
PARAMETERS = {
    "leaky_relu": {"negative_slope": (-0.5, 0.0, 0.5)},
    "prelu": {"negative_slope": (-1.0, 0.0, 1.0)},
    "elu": {"alpha": (0.1, 3.0)},
    "celu": {"alpha": (0.2, 3.0)},
    "silu": {"beta": (0.3, 3.0)},
    "softplus": {"beta": (0.3, 3.0)},
    "hardshrink": {"lambd": (0.0, 1.0)},
    "softshrink": {"lambd": (0.0, 1.0)},
}


@cache
def declared(name, *parameters):
    return relucid.get(name, **dict(parameters))


class Small(nn.Module):
    """Layers of width at most 8; ``tape`` collects the pre-activations and activations."""

    def __init__(self, rng):
        super().__init__()
        self.tape = None
        width = self.inputs = rng.randint(1, 4)
        self.steps, self.layers = [], nn.ModuleList()
        for _ in range(rng.randint(1, 3)):
            out = rng.randint(1, 8)
            self.layers.append(_layer(rng, width, out))
            wiring = rng.choice(["plain", "plain", "plain", "residual", "gate", "join"])
            self.steps.append((_activation(rng), wiring))
            width = out + (width if wiring == "join" else 0)
        self.head = nn.Linear(width, 1)

    def forward(self, x):
        for layer, (activation, wiring) in zip(self.layers, self.steps, strict=True):
            z = layer(x)
            kept = z.clone() if self.tape is not None else None
            h = activation(z)
            if self.tape is not None:
                self.tape.append((kept, h))
            if wiring == "residual":
                h = h + x.sum(-1, keepdim=True) / 3.0
            elif wiring == "gate":
                h = h * torch.softmax(h - 1.0, dim=-1)
            elif wiring == "join":
                h = torch.cat([h, x], dim=-1)
            x = h
        return self.head(x)


class Bundle(nn.Module):
    """Many networks examined at once, each with an input and a domain of its own."""

    def __init__(self, networks):
        super().__init__()
        self.networks = nn.ModuleList(networks)

    def forward(self, *inputs):
        return [network(x) for network, x in zip(self.networks, inputs, strict=True)]


def examined(seeds):
    """Yield the networks of these seeds with their domains, bounded sites and gaps."""
    made = [small_network(seed) for seed in seeds]
    inputs = tuple(points_of(low, high, 4, 0)[-4:] for _, low, high in made)
    model, domain = Bundle([m for m, *_ in made]), tuple((low, high) for _, low, high in made)
    record = observe(model, (inputs, None), domain=domain)
    for number, (network, low, high) in enumerate(made):
        sites = [
            s
            for s in record.sites
            if s.site.units and s.site.name.startswith(f"networks.{number}.")
        ]
        yield network, low, high, sites, record.domain.gaps


def _layer(rng, width, out):
    linear = nn.Linear(width, out)
    nn.init.normal_(linear.weight, std=rng.choice([0.3, 1.0, 3.0]))
    nn.init.normal_(linear.bias, std=rng.choice([0.0, 0.5, 5.0]))
    with torch.no_grad():
        for unit in range(out):  # planted: far below zero, far above, exactly zero
            linear.bias[unit] += rng.choice([0.0] * 7 + [-60.0, 60.0])
            if rng.random() < 0.05:
                linear.weight[unit], linear.bias[unit] = 0.0, 0.0
    kind = rng.choice(["none"] * 4 + ["layer", "rms", "batch", "after"])
    if kind == "layer" and width > 1:
        norm = nn.LayerNorm(width, eps=rng.choice([1e-5, 1e-3]))
        return nn.Sequential(_scattered(norm), linear)
    if kind == "rms":
        return nn.Sequential(_scattered(nn.RMSNorm(width, eps=1e-6)), linear)
    if kind == "batch":
        norm = _scattered(nn.BatchNorm1d(out))
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.2, 3.0)
        return nn.Sequential(linear, norm)
    return nn.Sequential(linear, _scattered(nn.LayerNorm(out))) if kind == "after" else linear


def _scattered(norm):
    with torch.no_grad():
        for parameter in norm.parameters():
            parameter.add_(torch.randn_like(parameter))
    return norm


def _activation(rng):
    if rng.random() < 0.4:
        return rng.choice(TORCH)
    name = rng.choice(ELEMENTWISE)
    ranges = PARAMETERS.get(name, {}) if rng.random() < 0.5 else {}
    return declared(name, *((n, rng.choice(r)) for n, r in ranges.items()))


def small_network(seed):
    """Return a network of random weights, and its domain as two float32 vectors."""
    rng = random.Random(seed)
    torch.manual_seed(seed)
    model = Small(rng).eval()
    centre = torch.randn(model.inputs) * rng.choice([0.0, 1.0, 10.0])
    radius = torch.rand(model.inputs) * rng.choice([0.1, 1.0, 5.0])
    return model, centre - radius, centre + radius


def points_of(low, high, count, seed):
    """Corners, a dense grid, and random points of a box."""
    corners = torch.tensor(list(itertools.product(*zip(low.tolist(), high.tolist(), strict=True))))
    steps = {1: 257, 2: 33, 3: 9, 4: 6}[len(low)]
    axes = [torch.linspace(0.0, 1.0, steps)] * len(low)
    grid = torch.cartesian_prod(*axes).reshape(-1, len(low))
    generator = torch.Generator().manual_seed(seed)
    random_points = torch.rand(count, len(low), generator=generator)
    inside = low + (high - low) * torch.cat([grid, random_points])
    return torch.cat([corners, inside]).clamp(low, high)


def ascended(model, points, low, high, site, unit, sign, steps=12):
    """Move points along the gradient of one unit's pre-activation, within the box."""
    x = points.clone()
    for step in range(steps):
        x.requires_grad_(True)
        model.tape = []
        model(x)
        z = model.tape[site][0][:, unit]
        if not z.requires_grad:
            break
        (gradient,) = torch.autograd.grad(z.sum(), x, allow_unused=True)
        if gradient is None:
            break
        stride = (high - low) * 0.3 / (1 + step)
        x = (x.detach() + sign * stride * gradient.sign().nan_to_num()).clamp(low, high)
    return x.detach()


def violations(model, low, high, sites, seed):
    """Return what was found outside the bounds, or firing though called dead; empty if sound."""
    rng = random.Random(seed)
    points = points_of(low, high, 200, seed)
    site = rng.randrange(len(sites))
    unit = rng.randrange(sites[site].site.units)
    climbed = [ascended(model, points[:24], low, high, site, unit, s) for s in (1.0, -1.0)]
    model.tape = []
    with torch.no_grad():
        model(torch.cat([points, *climbed]))
    found = []
    for record, (z, h) in zip(sites, model.tape, strict=True):
        bounds, values = record.bounds, z.double().numpy()
        if bounds is None or not bool(np.isfinite(values).all()):
            continue
        outside = (values < bounds.lower) | (values > bounds.upper)
        fires = (h.numpy() != 0) & bounds.dead
        if outside.any() or fires.any():
            found.append((record.site.name, record.site.activation))
    model.tape = None
    return found
