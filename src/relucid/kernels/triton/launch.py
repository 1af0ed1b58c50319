"""Running a loop on tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from relucid.errors import KernelError
from relucid.kernels.contract import ROW, Loop
from relucid.kernels.triton.availability import interpreting, require
from relucid.kernels.triton.compile import kernel
from relucid.kernels.triton.flat import flat
from relucid.kernels.triton.shapes import Shape, shape, up

Group = Sequence[Tensor]


class Groups(NamedTuple):
    """The tensors of a launch; see :func:`launch`."""

    arrays: Group
    masks: Group = ()
    parameters: Group = ()
    outputs: Group = ()
    mask_outputs: Group = ()
    sums: Group = ()
    flags: Group = ()

    @property
    def results(self) -> list[Tensor]:
        """What the kernel writes."""
        return [*self.outputs, *self.mask_outputs, *self.sums, *self.flags]


def launch(
    loop: Loop,
    arrays: Group,
    masks: Group = (),
    parameters: Group = (),
    outputs: Group = (),
    mask_outputs: Group = (),
    sums: Group = (),
    flags: Group = (),
    *,
    length: int,
    row: int = ROW,
    channels: int = 1,
    strides: Sequence[int] | None = None,
) -> None:
    """Run ``loop`` on the current stream of the device that holds the tensors.

    Args:
        loop: what to compute. The groups that follow are as it names them, one tensor a name.
        arrays: ``length`` elements each, of type ``loop.storage``, without gaps.
        masks: packed bits, uint8, at least ceil(length / 8) of them, in the order of elements.
        parameters: float64, ``channels`` of them in layout ``rows``, ``row`` in ``columns``.
        outputs: as ``arrays``; may be one of them.
        mask_outputs: as ``masks``. Bits beyond ``length`` in the last byte are 0.
        sums: float64; ceil(length / row) in layout ``rows``; in ``columns`` ``row`` for each
            :data:`~relucid.kernels.contract.BLOCK` rows.
        flags: uint8, ceil(length / row).
        length: elements in each array.
        row: elements in a row; in layout ``columns`` it divides ``length``.
        channels: rows after which the parameters start again.
        strides: elements from one row to the next, for each array and then each output; None for
            rows without gaps.

    Raises:
        MissingDependencyError: if triton is not installed.
        KernelError: if the device has no Triton, or packed bits are to be written of rows that
            are not whole bytes.

    """
    require(arrays[0].device)
    if length == 0:
        return
    groups = Groups(arrays, masks, parameters, outputs, mask_outputs, sums, flags)
    call = planned(loop, length, row, channels, strides)
    # The text leaves nothing to contract; said all the same, for Triton warns where it is not.
    options = {"num_warps": call.shape.warps, "enable_fp_fusion": False}
    with surroundings(arrays[0].device):
        call.start(kernel(loop, call.strided)[(call.shape.programs,)], groups, options)


class Call(NamedTuple):
    """What a kernel is started with beside its tensors."""

    strided: bool
    shape: Shape
    rows: Any
    numbers: tuple[Any, ...]

    def start(self, run: Callable[..., Any], groups: Groups, options: dict[str, Any]) -> None:
        """Start the kernel; where rows are cut into strips, add up theirs in a second step."""
        strips, parts = self.shape.strips, groups
        if strips > 1:
            parts = groups._replace(
                sums=[total.new_empty((self.rows, strips)) for total in groups.sums],
                flags=[flag.new_empty((self.rows, strips)) for flag in groups.flags],
            )
        run(*chain(*parts), *self.numbers, **self.shape.constants, **options)
        if strips > 1:
            for total, part in zip(groups.sums, parts.sums, strict=True):
                torch.sum(part, -1, out=total.narrow(0, 0, self.rows))
            for flag, part in zip(groups.flags, parts.flags, strict=True):
                torch.amax(part, -1, out=flag.narrow(0, 0, self.rows))


def planned(
    loop: Loop, length: Any, row: int, channels: int, strides: Sequence[int] | None,
    may_shrink: bool = True,
) -> Call:  # fmt: skip
    """What to start the loop's kernel with; the 0 is :meth:`Pieces.zero`'s."""
    check_bytes(loop, row)
    strided = strides is not None
    plan = shape(loop, length, int(row), strided, may_shrink)  # a symbolic row becomes a number
    if flat(loop) and not strided:
        return Call(strided, plan, 0, (length, 0))
    steps = strides or (row,) * (len(loop.arrays) + len(loop.outputs))
    return Call(strided, plan, up(length, row), (length, row, channels, *steps, 0))


def check_bytes(loop: Loop, row: int) -> None:
    """Refuse to write packed bits where two rows would share a byte."""
    if loop.mask_outputs and not flat(loop) and row % 8:
        raise KernelError(
            f"{loop.name} packs eight elements of a row into a byte, and rows of {row} are not "
            "whole bytes; use rows whose length is a multiple of 8"
        )


def surroundings(device: torch.device) -> AbstractContextManager[Any]:
    """Triton launches on the current device; its interpreter computes with NumPy, which warns."""
    if interpreting():
        return np.errstate(all="ignore")
    if device.index in (None, torch.cuda.current_device()):
        return nullcontext()
    return torch.cuda.device(device)
