"""Kernels on a GPU: the CPU kernels' bits, and PyTorch's machinery around them.

Run on a machine that has one: ``pytest tests/gpu``. Elsewhere nothing here is collected.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from relucid.functions import get
from relucid.kernels.build import Builder
from relucid.kernels.contract import BLOCK, ROW, Loop, Storage
from relucid.kernels.triton import launch, operator
from support.cases import ELEMENTWISE, Case
from support.routes import to_torch
from support.triton_runs import DTYPES, points, run, same_bits, two_input
from support.ulp import BFLOAT16, sample32

NUMPY = {"float32": np.float32, "float64": np.float64, "float16": np.float16, "bfloat16": BFLOAT16}
storages = pytest.mark.parametrize("storage", NUMPY)
elementwise = pytest.mark.parametrize("case", ELEMENTWISE, ids=lambda case: case.id)


def built(case: Case, which: str, storage: Storage) -> Loop:
    builder = Builder(case.activation, storage, 64 if storage == "float64" else 32)
    return builder.forward() if which == "value" else builder.backward()


def on_gpu(loop: Loop, arrays: list[Tensor]) -> Tensor:
    """The first output of a loop, computed on the GPU."""
    moved = [array.cuda() for array in arrays]
    outputs = [torch.empty_like(moved[0]) for _ in loop.outputs]
    launch(loop, moved, outputs=outputs, length=moved[0].numel())
    return outputs[0].cpu()


def given(which: str, x: Tensor) -> list[Tensor]:
    return [x] if which == "value" else [x, torch.full_like(x, -0.75)]


@elementwise
@pytest.mark.parametrize("which", ["value", "derivative"])
@storages
def test_same_bits_as_on_the_cpu(case: Case, which: str, storage: Any) -> None:
    loop, x = built(case, which, storage), to_torch(points(case, np.dtype(NUMPY[storage])))
    (cpu,) = run(loop, given(which, x), on_cpu=True).outputs
    assert same_bits(on_gpu(loop, given(which, x)), cpu)


@elementwise
@pytest.mark.parametrize("which", ["value", "derivative"])
def test_same_bits_on_two_million(case: Case, which: str) -> None:
    loop, x = built(case, which, "float32"), to_torch(sample32(case, 2_000_000))
    (cpu,) = run(loop, given(which, x), on_cpu=True).outputs
    assert same_bits(on_gpu(loop, given(which, x)), cpu)


@storages
@pytest.mark.parametrize("length", [0, 1, 31, 33, 4097, (1 << 20) + 3, (1 << 22) + 1])
def test_any_length_and_alignment_give_the_same_bits(storage: Any, length: int) -> None:
    loop = built(Case("silu"), "value", storage)
    memory = torch.randn(length + 1, dtype=torch.float64).to(DTYPES[storage]).cuda()
    results = torch.zeros((2, length + 8), dtype=memory.dtype, device="cuda")
    launch(loop, [memory[1:]], outputs=[results[0]], length=length)
    launch(loop, [memory[1:].clone()], outputs=[results[1]], length=length)
    assert same_bits(results[0], results[1])
    assert not results[:, length:].any()


@storages
@pytest.mark.parametrize("length", [1, 33, 4097, (1 << 20) + 5])
def test_packed_bits(storage: Any, length: int) -> None:
    builder = Builder(get("relu"), storage, 64 if storage == "float64" else 32)
    x = torch.randn(length, dtype=torch.float64).to(DTYPES[storage])
    x[length // 2] = torch.nan
    y, g = torch.empty_like(x, device="cuda"), torch.ones_like(x, device="cuda")
    bits = torch.empty(-(-length // 8), dtype=torch.uint8, device="cuda")
    flags = torch.empty(-(-length // ROW), dtype=torch.uint8, device="cuda")
    launch(
        builder.forward_with_mask(), [x.cuda()], outputs=[y], mask_outputs=[bits], flags=[flags],
        length=length,
    )  # fmt: skip
    np.testing.assert_array_equal(bits.cpu(), np.packbits((x > 0).numpy(), bitorder="little"))
    expected = [int(part.isnan().any()) for part in x.split(ROW)]
    assert flags.tolist() == expected
    launch(builder.backward_from_mask(), [g], [bits], outputs=[g], length=length)
    assert (g.cpu() == (x > 0)).all()


@storages
@pytest.mark.parametrize("layout, row", [("rows", 49), ("rows", 9000), ("columns", 768)])
def test_sums_repeat_and_are_right(storage: Any, layout: Any, row: int) -> None:
    bits = 64 if storage == "float64" else 32
    loop = Builder(get("prelu"), storage, bits, ("negative_slope",)).backward(layout)
    rows = 100
    x, g = (torch.randn(rows, row, dtype=torch.float64).to(DTYPES[storage]) for _ in range(2))
    slope = torch.rand(row if layout == "columns" else 4, dtype=torch.float64).cuda()
    size = rows if layout == "rows" else -(-rows // BLOCK) * row

    def sums() -> Tensor:
        found = torch.empty(size, dtype=torch.float64, device="cuda")
        gradient = torch.empty_like(x, device="cuda")
        launch(
            loop, [x.cuda(), g.cuda()], (), [slope], [gradient], (), [found],
            length=x.numel(), row=row, channels=4,
        )  # fmt: skip
        return found.cpu()

    first = sums()
    assert all(same_bits(first, sums()) for _ in range(5))
    terms = g.double() * torch.where(x > 0, 0.0, x.double())
    total = first if layout == "rows" else first.reshape(-1, row).sum(0)
    axis = 1 if layout == "rows" else 0
    torch.testing.assert_close(total, terms.sum(axis), rtol=0, atol=1e-5)


def test_halves_of_one_tensor() -> None:
    packed = torch.randn(513, 2 * 1376, dtype=torch.bfloat16, device="cuda")
    value, gate = packed.chunk(2, -1)
    loop = two_input(Case("swiglu"), "bfloat16", backward=False)
    y = torch.empty(513, 1376, dtype=torch.bfloat16, device="cuda")
    launch(loop, [value, gate], outputs=[y], length=y.numel(), row=1376, strides=[2752, 2752, 1376])
    expected = value.double() * torch.nn.functional.silu(gate.double())
    torch.testing.assert_close(y.double(), expected, rtol=2.0**-8, atol=1e-30)


@pytest.mark.parametrize("dynamic", [False, True])
def test_compiled_graphs_give_the_same_bits(dynamic: bool) -> None:
    """torch.compile contracts products and sums where it can; here it must find none."""
    for name in ("celu", "silu", "gelu_tanh"):
        loop = Builder(get(name), "float32", 32).forward()
        act = operator(loop)
        compiled = torch.compile(
            lambda x, act=act: act([x], [], [], ROW, 1, [])[0], dynamic=dynamic, fullgraph=True
        )
        for length in (1000, 4097):
            x = torch.randn(length, device="cuda") * 3
            eager = torch.empty_like(x)
            launch(loop, [x], outputs=[eager], length=length)
            assert same_bits(compiled(x), eager)


def test_another_device_than_the_current_one() -> None:
    last = torch.device("cuda", torch.cuda.device_count() - 1)
    x = torch.ones(100, device=last)
    launch(built(Case("relu"), "value", "float32"), [x], outputs=[x], length=100)
    assert x.sum() == 100
