"""Linear bounds, against enumeration of activation patterns, closed forms, and brute force."""

import importlib
import itertools

import numpy as np
import pytest
import torch
from scipy.optimize import linprog
from torch import nn
from torch.nn import functional as F

from relucid.probes.bounds.interval import Interval
from relucid.shrink.linear_affine import affine
from relucid.shrink.linear_bends import CHOICES, bend
from relucid.shrink.linear_bounds import LinearBounds
from relucid.shrink.linear_calls import Call, Slot, is_affine
from relucid.shrink.linear_pools import pool
from support.stacked_networks import ARCHITECTURES, Graph, examined, searched, units

aten = torch.ops.aten


class Model(nn.Module):
    """A function as a module, with layers by name."""

    def __init__(self, function, **layers):
        super().__init__()
        self.function = function
        for name, layer in layers.items():
            setattr(self, name, layer)
        self.eval()

    def forward(self, x):
        return self.function(self, x)


def bounds_of(model, low, high):
    """Return the bounds of the last ReLU's operand, without and with linear bounds."""
    example = torch.as_tensor(low).clone()[None]
    ends = torch.as_tensor(low), torch.as_tensor(high)
    sites, linear = Graph(model, example).sites(model, example, *ends)
    return sites[-1].before, sites[-1].after, linear


def box(*shape, low=-1.0, high=1.0, dtype=torch.float32):
    return torch.full(shape, low, dtype=dtype), torch.full(shape, high, dtype=dtype)


def exact_extremes(layers, low, high):
    """Return the true extremes of the last layer of a ReLU network, by its activation patterns.

    On inputs of one pattern the network is affine, and a linear program finds its extremes.
    """
    widths = [len(bias) for _, bias in layers[:-1]]
    least = np.full(len(layers[-1][1]), np.inf)
    most = -least
    for pattern in itertools.product([0.0, 1.0], repeat=sum(widths)):
        matrix, shift = np.eye(len(low)), np.zeros(len(low))
        above, limits, signs = [], [], np.split(np.array(pattern), np.cumsum(widths)[:-1])
        for (weight, bias), on in zip(layers[:-1], signs, strict=True):
            matrix, shift = weight @ matrix, weight @ shift + bias
            above.append((1.0 - 2.0 * on)[:, None] * matrix)
            limits.append((2.0 * on - 1.0) * shift)
            matrix, shift = on[:, None] * matrix, on * shift
        weight, bias = layers[-1]
        matrix, shift = weight @ matrix, weight @ shift + bias
        for unit, sign in itertools.product(range(len(shift)), (1.0, -1.0)):
            found = linprog(sign * matrix[unit], np.concatenate(above), np.concatenate(limits),
                            bounds=list(zip(low, high, strict=True)))  # fmt: skip
            if found.status != 0:
                break  # no input has this pattern
            value = sign * found.fun + shift[unit]
            least[unit], most[unit] = min(least[unit], value), max(most[unit], value)
    return least, most


def test_bounds_enclose_the_true_extremes_and_are_closer_than_intervals():
    torch.manual_seed(0)
    layers = nn.Sequential(
        nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 3), nn.ReLU()
    ).eval()
    low, high = box(2, low=-1.5, high=1.0)
    graph, lost, tightened = Graph(layers, low[None]), [0.0, 0.0], 0
    for _ in range(4):
        linear = [one for one in layers if isinstance(one, nn.Linear)]
        for one in linear:
            nn.init.normal_(one.weight)
            nn.init.normal_(one.bias, std=0.3)
        given = [tuple(x.detach().double().numpy() for x in one.parameters()) for one in linear]
        site = graph.sites(layers, low[None], low, high)[0][-1]
        least, most = exact_extremes(given, low.tolist(), high.tolist())
        assert (site.after.low[0].numpy() <= least).all()
        assert (site.after.high[0].numpy() >= most).all()
        open_ones = ((site.before.low < 0) & (site.before.high > 0))[0].numpy()
        tightened += open_ones.sum()
        for i, known in enumerate((site.before, site.after)):
            lost[i] += ((known.high - known.low)[0].numpy() - (most - least))[open_ones].sum()
    assert tightened >= 6 and 0.0 <= lost[1] < 0.6 * lost[0]


def test_layers_without_a_bend_between_them_lose_nothing():
    torch.manual_seed(0)
    model = Model(
        lambda m, x: F.relu(m.norm(m.conv(x).flatten(2)).mean(2)),
        conv=nn.Conv2d(2, 5, 3, padding=1),
        norm=nn.BatchNorm1d(5),
    )
    model.norm.running_var.uniform_(0.5, 2.0)
    model.norm.bias.data.normal_(std=0.1)
    low, high = box(2, 4, 4)
    _, after, _ = bounds_of(model, low, high)
    zero = torch.zeros(1, 2, 4, 4, dtype=torch.float64)
    exact = model.double()

    def whole(x):
        return exact.norm(exact.conv(x).flatten(2)).mean(2)

    reach = torch.autograd.functional.jacobian(whole, zero).abs().flatten(3).sum((2, 3)).reshape(5)
    middle = whole(zero)[0]
    wanted = (middle - reach < 0) & (middle + reach > 0)
    assert wanted.any()
    assert torch.allclose(after.low[0][wanted], (middle - reach)[wanted], atol=2e-5)
    assert torch.allclose(after.high[0][wanted], (middle + reach)[wanted], atol=2e-5)


def test_what_cancels_is_seen_to_cancel():
    layer = nn.Linear(3, 3, bias=False)
    layer.weight.data = -torch.eye(3)
    model = Model(lambda m, x: F.relu(x / 2.0 + m.layer(x) / 2.0), layer=layer)
    before, after, _ = bounds_of(model, *box(3))
    assert (before.high == 1.0 + (before.high - 1.0)).all() and float(before.high.min()) >= 1.0
    assert float(after.high.max()) < 1e-6 and float(after.low.min()) > -1e-6
    assert float(after.high.min()) > 0.0  # the model's own rounding is allowed for


def test_the_best_lines_around_relu():
    """relu(x) - x over -1..2 lies in 0..1, and intervals say -2..3."""
    model = Model(lambda m, x: F.relu(F.relu(x) - x - 0.5))
    before, after, _ = bounds_of(model, *box(1, low=-1.0, high=2.0))
    assert float(before.low) == pytest.approx(-2.5) and float(before.high) == pytest.approx(2.5)
    assert float(after.low) == pytest.approx(-0.5, abs=1e-6)
    assert float(after.high) == pytest.approx(0.5, abs=1e-6)


def test_a_concatenation_with_its_own_negative_is_dead():
    def function(m, x):
        h = F.relu(x)
        return F.relu(m.last(torch.cat([h, -h], 1)))

    model = Model(function, last=nn.Linear(4, 1))
    model.last.weight.data.fill_(1.0)
    model.last.bias.data.fill_(-0.01)
    before, after, _ = bounds_of(model, *box(2))
    assert float(before.high) > 1.9 and float(after.high) < 0.0


def test_a_norm_counts_with_its_length():
    """The sum of two linear maps of one normalised vector is one linear map of it."""
    torch.manual_seed(0)

    def function(m, x):
        n = m.norm(x)
        return F.relu(m.first(n) + m.second(n))

    layers = {"norm": nn.LayerNorm(8), "first": nn.Linear(8, 4), "second": nn.Linear(8, 4)}
    model = Model(function, **layers)
    before, after, _ = bounds_of(model, *box(8, low=-5.0, high=5.0))
    weight = (model.first.weight + model.second.weight).detach().double()
    bias = (model.first.bias + model.second.bias).detach().double()
    reach = (weight - weight.mean(1, keepdim=True)).norm(dim=1) * 8**0.5
    assert torch.allclose(after.high[0], bias + reach, atol=0.03)
    assert bool((after.high <= before.high).all()) and float((before.high - after.high).max()) > 0.1


DTYPES = [torch.float32, torch.bfloat16, torch.float16]


@pytest.mark.parametrize(
    ("architecture", "dtype"),
    [*itertools.product(range(len(ARCHITECTURES)), DTYPES), (0, torch.float64), (2, torch.float64)],
)
def test_no_value_is_outside_and_no_bound_is_looser(architecture, dtype):
    decided = [0, 0]
    for seed in range(2):
        one, sites, linear = examined(architecture, 4, seed, dtype)
        for site, (z, _) in zip(sites, searched(one, seed), strict=True):
            values = z.double()
            assert bool(((values >= site.after.low) & (values <= site.after.high)).all())
            assert bool((site.after.low >= site.before.low).all())
            assert bool((site.after.high <= site.before.high).all())
            for i, known in enumerate((site.before, site.after)):
                low, high = units(known)
                decided[i] += int(((high <= 0) | (low >= 0)).sum())
        assert linear.tightened_elements > 0
    assert decided[1] >= decided[0]


def _call(function, *args):
    name = function._schema.name.removeprefix("aten::")
    return Call(function, name, (Slot(0), *args), {}, (None,))


BENDS = [
    _call(aten.relu.default),
    _call(aten.leaky_relu.default, 0.3),
    _call(aten.leaky_relu.default, -0.5),
    _call(aten.prelu.default, torch.tensor([1.5])),
    _call(aten.hardtanh.default, -0.5, 0.7),
    _call(aten.relu6.default),
    _call(aten.clamp.default, None, 0.1),
    _call(aten.clamp_min.default, 0.25),
    _call(aten.abs.default),
    _call(aten.maximum.default, torch.tensor(0.1)),
    _call(aten.hardsigmoid.default),
    _call(aten.softshrink.default, 0.5),
]


@pytest.mark.parametrize("call", BENDS, ids=lambda call: call.name)
def test_functions_lie_between_their_lines(call):
    torch.manual_seed(0)
    ends = (
        torch.randn(300, dtype=torch.float64) * 4.0,
        torch.randn(300, dtype=torch.float64) * 4.0,
    )
    low, high = torch.minimum(*ends), torch.maximum(*ends)
    low[0] = high[0]
    made = bend(call, Interval(low, high), torch.float32, users=1)
    points = torch.stack(
        [torch.lerp(low, high, share) for share in torch.linspace(0, 1, 200).double()]
    )
    points = points.float().double().clamp(low, high)
    values = torch.stack([call.run(z.float()).double() for z in points])
    exactly = (points.float().double() == points).all(0)  # ends that float32 does not have left out
    for choice in range(CHOICES):
        (under, bottom), (over, top) = made.below[choice], made.above[choice]
        assert bool((points * under + bottom <= values)[:, exactly].all())
        assert bool((points * over + top >= values)[:, exactly].all())
    gap = made.above[0][1] - made.below[0][1]
    assert float(gap[0].abs()) < 1e-3  # where z is known, the lines meet


POOLS = [
    (aten.max_pool1d.default, (2, 5, 9), ([3], [2], [1])),
    (aten.max_pool2d.default, (1, 2, 6, 7), ([2, 2],)),
    (aten.max_pool2d.default, (1, 2, 7, 6), ([3, 2], [2, 1], [1, 0], [2, 1], True)),
    (aten.max_pool3d.default, (1, 1, 4, 3, 4), ([2, 2, 2], [1, 1, 1], [1, 1, 1])),
]


@pytest.mark.parametrize(("function", "shape", "args"), POOLS)
def test_maxima_lie_between_their_lines(function, shape, args):
    torch.manual_seed(0)
    low = torch.randn(shape, dtype=torch.float64)
    high = low + torch.rand(shape, dtype=torch.float64)
    call = _call(function, *args)
    maxima = call.run(low)
    made = pool(call, Interval(low, high), maxima.shape, users=1)
    rows = torch.eye(maxima.numel(), dtype=torch.float64).reshape(-1, *maxima.shape)
    for sign in (1.0, -1.0):
        passed = made.through(sign * rows, 0)
        for x in (low, high, *(torch.lerp(low, high, torch.rand_like(low)) for _ in range(20))):
            form = (passed.parts[0] * x).flatten(1).sum(1) + passed.term
            assert bool((form >= sign * call.run(x).flatten()).all())


_X = torch.ones(2, 4, 6, 6, dtype=torch.float64)
_W = torch.randn(4, 4, 3, 3, generator=torch.Generator().manual_seed(0))
_R = torch.rand(4, generator=torch.Generator().manual_seed(1)) + 0.5
AFFINE = [
    (aten.view.default, _X, [2, -1]),
    (aten.permute.default, _X, [0, 2, 3, 1]),
    (aten.transpose.int, _X, 1, 3),
    (aten.expand.default, _X[:, :1], [2, 5, 6, 6]),
    (aten.slice.Tensor, _X, 2, 1, 5, 2),
    (aten.select.int, _X, 1, 2),
    (aten.flip.default, _X, [2]),
    (aten.roll.default, _X, [1], [2]),
    (aten.repeat.default, _X, [1, 2, 1, 1]),
    (aten.index_select.default, _X, 1, torch.tensor([0, 3, 3])),
    (aten.index.Tensor, _X, [None, torch.tensor([2, 0])]),
    (aten.gather.default, _X, 1, torch.zeros(2, 3, 6, 6, dtype=torch.long)),
    (aten.unfold.default, _X, 2, 3, 2),
    (aten.constant_pad_nd.default, _X, [1, 2, 0, 1], 0.5),
    (aten.reflection_pad2d.default, _X, [1, 1, 2, 0]),
    (aten.replication_pad2d.default, _X, [1, 1, 2, 0]),
    (aten.pixel_shuffle.default, _X, 2),
    (aten.im2col.default, _X, [2, 2], [1, 1], [0, 0], [2, 2]),
    (aten.tril.default, _X),
    (aten.upsample_nearest2d.vec, _X, None, [2.0, 2.0]),
    (aten.upsample_bilinear2d.vec, _X, None, False, [2.0, 2.0]),
    (aten._to_copy.default, _X),
    (aten.neg.default, _X),
    (aten.sum.dim_IntList, _X, [1, 2]),
    (aten.mean.dim, _X, [2, 3], True),
    (aten.cumsum.default, _X, 1),
    (aten.avg_pool2d.default, _X, [3, 2], [2, 1], [1, 0]),
    (aten.adaptive_avg_pool2d.default, _X, [4, 1]),
    (aten.adaptive_avg_pool1d.default, _X[0], [4]),
    (aten.linear.default, _X, _W[:, 0].flatten(1)[:, :6], _R),
    (aten.conv2d.default, _X, _W, _R, [2, 1], [1, 1]),
    (aten.conv2d.default, _X, _W[:, :1], None, [1, 1], [1, 1], [1, 1], 4),
    (aten.conv1d.default, _X[:, :, 0], _W[:, :, 0], _R),
    (aten.conv3d.default, _X[:, :, None], _W[:, :, None], _R),
    (aten.conv_transpose2d.input, _X, _W, _R, [2, 2], [1, 1]),
    (aten.batch_norm.default, _X, _R, None, _R, _R, False, 0.1, 1e-5, True),
    (aten.div.Tensor, _X, 3.0),
    (aten.mul.Tensor, _X, 0.3),
    (aten.rsub.Scalar, _X, 0.1),
    (aten.matmul.default, _X, _W[0, 0].repeat(2, 2)),
    (aten.where.self, torch.eye(6, dtype=torch.bool), _X, torch.tensor(0.3)),
    (aten.masked_fill.Scalar, _X, torch.eye(6, dtype=torch.bool), 0.3),
    (aten.dropout.default, _X, 0.5, False),
]


@pytest.mark.parametrize(
    ("function", "args"), [(one[0], one[1:]) for one in AFFINE], ids=lambda x: str(x)[:30]
)
def test_forms_pass_affine_operators(function, args):
    """What is computed in float32 is within the error of the form, and the error is small."""
    place = next(
        i for i, x in enumerate(args) if isinstance(x, torch.Tensor) and x.dtype is torch.float64
    )
    size = args[place]
    filled = (*args[:place], Slot(0), *args[place + 1 :])
    name = function._schema.name.removeprefix("aten::")
    call = Call(function, name, filled, {}, (None,))
    assert is_affine(call)
    made = affine(call, [size], [torch.float32], torch.float32, users=1)
    rows = torch.randn(5, *made.offset.shape, dtype=torch.float64)
    passed = made.through(rows, 0)
    for seed in range(5):
        x = torch.rand(size.shape, generator=torch.Generator().manual_seed(seed)) * 2.0 - 1.0
        computed = (rows * call.run(x).double()).flatten(1).sum(1)
        form = (passed.parts[0] * x).flatten(1).sum(1) + passed.term
        assert bool((computed <= form).all())
        assert bool(
            (form - computed <= 1e-4 * (1.0 + passed.size + rows.flatten(1).abs().sum(1))).all()
        )


@pytest.mark.parametrize(
    "call",
    [
        _call(aten.div.Tensor_mode, 3.0),
        _call(aten.batch_norm.default, _R, None, _R, _R, True, 0.1, 1e-5, True),
        _call(aten.dropout.default, 0.5, True),
        _call(aten.mul.Tensor, Slot(1)),
        _call(aten.where.self, _X, _X),
        _call(aten.softmax.int, 1),
    ],
    ids=lambda call: call.name,
)
def test_what_is_not_affine_is_not_taken_for_it(call):
    rounding = {"rounding_mode": "floor"} if call.name == "div" else {}
    assert not is_affine(Call(call.function, call.name, call.args, rounding, (None,)))


def test_a_derivative_that_is_hidden_is_not_believed():
    sizes, dtypes = [torch.ones(3, dtype=torch.float64)], [torch.float32]
    honest = Call(lambda x: x * 2.0, "mul", (Slot(0),), {}, (None,))
    hidden = Call(lambda x: x.detach() * 2.0 + x * 0.5, "mul", (Slot(0),), {}, (None,))
    assert affine(honest, sizes, dtypes, torch.float32, 1) is not None
    assert affine(hidden, sizes, dtypes, torch.float32, 1) is None


def test_little_effort_goes_to_what_is_nearest_to_being_decided(monkeypatch):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 16), nn.ReLU(), nn.Linear(16, 32), nn.ReLU()).eval()
    _, whole, _ = bounds_of(model, *box(3))
    stacked = importlib.import_module("support.stacked_networks")
    monkeypatch.setattr(stacked, "LinearBounds", lambda: LinearBounds(effort=40_000.0))
    before, after, linear = bounds_of(model, *box(3))
    closer = (after.high < before.high)[0]
    assert 0 < int(closer.sum()) < int((whole.high < before.high).sum())
    assert linear.skipped_elements > 0
    share = (torch.minimum(-before.low, before.high) / (before.high - before.low))[0]
    open_ones = (before.low < 0)[0] & (before.high > 0)[0]
    assert float(share[closer].max()) <= float(share[open_ones & ~closer].min())


def test_an_input_without_bounds_gives_none():
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 4), nn.ReLU()).eval()
    infinite = torch.tensor([torch.inf] * 3)
    example = torch.zeros(1, 3)
    sites, linear = Graph(model, example).sites(model, example, -infinite, infinite)
    assert linear.tightened_elements == 0
    assert bool(sites[-1].after.high.isinf().all())
