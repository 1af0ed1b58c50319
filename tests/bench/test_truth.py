"""Errors are measured in the right unit, against a truth that others confirm."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from relucid.bench.buffers import Inputs, make_inputs
from relucid.bench.plan import FUNCTIONS, LIST, RECTIFIERS
from relucid.bench.sides.eager import VALUES
from relucid.bench.truth import CONTRACTS, broken, formula_fault, truth_of
from relucid.verify.textbook import exact

from relucid.functions import get  # isort: skip


def given(*points: float, dtype: torch.dtype = torch.float32) -> Inputs:
    return Inputs((torch.tensor(points, dtype=dtype),), torch.ones(len(points), dtype=dtype))


@pytest.mark.parametrize("function", FUNCTIONS)
def test_the_truth_is_pytorchs_function_in_float64(function: str) -> None:
    (inputs,) = make_inputs(function, torch.float64, 4096, 1 << 20)
    truth = truth_of(function, inputs)
    leaves = [x.clone().requires_grad_() for x in inputs.arguments]
    value = VALUES[function](*leaves)
    gradients = torch.autograd.grad(value, leaves, inputs.gradient)
    np.testing.assert_allclose(truth.value, value.detach(), rtol=1e-9, atol=1e-12)
    for mine, theirs in zip(truth.gradients, gradients, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("error", "dtype"), [(2.0**-23, "float32"), (2.0**-7, "bfloat16")])
def test_the_unit_is_the_spacing_of_the_results_type(error: float, dtype: str) -> None:
    """One number up from 1.5 is one unit off, from 3 two."""
    truth = truth_of("relu", given(1.5, 3.0, dtype=getattr(torch, dtype)))
    assert truth.value_error(torch.tensor([1.5 + error, 3.0])) == 1.0
    assert truth.value_error(torch.tensor([1.5, 3.0 + 4.0 * error])) == 2.0
    assert truth.value_error(torch.tensor([1.5, 3.0])) == 0.0
    assert truth.gradient_error([torch.tensor([1.0 + 3.0 * error, 1.0])]) == 3.0


def test_results_that_are_not_numbers_are_infinitely_wrong() -> None:
    truth = truth_of("relu", given(1.5, 3.0))
    for bad in (math.nan, math.inf):
        assert truth.value_error(torch.tensor([1.5, bad])) == math.inf


def test_zero_and_subnormal_truths_do_not_count() -> None:
    truth = truth_of("relu", given(-1.0, 1e-40))
    assert truth.value_error(torch.tensor([1e-38, 0.0])) == 0.0


def test_near_a_root_of_the_derivative_the_allowance_counts() -> None:
    """Of SiLU at -1.27846: 1e-7 is free there and hundreds of units elsewhere."""
    root = -1.2784645
    near, far = truth_of("silu", given(root + 1e-5)), truth_of("silu", given(root + 2e-3))
    for truth, counts in ((near, False), (far, True)):
        off = torch.from_numpy(truth.gradients[0] + 0.9e-7)
        assert (truth.gradient_error([off]) > 4.0) is counts
        worse = torch.from_numpy(truth.gradients[0] + 1e-6)
        assert truth.gradient_error([worse]) > 4.0


def test_large_results_are_checked_at_both_ends() -> None:
    (inputs,) = make_inputs("relu", torch.float32, 300_000, 1 << 20)
    truth = truth_of("relu", inputs)
    assert len(truth.rows) == 65_536
    assert (truth.rows[0], truth.rows[-1]) == (0, 299_999)
    vectors = truth_of("softmax", make_inputs("softmax", torch.float32, 1 << 18, 1 << 20)[0])
    assert vectors.value.shape == (64, 1024)


@pytest.mark.parametrize("slot", ["formula", "slope"])
def test_a_formula_that_leaves_the_textbook_is_told(slot: str) -> None:
    """A kernel made of it would agree with it to the last place."""
    tanh = get("tanh")
    right = getattr(tanh, slot)
    wrong = replace(
        tanh,
        **{slot: lambda m, x: m.where((x > -0.87) & (x < -0.81), 1.01, 1.0) * right(m, x)},
    )
    formula_fault.cache_clear()  # by its name and parameters, this is tanh
    try:
        which = "value" if slot == "formula" else "derivative"
        assert f"formula of the {which} is " in formula_fault(wrong)
        assert "off the textbook at -0.8" in formula_fault(wrong)
    finally:
        formula_fault.cache_clear()


@pytest.mark.parametrize("dtype", CONTRACTS, ids=str)
def test_breaking_the_contract_is_told(dtype: torch.dtype) -> None:
    truth, limits = truth_of("relu", given(1.0, dtype=dtype)), CONTRACTS[dtype]
    assert broken(truth, limits.value, limits.gradient) == ""
    assert broken(truth, None, None) == ""
    assert "value is" in broken(truth, limits.value * 1.01, None)
    assert "gradient is" in broken(truth, None, math.nan)


@pytest.mark.parametrize("function", LIST + RECTIFIERS)
def test_float64s_own_error_stays_within_what_the_contract_adds(function: str) -> None:
    """The textbook in arbitrary precision against the truth, on its own inputs."""
    (inputs,) = make_inputs(function, torch.float64, 600, 1 << 20)
    truth = truth_of(function, inputs)
    for which, found in (("value", truth.value), ("derivative", truth.gradients[0])):
        high, low = exact(get(function), which, inputs.arguments[0].numpy())
        g = inputs.gradient.numpy() if which == "derivative" else 1.0
        error = np.abs((found - g * high) - g * low)
        allowed = 5.5 * np.spacing(np.abs(g * high)) + (2.0**-51 if which == "derivative" else 0.0)
        assert (error <= allowed).all()
