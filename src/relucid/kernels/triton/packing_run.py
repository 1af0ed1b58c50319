"""Running the kernels that pack on tensors."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec, module_from_spec
from types import ModuleType
from typing import Literal

from torch import Tensor

from relucid.kernels.triton.availability import interpreting, require
from relucid.kernels.triton.interpreter import known
from relucid.kernels.triton.launch import surroundings

Operation = Literal["scan", "gather", "scatter", "fill"]

GROUP = 32
"""Numbers whose bits are one word of the mask."""

BLOCK = 4096
"""Numbers of a program; 8 bytes of memory each say where its values begin, 0.05% in float32."""

WARPS = 8
"""Warps of a program: a thread takes 16 numbers, those of 4 bytes by four loads of 16 bytes. To
gather them it needs 58 registers (sm_90), so that half of a multiprocessor's threads run and have
64 KiB under way: more than twice what 4.8 TB/s by 132 multiprocessors in 0.7 us comes to."""


def programs(length: int) -> int:
    """The blocks of so many numbers; one at least."""
    return max(1, -(-length // BLOCK))


def run(operation: Operation, length: int, *arguments: Tensor | int) -> None:
    """Run an operation on ``length`` numbers, on the current stream of the device that has them.

    ``arguments`` are those of the kernel in :mod:`.packing`: contiguous integers of 1, 2, 4 or 8
    bytes (unsigned ones for ``scan``), a uint32 mask of ceil(length / 32) words, int64 starts,
    counts and rows of ``largest``, a number for each of the :func:`programs`.

    Raises:
        MissingDependencyError: if triton is not installed.
        KernelError: if the device has no Triton.

    """
    (device, *_) = (given.device for given in arguments if isinstance(given, Tensor))
    require(device)
    kernel = getattr(kernels(interpreting()), operation)
    options = {"BLOCK": BLOCK, "num_warps": WARPS, "enable_fp_fusion": False}  # see launch
    with surroundings(device):
        kernel[(programs(length),)](*arguments, length, **options)


@cache
def kernels(interpreted: bool) -> ModuleType:
    """The kernels, whose decorators ask whether to interpret when they are run: once each way."""
    spec = find_spec("relucid.kernels.triton.packing")
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    if interpreted:
        known(vars(module))
    return module
