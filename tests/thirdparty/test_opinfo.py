"""PyTorch's own sample and reference inputs for its activation operators, through relucid.

PyTorch's result in float64 is what is compared with, but where PyTorch itself is wrong: those
inputs are named in ``WRONG``, and shown to be wrong by the textbook's truth.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from relucid.functions import get
from support.cases import Case
from support.fast import fast

pytest.importorskip("expecttest")

INF = np.inf
DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
RELATIVE = {torch.float16: 1e-3, torch.bfloat16: 8e-3, torch.float32: 3e-7, torch.float64: 1e-14}
"""Just above half a unit in the last place; in float64 above what PyTorch's own error is."""

COUNTED = 966
"""Reference inputs in float32, in the pinned PyTorch."""

Adapter = Callable[..., Tensor]


def _named(name: str, *order: str, **fixed: Any) -> Adapter:
    """The declared function; ``order`` names PyTorch's positional arguments."""

    def adapter(x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        kwargs.pop("inplace", None)
        given = {**fixed, **dict(zip(order, args, strict=False)), **kwargs}
        chosen = {n: v for n, v in given.items() if n != "training"}
        return get(name, **{n: _real(v) for n, v in chosen.items()})(x)

    return adapter


def _real(value: Any) -> Any:
    return float(value) if isinstance(value, int) else value


def _along(name: str) -> Adapter:
    def adapter(x: Tensor, dim: int, *, dtype: Any = None, **_: Any) -> Tensor:
        return get(name)(x if dtype is None else x.to(dtype), dim)

    return adapter


def _prelu(x: Tensor, weight: Tensor) -> Tensor:
    shape = (-1, *(1,) * (x.ndim - 2)) if x.ndim > 1 else (-1,)
    slope = weight.reshape(()) if weight.numel() == 1 else weight.reshape(shape)
    return get("prelu", negative_slope=slope)(x)


def _glu(x: Tensor, dim: int = -1) -> Tensor:
    return get("glu")(x, axis=dim)


OPS: dict[str, Adapter] = {
    "atan": _named("arctan"),
    "log_softmax": _along("log_softmax"),
    "log_softmax.with_dtype": _along("log_softmax"),
    "nn.functional.celu": _named("celu", "alpha"),
    "nn.functional.elu": _named("elu", "alpha"),
    "nn.functional.gelu": _named("gelu"),
    "nn.functional.glu": _glu,
    "nn.functional.hardshrink": _named("hardshrink", "lambd"),
    "nn.functional.hardsigmoid": _named("hardsigmoid"),
    "nn.functional.hardswish": _named("hardswish"),
    "nn.functional.hardtanh": _named("hardtanh", "min_val", "max_val"),
    "nn.functional.leaky_relu": _named("leaky_relu", "negative_slope"),
    "nn.functional.logsigmoid": _named("logsigmoid"),
    "nn.functional.mish": _named("mish"),
    "nn.functional.prelu": _prelu,
    "nn.functional.relu": _named("relu"),
    "nn.functional.relu6": _named("relu6"),
    "nn.functional.selu": _named("selu"),
    "nn.functional.silu": _named("silu"),
    "nn.functional.softmin": _along("softmin"),
    "nn.functional.softmin.with_dtype": _along("softmin"),
    "nn.functional.softplus": _named("softplus", "beta", "threshold", threshold=20.0),
    "nn.functional.softshrink": _named("softshrink", "lambd"),
    "nn.functional.softsign": _named("softsign"),
    "nn.functional.tanhshrink": _named("tanhshrink"),
    "nn.functional.threshold": _named("threshold", "threshold", "value"),
    "sigmoid": _named("sigmoid"),
    "softmax": _along("softmax"),
    "softmax.with_dtype": _along("softmax"),
    "tanh": _named("tanh"),
}


NOT_OURS = {"nn.functional.hardshrink": "lambd=-0.5, which the declaration refuses"}
WRONG = {
    "nn.functional.silu": "NaN at minus infinity, where the limit is 0",
    "nn.functional.mish": "NaN at minus infinity, where the limit is 0",
    "nn.functional.softsign": "NaN at both infinities, where the limits are -1 and 1",
    "nn.functional.gelu": "1 + erf cancels in the left tail",
    "nn.functional.tanhshrink": "x - tanh(x) cancels near 0",
}
LIMITS = {"silu": (0.0, INF), "mish": (0.0, INF), "softsign": (-1.0, 1.0)}
CANCELLED = 1e-15
"""log_softmax in float64: PyTorch loses digits where one entry leads by far. Absolute."""
SINGLE = {"nn.functional.hardsigmoid": "PyTorch's backward holds 1/6 in float32"}
"""Gradients that PyTorch computes to float32's accuracy even in float64."""


@pytest.fixture(autouse=True)
def no_search_for_a_unittest(monkeypatch: pytest.MonkeyPatch) -> None:
    """At every sample PyTorch looks in the whole stack for a unittest, of which there is none.

    That takes 20 ms in a process that has loaded as many modules as these tests do together.
    """
    _infos()
    monkeypatch.setattr("torch.testing._internal.common_utils.extract_test_fn", lambda: None)


@lru_cache(maxsize=1)
def _infos() -> dict[str, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own deprecations
        # Here, since it takes seconds, and every worker collects all tests.
        from torch.testing._internal.common_methods_invocations import op_db
    named = {op.name + f".{op.variant_test_name}".rstrip("."): op for op in op_db}
    return {name: named[name] for name in OPS}


def _samples(name: str, dtype: torch.dtype) -> list[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = list(_infos()[name].reference_inputs("cpu", dtype, requires_grad=False))
    return [s for s in found if s.kwargs.get("lambd", 0.0) >= 0]


def _theirs(name: str, sample: Any) -> Tensor:
    """PyTorch's result in float64."""
    kwargs = {n: _wide(v) for n, v in sample.kwargs.items()}
    if "dtype" in kwargs:
        kwargs["dtype"] = torch.float64
    result = _infos()[name](_wide(sample.input), *map(_wide, sample.args), **kwargs)
    assert isinstance(result, Tensor)
    return result


def _wide(value: Any) -> Any:
    return value.double() if isinstance(value, Tensor) and value.is_floating_point() else value


def test_reference_inputs_are_as_many_as_counted() -> None:
    counted = sum(len(_samples(name, torch.float32)) for name in OPS)
    assert counted == COUNTED


@pytest.mark.parametrize("name", OPS)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_reference_inputs(name: str, dtype: torch.dtype) -> None:
    cancelled = CANCELLED if name.startswith("log_softmax") else 0.0
    for sample in _samples(name, dtype):
        result = OPS[name](sample.input, *sample.args, **sample.kwargs)
        expected = _theirs(name, sample)
        relative = RELATIVE[result.dtype]
        same = torch.isclose(
            result.double(),
            expected.to(result.dtype).double(),
            rtol=relative,
            atol=float(torch.finfo(result.dtype).smallest_normal) * relative + cancelled,
            equal_nan=True,
        )
        assert same.all() or name in WRONG, sample
        if not same.all():
            _assert_true(name, sample.input[~same], result[~same])


def _assert_true(name: str, x: Tensor, result: Tensor) -> None:
    """Where PyTorch is another opinion, the textbook is on relucid's side."""
    function = name.rpartition(".")[2]
    points, values = x.double().numpy(), result.double().numpy()
    finite = np.isfinite(points)
    truth = fast(Case(function), "value", points[finite])
    np.testing.assert_allclose(values[finite], truth, rtol=1e-13)
    low, high = LIMITS.get(function, (np.nan, np.nan))
    np.testing.assert_array_equal(values[~finite], np.where(points[~finite] < 0, low, high))


@pytest.mark.parametrize("name", OPS)
def test_gradients_of_sample_inputs(name: str) -> None:
    """With respect to the input, in float64, by PyTorch's own backward formulas."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        samples = list(_infos()[name].sample_inputs("cpu", torch.float64, requires_grad=True))
    for sample in samples:
        if sample.kwargs.get("lambd", 0.0) < 0:
            continue
        ours = OPS[name](sample.input, *sample.args, **sample.kwargs)
        theirs = _theirs(name, sample)
        weights = torch.linspace(-1.0, 1.0, ours.numel(), dtype=torch.float64).reshape(ours.shape)
        gradients = [
            torch.autograd.grad((y.double() * weights).sum(), sample.input)[0]
            for y in (ours, theirs)
        ]
        torch.testing.assert_close(*gradients, rtol=1e-7 if name in SINGLE else 1e-9, atol=1e-12)
