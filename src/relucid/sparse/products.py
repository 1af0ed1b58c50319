"""The compiled sparse products on tensors.

A product is prepared once for a layer and a number of tokens, with memory to work in, so that a
call sets two or three addresses: at one token the rest would take a tenth of the time.
"""

from __future__ import annotations

import ctypes
from typing import Any

import torch
from torch import Tensor

from relucid.kernels.contract import Storage
from relucid.kernels.llvm.products_header import BLOCK, LIST
from relucid.kernels.llvm.products_header import ListedHeader as Listed
from relucid.kernels.llvm.products_header import SkippingHeader as Skipped
from relucid.kernels.llvm.products_run import Kind, Product, lanes
from relucid.sparse.shadow import WIDTH, Shadow, rounded_up

STORAGE: dict[torch.dtype, Storage] = {torch.float32: "float32", torch.bfloat16: "bfloat16"}

_ALONE = 1 << 21
"""Weights below which a second thread costs more than it may save: where other work runs on the
machine, a call waits for it for milliseconds."""

_LINE = 64
"""Bytes that threads had better not share."""

_TOGETHER = 1 << 18
"""Bytes of neuron-major rows that are gone through for all tokens before the next ones are."""

# The words that a call sets, as plain numbers: to ask an enumeration for a member takes longer.
_LISTED_INPUTS, _LISTED_OUTPUTS, _GATE = map(int, (Listed.inputs, Listed.outputs, Listed.gate))
_INPUTS, _OUTPUTS = int(Skipped.inputs), int(Skipped.outputs)
_SUMS, _LIMIT = int(Skipped.sums), int(Skipped.limit)


class ListedProduct:
    """``x @ weight.T + bias`` of only some rows, 0 for the others, for a number of tokens.

    Those of which ``gates`` (tokens, rows) are above the level; or, with a shadow, those that are
    not certified to be at or below the level themselves. One call at a time.

    Args:
        tokens: how many inputs there are.
        weight: (rows, width), contiguous, float32 or bfloat16.
        bias: (rows,), float32.
        level: see above.
        most: the norm of an input from which float32 could overflow.
        shadow: of the weight.

    """

    __slots__ = ("_kept", "_product", "_work")

    def __init__(
        self, tokens: int, weight: Tensor, bias: Tensor, level: float, most: float,
        shadow: Shadow | None = None,
    ) -> None:  # fmt: skip
        rows, width = weight.shape
        units, padded = -(-rows // BLOCK), rounded_up(width, WIDTH)
        threads = _threads(weight, units)
        self._kept = weight, bias, shadow
        parts = (tokens * padded * 4, tokens * padded * 2, tokens * 24, 4 * 4 * LIST)
        self._work = _Work(threads, parts, results=2)
        wide, rounded, measures, numbers = self._work.places
        kind: Kind = "certified" if shadow else "selected"
        words: dict[Any, int | float] = {
            Listed.tokens: tokens, Listed.width: width, Listed.rows: rows, Listed.padded: padded,
            Listed.weight: weight.data_ptr(), Listed.bias: bias.data_ptr(),
            Listed.wide: wide, Listed.rounded: rounded, Listed.measures: measures,
            Listed.numbers: numbers, Listed.stride: self._work.stride,
            Listed.results: self._work.told_at,
            Listed.level: level, Listed.most: most, Listed.reach: 1.0,
        }  # fmt: skip
        if shadow:
            words |= {
                Listed.shadow: shadow.numbers.data_ptr(), Listed.facts: shadow.facts.data_ptr(),
                Listed.reach: float(shadow.reach),
            }  # fmt: skip
        self._product = Product(kind, STORAGE[weight.dtype], units, threads, words)

    def __call__(self, x: Tensor, out: Tensor, gates: Tensor | None = None) -> int:
        """Compute into ``out`` (tokens, rows); returns how many numbers of it.

        -1 where x (tokens, width) is not finite, or float32 could overflow: then nothing was. All
        are contiguous.
        """
        words = self._product.words
        words[_LISTED_INPUTS], words[_LISTED_OUTPUTS] = x.data_ptr(), out.data_ptr()
        if gates is not None:
            words[_GATE] = gates.data_ptr()
        self._product.run()
        told = self._work.results[:]
        return -1 if told[0] else sum(told[1::2])


class SkippingProduct:
    """``x @ rows + bias``, reading only the rows whose x is not 0, for a number of tokens.

    Args:
        tokens: how many inputs there are.
        rows: (neurons, columns), contiguous, float32 or bfloat16.
        bias: (columns,), float32.

    """

    __slots__ = ("_kept", "_product", "_sums", "_work")

    def __init__(self, tokens: int, rows: Tensor, bias: Tensor) -> None:
        neurons, columns = rows.shape
        units = -(-columns // lanes())
        threads = _threads(rows, units)
        self._kept = rows, bias
        row = columns * rows.element_size()
        chunk = neurons if tokens == 1 else min(max(_TOGETHER // row, 16), neurons)
        numbers = 4 * (chunk + BLOCK)
        self._work = _Work(threads, (numbers, numbers), results=1)
        self._sums = (
            None if rows.dtype == torch.float32 else torch.empty(tokens, columns, device="cpu")
        )
        words: dict[Any, int | float] = {
            Skipped.tokens: tokens, Skipped.neurons: neurons, Skipped.columns: columns,
            Skipped.chunk: chunk, Skipped.weight: rows.data_ptr(), Skipped.bias: bias.data_ptr(),
            Skipped.numbers: self._work.places[0], Skipped.factors: self._work.places[1],
            Skipped.stride: self._work.stride, Skipped.results: self._work.told_at,
        }  # fmt: skip
        self._product = Product("skipping", STORAGE[rows.dtype], units, threads, words)

    def __call__(self, x: Tensor, out: Tensor, limit: int) -> int:
        """Compute into ``out`` (tokens, columns); returns how many x (tokens, neurons) are not 0.

        Where they are more than ``limit``, nothing else was done. All are contiguous.
        """
        words, start = self._product.words, out.data_ptr()
        words[_INPUTS], words[_OUTPUTS], words[_LIMIT] = x.data_ptr(), start, limit
        words[_SUMS] = start if self._sums is None else self._sums.data_ptr()
        self._product.run()
        active: int = self._work.results[0]
        return active


class _Work:
    """Scratch memory and results of each thread."""

    __slots__ = ("_scratch", "places", "results", "stride", "told_at")

    def __init__(self, threads: int, parts: tuple[int, ...], results: int) -> None:
        self.stride = rounded_up(sum(parts), _LINE)
        self._scratch = torch.empty(threads * self.stride, dtype=torch.uint8, device="cpu")
        self.results = (ctypes.c_int64 * (threads * results))()  # a team may be smaller
        """What the threads write."""
        self.told_at = ctypes.addressof(self.results)
        start = self._scratch.data_ptr()
        self.places = [start + sum(parts[:k]) for k in range(len(parts))]


def _threads(weight: Tensor, units: int) -> int:
    return min(torch.get_num_threads(), units) if weight.numel() >= _ALONE else 1
