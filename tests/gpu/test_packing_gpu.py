"""Packing on a GPU: every bit comes back, from either route, and the host waits once a tensor.

Run on a machine that has one: ``pytest tests/gpu``. Elsewhere nothing here is collected.
"""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import relucid
from relucid.kernels.triton.packing_run import BLOCK
from relucid.sparse.packed import forms, gpu, plain

LENGTHS = (0, 1, 31, 33, BLOCK - 1, BLOCK, BLOCK + 1, (1 << 20) + 3, 1 << 22)
dtypes = pytest.mark.parametrize("dtype", forms.INTEGERS.values(), ids=str)


def drawn(length: int, dtype: torch.dtype, share: float) -> Tensor:
    """Numbers on the GPU, of which a share is not zero."""
    info = torch.iinfo(dtype)
    some = torch.randint(info.min, info.max, (length,), dtype=torch.int64).to(dtype)
    some[::5] = info.min  # the bits of -0.0
    return (some * (torch.rand(length) < share)).cuda()


@dtypes
@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1.0])
def test_kernels_do_what_numpy_does(dtype: torch.dtype, length: int, share: float) -> None:
    numbers = drawn(length, dtype, share)
    x = numbers.cpu().numpy()
    scanned = gpu.scan(numbers)
    bits = np.unpackbits(scanned.mask.cpu().view(torch.uint8).numpy(), bitorder="little")
    np.testing.assert_array_equal(bits[:length], x != 0)
    assert scanned.nonzero == np.count_nonzero(x)
    assert scanned.most == x.view(f"u{dtype.itemsize}").max(initial=0)
    values = gpu.gather(numbers, scanned)
    np.testing.assert_array_equal(values.cpu().numpy(), x[x != 0])
    assert torch.equal(gpu.scatter(length, scanned, values), numbers)
    alike = torch.where(numbers != 0, torch.iinfo(dtype).max - 4, 0).to(dtype)
    assert torch.equal(gpu.fill(length, gpu.scan(alike), dtype), alike)


@dtypes
def test_memory_that_begins_anywhere(dtype: torch.dtype) -> None:
    numbers = drawn(100_001, dtype, 0.5)[1:]
    scanned = gpu.scan(numbers)
    values = gpu.gather(numbers, scanned)
    assert torch.equal(gpu.scatter(100_000, scanned, values), numbers)


@pytest.mark.skipif(
    torch.cuda.is_available() and torch.cuda.mem_get_info()[0] < 12 << 30, reason="needs 12 GiB"
)
def test_more_than_two_to_the_31() -> None:
    length = (1 << 31) + 5 * BLOCK + 3
    numbers = torch.zeros(length, dtype=torch.uint8, device="cuda")
    places = torch.tensor([0, 4096, (1 << 31) - 1, 1 << 31, length - 1], device="cuda")
    numbers[places] = torch.arange(1, 6, dtype=torch.uint8, device="cuda")
    scanned = gpu.scan(numbers)
    values = gpu.gather(numbers, scanned)
    assert values.tolist() == [1, 2, 3, 4, 5]
    assert torch.equal(gpu.scatter(length, scanned, values), numbers)


@dtypes
def test_the_host_waits_once_a_tensor(dtype: torch.dtype) -> None:
    numbers = drawn(1_000_000, dtype, 0.3)
    gpu.scatter(len(numbers), (scanned := gpu.scan(numbers)), gpu.gather(numbers, scanned))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            form = forms.packed(numbers, integers=False)
            assert form is not None
            form.unpack()
        finally:
            torch.cuda.set_sync_debug_mode("default")
    waits = [w for w in said if "called a synchronizing CUDA operation" in str(w.message)]
    assert len(waits) == 1


@pytest.mark.parametrize("route", ["triton", "plain"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64], ids=str)
def test_gradients_are_bit_equal(
    route: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    if route == "plain":
        monkeypatch.setattr(forms, "_route", lambda device: plain)
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(64, 512), nn.ReLU(), nn.Dropout(0.5), nn.Linear(512, 512), nn.ReLU(),
        nn.Linear(512, 8),
    ).to("cuda", dtype)  # fmt: skip
    x, found = torch.randn(256, 64).to("cuda", dtype), []
    packing = relucid.pack()
    for around in (packing, torch.enable_grad()):
        model.zero_grad()
        torch.manual_seed(1)
        with around:
            model(x).square().sum().backward()
        found.append([parameter.grad for parameter in model.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))
    assert packing.record().packed
    assert packing.record().peak_after < packing.record().peak_before


def test_memory_is_freed() -> None:
    layers = [part for _ in range(4) for part in (nn.Linear(1024, 1024), nn.ReLU(), nn.Dropout())]
    model, x = nn.Sequential(*layers).cuda(), torch.randn(4096, 1024, device="cuda")
    taken = []
    for around in (torch.enable_grad(), relucid.pack()):
        before = torch.cuda.memory_allocated()
        with around:
            loss = model(x).sum()
        taken.append(torch.cuda.memory_allocated() - before)
        del loss
    assert taken[1] < 0.6 * taken[0]
