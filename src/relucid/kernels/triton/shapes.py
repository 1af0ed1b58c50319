"""How much one program takes, by the sizes of the arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from relucid.kernels.contract import BLOCK, Loop
from relucid.kernels.triton.flat import flat

WARPS = 4
"""Warps of a program; Triton's own default, so that torch.compile uses the same."""

BYTES = 4096
"""What one program reads of each array: two 16-byte accesses a thread."""

SMALL = 1 << 20
"""Elements below which programs are a quarter as large, so that there is one for every core."""

STRIP = 4096
"""Columns of a long row that one program takes."""

_BYTES = {"float64": 8, "float32": 4, "float16": 2, "bfloat16": 2}


@dataclass(frozen=True)
class Shape:
    """Programs of the grid, the constants they are compiled with, and how many warps each has."""

    programs: Any
    constants: dict[str, int]
    strips: int = 1
    warps: int = WARPS


def shape(
    loop: Loop, length: Any, row: int, strided: bool = False, may_shrink: bool = True
) -> Shape:
    """The grid for ``length`` elements.

    ``length`` may be symbolic; then ``may_shrink`` must be False, since it cannot be compared.
    What is summed together depends on ``row`` alone.
    """
    block = BYTES // _BYTES[loop.storage]
    if strided or not flat(loop):
        return (_rows if loop.layout == "rows" else _columns)(length, row, block)
    small = may_shrink and length < SMALL
    block = block // 4 if small else block
    return Shape(up(length, block), {"BLOCK": block}, warps=1 if small else WARPS)


def _rows(length: Any, row: int, tile: int) -> Shape:
    width = min(_power(row), tile)
    strip = min(up(row, width) * width, STRIP)
    lines = tile // width
    strips = up(row, strip)
    constants = {"ROWS": lines, "WIDTH": width, "STRIP": strip}
    return Shape(up(up(length, row), lines) * strips, constants, strips)


def _columns(length: Any, row: int, tile: int) -> Shape:
    width = min(_power(row), tile // 4)
    lines = min(BLOCK, tile // width)
    constants = {"ROWS": lines, "WIDTH": width, "STRIP": width}
    return Shape(up(up(length, row), BLOCK) * up(row, width), constants)


def up(a: Any, b: Any) -> Any:
    """A / b, rounded up."""
    return (a + b - 1) // b


def _power(number: int) -> int:
    """The least power of two that is no less, and at least 8: a byte of packed bits."""
    return max(8, 1 << (number - 1).bit_length())
