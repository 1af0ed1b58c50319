"""What the sweep counts: planted errors are found, where they are and as large as they are."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from relucid.functions import get
from relucid.records.accuracy import Tally, Worst
from relucid.verify.measure import Yardstick
from relucid.verify.points import roots
from support.ulp import ulps
from verify.planting import bench, inputs, rounded

TANH, SILU, GELU = get("tanh"), get("silu"), get("gelu")


def test_a_right_function_is_within_half_a_unit() -> None:
    found = bench(GELU, rounded(GELU))
    found.measure(inputs(GELU))
    for tally in found.tallies["relucid"].values():
        assert 0.49 < tally.normal.error <= 0.5
        assert 0.4 < tally.subnormal.error <= 0.5
        assert tally.above == (0, 0, 0, 0)
        assert (tally.nan_lost, tally.unlike) == (0, 0)


def test_a_small_relative_error_is_found_where_it_is() -> None:
    def off(x: Tensor, right: Tensor) -> Tensor:
        return torch.where((x > 1.0) & (x < 2.0), right * (1.0 + 1e-6), right)

    x = inputs(TANH)
    found = bench(TANH, rounded(TANH, value=off))
    found.measure(x)
    value, derivative = found.tallies["relucid"].values()
    at = value.normal.at
    assert at is not None and 1.0 < at < 2.0
    # 1e-6 of a number just below 1, whose spacing is 2**-24, is 16.8 units.
    assert 15.0 < value.normal.error < 17.0
    planted = int(((x > 1.0) & (x < 2.0)).sum())
    assert value.above == (planted,) * 4
    assert derivative.normal.error <= 0.5


def test_errors_are_those_that_numpy_measures() -> None:
    x = inputs(SILU)
    x = x[torch.isfinite(x)]
    result = torch.nn.functional.silu(x)
    truth = bench(SILU, rounded(SILU)).truths["value"](x.double())
    tally = Yardstick(x, truth).measure(result, Tally())
    errors = ulps(result.numpy(), truth.numpy(), 0.0, np.float32)
    assert tally.normal.error == errors.max()
    assert tally.normal.at == float(x[int(errors.argmax())])
    assert tally.above == tuple(int((errors > limit + 1e-6).sum()) for limit in (0.5, 1, 2, 4))
    assert tally.inputs == len(x)


def test_near_a_root_of_the_derivative_only_the_absolute_error_counts() -> None:
    (root,) = roots(SILU)

    def off(x: Tensor, right: Tensor) -> Tensor:
        return torch.where((x - root).abs() < 5e-4, right + 3e-7, right)

    found = bench(SILU, rounded(SILU, derivative=off))
    found.measure(inputs(SILU))
    tally = found.tallies["relucid"]["derivative"]
    assert tally.normal.error <= 0.5
    assert tally.near_root.error == pytest.approx(3e-7, rel=1e-3)
    assert tally.near_root.at == pytest.approx(root, abs=5e-4)


@pytest.mark.parametrize("wrong", [math.nan, math.inf, 0.0])
def test_a_spurious_nan_infinity_or_zero_is_found(wrong: float) -> None:
    def off(x: Tensor, right: Tensor) -> Tensor:
        return torch.where(x == 0.5, wrong, right)

    x = torch.tensor([0.25, 0.5, 0.75])
    found = bench(TANH, rounded(TANH, value=off))
    found.measure(x)
    tally = found.tallies["relucid"]["value"]
    lost = 2.0**23 <= tally.normal.error <= 2.0**24 if wrong == 0.0 else math.inf
    assert tally.normal == Worst(tally.normal.error if lost is True else math.inf, 0.5)
    assert tally.above == (1, 1, 1, 1)


def test_flushed_subnormal_results_count_in_their_own_unit() -> None:
    def flushed(x: Tensor, right: Tensor) -> Tensor:
        return torch.where(right.abs() < 2.0**-126, 0.0, right)

    found = bench(TANH, rounded(TANH, value=flushed))
    found.measure(inputs(TANH))
    tally = found.tallies["relucid"]["value"]
    assert tally.normal.error <= 0.5
    assert tally.subnormal.error == 2.0**23 - 1.0
    assert tally.subnormal.at == 2.0**-126 - 2.0**-149


@pytest.mark.parametrize(("result", "error"), [(math.inf, 0.0), (-math.inf, math.inf), (1.0, None)])
def test_a_truth_beyond_the_largest_number_wants_infinity(
    result: float, error: float | None
) -> None:
    x = torch.tensor([1e30])
    tally = Yardstick(x, x.double().square()).measure(torch.tensor([result]), Tally())
    assert tally.normal.error == (math.inf if error is None else error)


def test_nan_that_becomes_a_number_is_counted() -> None:
    right = rounded(TANH)
    found = bench(TANH, lambda x: (right(x)[0], torch.ones_like(x)))
    found.measure(torch.tensor([1.0, math.inf, math.nan, math.nan]))
    value, derivative = found.tallies["relucid"].values()
    assert (value.nan_lost, derivative.nan_lost) == (0, 2)
    assert value.inputs == 3  # infinity is among the specials


def test_bits_that_differ_without_a_gradient_are_counted() -> None:
    def off(x: Tensor, right: Tensor) -> Tensor:
        return torch.where(x == 0.75, right * (1.0 + 2.0**-22), right)

    found = bench(TANH, rounded(TANH), alone=rounded(TANH, derivative=off))
    found.measure(torch.tensor([0.25, 0.5, 0.75]))
    value, derivative = found.tallies["relucid"].values()
    assert (value.unlike, derivative.unlike) == (0, 1)


def test_another_librarys_choice_at_a_kink_is_no_error() -> None:
    relu = get("relu")
    right = rounded(relu)
    other = rounded(relu, derivative=lambda x, slope: torch.where(x == 0.0, 1.0, slope))
    made = bench(relu, right)
    sides = {"relucid": right, "other": other}
    found = type(made)(made.truths, sides, right, kinks=(0.0,)).emptied()
    found.measure(torch.tensor([0.0, 0.5, 1.0]))
    assert found.tallies["other"]["derivative"].normal.error == 0.0


def test_tallies_add_up_whatever_their_order() -> None:
    x = inputs(SILU)
    x = x[torch.isfinite(x)]
    truth = x.double() * torch.sigmoid(x.double())
    result = torch.nn.functional.silu(x)
    parts = [
        Yardstick(a, b).measure(c, Tally())
        for a, b, c in zip(*(t.split(7001) for t in (x, truth, result)), strict=True)
    ]
    whole = Yardstick(x, truth).measure(result, Tally())
    assert sum(parts, Tally()) == whole
    assert sum(reversed(parts), Tally()) == whole
