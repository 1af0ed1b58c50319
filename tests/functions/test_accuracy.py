"""Every elementwise function keeps its accuracy, value and derivative, on NumPy and PyTorch.

float16 and bfloat16 on all inputs, float32 on two million, float64 on three thousand, against
the definitions in ``support.truth``.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
import torch

from relucid.verify.contract import NEAR_ROOT, bound
from support.bounds import (
    FLOAT32,
    FLOAT64,
    FLOAT64_ROOT,
    HALF_FROM_FLOAT32,
    HALF_FROM_FLOAT64,
    HALF_ROOT,
    KERNEL,
    NOTICED,
    SPOILED,
)
from support.cases import ELEMENTWISE, Case
from support.fast import admitted, fast, settled
from support.routes import ROUTES
from support.truth import exact
from support.ulp import (
    BFLOAT16,
    finite16,
    root_distance,
    root_size,
    sample32,
    sample64,
    ulps,
    worst,
)

elementwise = pytest.mark.parametrize("case", ELEMENTWISE, ids=lambda case: case.id)
each = pytest.mark.parametrize("which", ["value", "derivative"])


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """One thread a worker: xdist spreads the tests."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@lru_cache(maxsize=1)
def _sample32(case_id: str) -> Any:
    case = next(c for c in ELEMENTWISE if c.id == case_id)
    return sample32(case, 2_000_000)


@elementwise
@each
def test_float32_is_within_its_bound(case: Case, which: str) -> None:
    """On NumPy and in precision "correct" rounded correctly, in kernels within the contract."""
    points = _sample32(case.id)
    truth = fast(case, which, points)
    at_root = root_distance(case, which, points) <= 1e-3
    for route, evaluate in ROUTES.items():
        result = evaluate(case.activation, which, points)
        error = ulps(result, truth, 0.0, np.float32)
        spoiled = KERNEL.get((case.id, which)) if route == "torch" else None
        limit = FLOAT32
        if route == "torch":
            limit = spoiled.ulp if spoiled else bound(case.activation, which)
            with np.errstate(invalid="ignore"):
                error[at_root & (np.abs(result - truth) <= NEAR_ROOT)] = 0.0
        found = worst(error, points)
        assert found.ulp <= limit, (route, found)
        assert not spoiled or found.ulp >= NOTICED * spoiled.ulp, (route, found)


@elementwise
@each
def test_float64_is_within_its_bound(case: Case, which: str) -> None:
    known_to_miss = any((case.id, which, route) in SPOILED for route in ROUTES)
    points = sample64(case, 9000 if known_to_miss else 3000)  # more, to find by how much
    high, low = exact(case, which, points)
    near = root_distance(case, which, points) < root_size(case)
    for route, evaluate in ROUTES.items():
        spoiled = SPOILED.get((case.id, which, route))
        result = evaluate(case.activation, which, points)
        with np.errstate(invalid="ignore"):
            close = near & (np.abs((result - high) - low) <= FLOAT64_ROOT)
        found = worst(np.where(close, 0.0, ulps(result, high, low, np.float64)), points)
        assert found.ulp <= (spoiled.ulp if spoiled else FLOAT64), (route, found)
        assert not spoiled or found.ulp >= NOTICED * spoiled.ulp, (route, found)


@elementwise
@each
@pytest.mark.parametrize("dtype", [np.dtype(np.float16), BFLOAT16], ids=str)
def test_16_bit_is_correctly_rounded_on_all_inputs(case: Case, which: str, dtype: Any) -> None:
    points = finite16(dtype)
    near = root_distance(case, which, points) < 0.1
    truth = settled(case, which, points, dtype)
    for route, slack, absolute in (
        ("numpy", HALF_FROM_FLOAT64, 0.0),
        ("torch, correct", HALF_FROM_FLOAT64, 0.0),
        ("torch", HALF_FROM_FLOAT32, np.where(near, HALF_ROOT, 0.0)),
    ):
        nearest, least, greatest = admitted(truth, dtype, slack, absolute)
        result = ROUTES[route](case.activation, which, points)
        wrong = ~((result >= least) & (result <= greatest))
        assert not wrong.any(), (route, points[wrong], result[wrong], nearest[wrong])
