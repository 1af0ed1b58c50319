"""What is measured beside the sweep."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from relucid.functions import get
from relucid.records.accuracy import Special
from relucid.verify import specials as special_inputs
from relucid.verify.contract import TRUTH, TRUTH_NEAR_ROOT
from relucid.verify.halves import halves, round16, rounded16
from relucid.verify.reference import WHICH, check, reference
from relucid.verify.specials import INPUTS, due, specials
from support import fast
from support.cases import Case
from support.ulp import BFLOAT16
from verify.planting import rounded

TANH, SILU = get("tanh"), get("silu")


@pytest.mark.parametrize("which", WHICH)
def test_the_truth_agrees_with_the_textbook(which: str) -> None:
    found = check(SILU, which, 200)
    assert found.points > 400  # those near joints, roots and edges are added
    assert 0.0 < found.ulp.error < TRUTH
    assert found.near_root.error < TRUTH_NEAR_ROOT


@pytest.mark.parametrize("size", [1e-12, math.nan])
def test_a_wrong_truth_is_found(size: float) -> None:
    def wrong(x: Tensor) -> Tensor:
        right = reference(TANH, "value")(x)
        return torch.where(x.abs() > 1.0, right * (1.0 + size), right)

    found = check(TANH, "value", 200, wrong).ulp
    assert found.error > TRUTH
    assert found.at is not None and abs(found.at) > 1.0


def test_a_truth_that_is_wrong_at_the_edge_of_underflow_is_found() -> None:
    def wrong(x: Tensor) -> Tensor:
        right = reference(SILU, "value")(x)
        return torch.where((right.abs() < 2.0**-126) & (x < -1.0), 0.0, right)

    assert check(SILU, "value", 100, wrong).ulp.error > 1e6


@pytest.mark.parametrize(
    ("name", "x", "value", "derivative"),
    [
        ("silu", math.inf, math.inf, 1.0),
        ("silu", -math.inf, 0.0, 0.0),
        ("squareplus", -math.inf, 0.0, 0.0),
        ("tanh", -math.inf, -1.0, 0.0),
        ("arctan", math.inf, math.pi / 2, 0.0),
        ("logsigmoid", -math.inf, -math.inf, 1.0),
        ("squared_relu", 1e30, math.inf, 2e30),
    ],
)
def test_limits_are_due_at_infinities(name: str, x: float, value: float, derivative: float) -> None:
    assert [due(get(name), which, x) for which in WHICH] == [value, derivative]


def test_specials_are_judged_one_by_one() -> None:
    def off(x: Tensor, right: Tensor) -> Tensor:
        return torch.where(x == -math.inf, math.nan, right)

    found = specials(TANH, rounded(TANH, value=off), dict.fromkeys(WHICH, 2.0), own=True)
    assert [special.input for special in found["value"] if not special.right] == [-math.inf]
    assert all(special.right for special in found["derivative"])
    assert len(found["value"]) == len(INPUTS)


def test_a_special_that_is_wrong_in_one_lane_is_wrong() -> None:
    right = rounded(TANH)

    def side(x: Tensor) -> tuple[Tensor, Tensor]:
        value, derivative = right(x)
        derivative[special_inputs.LANES - 1] = 0.25
        return value, derivative

    found = specials(TANH, side, dict.fromkeys(WHICH, 2.0), own=True)
    assert [special.found for special in found["derivative"]] == [0.25] * len(INPUTS)
    assert not any(special.right for special in found["derivative"])


def test_another_choice_at_a_kink_is_a_fault_of_relucid_only() -> None:
    relu = get("relu")
    side = rounded(relu, derivative=lambda x, slope: torch.where(x == 0.0, 1.0, slope))
    for own in (True, False):
        found = specials(relu, side, dict.fromkeys(WHICH, 0.5), own=own)
        wrong = [special for special in found["derivative"] if not special.right]
        assert wrong == ([Special(-0.0, 0.0, 1.0, False)] if own else [])


def test_16_bit_results_that_are_not_the_nearest_are_counted() -> None:
    def off(x: Tensor, right: Tensor) -> Tensor:
        return torch.where(x == 0.5, right * 1.01, right)

    before = halves(TANH, rounded(TANH))
    found = halves(TANH, rounded(TANH, derivative=off))
    assert found["value"] == before["value"]
    for right, wrong in zip(before["derivative"], found["derivative"], strict=True):
        # PyTorch converts float64 to float16 by way of float32, which moves a few results.
        assert 0 <= right.moved < 10 and (right.wrong, right.at) == (0, None)
        assert (wrong.moved, wrong.wrong, wrong.at) == (right.moved + 1, 1, 0.5)


@pytest.mark.parametrize("name", ["silu", "rrelu"])
@pytest.mark.parametrize("which", WHICH)
def test_rounding_to_16_bits_is_that_of_the_tests(name: str, which: str) -> None:
    x = torch.arange(0x8000, 0xFC00, 7, dtype=torch.int32).to(torch.uint16).view(torch.float16)
    found = rounded16(get(name), which, reference(get(name), which), x)
    expected, *_ = fast.rounded16(Case(name), which, x.numpy(), np.float16, 0.0)
    np.testing.assert_array_equal(found.nearest.numpy(), expected)


def test_rounding_twice_is_as_rounding_once() -> None:
    # Halfway between two bfloat16, and so little more that float32 does not show it.
    high = np.array([1.0 + 2.0**-8 + 2.0**-40, 1.0 + 2.0**-8, 1.0 + 2.0**-8])
    low = np.array([0.0, 2.0**-70, -(2.0**-70)])
    found = round16(high, low, torch.bfloat16)
    assert found.tolist() == [1.0 + 2.0**-7, 1.0 + 2.0**-7, 1.0]
    np.testing.assert_array_equal(
        found.float().numpy(), fast.round16(high, low, BFLOAT16).astype(np.float32)
    )
