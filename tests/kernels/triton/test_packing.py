"""The kernels that pack: against NumPy by Triton's interpreter, and compiled for GPUs not here."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
import triton
from torch import nn
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

import relucid
from relucid.errors import KernelError
from relucid.kernels.triton.packing_run import BLOCK, GROUP, WARPS, kernels, programs, run
from relucid.sparse.packed import forms, gpu, native, packing, plain

GUARD = 64
CANARY = 77
SIZES = (np.uint8, np.uint16, np.uint32, np.uint64)
LENGTHS = (0, 1, 7, 31, 32, 33, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, 3 * BLOCK + 5)


def drawn(length, size, kind):
    """Unsigned numbers; those of the high bit alone are -0.0 and the least signed integer."""
    draw = np.random.default_rng(length)
    high = 1 << 8 * np.dtype(size).itemsize - 1
    some = draw.integers(1, 2 * high - 1, length, size, endpoint=True)
    some[::5] = high
    kinds = {
        "none": 0 * some, "high": 0 * some + size(high), "negative": 0 * some + size(2 * high - 5),
        "dense": some, "half": some * (draw.random(length) < 0.5),
        "alike": size(3) * (draw.random(length) < 0.3), "last": 0 * some,
    }  # fmt: skip
    x = kinds[kind].astype(size)
    if kind == "last":
        x[-1:] = 1
    return x


def guarded(length, dtype):
    return torch.full((length + GUARD,), CANARY, dtype=dtype)


def untouched(tensor, length):
    return bool((tensor.view(-1)[length:].to(torch.int64) == CANARY).all())


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("length, kind", [
    *((length, "half") for length in LENGTHS),
    *((BLOCK + 33, kind) for kind in ("none", "high", "negative", "dense", "alike", "last")),
])  # fmt: skip
def test_kernels_do_what_numpy_does(size, length, kind):
    x = drawn(length, size, kind)
    there, words, blocks = x != 0, -(-length // GROUP), max(1, -(-length // BLOCK))
    assert programs(length) == blocks
    numbers, mask = torch.from_numpy(x), guarded(words, torch.uint32)
    counts, largest = guarded(blocks, torch.int64), guarded(2 * blocks, torch.int64)
    run("scan", length, numbers, mask, counts, largest)
    expected = np.packbits(np.pad(there, (0, -length % 32)), bitorder="little").view(np.uint32)
    np.testing.assert_array_equal(mask[:words].numpy(), expected)
    for block in range(blocks):
        part = x[block * BLOCK : (block + 1) * BLOCK]
        assert counts[block] == np.count_nonzero(part)
        assert int(largest[block]) + 2**63 == part.max(initial=0)
        negated = (0 - part).astype(size)
        assert int(largest[blocks + block]) + 2**63 == negated.max(initial=0)
    starts = torch.from_numpy(np.cumsum([0, *counts[:blocks].tolist()]))
    values, back = guarded(int(starts[-1]), numbers.dtype), guarded(length, numbers.dtype)
    run("gather", length, numbers, mask, starts, values)
    np.testing.assert_array_equal(values[:-GUARD].numpy(), x[there])
    run("scatter", length, mask, starts, values, back)
    np.testing.assert_array_equal(back[:length].numpy(), x)
    filled = guarded(length, numbers.dtype)
    value = int(np.iinfo(size).max) - 4
    run("fill", length, mask, value, filled)
    np.testing.assert_array_equal(filled[:length].numpy(), size(value) * there)
    sizes = {mask: words, counts: blocks, largest: 2 * blocks, back: length, filled: length}
    sizes[values] = len(values) - GUARD
    assert all(untouched(tensor, room) for tensor, room in sizes.items())


def test_tensors_elsewhere_are_refused(monkeypatch):
    monkeypatch.setenv("TRITON_INTERPRET", "0")
    with pytest.raises(KernelError, match="runs on GPUs"):
        gpu.scan(torch.zeros(10, dtype=torch.int32))


@pytest.mark.parametrize("dtype", forms.INTEGERS.values(), ids=str)
@pytest.mark.parametrize("kind", ["none", "high", "negative", "dense", "half", "alike", "small"])
def test_scans_and_forms_are_those_of_the_other_routes(dtype, kind):
    torch.manual_seed(0)
    length, size = 2 * BLOCK + 77, np.dtype(f"u{dtype.itemsize}")
    x = drawn(length, size.type, kind) if kind != "small" else np.arange(length).astype(size) % 100
    numbers = torch.from_numpy(x).view(dtype)
    ours, others = gpu.scan(numbers), native.scan(numbers)
    assert (ours.nonzero, ours.only) == (others.nonzero, others.only)
    assert ours.nonzero == plain.scan(numbers).nonzero
    assert ours.most == x.max()
    assert torch.equal(
        ours.mask.view(torch.uint8), others.mask.view(torch.uint8)[: ours.mask.nbytes]
    )
    assert torch.equal(ours.starts, others.starts)
    found, expected = (
        forms.packed(numbers, integers=kind == "small", route=route) for route in (gpu, plain)
    )
    assert type(found) is type(expected)
    if found is not None:
        assert torch.equal(found.unpack(), numbers)
        assert found.nbytes <= 1.01 * expected.nbytes + 32


def test_a_tensor_is_waited_for_once(monkeypatch):
    waits = []
    for name in ("tolist", "item", "__int__", "__bool__", "__float__", "__index__", "cpu", "numpy"):
        own = getattr(torch.Tensor, name)
        monkeypatch.setattr(
            torch.Tensor, name,
            lambda self, *given, own=own, name=name: waits.append(name) or own(self, *given),
        )  # fmt: skip
    # The interpreter looks at what kernels are given; on a GPU they only start.
    monkeypatch.setattr(gpu, "run", lambda *given: None)
    numbers = torch.zeros(5000, dtype=torch.int32)
    scanned = gpu.scan(numbers)
    assert waits == ["tolist"]
    gpu.scatter(5000, scanned, gpu.gather(numbers, scanned._replace(nonzero=7)))
    gpu.fill(5000, scanned, torch.int32)
    assert waits == ["tolist"]


def test_gradients_are_bit_equal_through_the_kernels(monkeypatch):
    monkeypatch.setattr(packing, "LEAST", 512)
    monkeypatch.setattr(forms, "native", gpu)
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(2, 8, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.5), nn.Flatten(),
        nn.Linear(288, 40), nn.ReLU(), nn.Linear(40, 3),
    )  # fmt: skip
    x, found = torch.randn(24, 2, 14, 14), []
    for around in (relucid.pack(), torch.enable_grad()):
        model.zero_grad()
        torch.manual_seed(1)
        with around:
            model(x).square().sum().backward()
        found.append([p.grad for p in model.parameters()])
        if isinstance(around, packing.Packing):
            kept = {each.how for each in around.record().packed}
            assert kept == {"bit mask and values", "bit mask", "narrower integers"}
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


@pytest.mark.parametrize(
    ("device", "missing", "expected"),
    [("cpu", False, native), ("cuda", False, gpu), ("cuda", True, plain)],
)
def test_the_device_chooses_the_route(device, missing, expected, monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET")
    if missing:
        monkeypatch.setattr("relucid.kernels.triton.available", lambda device: "not installed")
    assert forms._route(torch.device(device)) is expected


TARGETS = {
    "sm_90": GPUTarget("cuda", 90, 32),
    "sm_80": GPUTarget("cuda", 80, 32),
    "gfx942": GPUTarget("hip", "gfx942", 64),
}
SIGNATURES = {
    "scan": {"numbers": "*u{}", "mask": "*u32", "counts": "*i64", "largest": "*i64"},
    "gather": {"numbers": "*i{}", "mask": "*u32", "starts": "*i64", "values": "*i{}"},
    "scatter": {"mask": "*u32", "starts": "*i64", "values": "*i{}", "numbers": "*i{}"},
    "fill": {"mask": "*u32", "value": "i64", "numbers": "*i{}"},
}
VECTORS = {8: "v4.b32", 16: "v4.b32", 32: "v4.b32", 64: "v2.b64"}
"""Sixteen bytes at once."""


def assembled(operation, bits, target, length="i32"):
    """The kernel's assembly, for memory as allocators give it; counts begin 8 bytes later."""
    function = getattr(kernels(interpreted=False), operation)
    signature = {name: kind.format(bits) for name, kind in SIGNATURES[operation].items()}
    aligned = [n for n, kind in signature.items() if kind.startswith("*") and n != "counts"]
    signature |= {"length": length, "BLOCK": "constexpr"}
    assert function.arg_names == list(signature)
    attributes = {(function.arg_names.index(n),): [["tt.divisibility", 16]] for n in aligned}
    source = ASTSource(function, signature, {"BLOCK": BLOCK}, attributes)
    options = {"num_warps": WARPS, "enable_fp_fusion": False}
    made = triton.compile(source, target=TARGETS[target], options=options)
    return made.asm["amdgcn" if target == "gfx942" else "ptx"]


@pytest.mark.usefixtures("compiler")
@pytest.mark.parametrize("bits", VECTORS)
@pytest.mark.parametrize("operation", SIGNATURES)
def test_compiled_code_moves_sixteen_bytes_at_once(operation, bits):
    text = assembled(operation, bits, "sm_90")
    wide = f"{'ld' if operation in ('scan', 'gather') else 'st'}.global.{VECTORS[bits]}"
    assert text.count(wide) == BLOCK * bits // 8 // 16 // (32 * WARPS)
    assert not re.search(r"\bcall\b|\.local", text)  # nothing is spilled
    # Bits are counted by one instruction, for each number that is moved and for the words.
    counted = {"scan": 1, "fill": 0}.get(operation, BLOCK // (32 * WARPS) + 1)
    assert text.count("popc.b32") >= counted


@pytest.mark.usefixtures("compiler")
@pytest.mark.parametrize("operation", SIGNATURES)
def test_other_gpus_and_long_tensors(operation):
    wide = "ld.global.v4" if operation in ("scan", "gather") else "st.global.v4"
    assert wide in assembled(operation, 32, "sm_80", length="i64")
    assert "_dwordx4" in assembled(operation, 32, "gfx942")
