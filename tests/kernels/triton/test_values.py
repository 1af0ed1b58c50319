"""Every function's kernels, on Triton's interpreter, against the truth and the CPU's kernels.

The interpreter computes each operation as a GPU does, the fused ones too, so its results have the
very bits of the CPU's kernels.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from relucid.kernels.build import Builder
from relucid.kernels.contract import Loop, Storage
from relucid.kernels.program import Tape
from support.cases import ELEMENTWISE, TWO_INPUT, Case
from support.fast import fast, round16
from support.routes import to_numpy, to_torch
from support.triton_runs import DTYPES, points, run, same_bits, two_input
from support.truth import exact
from support.ulp import BFLOAT16, finite16, joints, ulps, worst

ULP, ABSOLUTE = 8.0, 1e-7
"""Each is enough. Held closer, and in the tails, by the tests of the CPU's kernels: same bits."""

elementwise = pytest.mark.parametrize("case", ELEMENTWISE, ids=lambda case: case.id)
each = pytest.mark.parametrize("which", ["value", "derivative"])
halves = pytest.mark.parametrize("storage", ["float16", "bfloat16"])


def built(case: Case, which: str, storage: Storage, bits: int | None = None) -> Loop:
    builder = Builder(case.activation, storage, bits or (64 if storage == "float64" else 32))
    return builder.forward() if which == "value" else builder.backward()


def given(which: str, x: torch.Tensor, gradient: float = 1.0) -> list[torch.Tensor]:
    return [x] if which == "value" else [x, torch.full_like(x, gradient)]


@elementwise
@each
@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
def test_close_to_the_truth(case: Case, which: str, dtype: Any) -> None:
    x = points(case, dtype)
    x = x[np.isfinite(x) & ~np.isin(x, [dtype(joint) for joint in joints(case)])]
    storage: Storage = "float32" if dtype is np.float32 else "float64"
    (result,) = run(built(case, which, storage), given(which, to_torch(x))).outputs
    truth, low = (fast(case, which, x), 0.0) if storage == "float32" else exact(case, which, x)
    errors = ulps(result.numpy(), truth, low, dtype)
    with np.errstate(invalid="ignore"):
        errors[np.abs(result.numpy() - truth) <= ABSOLUTE] = 0.0
    assert worst(errors, x).ulp <= ULP, worst(errors, x)


@elementwise
@each
@pytest.mark.parametrize("storage", ["float32", "float64"])
def test_same_bits_as_on_the_cpu(case: Case, which: str, storage: Storage) -> None:
    x = to_torch(points(case, np.dtype(storage)))
    loop, arrays = built(case, which, storage), given(which, x, gradient=-0.7)
    (ours,), (cpus,) = run(loop, arrays).outputs, run(loop, arrays, on_cpu=True).outputs
    assert same_bits(ours, cpus)
    assert ours[x.isnan()].isnan().all()


@elementwise
@each
@halves
def test_16_bit_computes_in_float32_and_rounds_once(
    case: Case, which: str, storage: Storage
) -> None:
    dtype = BFLOAT16 if storage == "bfloat16" else np.dtype(np.float16)
    x = to_torch(points(case, dtype))
    (ours,) = run(built(case, which, storage), given(which, x, gradient=-0.75)).outputs
    wide = given(which, x.float(), gradient=-0.75)
    (single,) = run(built(case, which, "float32"), wide).outputs
    assert same_bits(ours, single.to(DTYPES[storage]))


@halves
def test_float64_is_rounded_once_to_16_bits(storage: Storage) -> None:
    """Products that are exact in float64 and, rounded to float32, ties of 16 bits."""
    dtype = BFLOAT16 if storage == "bfloat16" else np.dtype(np.float16)
    factor = 1.0 + 2.0 ** (-8 if storage == "bfloat16" else -11) + 2.0**-40
    tape = Tape(64)
    loop = Loop("scaled", storage, tape, ("x",), (tape.input("x") * factor,))
    x = finite16(dtype)
    exact_product = x.astype(np.float64) * factor
    (result,) = run(loop, [to_torch(x)]).outputs
    once = round16(exact_product, np.zeros_like(exact_product), dtype)
    with np.errstate(over="ignore"):
        twice = exact_product.astype(np.float32).astype(dtype)
    assert (once != twice).any()
    np.testing.assert_array_equal(to_numpy(result, dtype).view(np.int16), once.view(np.int16))


@pytest.mark.parametrize("case", TWO_INPUT, ids=lambda case: case.id)
@pytest.mark.parametrize("storage", ["float32", "bfloat16"])
def test_two_input(case: Case, storage: Storage) -> None:
    torch.manual_seed(3)
    value, gate, g = (torch.randn(1000, dtype=torch.float64) * 3 for _ in range(3))
    value, gate, g = (t.to(DTYPES[storage]) for t in (value, gate, g))
    wide = [t.double().requires_grad_() for t in (value, gate)]
    names = {"glu": torch.sigmoid, "reglu": torch.relu, "swiglu": torch.nn.functional.silu}
    truth = wide[0] * names.get(case.name, torch.nn.functional.gelu)(wide[1])
    truth.backward(g.double())
    (result,) = run(two_input(case, storage, backward=False), [value, gate]).outputs
    gradients = run(two_input(case, storage, backward=True), [value, gate, g]).outputs
    tolerance = 8 * torch.finfo(DTYPES[storage]).eps
    for ours, true in ((result, truth), *zip(gradients, (w.grad for w in wide), strict=True)):
        torch.testing.assert_close(ours.double(), true, rtol=tolerance, atol=1e-6)
