"""The loops that pack, against NumPy, on the processor's own and on the portable instructions."""

import numpy as np
import pytest
import torch

from relucid.kernels.llvm import packing_run
from relucid.kernels.llvm.compile import machine
from relucid.kernels.llvm.packing import Emitter
from relucid.kernels.llvm.packing_header import BLOCK
from relucid.kernels.llvm.packing_run import PackingKernel
from relucid.sparse.packed import forms, native, plain

TYPES = (np.uint8, np.uint16, np.uint32, np.uint64)
LENGTHS = (1, 63, 64, 65, BLOCK - 1, BLOCK, BLOCK + 1, 100_003)


def drawn(length, dtype, sparsity, seed=0):
    draw = np.random.default_rng(seed)
    numbers = draw.integers(1, np.iinfo(dtype).max, length, dtype, endpoint=True)
    return numbers * (draw.random(length) >= sparsity).astype(dtype)


def addresses(*arrays):
    return tuple(array.ctypes.data for array in arrays)


@pytest.mark.parametrize("portable", [False, True], ids=["this processor", "portable"])
@pytest.mark.parametrize("dtype", TYPES)
def test_loops_do_what_numpy_does(dtype, portable, monkeypatch):
    if portable:
        monkeypatch.setattr(packing_run, "_moves", lambda bits: False)
    bits = 8 * np.dtype(dtype).itemsize
    kernels = {name: PackingKernel(name, bits) for name in ("scan", "gather", "scatter", "fill")}
    for length in LENGTHS:
        for sparsity in (0.0, 0.5, 0.93, 1.0):
            x = drawn(length, dtype, sparsity)
            blocks = -(-length // BLOCK)
            for threads in (1, 2):
                mask = np.empty(-(-length // 64) * 8, np.uint8)
                counts, ors, ands = found = np.empty((3, blocks), np.uint64)
                kernels["scan"](length, addresses(x, mask, *found), threads)
                there = x != 0
                assert np.array_equal(np.unpackbits(mask, bitorder="little")[:length], there)
                for block in range(blocks):
                    part = x[block * BLOCK : (block + 1) * BLOCK]
                    assert counts[block] == np.count_nonzero(part)
                    assert ors[block] == np.bitwise_or.reduce(part)
                    assert ands[block].astype(dtype) == np.bitwise_and.reduce(part[part != 0])
                starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
                # What stands behind the values and the numbers has to stay.
                values = np.full(int(starts[-1]) + 64, 7, dtype)
                kernels["gather"](length, addresses(x, mask, starts, values), threads)
                assert np.array_equal(values[:-64], x[there])
                assert (values[-64:] == 7).all()
                back = np.full(length + 64, 7, dtype)
                kernels["scatter"](length, addresses(mask, starts, values, back), threads)
                assert np.array_equal(back[:length], x)
                assert (back[length:] == 7).all()
                one = np.array([5], dtype)
                kernels["fill"](length, addresses(mask, one, back), threads)
                assert np.array_equal(back[:length], 5 * there)
                assert (back[length:] == 7).all()


@pytest.mark.skipif(machine().vector_bits < 512, reason="the processor has no AVX-512")
def test_lanes_are_moved_by_one_instruction_and_stores_are_no_compressing_ones():
    # Compressing straight to memory is microcode, and slow, on some processors.
    text = Emitter("gather", 32, 16, True, "key").emit()
    from relucid.kernels.llvm.compile import _module

    lines = machine().target.emit_assembly(_module(text)).splitlines()
    moves = [line for line in lines if "vpcompressd" in line]
    assert moves
    assert not [line for line in moves if "(" in line]
    text = Emitter("scatter", 32, 16, True, "key").emit()
    assert "vpexpandd" in machine().target.emit_assembly(_module(text))


@pytest.mark.parametrize("route", [native, plain], ids=["compiled", "plain"])
@pytest.mark.parametrize("dtype", forms.INTEGERS.values(), ids=str)
@pytest.mark.parametrize(
    ("kind", "form"),
    [
        ("sparse", forms.MaskAndValues),
        ("alike", forms.Mask),
        ("nothing", forms.Mask),
        ("dense", type(None)),
        ("small", forms.Narrow),
    ],
)
def test_forms_give_back_every_bit(route, dtype, kind, form):
    most = torch.iinfo(dtype).max
    torch.manual_seed(0)
    length = 10_007
    full = torch.randint(1, most, (length,), dtype=torch.int64).to(dtype)
    if dtype.is_signed:
        full[::3] = torch.iinfo(dtype).min  # the bits of -0.0
    kept = torch.rand(length) < 0.3
    x = {
        "sparse": full * kept,
        "alike": kept.to(dtype) * (-5 if dtype.is_signed else 5),
        "nothing": torch.zeros(length, dtype=dtype),
        "dense": full,
        "small": torch.randint(0, 100, (length,)).to(dtype),
    }[kind]
    if kind == "small" and dtype is torch.uint8:
        form = type(None)  # nothing is narrower
    found = forms.packed(x, integers=kind == "small", route=route)
    assert type(found) is form
    if found is not None:
        assert torch.equal(found.unpack(), x)
        assert found.nbytes <= forms.WORTH * x.nbytes


@pytest.mark.parametrize("route", [native, plain], ids=["compiled", "plain"])
@pytest.mark.parametrize("sparsity", [0.5, 0.8, 0.9, 0.95])
def test_memory_is_that_of_a_bit_each_and_the_values(route, sparsity):
    x = torch.from_numpy(drawn(200_000, np.uint32, sparsity).view(np.int32))
    found = forms.packed(x, integers=False, route=route)
    share = float((x == 0).double().mean())
    ratio = x.nbytes / found.nbytes
    assert ratio == pytest.approx(1 / (1 / 32 + 1 - share), rel=0.05)
