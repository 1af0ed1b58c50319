"""Loops run on Triton's interpreter and on the CPU compiler, with guarded memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import ml_dtypes
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from relucid.functions.evaluate import keep_nan
from relucid.kernels.contract import BLOCK, ROW, Loop, Storage
from relucid.kernels.llvm.run import Kernel
from relucid.kernels.program import Tape
from relucid.kernels.triton import launch
from relucid.kernels.words import KernelWords
from support.cases import Case
from support.ulp import around, joints

DTYPES: dict[Storage, torch.dtype] = {
    "float32": torch.float32,
    "float64": torch.float64,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
}
GUARD = 64
"""Elements behind each result that must stay as they were; the CPU writes whole vectors of bits."""
CANARY = 77


@dataclass
class Results:
    """What a loop wrote."""

    outputs: list[Tensor] = field(default_factory=list)
    mask_outputs: list[Tensor] = field(default_factory=list)
    sums: list[Tensor] = field(default_factory=list)
    flags: list[Tensor] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.groups = [self.outputs, self.mask_outputs, self.sums, self.flags]

    def cut(self, sizes: Sequence[int], guarded: bool) -> Results:
        """Without the guards, after a look at them."""
        if guarded:
            for group, size in zip(self.groups, sizes, strict=True):
                assert all((tensor[size:] == CANARY).all() for tensor in group)
        return Results(
            *([t[:n] for t in group] for group, n in zip(self.groups, sizes, strict=True))
        )


def run(
    loop: Loop, arrays: Sequence[Tensor], masks: Sequence[Tensor] = (),
    parameters: Sequence[Tensor] = (), *, row: int = ROW, channels: int = 1, on_cpu: bool = False,
) -> Results:  # fmt: skip
    """Run a loop on flat arrays: by Triton's interpreter, or compiled for the CPU."""
    length = arrays[0].numel()
    rows = -(-length // row)
    added = rows if loop.layout == "rows" else -(-rows // BLOCK) * row
    sizes = (length, -(-length // 8), added, rows)
    kinds = (DTYPES[loop.storage], torch.uint8, torch.float64, torch.uint8)
    groups = (loop.outputs, loop.mask_outputs, loop.sums, loop.flags)
    made = Results(*(
        [torch.full((size + GUARD,), CANARY, dtype=kind) for _ in group]
        for group, size, kind in zip(groups, sizes, kinds, strict=True)
    ))  # fmt: skip
    if on_cpu:
        given = [*arrays, *masks, *parameters, *chain(*made.groups)]
        Kernel(loop).in_rows([tensor.data_ptr() for tensor in given], length, row, channels)
    else:
        launch(
            loop, arrays, masks, parameters, *made.groups, length=length, row=row, channels=channels
        )
    return made.cut(sizes, guarded=not on_cpu)


def two_input(case: Case, storage: Storage, backward: bool) -> Loop:
    """A gated function's loop, written out."""
    tape = Tape(64 if storage == "float64" else 32)
    m, value, gate, g = KernelWords(tape), *map(tape.input, ("value", "gate", "g"))
    unit: Any = case.activation
    arguments = unit.gate.arguments
    opened = keep_nan(lambda m, x: unit.gate.formula(m, x, **arguments), m, gate)
    slope = keep_nan(lambda m, x: unit.gate.derivative_formula(m, x, **arguments), m, gate)
    if backward:
        results = (g * opened, g * value * slope)
        return Loop(f"{case.name}_backward", storage, tape, ("value", "gate", "g"), results)
    return Loop(f"{case.name}_forward", storage, tape, ("value", "gate"), (value * opened,))


def points(case: Case, dtype: Any) -> NDArray[Any]:
    """Specials, kinks and their neighbours, tails, and random numbers where functions bend."""
    limits = ml_dtypes.finfo(dtype)
    small = [0.0, limits.smallest_subnormal, limits.tiny, limits.tiny / 4, limits.eps]
    large = [limits.max, limits.max / 3, np.inf, np.nan]
    tails = np.geomspace(1e-3, 120.0, 150)
    rng = np.random.default_rng(5)
    sides = np.concatenate([np.array([*small, *large], dtype), tails.astype(dtype)])
    bends = rng.normal(0.0, 3.0, 200).astype(dtype)
    near = [around(joint, dtype, 3) for joint in joints(case)]
    return np.concatenate([sides, -sides, bends, *near]).astype(dtype)


def same_bits(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors hold the same bits, but for what a NaN carries."""
    whole = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}[a.element_size()]
    return bool(((a.view(whole) == b.view(whole)) | ((a != a) & (b != b))).all())
