"""What a kernel takes, returns and promises, whatever compiles it.

A kernel is one pass over arrays of equal length that hold the same elements in the same order.
It reads streamed arrays, packed bits and parameters, and writes arrays, packed bits and sums.

Promises: an element's result depends on that element and the parameters alone, not on its place,
the length, the alignment or the number of threads. Sums are taken in float64, per row, in an
order fixed by the row's length. Nothing is allocated, and no memory outside the arrays is touched.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from relucid.kernels.program import Tape, Value

Storage = Literal["float64", "float32", "float16", "bfloat16"]
"""Element type of the arrays in memory."""

Layout = Literal["rows", "columns"]
"""Where parameters vary: one value for a whole row, or one for each position in the row."""

ROW = 4096
"""Length of the rows into which arrays without channels are cut; a multiple of every vector."""

BLOCK = 16
"""Rows that one thread takes at a time, and over which it sums, in layout ``columns``, unless a
CPU kernel is told another number."""


@dataclass(frozen=True)
class Loop:
    """One pass, as a program on one element.

    ``tape`` computes in ``tape.bits`` bits what is stored as ``storage``. Its inputs are named:
    ``arrays`` are streamed, ``masks`` are packed bits (the lowest bit of a byte first) and
    ``parameters`` are float64 numbers, one a row or one a column. ``outputs`` are stored as
    ``storage``, ``mask_outputs`` as packed bits, ``sums`` are added up and ``flags`` say whether
    they hold for any element.

    In layout ``rows`` the arrays are cut into rows of a given length, the last of which may be
    shorter. Row r has parameter number r modulo the number of channels, one sum and one flag (a
    byte). In layout ``columns`` column c has parameter number c, and there is one sum for each
    column of every :data:`BLOCK` rows; there are no masks and flags.
    """

    name: str
    storage: Storage
    tape: Tape
    arrays: tuple[str, ...]
    outputs: tuple[Value, ...]
    masks: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()
    mask_outputs: tuple[Value, ...] = ()
    sums: tuple[Value, ...] = ()
    flags: tuple[Value, ...] = ()
    layout: Layout = "rows"

    @property
    def addresses(self) -> tuple[tuple[object, ...], ...]:
        """What a kernel is given addresses of, group by group, in order."""
        return (
            self.arrays, self.masks, self.parameters,
            self.outputs, self.mask_outputs, self.sums, self.flags,
        )  # fmt: skip

    @property
    def results(self) -> tuple[Value, ...]:
        """All values that an element contributes, in the order of the addresses."""
        return (*self.outputs, *self.mask_outputs, *self.sums, *self.flags)
