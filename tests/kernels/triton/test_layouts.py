"""Lengths, packed bits, flags, parameters and sums."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from relucid.errors import KernelError
from relucid.functions import get
from relucid.kernels.build import Builder
from relucid.kernels.contract import BLOCK, Loop, Storage
from relucid.kernels.triton import launch
from support.cases import ELEMENTWISE, Case
from support.triton_runs import DTYPES, run, same_bits

LENGTHS = (0, 1, 31, 33, 4097)
ONE_BIT = [
    case
    for case in ELEMENTWISE
    if case.activation.saves == "mask" and Builder(case.activation, "float32", 32).one_bit
]
SUM_ERROR = 2.0**-22
"""Of the sum of the terms' sizes: each term is computed in float32 and added in float64."""

storages = pytest.mark.parametrize("storage", ["float32", "float16", "bfloat16", "float64"])


def bits_of(storage: Storage) -> int:
    return 64 if storage == "float64" else 32


def normal(length: int, storage: Storage = "float32") -> Tensor:
    return (torch.randn(length, dtype=torch.float64) * 2).to(DTYPES[storage])


@storages
def test_any_length_gives_the_same_bits(storage: Storage) -> None:
    loop = Builder(get("silu"), storage, bits_of(storage)).forward()
    x = normal(max(LENGTHS), storage)
    (whole,) = run(loop, [x]).outputs
    for length in LENGTHS:
        (part,) = run(loop, [x[-length:].clone() if length else x[:0]]).outputs
        assert same_bits(part, whole[len(whole) - length :])


def test_an_output_may_be_the_input() -> None:
    loop, x = Builder(get("silu"), "float32", 32).forward(), normal(5000)
    (expected,) = run(loop, [x]).outputs
    launch(loop, [x], outputs=[x], length=5000)
    assert same_bits(x, expected)


@storages
def test_packed_signs_of_relu(storage: Storage) -> None:
    builder = Builder(get("relu"), storage, bits_of(storage))
    for length in LENGTHS:
        x = normal(length, storage)
        found = run(builder.forward_with_mask(), [x])
        expected = np.packbits((x > 0).numpy(), bitorder="little")
        np.testing.assert_array_equal(found.mask_outputs[0].numpy(), expected)
        assert same_bits(found.outputs[0], x.relu())
        (gradient,) = run(builder.backward_from_mask(), [2 * x], found.mask_outputs).outputs
        assert same_bits(gradient.abs(), torch.where(x > 0, 2 * x, 0.0).abs())


@pytest.mark.parametrize("case", ONE_BIT, ids=lambda case: case.id)
def test_one_bit_is_the_cpus_and_enough(case: Case) -> None:
    builder = Builder(case.activation, "float32", 32)
    x, g = normal(4097) * 2, normal(4097)
    for at, kink in enumerate(case.activation.kinks):
        x[at] = kink.at
    loop = builder.forward_with_mask()
    found, cpu = run(loop, [x]), run(loop, [x], on_cpu=True)
    assert same_bits(found.mask_outputs[0], cpu.mask_outputs[0])
    assert same_bits(found.outputs[0], cpu.outputs[0])
    (from_bits,) = run(builder.backward_from_mask(), [g], found.mask_outputs).outputs
    (from_input,) = run(builder.backward(), [x, g]).outputs
    assert same_bits(from_bits, from_input)


def test_flags_tell_rows_with_nan() -> None:
    loop = Builder(get("relu"), "float32", 32).forward_with_mask()
    x = normal(3 * 4096 + 5)
    assert run(loop, [x]).flags[0].tolist() == [0, 0, 0, 0]
    x[4096 + 4095] = torch.nan
    assert run(loop, [x]).flags[0].tolist() == [0, 1, 0, 0]
    x[-1] = torch.nan
    assert run(loop, [x]).flags[0].tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize("row", [8, 56, 10_000])
def test_bits_and_flags_of_other_rows(row: int) -> None:
    x = normal(3 * row + 4)
    x[2 * row - 1] = torch.nan
    found = run(Builder(get("relu"), "float32", 32).forward_with_mask(), [x], row=row)
    expected = np.packbits((x > 0).numpy(), bitorder="little")
    np.testing.assert_array_equal(found.mask_outputs[0].numpy(), expected)
    assert found.flags[0].tolist() == [0, 1, 0, 0]


def test_rows_that_are_no_bytes_are_refused() -> None:
    loop = Builder(get("relu"), "float32", 32).forward_with_mask()
    with pytest.raises(KernelError, match="rows of 49 are not whole bytes"):
        run(loop, [normal(98)], row=49)


def prelu(storage: Storage, which: str, layout: str) -> Loop:
    builder = Builder(get("prelu"), storage, bits_of(storage), ("negative_slope",))
    return getattr(builder, which)(layout)


def slopes(x: Tensor, slope: Tensor) -> Tensor:
    return torch.where(x > 0, 1.0, slope)


@storages
@pytest.mark.parametrize("row", [1, 49, 64, 3136, 9000])
def test_parameters_and_sums_of_rows(row: int, storage: Storage) -> None:
    """Two images of three channels."""
    parameter = torch.tensor([0.25, -0.5, 2.0], dtype=torch.float64)
    x, g = normal(6 * row, storage), normal(6 * row, storage)
    slope = parameter.repeat(2).repeat_interleave(row)
    options = {"row": row, "channels": 3}
    (value,) = run(prelu(storage, "forward", "rows"), [x], (), [parameter], **options).outputs
    assert same_bits(value, (x.double() * slopes(x, slope)).to(x.dtype))
    found = run(prelu(storage, "backward", "rows"), [x, g], (), [parameter], **options)
    expected = (g.double() * slopes(x, slope)).to(x.dtype)
    assert same_bits(found.outputs[0], expected)
    terms = (g.double() * torch.where(x > 0, 0.0, x)).reshape(6, row)
    check_sums(found.sums[0], terms.sum(1), terms.abs().sum(1))


@storages
@pytest.mark.parametrize("row", [1, 49, 700])
def test_parameters_and_sums_of_columns(row: int, storage: Storage) -> None:
    parameter = torch.linspace(0.25, 2.0, row, dtype=torch.float64).to(torch.bfloat16).double()
    rows = 2 * BLOCK + 3
    x, g = normal(rows * row, storage), normal(rows * row, storage)
    (value,) = run(prelu(storage, "forward", "columns"), [x], (), [parameter], row=row).outputs
    slope = parameter.repeat(rows)
    assert same_bits(value, (x.double() * slopes(x, slope)).to(x.dtype))
    found = run(prelu(storage, "backward", "columns"), [x, g], (), [parameter], row=row)
    assert same_bits(found.outputs[0], (g.double() * slopes(x, slope)).to(x.dtype))
    terms = (g.double() * torch.where(x > 0, 0.0, x)).reshape(rows, row)
    for block, part in enumerate(found.sums[0].reshape(-1, row)):
        own = terms[block * BLOCK : (block + 1) * BLOCK]
        check_sums(part, own.sum(0), own.abs().sum(0))


def check_sums(found: Tensor, truth: Tensor, size: Tensor) -> None:
    assert ((found - truth).abs() <= SUM_ERROR * size).all()


@pytest.mark.parametrize("name, parameter", [("elu", "alpha"), ("silu", "beta")])
def test_sums_are_repeatable_and_a_rows_own(name: str, parameter: str) -> None:
    loop = Builder(get(name), "float32", 32, (parameter,)).backward()
    x, g, one = normal(5 * 4096), normal(5 * 4096), torch.ones(1, dtype=torch.float64)
    first, again = (run(loop, [x, g], (), [one]).sums[0] for _ in range(2))
    assert same_bits(first, again)
    row = slice(2 * 4096, 3 * 4096)
    alone = run(loop, [x[row].clone(), g[row].clone()], (), [one]).sums[0]
    assert same_bits(first[2:3], alone)
    wide = x.double()
    inside = {
        "elu": torch.expm1(wide.clamp(max=0.0)),
        "silu": wide**2 * torch.sigmoid(wide) * torch.sigmoid(-wide),
    }[name]
    terms = (g.double() * inside).reshape(5, -1)
    check_sums(first, terms.sum(1), terms.abs().sum(1))
