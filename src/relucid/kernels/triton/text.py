"""What the texts of all kernels have in common: the program as a function, loads and stores."""

from __future__ import annotations

import re
from collections.abc import Iterable
from textwrap import indent

from relucid.kernels.contract import Loop
from relucid.kernels.triton.operations import Operations

TAB = "    "

_ODD = """
@triton.jit
def odd(value):
    near = value.to(tl.float32)
    back = near.to(tl.float64)
    pattern = near.to(tl.int32, bitcast=True)
    inexact = (back != value) & ((pattern & 1) == 0) & ((pattern & 0x7FFFFFFF) < 0x7F800000)
    step = tl.where(tl.abs(back) > tl.abs(value), -1, 1)
    return tl.where(inexact, pattern + step, pattern).to(tl.float32, bitcast=True)
"""
# float32 with an odd last bit wherever it is inexact. No tie of a 16-bit type has one, so that
# rounding it to 16 bits is as good as rounding the float64 itself.

_PLUS = """
@triton.jit
def plus(a, b):
    return a + b
"""

_BFLOAT16 = """
@triton.jit
def widened(raw):
    return raw.to(tl.float32)


@triton.jit
def narrowed(value):
    return value.to(tl.bfloat16)
"""
# By name, so that the interpreter can be given others.

_TYPES = {
    "float64": "tl.float64",
    "float32": "tl.float32",
    "float16": "tl.float16",
    "bfloat16": "tl.bfloat16",
}


def lines(*groups: str | Iterable[str], depth: int = 1) -> str:
    """Lines of code, ``depth`` levels in."""
    flat = [g for group in groups for g in ([group] if isinstance(group, str) else group)]
    return indent("\n".join(flat), TAB * depth)


def plain(name: str) -> str:
    """A name in the letters that assemblers and PyTorch's operators take."""
    return re.sub(r"\W", "_", name, flags=re.ASCII)


class Pieces:
    """The parts of a kernel's text that do not depend on how its places are laid out.

    Pointers are called ``array0``, ``mask0``, ``parameter0``, ``output0``, ``bits0``, ``sum0``,
    ``flag0``; computed values ``in0``, ... and ``result0``, ...
    """

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        self.name = f"relucid_{plain(loop.name)}"
        self.float = f"tl.float{loop.tape.bits}"
        self.inputs = (*loop.parameters, *loop.arrays, *loop.masks)
        self.first_array = len(loop.parameters)
        self.first_mask = self.first_array + len(loop.arrays)

    @property
    def pointers(self) -> list[str]:
        """The names of the pointers, in the order of the addresses."""
        words = ("array", "mask", "parameter", "output", "bits", "sum", "flag")
        groups = zip(words, self.loop.addresses, strict=True)
        return [f"{word}{i}" for word, group in groups for i in range(len(group))]

    @property
    def streams(self) -> range:
        """The numbers of the arrays, and then of the outputs."""
        return range(len(self.loop.arrays) + len(self.loop.outputs))

    def head(self, *parts: str) -> str:
        """Imports, helper functions and the program."""
        bfloat16 = (_BFLOAT16,) if self.loop.storage == "bfloat16" else ()
        odd = (_ODD,) if self._double_rounding else ()
        imports = "import triton\nimport triton.language as tl\n"
        return "\n".join((imports, *bfloat16, *odd, *parts, self._program()))

    def plus(self) -> str:
        """The function by which sums are reduced."""
        return _PLUS

    @property
    def _double_rounding(self) -> bool:
        return self.loop.tape.bits == 64 and self.loop.storage in ("float16", "bfloat16")

    def _program(self) -> str:
        body, names = Operations(self.loop.tape).lines(self.loop.results, self.inputs)
        arguments = ", ".join(["zero", *(f"in{i}" for i in range(len(self.inputs)))])
        return "\n".join((
            "\n@triton.jit", f"def program({arguments}):", *(TAB + line for line in body),
            f"{TAB}return ({', '.join(names)},)\n",
        ))  # fmt: skip

    def zero(self) -> str:
        """The -0.0 of :class:`Operations`: ``hidden`` is always 0, but only at run time."""
        return f"zero = tl.where(hidden == 0, -1.0, 1.0).to({self.float}) * 0.0"

    def call(self) -> str:
        """The line that runs the program."""
        results = "".join(f"result{i}, " for i in range(len(self.loop.results)))
        arguments = ", ".join(["zero", *(f"in{i}" for i in range(len(self.inputs)))])
        return f"{results}= program({arguments})"

    def load_arrays(self, place: str, inside: str) -> list[str]:
        """Lines that load each array at ``place``, where ``inside`` holds (empty: everywhere).

        ``#`` in the place stands for the number of the array, counting on through the outputs.
        """
        masked = f", mask={inside}" if inside else ""
        load = "widened(tl.load({}))" if self.loop.storage == "bfloat16" else "tl.load({})"
        return [
            f"in{self.first_array + i} = "
            f"{load.format(f'array{i} + {place}{masked}'.replace('#', str(i)))}.to({self.float})"
            for i in range(len(self.loop.arrays))
        ]

    def store_outputs(self, place: str, inside: str) -> list[str]:
        """Lines that round each output once and store it."""
        masked = f", mask={inside}" if inside else ""
        first = len(self.loop.arrays)
        return [
            f"tl.store(output{i} + {place.replace('#', str(first + i))}, "
            f"{self._narrow(f'result{i}')}{masked})"
            for i in range(len(self.loop.outputs))
        ]

    def _narrow(self, value: str) -> str:
        once = f"odd({value})" if self._double_rounding else value
        if self.loop.storage == "bfloat16":
            return f"narrowed({once})"
        return f"{once}.to({_TYPES[self.loop.storage]})"

    @property
    def bits(self) -> list[tuple[str, str]]:
        """Pointer and value of each mask output."""
        start = len(self.loop.outputs)
        return [(f"bits{i}", f"result{start + i}") for i in range(len(self.loop.mask_outputs))]

    @property
    def sums(self) -> list[tuple[str, str, str]]:
        """Pointer, running total and value of each sum."""
        start = len(self.loop.outputs) + len(self.loop.mask_outputs)
        return [(f"sum{i}", f"total{i}", f"result{start + i}") for i in range(len(self.loop.sums))]

    @property
    def flags(self) -> list[tuple[str, str, str]]:
        """Pointer, running count and value of each flag."""
        start = len(self.loop.results) - len(self.loop.flags)
        return [
            (f"flag{i}", f"count{i}", f"result{start + i}") for i in range(len(self.loop.flags))
        ]
