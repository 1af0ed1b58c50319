"""Many small networks side by side in one graph, and the search of their domains by brute force.

The networks of a stack share no weight: layers are block-diagonal, or convolutions with a group
for each. So one pass bounds them all, one evaluates them all, and a graph, exported once, serves
for all weights. The search knows nothing of the bounds' arithmetic.
"""

import itertools
import random
from dataclasses import dataclass
from functools import cache

import torch
from torch import nn
from torch.fx import Interpreter
from torch.nn import functional as F

from relucid.probes.bounds.interval import Interval
from relucid.probes.bounds.shadow import Shadow
from relucid.shrink.linear_bounds import LinearBounds

GRID = {1: 257, 2: 33, 3: 11, 4: 6}


class Stack(nn.Module):
    """Networks of one architecture; ``tape`` collects (pre-activations, activations)."""

    def __init__(self, count, inputs):
        super().__init__()
        self.count, self.inputs, self.tape = count, inputs, None

    def activated(self, function, z):
        h = function(z)
        if self.tape is not None:
            self.tape.append((z, h))
        return h

    def linear(self, inputs, outputs):
        return nn.Linear(self.count * inputs, self.count * outputs)

    def conv(self, inputs, outputs, kernel, **more):
        return nn.Conv2d(
            self.count * inputs, self.count * outputs, kernel, groups=self.count, **more
        )


class Plain(Stack):
    """Three linear layers with ReLU."""

    def __init__(self, count):
        super().__init__(count, 3)
        self.first, self.second = self.linear(3, 8), self.linear(8, 8)
        self.third, self.last = self.linear(8, 6), self.linear(6, 1)

    def forward(self, x):
        for layer in (self.first, self.second, self.third):
            x = self.activated(F.relu, layer(x))
        return self.last(x)


class Bent(Stack):
    """Batch norm, and functions with several bends, learned slopes among them."""

    def __init__(self, count):
        super().__init__(count, 2)
        self.first, self.second, self.third = (self.linear(a, 8) for a in (2, 8, 8))
        self.norms = nn.ModuleList(nn.BatchNorm1d(count * 8) for _ in range(2))
        self.slopes, self.last = nn.PReLU(count * 8), self.linear(8, 1)

    def forward(self, x):
        x = self.activated(F.relu6, self.norms[0](self.first(x)))
        x = self.activated(self.slopes, self.norms[1](self.second(x)))
        x = self.activated(lambda z: F.hardtanh(z, 0.0, 0.7), self.third(x * 0.3))
        return self.last(x)


class Residual(Stack):
    """Sums, concatenations, differences and slices of what was computed before."""

    def __init__(self, count):
        super().__init__(count, 4)
        self.first, self.second = self.linear(4, 6), self.linear(6, 6)
        self.third, self.last = self.linear(10, 8), self.linear(8, 8)

    def forward(self, x):
        h = self.activated(F.relu, self.first(x))
        h = self.activated(lambda z: F.leaky_relu(z, 0.1), h - self.second(h))
        joined = torch.cat([one.unflatten(1, (self.count, -1)) for one in (h, x)], 2)
        h = self.activated(F.relu, self.third(joined.flatten(1, 2)))
        h = self.activated(F.relu, self.last(h) + h / 2.0)
        return h.unflatten(1, (self.count, 8)).sum(2)


class Images(Stack):
    """Padded convolutions over 2 x 2 pixels, batch norm, pooling by maximum and by mean."""

    def __init__(self, count):
        super().__init__(count, 4)
        self.first = self.conv(1, 3, 3, padding=1)
        self.norm = nn.BatchNorm2d(count * 3)
        self.second = self.conv(3, 4, 2, padding=1)
        self.third, self.last = self.conv(4, 8, 1), self.conv(8, 1, 1)

    def forward(self, x):
        x = x.unflatten(1, (self.count, 2, 2))
        x = self.activated(F.relu, self.norm(self.first(x)))
        x = F.max_pool2d(self.activated(F.relu, self.second(x)), 2, stride=1)
        x = self.activated(F.relu, self.third(x) - 0.1)
        return self.last(F.avg_pool2d(x, 2)).flatten(1)


ARCHITECTURES = (Plain, Bent, Residual, Images)


@dataclass
class Made:
    """A stack of random weights, its domain, and the points at which it is searched."""

    model: Stack
    low: torch.Tensor
    high: torch.Tensor
    points: torch.Tensor


@dataclass
class Site:
    """The bounds of one activation's operand: of intervals alone, and with linear bounds."""

    before: Interval
    after: Interval


def made(architecture, count, seed, dtype=torch.float32):
    """Return a stack of ``count`` networks with weights, domain and borders of a seed."""
    rng = random.Random(seed)
    torch.manual_seed(seed)
    model = ARCHITECTURES[architecture](count).eval()
    for name, parameter in model.named_parameters():
        scale = torch.tensor([rng.choice([0.3, 1.0, 3.0]) for _ in range(count)])
        values = torch.randn_like(parameter) * (0.5 if "slopes" in name else 1.0)
        rows = scale.repeat_interleave(len(parameter) // count)
        parameter.data = values * rows.reshape(-1, *(1,) * (parameter.ndim - 1))
    for module in model.modules():
        if isinstance(module, nn.Linear):
            blocks = (n // count for n in module.weight.shape)
            module.weight.data *= torch.block_diag(*[torch.ones(*blocks)] * count)
            module.weight.data /= module.in_features // count
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.2, 3.0)
    centre = torch.randn(count, model.inputs) * rng.choice([0.0, 1.0, 10.0])
    radius = torch.rand(count, model.inputs) * rng.choice([0.1, 1.0, 5.0])
    model, low, high = model.to(dtype), (centre - radius).to(dtype), (centre + radius).to(dtype)
    points = _points(low, high).flatten(1)
    _bordered(model, points[:300], rng)
    return Made(model, low.flatten(), high.flatten(), points)


def _points(low, high):
    """Corners, a fine grid and random points of each network's box: (points, count, inputs)."""
    inputs = low.shape[1]
    corners = torch.tensor(list(itertools.product([0.0, 1.0], repeat=inputs)))
    axes = [torch.linspace(0.0, 1.0, GRID[inputs])] * inputs
    grid = torch.cartesian_prod(*axes).reshape(-1, inputs)
    shares = torch.cat([corners, grid]).unsqueeze(1).expand(-1, len(low), -1)
    shares = torch.cat([shares, torch.rand(100, *low.shape)]).to(low)
    return (low + (high - low) * shares).clamp(low, high)


def _bordered(model, points, rng):
    """Move biases so that some units' largest or smallest value is 0, or all but 0.

    In a quarter of them the border is crossed, or missed, by a few roundings.
    """
    layers = [m for m in model.modules() if getattr(m, "bias", None) is not None]
    for layer in layers:
        found = []
        handle = layer.register_forward_hook(lambda _, given, result, to=found: to.append(result))
        with torch.no_grad():
            model(points)
        handle.remove()
        values = found[0].transpose(0, 1).flatten(1)
        ends = torch.stack([values.amax(1), values.amin(1), torch.zeros(len(values)).to(values)])
        pick = torch.tensor([rng.choice([0, 1, 2, 2, 2, 2]) for _ in range(len(values))])
        shift = ends.gather(0, pick[None])[0]
        eps = torch.finfo(shift.dtype).eps
        shift = shift * torch.tensor(
            [1 + rng.choice([-4, 0, 0, 4, 0.05 / eps]) * eps for _ in pick]
        )
        layer.bias.data -= shift.to(shift.dtype).to(layer.bias)


class _Bounding(Interpreter):
    """Runs a graph under a shadow and tightens what activations read."""

    def __init__(self, module, inputs):
        super().__init__(module)
        self.shadow, self.linear, self.inputs = Shadow(), LinearBounds(), inputs
        self.before, self.after = {}, {}

    def run_node(self, node):
        value = super().run_node(node)
        with self.shadow.paused():
            if node.name in self.inputs:
                self.shadow.set(value, self.inputs[node.name])
            known = self.shadow.of(value) if isinstance(value, torch.Tensor) else None
            self.linear.note(node, value, known)
            tight = self.linear.tightened(node)
            if tight is not None:
                self.shadow._hold(value, tight)
            self.before[node], self.after[node] = known, tight or known
        return value


class Graph:
    """A model's exported graph, run with the weights of any model of its kind."""

    def __init__(self, model, example):
        self.program = torch.export.export(model, (example,), strict=False)
        self.specs = self.program.graph_signature.input_specs

    def bounds(self, model, example, low, high):
        """Return intervals of all nodes, without and with linear bounds; the box is low..high."""
        state = dict(model.named_parameters()) | dict(model.named_buffers())
        names = [spec.arg.name for spec in self.specs if spec.kind.name == "USER_INPUT"]
        ends = [end.double().expand(example.shape).clone() for end in (low, high)]
        run = _Bounding(self.program.graph_module, {names[0]: Interval(*ends)})
        held = self.program.constants
        arguments = [
            example if s.arg.name == names[0] else state.get(s.target, held.get(s.target))
            for s in self.specs
        ]
        with torch.no_grad(), run.shadow:
            run.run(*arguments, enable_io_processing=False)
        return run

    def sites(self, *given):
        """Return the bounds of what the activations read, in the order in which they run."""
        run = self.bounds(*given)
        kinds = "relu relu6 hardtanh prelu leaky_relu".split()
        read = [
            node.args[0]
            for node in self.program.graph.nodes
            if getattr(node.target, "_opname", "") in kinds
        ]
        return [Site(run.before[z], run.after[z]) for z in read], run.linear


@cache
def graph_of(architecture, count, dtype=torch.float32):
    """Export an architecture, once."""
    model = ARCHITECTURES[architecture](count).eval().to(dtype)
    return Graph(model, torch.zeros(1, count * model.inputs, dtype=dtype))


def examined(architecture, count, seed, dtype=torch.float32):
    """Return a stack and the bounds of its sites."""
    one = made(architecture, count, seed, dtype)
    example = one.points[-1:].clone()
    sites, linear = graph_of(architecture, count, dtype).sites(
        one.model, example, one.low, one.high
    )
    return one, sites, linear


def searched(one, seed):
    """Return (z, h) of all sites at all points, and at points moved along gradients."""
    rng = random.Random(seed)
    climbed = [_climbed(one, rng, sign) for sign in (1.0, -1.0)]
    one.model.tape = []
    with torch.no_grad():
        one.model(torch.cat([one.points, *climbed]))
    tape, one.model.tape = one.model.tape, None
    return tape


def _climbed(one, rng, sign, steps=6):
    """Move points along the gradient of one unit of each network at a random site."""
    x, count, site, unit = one.points[:48].clone(), one.model.count, rng.random(), rng.random()
    reach = one.high - one.low
    for step in range(steps):
        x.requires_grad_(True)
        one.model.tape = []
        one.model(x)
        z = one.model.tape[int(site * len(one.model.tape))][0].unflatten(1, (count, -1))
        (gradient,) = torch.autograd.grad(z[:, :, int(unit * z.shape[2])].sum(), x)
        x = x.detach() + sign * reach * 0.3 / (1 + step) * gradient.sign().nan_to_num()
        x = x.clamp(one.low, one.high)
    one.model.tape = None
    return x.detach()


def units(interval):
    """Return the lowest and highest bound of each unit, over its positions."""
    ends = (end[0].reshape(end.shape[1], -1) for end in (interval.low, interval.high))
    low, high = ends
    return low.amin(1), high.amax(1)
