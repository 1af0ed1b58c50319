"""Kernels that pack numbers: one bit for each that says whether it is zero, and those that are not.

A number is an integer of 1, 2, 4 or 8 bytes. A program takes a block of ``BLOCK`` of them as rows
of 32, whose bits are one word of the mask, the first in the lowest bit. ``starts`` tells for each
block how many nonzero numbers come before it, ``values`` are all of those.

This module is run once for GPUs and once for Triton's interpreter: see :mod:`.packing_run`.
"""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-decorators
# Triton gives arguments their types, and its decorators have none.

import triton
import triton.language as tl


@triton.jit(do_not_specialize=["length"])
def scan(numbers, mask, counts, largest, length, BLOCK: tl.constexpr):
    """Unsigned numbers to the mask; per block the count of nonzero ones and the two largest.

    These are of the numbers and of their negatives, for which zeros, too, are the least. They
    are two rows of ``largest``, signed, and so smaller by 2**63.
    """
    block = tl.program_id(0).to(tl.int64)
    begin = block * BLOCK
    x = _load(numbers + begin, length - begin, BLOCK)
    words = tl.reduce((x != 0).to(tl.uint32) << tl.arange(0, 32)[None, :], 1, plus)
    rows = tl.arange(0, BLOCK // 32)
    tl.store(mask + begin // 32 + rows, words, mask=rows * 32 < length - begin)
    tl.store(counts + block, tl.reduce(_ones(words), 0, plus))
    tl.store(largest + block, _signed(tl.reduce(x, None, larger)))
    tl.store(largest + tl.num_programs(0) + block, _signed(tl.reduce(0 - x, None, larger)))


@triton.jit(do_not_specialize=["length"])
def gather(numbers, mask, starts, values, length, BLOCK: tl.constexpr):
    """Numbers, mask and starts to values."""
    block = tl.program_id(0).to(tl.int64)
    begin = block * BLOCK
    x = _load(numbers + begin, length - begin, BLOCK)
    words, there = _bits(mask, begin, length, BLOCK)
    tl.store(values + tl.load(starts + block) + _ranks(words), x, mask=there)


@triton.jit(do_not_specialize=["length"])
def scatter(mask, starts, values, numbers, length, BLOCK: tl.constexpr):
    """Mask, starts and values to numbers."""
    block = tl.program_id(0).to(tl.int64)
    begin = block * BLOCK
    words, there = _bits(mask, begin, length, BLOCK)
    x = tl.load(values + tl.load(starts + block) + _ranks(words), mask=there, other=0)
    _store(numbers + begin, x, length - begin, BLOCK)


@triton.jit(do_not_specialize=["value", "length"])
def fill(mask, value, numbers, length, BLOCK: tl.constexpr):
    """Mask and one value, whose lower bits count, to numbers."""
    begin = tl.program_id(0).to(tl.int64) * BLOCK
    _, there = _bits(mask, begin, length, BLOCK)
    x = tl.where(there, value, 0).to(numbers.dtype.element_ty)
    _store(numbers + begin, x, length - begin, BLOCK)


@triton.jit
def plus(a, b):
    """How bits and counts are reduced."""
    return a + b


@triton.jit
def larger(a, b):
    """How largest numbers are found."""
    return tl.maximum(a, b)


@triton.jit
def _bits(mask, begin, length, BLOCK: tl.constexpr):
    """A block's words of the mask, and its truth values."""
    rows = tl.arange(0, BLOCK // 32)
    words = tl.load(mask + begin // 32 + rows, mask=rows * 32 < length - begin, other=0)
    return words, ((words[:, None] >> tl.arange(0, 32)[None, :]) & 1) != 0


@triton.jit
def _ranks(words):
    """For each place of a block, how many bits are set before it.

    Threads add up the counts of words only. Adding up single bits took 888 instructions for
    gathering 4-byte numbers, and this 480 (Triton 3.9 for sm_90).
    """
    counts = _ones(words)
    lower = (1 << tl.arange(0, 32).to(tl.uint32)) - 1
    before = tl.associative_scan(counts, 0, plus) - counts
    return before[:, None] + _ones(words[:, None] & lower[None, :])


@triton.jit
def _ones(words):
    """How many bits are set: LLVM makes one instruction of these lines."""
    twos = words - ((words >> 1) & 0x55555555)
    fours = (twos & 0x33333333) + ((twos >> 2) & 0x33333333)
    return ((((fours + (fours >> 4)) & 0x0F0F0F0F) * 0x01010101) >> 24).to(tl.int32)


@triton.jit
def _signed(number):
    """An unsigned number less 2**63: PyTorch has the largest only of signed ones."""
    return (number.to(tl.uint64) ^ (1 << 63)).to(tl.int64, bitcast=True)


@triton.jit
def _load(pointer, left, BLOCK: tl.constexpr):
    """A block, 0 beyond what is left. Only there with a mask, which would break wide accesses."""
    places = tl.arange(0, BLOCK // 32)[:, None] * 32 + tl.arange(0, 32)[None, :]
    if BLOCK <= left:
        x = tl.load(pointer + places)
    else:
        x = tl.load(pointer + places, mask=places < left, other=0)
    return x


@triton.jit
def _store(pointer, x, left, BLOCK: tl.constexpr):
    """Store a block, as far as there is room."""
    places = tl.arange(0, BLOCK // 32)[:, None] * 32 + tl.arange(0, 32)[None, :]
    if BLOCK <= left:
        tl.store(pointer + places, x)
    else:
        tl.store(pointer + places, x, mask=places < left)
