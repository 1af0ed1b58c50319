"""NaN, infinities, signed zeros, subnormals, huge numbers and parameters at the edge."""

from __future__ import annotations

import math
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import torch

from relucid.functions import get
from relucid.verify.contract import bound
from support.bounds import FLOAT32, FLOAT64, HALF_FROM_FLOAT32
from support.cases import ELEMENTWISE, TWO_INPUT, VECTOR, Case
from support.fast import rounded16
from support.pytorch import pytorch
from support.routes import ROUTES, to_numpy, to_torch
from support.truth import exact
from support.ulp import BFLOAT16, joints

INF = math.inf
DTYPES = [np.dtype(np.float16), BFLOAT16, np.dtype(np.float32), np.dtype(np.float64)]
LANES = 33
"""Longer than any vector register and its remainder."""

SELU = 1.7580993408473766  # scale * alpha
LIMITS: dict[str, tuple[float, float, float, float]] = {
    # value at -inf and +inf, derivative at -inf and +inf
    "identity": (-INF, INF, 1, 1),
    "relu": (0, INF, 0, 1),
    "leaky_relu": (-INF, INF, 0.01, 1),
    "leaky_relu-negative_slope=0.125": (-INF, INF, 0.125, 1),
    "leaky_relu-negative_slope=0": (0, INF, 0, 1),
    "prelu": (-INF, INF, 0.25, 1),
    "prelu-negative_slope=-0.5": (INF, INF, -0.5, 1),
    "rrelu": (-INF, INF, 11 / 48, 1),
    "rrelu-lower=0.1-upper=0.3": (-INF, INF, 0.2, 1),
    "relu6": (0, 6, 0, 0),
    "hardtanh": (-1, 1, 0, 0),
    "hardtanh-min_val=-2-max_val=0.5": (-2, 0.5, 0, 0),
    "hardsigmoid": (0, 1, 0, 0),
    "hardsigmoid-shift=2.5-width=5": (0, 1, 0, 0),
    "threshold": (0, INF, 0, 1),
    "threshold-threshold=0.1-value=20": (20, INF, 0, 1),
    "thresholded_relu": (0, INF, 0, 1),
    "thresholded_relu-threshold=0.3": (0, INF, 0, 1),
    "hardshrink": (-INF, INF, 1, 1),
    "hardshrink-lambd=1.5": (-INF, INF, 1, 1),
    "hardshrink-lambd=0": (-INF, INF, 1, 1),
    "softshrink": (-INF, INF, 1, 1),
    "softshrink-lambd=0.1": (-INF, INF, 1, 1),
    "softshrink-lambd=0": (-INF, INF, 1, 1),
    "squared_relu": (0, INF, 0, INF),
    "elu": (-1, INF, 0, 1),
    "elu-alpha=0.5": (-0.5, INF, 0, 1),
    "elu-alpha=-1.5": (1.5, INF, 0, 1),
    "selu": (-SELU, INF, 0, 1.0507009873554805),
    "celu": (-1, INF, 0, 1),
    "celu-alpha=0.3": (-0.3, INF, 0, 1),
    "celu-alpha=2": (-2, INF, 0, 1),
    "softplus": (0, INF, 0, 1),
    "softplus-beta=0.7": (0, INF, 0, 1),
    "softplus-beta=10-threshold=20": (0, INF, 0, 1),
    "squareplus": (0, INF, 0, 1),
    "squareplus-b=0.01": (0, INF, 0, 1),
    "logsigmoid": (-INF, 0, 1, 0),
    "sigmoid": (0, 1, 0, 0),
    "tanh": (-1, 1, 0, 0),
    "softsign": (-1, 1, 0, 0),
    "tanhshrink": (-INF, INF, 1, 1),
    "penalized_tanh": (-0.25, 1, 0, 0),
    "penalized_tanh-slope=0.1": (-0.1, 1, 0, 0),
    "arctan": (-math.pi / 2, math.pi / 2, 0, 0),
    "silu": (0, INF, 0, 1),
    "silu-beta=0.3": (0, INF, 0, 1),
    "silu-beta=-2": (-INF, 0, 1, 0),
    "gelu": (0, INF, 0, 1),
    "gelu_tanh": (0, INF, 0, 1),
    "quick_gelu": (0, INF, 0, 1),
    "mish": (0, INF, 0, 1),
    "hardswish": (0, INF, 0, 1),
}

elementwise = pytest.mark.parametrize("case", ELEMENTWISE, ids=lambda case: case.id)
each = pytest.mark.parametrize("which", ["value", "derivative"])
each_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=str)
each_route = pytest.mark.parametrize("route", ROUTES)


@elementwise
@each_dtype
@each_route
def test_infinities_give_the_limits(case: Case, dtype: Any, route: str) -> None:
    ends = np.array([-INF, INF], dtype=dtype)
    for which, limits in (("value", LIMITS[case.id][:2]), ("derivative", LIMITS[case.id][2:])):
        result = ROUTES[route](case.activation, which, ends)
        np.testing.assert_array_equal(result, np.array(limits, dtype=dtype))


@elementwise
@each_dtype
def test_tiny_huge_and_next_to_kinks(case: Case, dtype: Any) -> None:
    """No spurious zero, infinity or NaN: subnormal results are as accurate as others."""
    points = _finite_specials(case, dtype)
    for which in ("value", "derivative"):
        for route, evaluate in ROUTES.items():
            ulp = FLOAT32 if dtype == np.float32 else FLOAT64
            if route == "torch" and dtype == np.float32:
                ulp = bound(case.activation, which)
            least, greatest = _admissible(case, which, points, dtype, ulp)
            result = evaluate(case.activation, which, points).astype(np.float64)
            good = (result >= least) & (result <= greatest)
            assert good.all(), (which, route, points[~good], result[~good], least[~good])


def _finite_specials(case: Case, dtype: Any) -> Any:
    limits = ml_dtypes.finfo(dtype)
    tiny, least, largest = (float(v) for v in (limits.tiny, limits.smallest_subnormal, limits.max))
    sizes = [0.0, least, 3 * least, tiny - least, tiny, 2 * tiny, largest / 2, largest]
    near = np.array(joints(case)).astype(dtype)
    beside = [np.nextafter(near, np.array(way * INF, dtype)) for way in (-1, 1)]
    positive = np.array(sizes, dtype=dtype)
    return np.concatenate([-positive, positive, near, *beside])


def _admissible(case: Case, which: str, points: Any, dtype: Any, ulp: float) -> Any:
    """The least and the greatest result that is accepted, as float64."""
    if dtype.itemsize == 2:
        _, *edges = rounded16(case, which, points, dtype, HALF_FROM_FLOAT32)
    else:
        truth, rest = exact(case, which, points)
        with np.errstate(over="ignore"):
            size = np.minimum(np.abs(truth), np.finfo(dtype).max / 2).astype(dtype)
            slack = ulp * np.spacing(size)
            edges = [(truth + (rest + s * slack)).astype(dtype) for s in (-1.0, 1.0)]
    return [edge.astype(np.float64) for edge in edges]


@elementwise
@each_dtype
def test_nan_comes_out_where_it_went_in_and_nowhere_else(case: Case, dtype: Any) -> None:
    payloads = [np.array(np.nan, dtype), -np.array(np.nan, dtype)]
    for lane in range(LANES):
        x = np.full(LANES, 0.625, dtype=dtype)
        x[lane] = payloads[lane % 2]
        expected = np.arange(LANES) == lane
        for which in ("value", "derivative"):
            for evaluate in ROUTES.values():
                result = evaluate(case.activation, which, x)
                np.testing.assert_array_equal(result != result, expected)
        np.testing.assert_array_equal(_gradient_is_nan(case, x), expected)


def _gradient_is_nan(case: Case, x: Any) -> Any:
    leaf = to_torch(x).clone().requires_grad_()
    (gradient,) = torch.autograd.grad(case.activation(leaf).sum(), leaf)
    return torch.isnan(gradient).numpy()


@pytest.mark.parametrize("case", TWO_INPUT, ids=lambda case: case.id)
def test_nan_in_either_input_of_a_gated_unit_comes_out(case: Case) -> None:
    value, gate = np.array([np.nan, 1.0, 2.0, -INF]), np.array([1.0, np.nan, -3.0, 2.0])
    for convert, restore in ((np.asarray, np.asarray), (torch.from_numpy, np.asarray)):
        result = restore(case.activation(convert(value), convert(gate)))
        np.testing.assert_array_equal(np.isnan(result), [True, True, False, False])


@pytest.mark.parametrize("case", VECTOR, ids=lambda case: case.id)
def test_nan_in_a_vector_spoils_that_vector_only(case: Case) -> None:
    x = np.zeros((2, 6), dtype=np.float32)
    x[0, 2] = np.nan
    for convert in (np.asarray, torch.from_numpy):
        result = np.isnan(np.asarray(case.activation(convert(x))))
        assert result[0].any() and not result[1].any()


OTHER_ZEROS = {
    "softshrink": "PyTorch gives what it shrinks to zero the sign of x",
    "tanhshrink": "an odd function, of which PyTorch's difference loses the sign",
    "elu-alpha=-1.5": "0 belongs to the left branch here, and to the right one in PyTorch",
}


@elementwise
@each_dtype
def test_zero_has_the_sign_that_pytorch_gives_it(case: Case, dtype: Any) -> None:
    own = pytorch(case)
    differs = OTHER_ZEROS.get(case.id) or OTHER_ZEROS.get(case.name)
    if own is None or differs:
        pytest.skip(differs or "PyTorch has no such function")
    zeros = np.array([0.0, -0.0], dtype=dtype)
    expected = to_numpy(own(to_torch(zeros)), dtype)
    for evaluate in ROUTES.values():
        result = evaluate(case.activation, "value", zeros)
        np.testing.assert_array_equal(result == 0, expected == 0)
        np.testing.assert_array_equal(np.signbit(result), np.signbit(expected))


EDGES: list[tuple[str, dict[str, float], float, float]] = [
    # parameters at the edge of their domain: x and the value there
    ("leaky_relu", {"negative_slope": 0.0}, -INF, 0.0),
    ("rrelu", {"lower": 0.0, "upper": 0.0}, -INF, 0.0),
    ("rrelu", {"lower": 0.5, "upper": 0.5}, -2.0, -1.0),
    ("hardtanh", {"min_val": 2.0, "max_val": 2.0}, 5.0, 2.0),
    ("hardtanh", {"min_val": -INF, "max_val": INF}, -INF, -INF),
    ("threshold", {"threshold": -INF, "value": 3.0}, -INF, 3.0),
    ("threshold", {"threshold": INF, "value": 3.0}, INF, 3.0),
    ("hardshrink", {"lambd": INF}, INF, 0.0),
    ("softshrink", {"lambd": INF}, -INF, 0.0),
    ("hardsigmoid", {"width": 1e-300}, -3.0, 0.0),
    ("elu", {"alpha": 0.0}, -INF, 0.0),
    ("celu", {"alpha": 1e-300}, -1.0, -1e-300),
    ("celu", {"alpha": 1e300}, -1.0, -1.0),
    ("softplus", {"beta": 1e-300}, 0.0, math.log(2.0) * 1e300),
    ("softplus", {"beta": 1e300}, 1.0, 1.0),
    ("softplus", {"beta": 1e300}, -1.0, 0.0),
    ("softplus", {"threshold": -INF}, -5.0, -5.0),
    ("squareplus", {"b": 1e-300}, -1.0, 2.5e-301),
    ("squareplus", {"b": 1e300}, -1.0, 5e149),
    ("penalized_tanh", {"slope": 0.0}, -INF, 0.0),
    ("silu", {"beta": 0.0}, -INF, -INF),
    ("silu", {"beta": 0.0}, INF, INF),
    ("silu", {"beta": 0.0}, 3.0, 1.5),
    ("silu", {"beta": 1e300}, -1.0, 0.0),
    ("silu", {"beta": -1e300}, -1.0, -1.0),
]


@pytest.mark.parametrize(
    ("name", "parameters", "x", "value"), EDGES, ids=lambda v: v if isinstance(v, str) else None
)
def test_parameters_at_the_edge_of_their_domain(
    name: str, parameters: dict[str, float], x: float, value: float
) -> None:
    activation = get(name, **parameters)
    point = np.array([x])
    for evaluate in ROUTES.values():
        np.testing.assert_allclose(evaluate(activation, "value", point), [value], rtol=1e-14)
        assert not np.isnan(evaluate(activation, "derivative", point)).any()
