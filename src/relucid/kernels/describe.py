"""A loop as text: what two loops must agree in to be the same kernel."""

from __future__ import annotations

from relucid.kernels.contract import BLOCK, Loop
from relucid.kernels.program import Operand, Value, needed


def describe(loop: Loop) -> str:
    """One line an operation, and what is read and written."""
    values = needed(loop.tape.values, loop.results)
    names = {id(value): f"v{place}" for place, value in enumerate(values)}

    def shown(operand: Operand) -> str:
        return names[id(operand)] if isinstance(operand, Value) else repr(operand)

    lines = [
        f"{names[id(value)]} = {value.operation}({', '.join(map(shown, value.arguments))})"
        for value in values
    ]
    layout = (loop.layout, BLOCK) if loop.layout == "columns" else (loop.layout,)
    head = (loop.storage, loop.tape.bits, *layout, loop.arrays, loop.masks, loop.parameters)
    groups = (loop.outputs, loop.mask_outputs, loop.sums, loop.flags)
    written = "; ".join(", ".join(map(shown, group)) for group in groups)
    return "\n".join((repr(head), *lines, written))
