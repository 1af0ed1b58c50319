"""Loops as PyTorch operators, into which torch.compile sees."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.library import custom_op, triton_op, wrap_triton

from relucid.kernels.contract import BLOCK, Loop
from relucid.kernels.triton.availability import interpreting
from relucid.kernels.triton.compile import digest, kernel
from relucid.kernels.triton.launch import Groups, launch, planned
from relucid.kernels.triton.shapes import up
from relucid.kernels.triton.text import plain

_OPERATORS: dict[tuple[int, bool], tuple[Loop, Any]] = {}
_NAMED: dict[str, Any] = {}


def operator(loop: Loop) -> Any:
    """The operator ``(arrays, masks, parameters, row, channels, strides) -> results``.

    Its arguments are lists of tensors and numbers as :func:`launch` takes them; it returns one
    list of new tensors: outputs in the shape of the first array, mask outputs, sums and flags.
    ``strides`` has a number for each array; where it is empty, arrays that are not contiguous are
    copied first.

    Equal loops have one operator. Its results are the same bits as those of :func:`launch`.
    """
    key = (id(loop), interpreting())
    if key not in _OPERATORS:
        _OPERATORS[key] = (loop, _registered(loop))
    return _OPERATORS[key][1]


def _registered(loop: Loop) -> Any:
    name = f"relucid::{plain(loop.name)}_{digest(loop)}{'_interpreted' * interpreting()}"
    if name not in _NAMED:
        _NAMED[name] = (_opaque if interpreting() else _transparent)(name, loop)
    return _NAMED[name]


def _transparent(name: str, loop: Loop) -> Any:
    """An operator that shows compilers the kernel."""

    def run(
        arrays: list[Tensor], masks: list[Tensor], parameters: list[Tensor],
        row: int, channels: int, strides: list[int],
    ) -> list[Tensor]:  # fmt: skip
        groups = _allocated(loop, arrays, masks, parameters, row, strides)
        steps = _steps(loop, row, strides)
        call = planned(loop, arrays[0].numel(), row, channels, steps, may_shrink=False)
        function = kernel(loop, call.strided)
        call.start(wrap_triton(function)[(call.shape.programs,)], groups, {})
        return groups.results

    return triton_op(name, _annotated(run), mutates_args=())


def _opaque(name: str, loop: Loop) -> Any:
    """The same for the interpreter, whose kernels nobody can see into."""

    def run(
        arrays: list[Tensor], masks: list[Tensor], parameters: list[Tensor],
        row: int, channels: int, strides: list[int],
    ) -> list[Tensor]:  # fmt: skip
        groups, length = (
            _allocated(loop, arrays, masks, parameters, row, strides),
            arrays[0].numel(),
        )
        steps = _steps(loop, row, strides)
        launch(loop, *groups, length=length, row=row, channels=channels, strides=steps)
        return groups.results

    def shapes(
        arrays: list[Tensor], masks: list[Tensor], parameters: list[Tensor],
        row: int, channels: int, strides: list[int],
    ) -> list[Tensor]:  # fmt: skip
        return _allocated(loop, arrays, masks, parameters, row, strides).results

    registered = custom_op(name, _annotated(run), mutates_args=())
    registered.register_fake(shapes)
    return registered


def _steps(loop: Loop, row: int, strides: list[int]) -> list[int] | None:
    """The strides of arrays and outputs; outputs have no gaps."""
    return [*strides, *(row for _ in loop.outputs)] if strides else None


def _annotated(run: Callable[..., list[Tensor]]) -> Callable[..., list[Tensor]]:
    """PyTorch reads the schema off the annotations, which are text in this module."""
    run.__annotations__ = {
        **dict.fromkeys(("arrays", "masks", "parameters", "return"), list[Tensor]),
        **dict.fromkeys(("row", "channels"), int),
        "strides": list[int],
    }
    return run


def _allocated(
    loop: Loop, arrays: list[Tensor], masks: list[Tensor], parameters: list[Tensor], row: int,
    strides: list[int],
) -> Groups:  # fmt: skip
    """The tensors of a launch: those given, and memory for the results."""
    whole = arrays if strides else [array.contiguous() for array in arrays]
    first, length = whole[0], whole[0].numel()
    rows = up(length, row)
    added = (rows,) if loop.layout == "rows" else (up(rows, BLOCK), row)
    return Groups(
        whole, masks, parameters,
        [first.new_empty(first.shape) for _ in loop.outputs],
        [first.new_empty(up(length, 8), dtype=torch.uint8) for _ in loop.mask_outputs],
        [first.new_empty(added, dtype=torch.float64) for _ in loop.sums],
        [first.new_empty(rows, dtype=torch.uint8) for _ in loop.flags],
    )  # fmt: skip
