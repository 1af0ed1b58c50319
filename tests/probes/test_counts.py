"""Every count is compared with the same count made by hand on captured tensors."""

import pkgutil
import sys
import types

import numpy as np
import pytest
import torch
from torch import nn

from relucid.functions import get
from relucid.probes import counters, watch
from relucid.probes.flat import NEARLY_FLAT
from relucid.probes.sums import Sum
from relucid.records import Checkup, from_json, to_json
from support.calling import ConvNet, Mlp, Residual


class Tap(nn.Module):
    """One activation on whatever z it is given; keeps z and h."""

    def __init__(self, activation):
        super().__init__()
        self.activation, self.z, self.h = activation, [], []

    def forward(self, z):
        self.z.append(z.detach().clone())
        h = self.activation(z)
        self.h.append(h.detach().clone())
        return h


def by_unit(tensors, axis):
    """All values of each unit: (units, elements) in float64."""
    rows = [t.double().movedim(axis, 0).reshape(t.shape[axis], -1) for t in tensors]
    return torch.cat(rows, 1).numpy()


def fired_samples(tensors, axis):
    moved = [t.movedim(axis, 1).reshape(t.shape[0], t.shape[axis], -1) for t in tensors]
    return sum((t > 0).any(2).sum(0).numpy() for t in moved)


def check(record, tap, axis, name, tolerance=1e-6):
    z, h = by_unit(tap.z, axis), by_unit(tap.h, axis)
    slope = np.abs(get(name).derivative(z)) < NEARLY_FLAT
    finite = np.isfinite(z)
    size = np.where(np.isfinite(h), np.abs(h), np.nan)
    assert record.elements == z.shape[1]
    np.testing.assert_array_equal(record.fired, (z > 0).sum(1))
    np.testing.assert_array_equal(record.fired_samples, fired_samples(tap.z, axis))
    np.testing.assert_array_equal(record.zeros, (h == 0).sum(1))
    np.testing.assert_array_equal(record.saturated, slope.sum(1))
    z = np.where(finite, z, np.nan)
    np.testing.assert_allclose(record.mean, np.nanmean(z, 1), rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(record.variance, np.nanvar(z, 1), rtol=10 * tolerance)
    np.testing.assert_allclose(record.magnitude, np.nanmean(size, 1), rtol=tolerance)
    kinks = [k.at for k in get(name).kinks]
    assert record.kink_hits == sum((z == k).sum() for k in kinks)
    assert record.nonfinite_in == (~finite).sum()
    assert record.nonfinite_out == (~np.isfinite(h)).sum()


FUNCTIONS = {
    "relu": nn.ReLU(),
    "relu6": nn.ReLU6(),
    "sigmoid": nn.Sigmoid(),
    "tanh": nn.Tanh(),
    "gelu": nn.GELU(),
    "silu": nn.SiLU(),
    "elu": nn.ELU(),
    "hardswish": nn.Hardswish(),
    "leaky_relu": nn.LeakyReLU(),
    "softplus": nn.Softplus(),
}
SHAPES = {
    "linear": ((64, 7), 1),
    "tokens": ((6, 11, 7), 2),
    "images": ((5, 7, 6, 5), 1),
    "volumes": ((3, 7, 3, 4, 2), 1),
}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("shape", SHAPES)
def test_all_counts_by_hand(name, shape):
    size, axis = SHAPES[shape]
    tap = Tap(FUNCTIONS[name])
    with watch(tap) as probe:
        for batch in range(3):
            z = 4 * torch.randn(size) + batch
            z[0] = z[0].round()  # some values exactly at kinks
            tap(z)
    (record,) = probe.records().sites
    assert record.site.unit_axis == axis and record.site.units == 7
    check(record, tap, axis, name)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_counts_in_other_types(dtype):
    tap = Tap(nn.ReLU())
    with watch(tap) as probe:
        tap((3 * torch.randn(50, 9)).to(dtype))
    (record,) = probe.records().sites
    assert record.dtype == str(dtype).removeprefix("torch.")
    check(record, tap, 1, "relu")


def test_all_of_a_large_tensor_is_counted_on_request():
    for memory in (torch.contiguous_format, torch.channels_last):
        tap = Tap(nn.ReLU())
        with watch(tap, values=None) as probe:
            tap(torch.randn(40, 9, 31, 31).contiguous(memory_format=memory))
        check(probe.records().sites[0], tap, 1, "relu", tolerance=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_part_of_a_call_is_read_each_place_in_its_turn(shape):
    """z, h and the gradient of the same samples; after enough passes, of every sample."""
    size, axis = SHAPES[shape]
    tap, each = Tap(nn.ReLU()), torch.Size(size).numel() // size[0]
    z = torch.randn(size, requires_grad=True)
    passes = -(-size[0] // 2)
    with watch(tap, values=2 * each) as probe:
        for place in range(passes):
            (tap(z) * torch.arange(size[0]).reshape(-1, *(1,) * (len(size) - 1))).sum().backward()
            read = probe.records().sites[0]
            assert read.samples == 2 * (place + 1)
    places = [min(2 * turn, size[0] - 2) + one for turn in range(passes) for one in (0, 1)]
    assert set(places) == set(range(size[0]))
    parts = Tap(nn.ReLU())
    parts(z.detach()[places])
    check(read, parts, axis, "relu")
    weights = torch.tensor(places, dtype=torch.float64)
    gradient = (parts.z[0] > 0).double() * weights.reshape(-1, *(1,) * (len(size) - 1))
    np.testing.assert_allclose(read.gradient.absolute, by_unit([gradient], axis).sum(1))


def test_a_part_of_a_sequence_whose_batch_is_the_second_axis():
    class Turned(nn.Module):
        def forward(self, x):
            return torch.relu(x.transpose(0, 1))

    x = torch.randn(8, 5, 3)
    with watch(model := Turned(), values=30) as probe:
        for _ in range(4):
            model(x)
    record = probe.records().sites[0]
    assert (record.samples, record.elements) == (8, 40)
    np.testing.assert_array_equal(record.fired, (x > 0).sum((0, 1)).numpy())


def test_a_mean_far_from_zero_costs_no_digits():
    """mean/std of 1e4: naive sums of squares in float32 would lose the variance."""
    tap = Tap(nn.ReLU())
    with watch(tap) as probe:
        for _ in range(4):
            tap(1e4 + torch.randn(1000, 3))
    record = probe.records().sites[0]
    np.testing.assert_allclose(record.variance, by_unit(tap.z, 1).var(1), rtol=1e-4)


def test_nonfinite_values_are_counted_and_left_out_of_moments():
    tap = Tap(nn.ReLU())
    with watch(tap) as probe:
        for sign in (1, -1):
            z = sign * torch.linspace(-2, 2, 120).reshape(30, 4)
            z[0, 0], z[1, 1], z[2, 2], z[3:9, 3] = torch.nan, torch.inf, -torch.inf, torch.nan
            tap(z)
    record = probe.records().sites[0]
    check(record, tap, 1, "relu")
    assert record.nonfinite_in == 18
    assert record.histogram.above == 2 and record.histogram.below == 2


def test_a_unit_without_finite_values_has_no_mean():
    tap = Tap(nn.ReLU())
    with watch(tap) as probe:
        tap(torch.tensor([[1.0, torch.nan], [2.0, torch.nan]]))
    record = probe.records().sites[0]
    assert record.mean[0] == 1.5 and np.isnan(record.mean[1]) and np.isnan(record.variance[1])


def test_huge_values_do_not_overflow_the_sums():
    tap = Tap(nn.ReLU())
    with watch(tap) as probe:
        tap(z := torch.tensor([[1e30], [3e30], [3.4e38], [3.4e38]]))
    record = probe.records().sites[0]
    np.testing.assert_allclose(record.variance, z.double().numpy().var(0), rtol=1e-5)


def test_histogram_by_hand():
    tap = Tap(nn.Tanh())
    with watch(tap) as probe:
        tap(torch.randn(200, 5))
        tap(9 * torch.randn(200, 5))
    histogram = probe.records().sites[0].histogram
    z = by_unit(tap.z, 1).ravel()
    counts, _ = np.histogram(z, histogram.edges)
    assert abs(histogram.counts - counts).sum() <= 4  # values within a rounding of an edge
    assert histogram.counts.sum() + histogram.below + histogram.above == z.size
    assert histogram.below > 0 and histogram.above > 0
    first = tap.z[0]
    assert histogram.edges[0] < first.min() and first.max() < histogram.edges[-1]
    np.testing.assert_allclose(histogram.curve, np.tanh(histogram.edges), rtol=1e-12)


@pytest.mark.parametrize(("values", "pictured"), [(1 << 15, 8 + 2), (None, 20)])
def test_in_a_watch_some_passes_make_the_histogram(values, pictured):
    """The first eight and then each eighth, unless all values are to be read."""
    with watch(tap := Tap(nn.ReLU()), values=values) as probe:
        for _ in range(20):
            tap(torch.randn(4, 3))
    found = probe.records().sites[0]
    histogram = found.histogram
    assert histogram.counts.sum() + histogram.below + histogram.above == pictured * 12
    assert found.elements == 20 * 4


def test_histogram_of_a_constant():
    with watch(model := nn.ReLU()) as probe:
        model(torch.full((4, 3), 2.5))
    histogram = probe.records().sites[0].histogram
    assert histogram.counts.sum() == 12 and np.all(np.diff(histogram.edges) > 0)


def test_tokens_folded_into_the_batch_are_not_more_samples():
    """A model that flattens (B, T, C) to (B*T, C) still sees B independent samples."""

    class Folding(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(3, 4)

        def forward(self, x):
            return torch.relu(self.fc(x).reshape(-1, 4)).view(*x.shape[:-1], 4)

    with watch(model := Folding()) as probe:
        h = model(torch.randn(6, 5, 3))
    record = probe.records().sites[0]
    assert (record.samples, record.elements, record.site.shape) == (6, 30, (5, 4))
    np.testing.assert_array_equal(record.fired_samples, (h > 0).any(1).sum(0).numpy())


def test_unbatched_images_are_one_sample():
    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU())
    with watch(model) as probe:
        model(torch.randn(2, 8, 8))
    record = probe.records().sites[0]
    assert (record.samples, record.site.units, record.elements) == (1, 3, 36)


def test_one_output_a_sample_is_one_unit():
    model = nn.Sequential(nn.Linear(3, 1), nn.Flatten(0), nn.Sigmoid())
    with watch(model) as probe:
        model(torch.randn(8, 3))
    record = probe.records().sites[0]
    assert (record.samples, record.site.units, record.elements) == (8, 1, 8)


def test_sequence_data_of_one_dimensional_convolutions():
    model = nn.Sequential(nn.Conv1d(2, 3, 3), nn.ReLU())
    with watch(model) as probe:
        h = model(torch.randn(5, 2, 9))
    record = probe.records().sites[0]
    assert (record.site.units, record.site.unit_axis, record.elements) == (3, 1, 35)
    np.testing.assert_array_equal(record.fired, (h > 0).sum((0, 2)).numpy())


def test_layers_that_feed_the_sites():
    """Named through normalisation; a residual sum has no single layer."""
    record = []
    for model, shape in ((Mlp(), (4, 6)), (ConvNet(), (2, 1, 12, 12)), (Residual(), (2, 3, 6, 6))):
        with watch(model) as probe:
            model(torch.randn(shape))
        record += [s.layer for s in probe.records().sites]
    found = [(x.name, x.kind, x.fan_in, x.normalised_by) if x else None for x in record]
    assert found == [
        ("first", "Linear", 6, None),
        ("conv1", "Conv2d", 9, "norm"),
        ("conv2", "Conv2d", 45, None),
        ("conv1", "Conv2d", 27, "bn1"),
        None,
    ]


def test_weights_of_the_layer_are_read_from_the_layer():
    model = nn.Sequential(nn.Linear(30, 20), nn.Dropout(), nn.ReLU())
    with watch(model) as probe:
        model(torch.randn(4, 30))
    layer = probe.records().sites[0].layer
    weight, bias = model[0].weight.detach().numpy(), model[0].bias.detach().numpy()
    assert layer.weight_rms == pytest.approx(np.sqrt(np.mean(weight.astype(float) ** 2)))
    assert layer.bias_mean == pytest.approx(bias.mean(), rel=1e-5)
    assert layer.name == "0"


def test_counts_under_autocast_and_inference_mode():
    """In inference mode nothing may be changed in place afterwards; autocast changes z's type."""
    model = Mlp().eval()
    x = torch.randn(16, 6)
    with watch(model) as probe:
        with torch.inference_mode():
            model(x)
        model(x)
        with torch.autocast("cpu", torch.bfloat16):
            model(x)
    (record,) = probe.records().sites
    assert record.samples == 48
    z = model.first(x).detach()
    assert abs(record.fired - 3 * (z > 0).sum(0).numpy()).max() <= 1


def test_a_further_quantity_is_one_file(monkeypatch):
    """Found by itself, summed with the others in one pass, kept in ``more``, and in JSON too."""

    class Loud:
        """Elements with abs(z) of 2 or more."""

        of_z = (ABOVE_TWO := Sum(lambda m, z, limit: m.where(abs(z) >= limit, 1.0, 0.0), 2.0),)
        of_h = ()

        def __init__(self, activation):
            assert activation.name == "relu"

        def fields(self, z, h):
            return {"loud": z[self.ABOVE_TWO]}

    file = types.ModuleType("relucid.probes.counters.loud")
    file.Loud, Loud.__module__ = Loud, file.__name__
    monkeypatch.setitem(sys.modules, file.__name__, file)
    found = [*pkgutil.iter_modules(counters.__path__), types.SimpleNamespace(name="loud")]
    monkeypatch.setattr(pkgutil, "iter_modules", lambda path: found)
    counters.counters.cache_clear()
    try:
        z = 3 * torch.randn(50, 4)
        with watch(model := nn.ReLU()) as probe:
            model(z)
    finally:
        counters.counters.cache_clear()
    record = probe.records().sites[0]
    np.testing.assert_array_equal(record.more["loud"], (z.abs() >= 2).sum(0).numpy())
    checkup = Checkup("", "", probe.records(), ())
    (again,) = from_json(to_json([checkup]))
    np.testing.assert_array_equal(
        again.observation.sites[0].more["loud"], (z.abs() >= 2).sum(0).numpy()
    )
