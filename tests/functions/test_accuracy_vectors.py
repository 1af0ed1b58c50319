"""Accuracy of the functions of two inputs and of a vector."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from mpmath import mp, mpf
from numpy.typing import NDArray

from relucid.verify import contract
from support.bounds import FLOAT32, FLOAT64, KERNEL
from support.cases import TWO_INPUT, Case
from support.fast import fast
from support.routes import to_torch
from support.truth import PRECISION
from support.ulp import ulps

PRODUCT = 1.0
"""What the product adds, in ULP: its rounding, and the gate's error in units half as large."""
GATES = {"glu": "sigmoid", "reglu": "relu", "geglu": "gelu", "swiglu": "silu"}


@pytest.mark.parametrize("case", TWO_INPUT, ids=lambda case: case.id)
def test_gated_units_in_float32(case: Case) -> None:
    """On NumPy correctly rounded; on PyTorch within the contract of the gate, and the product's
    rounding.

    A subnormal gate spoils a product that is normal: gates stay above -12 here.
    """
    rng = np.random.default_rng(6)
    value, gate = rng.normal(size=(2, 200_000)).astype(np.float32) * np.float32(9.0)
    gate = np.maximum(gate, np.float32(-12.0))
    inner = Case(GATES[case.name])
    opened = fast(inner, "value", gate)
    slope = value.astype(np.float64) * fast(inner, "derivative", gate)
    spoiled = KERNEL.get((inner.name, "value"))
    gate_bound = spoiled.ulp if spoiled else contract.VALUE
    for convert, value_bound, slope_bound, product in (
        (np.asarray, FLOAT32, FLOAT32, 0.0),
        (to_torch, gate_bound, contract.DERIVATIVE, PRODUCT),
    ):
        result = case.activation(convert(value), convert(gate))
        assert ulps(result, value * opened, 0.0, np.float32).max() <= value_bound + product
        by_value, by_gate = case.activation.derivative(convert(value), convert(gate))
        assert ulps(by_value, opened, 0.0, np.float32).max() <= value_bound
        found = np.asarray(by_gate)
        error = ulps(found, slope, 0.0, np.float32)
        error[np.abs(found - slope) <= contract.NEAR_ROOT * np.abs(value) * (product > 0)] = 0.0
        assert error.max() <= slope_bound + product


def _softmax(row: list[Any]) -> list[Any]:
    powers = [mp.exp(v) for v in row]
    return [power / sum(powers) for power in powers]


def _log_softmax(row: list[Any]) -> list[Any]:
    total = sum(mp.exp(v) for v in row)
    return [v - mp.log(total) for v in row]


def _softmin(row: list[Any]) -> list[Any]:
    return _softmax([-v for v in row])


TRUTHS = {"softmax": _softmax, "log_softmax": _log_softmax, "softmin": _softmin}


def _rows(dtype: Any) -> NDArray[Any]:
    """Scores that are close, far apart, led by one entry by far, and equal."""
    rng = np.random.default_rng(7)
    rows = rng.normal(size=(60, 17)) * np.logspace(-2.0, 1.7, 60)[:, None]
    rows[:8, 3] += np.linspace(5.0, 40.0, 8)
    rows[8] = 2.5
    return rows.astype(dtype)


@pytest.mark.parametrize("name", TRUTHS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
def test_normalising_functions(name: str, dtype: Any) -> None:
    rows = _rows(dtype)
    high, low = np.empty(rows.shape), np.empty(rows.shape)
    with mp.workprec(PRECISION):
        for i, row in enumerate(rows):
            for j, truth in enumerate(TRUTHS[name]([mpf(float(v)) for v in row])):
                high[i, j] = float(truth)
                low[i, j] = float(truth - high[i, j])
    activation = Case(name).activation
    for convert in (np.asarray, to_torch):
        bound = FLOAT32 if dtype == np.float32 else FLOAT64
        if convert is to_torch and dtype == np.float32:
            bound = contract.VALUE
        assert ulps(activation(convert(rows)), high, low, dtype).max() <= bound


@pytest.mark.parametrize("pieces", [2, 3])
def test_choosing_functions_are_exact(pieces: int) -> None:
    rng = np.random.default_rng(8)
    x = rng.integers(-4, 5, size=(50, 12)).astype(np.float32)
    largest = x.reshape(50, -1, pieces).max(axis=-1)
    first = np.zeros_like(x)
    first[np.arange(50), x.argmax(axis=-1)] = 1.0
    for convert in (np.asarray, to_torch):
        maxout = Case("maxout", {"pieces": pieces}).activation(convert(x))
        np.testing.assert_array_equal(np.asarray(maxout), largest)
        np.testing.assert_array_equal(np.asarray(Case("hardmax").activation(convert(x))), first)
