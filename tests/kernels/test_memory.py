"""What kernels write and keep: nothing outside their results, and no more than backward needs."""

import gc
import weakref

import numpy as np
import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks

import relucid
from relucid import nn as rnn
from relucid.kernels.build import Builder
from relucid.kernels.contract import BLOCK, ROW
from relucid.kernels.describe import describe
from relucid.kernels.llvm import run
from relucid.kernels.llvm.compile import _text, compiled, machine
from relucid.kernels.llvm.run import Kernel
from relucid.nn import memory
from support import fresh
from support.cases import ELEMENTWISE
from support.kernels import DTYPES, same_bits, threads
from support.modules import by_case, module_of

TYPES = pytest.mark.parametrize("dtype", DTYPES.values(), ids=DTYPES)
LENGTHS = (1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 63, 65, 127, ROW - 1, ROW + 1, 2 * ROW + 13)
GUARD = 256
"""Bytes on either side of each result, which must stay as they are."""
CANARY = 0x5A
KNOWN = relucid.get("gelu")


def guarded(size, dtype):
    """Memory for a result between two guards, and a check of them."""
    room = torch.full((size * dtype.itemsize + 2 * GUARD,), CANARY, dtype=torch.uint8)

    def check():
        assert (room[:GUARD] == CANARY).all()
        assert (room[-GUARD:] == CANARY).all()

    return room[GUARD:-GUARD].view(dtype), check


def storage_of(dtype):
    return next(name for name, kind in DTYPES.items() if kind == dtype)


def builder(name, dtype, learned=()):
    return Builder(relucid.get(name), storage_of(dtype), 64 if dtype.itemsize == 8 else 32, learned)


def call(kernel, tensors, *arguments, **options):
    method = kernel.in_rows if options or len(arguments) > 1 else kernel
    method([tensor.data_ptr() for tensor in tensors], *arguments, **options)


@TYPES
@pytest.mark.parametrize("stream", [1 << 62, 1])
def test_values_and_gradients_are_written_within_their_memory(dtype, stream, monkeypatch):
    monkeypatch.setattr(run, "STREAM", stream)
    made = builder("silu", dtype)
    forward, backward = Kernel(made.forward()), Kernel(made.backward())
    for length in LENGTHS:
        x, g = torch.randn(2, length, dtype=torch.float64).to(dtype)
        (y, guard), (dx, also) = guarded(length, dtype), guarded(length, dtype)
        for threads_used in (1, 2):
            call(forward, (x, y), length)
            backward([t.data_ptr() for t in (x, g, dx)], length, threads_used)
        assert same_bits(y, relucid.get("silu")(x))
        assert same_bits(dx, relucid.get("silu").vjp(x, g))
        guard()
        also()


@TYPES
def test_packed_bits_take_whole_groups_of_64_and_flags_one_byte_a_row(dtype):
    made = builder("relu6", dtype)
    masked, unpacked = Kernel(made.forward_with_mask()), Kernel(made.backward_from_mask())
    for length in LENGTHS:
        x, g = torch.randn(2, length, dtype=torch.float64).to(dtype)
        rows, packed = -(-length // ROW), -(-length // 64) * 8
        results = [guarded(length, dtype), guarded(packed, torch.uint8), guarded(rows, torch.uint8)]
        y, bits, flags = (memory for memory, _ in results)
        dx, guard = guarded(length, dtype)
        call(masked, (x, y, bits, flags), length)
        call(unpacked, (g, bits, dx), length)
        assert same_bits(y, x.clamp(0, 6))
        assert same_bits(dx, g * ((x > 0) & (x < 6)))
        assert not flags.any()
        for check in (guard, *(check for _, check in results)):
            check()


def test_one_nan_sets_the_flag_of_its_row_alone():
    masked = Kernel(builder("relu", torch.float32).forward_with_mask())
    length = 3 * ROW + 5
    for at in (0, 17, ROW - 1, ROW, 2 * ROW + 100, 3 * ROW, length - 1):
        x = torch.randn(length)
        x[at] = torch.nan
        y, bits, flags = torch.empty(length), torch.empty(length, dtype=torch.uint8), bytearray(4)
        view = torch.frombuffer(flags, dtype=torch.uint8)
        call(masked, (x, y, bits, view), length)
        assert [i for i, flag in enumerate(flags) if flag] == [at // ROW]


@TYPES
@pytest.mark.parametrize("layout", ["rows", "columns"])
def test_sums_and_gradients_of_learned_parameters_stay_within_their_memory(dtype, layout):
    kernel = Kernel(builder("elu", dtype, ("alpha",)).backward(layout))
    for channels in (1, 3, 8, 17):
        rows = 2 * BLOCK + 5
        length = channels * rows
        x, g = torch.randn(2, length, dtype=torch.float64).to(dtype)
        alpha = torch.linspace(0.5, 2.0, channels, dtype=torch.float64)
        sums = rows if layout == "rows" else -(-rows // BLOCK) * channels
        (dx, guard), (by_alpha, also) = guarded(length, dtype), guarded(sums, torch.float64)
        call(kernel, (x, g, alpha, dx, by_alpha), length, channels, channels)
        guard()
        also()
        assert torch.isfinite(by_alpha).all()


def test_rows_with_gaps_leave_the_gaps_alone():
    kernel = Kernel(builder("silu", torch.float32).forward())
    for row in (1, 5, 16, 33):
        x, out = torch.randn(6, 50), torch.full((6, 40), 7.0)
        call(kernel, (x, out), 6 * row, row, strides=(50, 40))
        assert same_bits(out[:, :row], relucid.get("silu")(x[:, :row]))
        assert (out[:, row:] == 7.0).all()


@pytest.fixture(params=[128, 256, 512])
def registers(request, monkeypatch):
    """Kernels for registers of so many bits: of ARM, AVX2 and AVX-512."""
    bits = request.param
    for dtype in DTYPES.values():
        KNOWN.vjp(one := KNOWN(torch.ones(1, dtype=dtype)), one)  # compiled for this processor
    monkeypatch.setattr(machine(), "vector_bits", bits)

    def loaded(loop):
        return compiled(f"{bits} bits: {describe(loop)}", lambda key: _text(loop, key))

    monkeypatch.setattr(run, "loaded", loaded)


@TYPES
def test_every_width_of_register_gives_the_same_bits(dtype, registers):
    x, g = torch.randn(2, 301, dtype=torch.float64).to(dtype)
    y, dx = torch.empty_like(x), torch.empty_like(x)
    made = builder("gelu", dtype)
    call(Kernel(made.forward()), (x, y), 301)
    call(Kernel(made.backward()), (x, g, dx), 301)
    assert same_bits(y, KNOWN(x))
    assert same_bits(dx, KNOWN.vjp(x, g))


@TYPES
def test_every_width_of_register_packs_the_same_bits(dtype, registers):
    x, g = torch.randn(2, 301, dtype=torch.float64).to(dtype)
    y, dx = torch.empty_like(x), torch.empty_like(x)
    bits, flags = torch.zeros(40, dtype=torch.uint8), torch.zeros(1, dtype=torch.uint8)
    made = builder("relu", dtype)
    call(Kernel(made.forward_with_mask()), (x, y, bits, flags), 301)
    call(Kernel(made.backward_from_mask()), (g, bits, dx), 301)
    packed = np.packbits((x > 0).numpy(), bitorder="little")
    assert bits[: len(packed)].tolist() == packed.tolist()
    assert same_bits(dx, g * (x > 0))


def saved(module, x):
    """Bytes that a module keeps for backward of each tensor."""
    sizes = []
    with saved_tensors_hooks(lambda t: sizes.append(t.nbytes) or t, lambda t: t):
        y = module(x)
    return sizes, y


@by_case([case for case in ELEMENTWISE if not case.parameters and case.name != "prelu"])
@pytest.mark.parametrize("size", [1, 1000])
def test_backward_keeps_what_the_declaration_says(case, size):
    x = torch.randn(size, requires_grad=True)
    kept, y = saved(module_of(case).eval(), x)
    most = {"nothing": 0, "mask": size / 8 + 8, "input": x.nbytes}[case.activation.saves]
    assert sum(kept) <= most
    if case.activation.saves == "mask":
        assert sum(kept) >= size / 8
    y.sum().backward()
    assert x.grad.shape == x.shape


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "relu6", "hardtanh", "identity"])
@pytest.mark.parametrize("inplace", [False, True])
def test_the_input_is_free_while_the_graph_lives(name, inplace):
    leaf = torch.randn(1000, requires_grad=True)
    x = leaf * 2.0
    gone = weakref.ref(x)
    y = rnn.make(name, inplace=inplace)(x)
    del x
    gc.collect()
    assert (gone() is None) or inplace
    y.sum().backward()
    assert leaf.grad is not None


def test_a_mask_function_keeps_neither_input_nor_output():
    x = torch.randn(1000, requires_grad=True) * 2.0
    y = rnn.ReLU()(x)
    kept, _ = saved(rnn.ReLU(), x)
    assert [size for size in kept if size] == [128]
    output = weakref.ref(y)
    gradient = y.grad_fn
    del y
    gc.collect()
    assert output() is None
    assert gradient is not None


def test_nan_costs_a_byte_an_element_and_only_then():
    x = torch.randn(1000, requires_grad=True)
    with torch.no_grad():
        x[3] = torch.nan
    kept, y = saved(rnn.ReLU(), x)
    assert sorted(size for size in kept if size) == [128, 1000]
    y.sum().backward()
    assert x.grad.isnan().nonzero().tolist() == [[3]]


def test_large_results_are_advised_whole_huge_pages_inside_themselves(monkeypatch):
    asked = []
    monkeypatch.setattr(memory, "_advise", lambda *given: asked.append(given) or 0)
    made = memory.fresh_like(torch.empty(9 << 20))
    small = memory.fresh_like(torch.empty(100))
    ((start, length, advice),) = asked
    assert small.numel() == 100
    assert advice == 14
    assert start % (1 << 21) == length % (1 << 21) == 0
    assert made.data_ptr() <= start
    assert start + length <= made.data_ptr() + made.nbytes
    assert length >= made.nbytes - (1 << 22)


def test_what_was_written_is_moved_whole_pages_at_a_time_and_stays(monkeypatch):
    x = torch.arange(3 << 20)
    before, start = x.clone(), x.data_ptr()
    assert memory.to_huge_pages(x) is x and x.data_ptr() == start and torch.equal(x, before)
    asked = []
    monkeypatch.setattr(memory, "_advise", lambda *given: asked.append(given) or 0)
    memory.to_huge_pages(x)
    memory.to_huge_pages(x[:100])  # holds no whole page
    assert [advice for *_, advice in asked] == [14, 25]
    for first, length, _ in asked:
        assert first % (1 << 21) == length % (1 << 21) == 0
        assert start <= first < first + length <= start + x.nbytes


def test_results_larger_than_the_caches_are_right_with_huge_pages_and_without(monkeypatch):
    x = torch.randn((1 << 23) + 5)
    parts = [relucid.get("silu")(part) for part in x.split(1 << 20)]
    for count in (1, 2):
        with threads(count):
            assert torch.equal(relucid.get("silu")(x), torch.cat(parts))
    monkeypatch.setattr(memory, "_advise", None)
    assert torch.equal(relucid.get("silu")(x), torch.cat(parts))


ON_META = """
import torch, relucid
for name in ("relu", "silu", "prelu", "swiglu", "softmax"):
    module, x = relucid.nn.make(name), torch.randn(4, 64, requires_grad=True)
    value = module(x)
    g = torch.randn_like(value)
    expected = torch.autograd.grad(value, [x, *module.parameters()], g)
    with torch.device("meta"):
        found = torch.autograd.grad(module(x), [x, *module.parameters()], g)
    assert all(map(torch.equal, found, expected)), name
"""


def test_helpers_of_a_call_are_made_on_the_cpu_whatever_the_default_device():
    # In a process of its own: memory on another device ends it.
    ended = fresh.run(ON_META)
    assert (ended.returncode, ended.stderr) == (0, "")
