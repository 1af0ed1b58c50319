"""The history of a site against the same numbers made by hand, pass by pass."""

import numpy as np
import pytest
import torch
from torch import nn

from relucid.errors import ParameterError
from relucid.probes import history, observe, watch


class Driven(nn.Module):
    """A ReLU on z as given; a weight gives it a gradient."""

    def __init__(self):
        super().__init__()
        self.weight, self.relu = nn.Parameter(torch.ones(())), nn.ReLU()

    def forward(self, z):
        return self.relu(z * self.weight)


def of(probe):
    return probe.records().sites[0].history


def by_hand(passes, window):
    """Each number of each pass, in plain loops over the captured values."""
    rows, quiet = [], [0] * passes[0].shape[1]
    for z in passes:
        fires = [bool((column > 0).any()) for column in z.T]
        rows.append((
            (z > 0).double().mean().item(),
            fires.count(False),
            sum(f and q > 0 for f, q in zip(fires, quiet, strict=True)),
            sum(f and q > window for f, q in zip(fires, quiet, strict=True)),
            z.double().square().mean().sqrt().item(),
        ))  # fmt: skip
        quiet = [0 if f else q + 1 for f, q in zip(fires, quiet, strict=True)]
        rows[-1] += (sum(q > window for q in quiet),)
    return np.array(rows).T, quiet


def sparse(count, units=12):
    """Passes in which each unit fires seldom, some never."""
    torch.manual_seed(1)
    rarely = torch.linspace(0.0, 0.3, units)
    return [torch.randn(4, units).abs() * ((torch.rand(4, units) < rarely) * 2.0 - 1.0)
            for _ in range(count)]  # fmt: skip


@pytest.mark.parametrize("window", [1, 5, 1000])
def test_each_number_by_hand(window):
    model, passes = Driven(), sparse(60)
    with watch(model, window=window) as probe:
        for z in passes:
            model(z).sum().backward()
    (rate, dead, revived, returned, scale, window_dead), quiet = by_hand(passes, window)
    found = of(probe)
    np.testing.assert_allclose(found.fire_rate, rate)
    np.testing.assert_array_equal(found.dead, dead)
    np.testing.assert_array_equal(found.revived, revived)
    np.testing.assert_array_equal(found.returned, returned)
    np.testing.assert_array_equal(found.window_dead, window_dead)
    np.testing.assert_allclose(found.scale, scale, rtol=1e-6)
    np.testing.assert_array_equal(found.quiet, quiet)
    np.testing.assert_array_equal(found.window_dead_units, np.flatnonzero(np.array(quiet) > window))
    np.testing.assert_array_equal(found.step, range(60))
    assert set(found.passes) == {1} and set(found.samples) == {4}
    if window == 5:
        assert window_dead.max() > 1 and returned.sum() > 0  # else the case shows nothing


def test_gradient_of_each_pass_also_where_backward_comes_late():
    model = Driven()
    with watch(model) as probe:
        losses = [model(torch.full((2, 3), 1.0)).sum() * size for size in (1.0, 5.0, 0.0, 3.0)]
        for index in (2, 0, 1):
            losses[index].backward()
    np.testing.assert_allclose(of(probe).gradient, [1.0, 5.0, 0.0, np.nan])


def test_a_long_run_is_covered_in_bounded_memory(monkeypatch):
    """Twelve points for 100 passes: means of eight, and sums where it says so."""
    monkeypatch.setattr(history, "POINTS", 16)
    model, passes = Driven(), sparse(100)
    with watch(model, every=3, window=4) as probe:
        for z in passes:
            for _ in range(3):
                model(z).sum().backward()
    (rate, dead, revived, returned, _, window_dead), _ = by_hand(passes, 4)
    found, groups = of(probe), [slice(start, start + 8) for start in range(0, 100, 8)]
    np.testing.assert_array_equal(found.passes, [8] * 12 + [4])
    np.testing.assert_allclose(found.fire_rate, [rate[one].mean() for one in groups])
    np.testing.assert_allclose(found.dead, [dead[one].mean() for one in groups])
    np.testing.assert_allclose(found.window_dead, [window_dead[one].mean() for one in groups])
    np.testing.assert_array_equal(found.revived, [revived[one].sum() for one in groups])
    np.testing.assert_array_equal(found.returned, [returned[one].sum() for one in groups])
    np.testing.assert_allclose(found.step, [np.arange(0, 300, 3)[one].mean() for one in groups])


def test_a_layer_that_is_called_seldom_counts_its_own_passes():
    """A unit does not come back from the dead because its expert was not asked."""

    class Expert(nn.Module):
        def __init__(self):
            super().__init__()
            self.step, self.relu, self.seldom = 0, nn.ReLU(), nn.ReLU()

        def forward(self, x):
            self.step += 1
            return self.seldom(x) if self.step % 3 == 1 else self.relu(x)

    with watch(model := Expert(), window=2) as probe:
        for _ in range(12):
            model(torch.ones(2, 3))
    seldom = next(one for one in probe.records().sites if one.site.name == "seldom").history
    np.testing.assert_array_equal(seldom.step, [0, 3, 6, 9])
    assert not seldom.revived.any() and not seldom.window_dead.any() and not seldom.quiet.any()


def test_a_call_without_values_is_no_pass():
    with watch(model := Driven()) as probe:
        for rows in (4, 0, 4):
            model(torch.ones(rows, 3)).sum().backward()
    found = of(probe)
    np.testing.assert_array_equal(found.step, [0, 2])
    assert not found.dead.any() and not found.revived.any() and not found.quiet.any()


def test_passes_of_inference_mode_between_ordinary_ones(monkeypatch):
    monkeypatch.setattr(history, "POINTS", 4)
    model, passes = Driven(), sparse(11)
    with watch(model) as probe:
        for index, z in enumerate(passes):
            with torch.inference_mode(index % 2 == 1):
                model(z)
    assert of(probe).passes.sum() == 11 and np.isnan(of(probe).gradient).all()


def test_on_a_device_the_same_operations_give_the_same(monkeypatch):
    """Sums in tensors, as a GPU gives them, against those in NumPy."""
    from relucid.probes import sums

    found = []
    for stored in (sums._STORED, {}):
        monkeypatch.setattr(sums, "_STORED", stored)
        monkeypatch.setattr(history, "POINTS", 16)
        model = Driven()
        with watch(model, window=3) as probe:
            for index, z in enumerate(sparse(50)):
                with torch.inference_mode(index % 4 == 3):
                    h = model(z)
                if index % 4 != 3:
                    h.sum().backward()
        found.append(of(probe))
    for name, one in vars(found[0]).items():
        np.testing.assert_allclose(one, getattr(found[1], name), rtol=1e-12, err_msg=name)


def test_functions_of_vectors_have_a_gradient_alone():
    model = nn.Sequential(nn.Linear(3, 4), nn.Softmax(-1))
    with watch(model) as probe:
        model(torch.randn(5, 3)).square().sum().backward()
    found = of(probe)
    assert np.isnan([found.fire_rate[0], found.dead[0], found.scale[0]]).all()
    assert found.gradient[0] > 0 and found.samples[0] == 5


def test_nonfinite_values_are_left_out_of_scale_and_gradient():
    model = Driven()
    with watch(model) as probe:
        h = model(torch.tensor([[3.0, torch.nan], [4.0, torch.inf]]))
        h.backward(torch.tensor([[2.0, 0.0], [torch.inf, 2.0]]))
    found = of(probe)
    assert found.scale[0] == pytest.approx(np.sqrt(25 / 2))
    assert found.gradient[0] == pytest.approx(np.sqrt(8 / 3))


def test_the_history_alone_is_that_of_the_records():
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 4), nn.Tanh())
    with watch(model) as probe:
        for _ in range(3):
            model(torch.randn(5, 3)).sum().backward()
    alone = probe.history()
    assert list(alone) == ["1", "3"]
    for site in probe.records().sites:
        for name, one in vars(site.history).items():
            np.testing.assert_array_equal(one, getattr(alone[site.site.name], name))


def test_a_checkup_keeps_no_history():
    """Its batches are no steps of a training."""
    seen = observe(nn.Sequential(nn.Linear(3, 4), nn.ReLU()), torch.randn(5, 3))
    assert seen.sites[0].history is None


@pytest.mark.parametrize("window", [0, -1, 1.5, True, "a"])
def test_a_window_is_a_positive_whole_number(window):
    with pytest.raises(ParameterError, match="window"):
        watch(nn.ReLU(), window=window)
