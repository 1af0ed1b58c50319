"""Inputs for kernels, and comparison of what they give bit by bit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from relucid.kernels.contract import Loop, Storage
from relucid.kernels.llvm.run import Kernel
from relucid.kernels.program import Tape
from relucid.kernels.words import KernelWords
from support.cases import Case
from support.ulp import joints

DTYPES: dict[Storage, torch.dtype] = {
    "float32": torch.float32,
    "float64": torch.float64,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
}
_WHOLE = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def patterns(x: Tensor) -> Tensor:
    """The bits of each element as an integer."""
    return x.view(_WHOLE[x.element_size()])


def same_bits(a: Tensor, b: Tensor) -> bool:
    """Whether shape, type and bits agree, but for what a NaN carries."""
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    a, b = a.detach().contiguous(), b.detach().contiguous()
    return bool(((patterns(a) == patterns(b)) | ((a != a) & (b != b))).all())


def numbers(case: Case, dtype: torch.dtype, size: int) -> Tensor:
    """Shuffled: random bit patterns (every exponent, NaN), normal numbers, joints, specials."""
    random = torch.Generator().manual_seed(11)
    count = size // 2 * dtype.itemsize
    anything = torch.randint(256, (count,), generator=random, dtype=torch.uint8).view(dtype)
    bends = torch.randn(size - size // 2, generator=random).mul(4.0).to(dtype)
    x = torch.cat([anything, bends])
    special = [0.0, -0.0, float("inf"), -float("inf"), float("nan"), *joints(case)]
    x[: len(special)] = torch.tensor(special, dtype=dtype)
    return x[torch.randperm(size, generator=random)]


def compiled(
    word: str | Callable[..., Any], bits: int, count: int = 1, further: tuple[float, ...] = ()
) -> Callable[..., Any]:
    """A word, or a formula, as a function of ``count`` NumPy arrays, through a compiled loop.

    ``further`` are numbers that follow the arrays.
    """
    tape, names = Tape(bits), ("x", "y")[:count]
    words = KernelWords(tape)
    given = (*(tape.input(name) for name in names), *further)
    value = getattr(words, word)(*given) if isinstance(word, str) else word(words, *given)
    storage: Storage = "float32" if bits == 32 else "float64"
    kernel = Kernel(Loop("compiled", storage, tape, names, (value,)))

    def apply(*arrays: Any) -> Any:
        out = np.empty_like(arrays[0])
        kernel([*(a.ctypes.data for a in arrays), out.ctypes.data], len(out))
        return out

    return apply


@contextmanager
def threads(count: int) -> Iterator[None]:
    """PyTorch's number of threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
