"""Sums by kernels and in plain operations, against loops over NumPy arrays."""

import numpy as np
import pytest
import torch

from relucid.probes import sums
from relucid.probes.sums import Sum

WANTED = (
    Sum(sums.above),
    Sum(sums.above, by_sample=True),
    Sum(sums.above, 0.7),
    Sum(sums.reached, 0.5),
    Sum(sums.equal, -0.25),
    Sum(sums.missing),
    Sum(sums.nonfinite),
    Sum(sums.unmasked),
    Sum(sums.finite),
    Sum(sums.square),
    Sum(sums.size),
)


def expected(values, unit_axis, group):
    """The same sums, one unit after the other, on exact float64 numbers."""
    moved = values.double().movedim(unit_axis, 0).numpy()
    rows = []
    for unit in moved:
        by_sample = unit.reshape(len(unit) // group, group * unit.shape[1]) > 0
        real = unit[np.isfinite(unit)]
        rows.append([
            (unit > 0).sum(), by_sample.any(1).sum(), (unit > 0.7).sum(), (unit >= 0.5).sum(),
            (unit == -0.25).sum(), np.isnan(unit).sum(), (~np.isfinite(unit)).sum(),
            (np.isnan(unit) | (unit == np.inf)).sum(), real.sum(), (real**2).sum(),
            abs(real).sum(),
        ])  # fmt: skip
    return np.array(rows, dtype=np.float64).reshape(len(moved), len(WANTED)).T


SHAPES = [
    ((6, 5, 17), 1), ((6, 17, 5), 2), ((40, 1, 9), 2), ((40, 9, 1), 1), ((4, 3, 5000), 1),
    ((4, 5000, 3), 2), ((2, 1, 1), 2), ((0, 3, 4), 1), ((6, 0, 4), 2), ((6, 3, 0), 1),
    ((34, 16, 8), 2), ((34, 1, 700), 2),
]  # fmt: skip


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
@pytest.mark.parametrize(("shape", "unit_axis"), SHAPES)
@pytest.mark.parametrize("route", ["kernel", "plain"])
def test_sums_by_hand(route, shape, unit_axis, dtype, monkeypatch):
    if route == "plain":
        monkeypatch.setattr(sums, "_STORED", {})
    values = torch.randn(shape).mul(2).to(dtype)
    values.view(-1)[::7] = -0.25
    for place, bad in enumerate((torch.nan, torch.inf, -torch.inf)):
        values.view(-1)[3 + place :: 11] = bad
    for group in (1, 2):
        found = sums.as_array(sums.read(values, unit_axis, group, WANTED))
        wanted = expected(values, unit_axis, group)
        assert found.dtype == np.float64 and found.shape == wanted.shape
        np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("unit_axis", [1, 2])
def test_strided_values(unit_axis):
    values = torch.randn(9, 14, 22)[::2, 1::3, ::2].transpose(0, 1)
    found = sums.read(values, unit_axis, 1, WANTED)
    np.testing.assert_allclose(found, expected(values, unit_axis, 1), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("unit_axis", [1, 2])
def test_the_number_of_threads_changes_nothing(unit_axis):
    values = torch.randn(64, 48, 96)
    threads, found = torch.get_num_threads(), []
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            found.append(sums.read(values, unit_axis, 1, WANTED))
    finally:
        torch.set_num_threads(threads)
    assert all(np.array_equal(found[0], other) for other in found[1:])


def test_tiny_and_huge_numbers_keep_their_squares():
    """Squares of gradients such as 1e-25 underflow in float32, those of 1e30 overflow."""
    for size in (1e-25, 1e30):
        values = torch.full((8, 1, 3), size)
        square = float(values[0, 0, 0]) ** 2
        found = sums.read(values, 2, 1, (Sum(sums.square),))
        np.testing.assert_allclose(found, np.full((1, 3), 8 * square), rtol=1e-12)
