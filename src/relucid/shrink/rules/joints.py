"""Operators that join tensors or part them."""

from __future__ import annotations

import numpy as np

from relucid.shrink.axes import Atoms, Axes
from relucid.shrink.rules.call import Call, Made, Rule

_BESIDE = "joined with a tensor whose size is fixed"
_PARTS = "parted into pieces of different sizes"


def _joined(call: Call) -> Axes:
    """Concatenation: along its dimension the atoms follow one another; along others they tie."""
    call.local("joined")
    parts = [one for one in call.argument(0, "tensors") if call.shape_of(one) != (0,)]
    dim = call.argument(1, "dim", 0) % len(call.shape)
    return tuple(
        _in_turn(call, [(call.shape_of(one)[d], call.axes(one)[d]) for one in parts])
        if d == dim
        else _across(call, [call.axes(one)[d] for one in parts])
        for d in range(len(call.shape))
    )


def _in_turn(call: Call, parts: list[tuple[int, Atoms | None]]) -> Atoms | None:
    if all(atoms is None for _, atoms in parts):
        return None
    found = []
    for size, atoms in parts:
        if atoms is None:
            atoms = call.layout.fresh(size)
            call.pin(atoms, _BESIDE)
        found.append(atoms)
    return np.concatenate(found)


def _across(call: Call, parts: list[Atoms | None]) -> Atoms | None:
    tied = parts[0]
    for other in parts[1:]:
        tied = call.tie(tied, other, _BESIDE)
    return tied


def _stacked(call: Call) -> Axes:
    call.local()
    parts = call.argument(0, "tensors")
    dim = call.argument(1, "dim", 0) % len(call.shape)
    axes = [_across(call, list(many)) for many in zip(*map(call.axes, parts), strict=True)]
    return (*axes[:dim], None, *axes[dim:])


def _split(call: Call) -> Made:
    """Pieces of one size stay so if the same index goes from each: they are tied."""
    call.local()
    source = call.operand(0)
    axes, pieces = call.axes(source), len(call.node.meta["val"])
    dim = call.argument(1 if call.name == "unbind" else 2, "dim", 0) % len(axes)
    if call.name == "unbind":
        call.pin(axes[dim], "picked out by position")
        return (axes[:dim] + axes[dim + 1 :],) * pieces
    atoms = axes[dim]
    sizes = [one.shape[dim] for one in call.node.meta["val"]]
    parts: list[Atoms | None] = [None] * pieces
    if atoms is not None and len(set(sizes)) > 1:
        call.pin(atoms, _PARTS)
    elif atoms is not None:
        rows = np.split(atoms, pieces)
        parts = list(rows)
        for row in rows[1:]:
            call.tie(rows[0], row, "")
    return tuple((*axes[:dim], part, *axes[dim + 1 :]) for part in parts)


def _halves(call: Call) -> Axes:
    """GLU: one half of the channels times a function of the other."""
    call.local()
    axes = call.axes(call.operand(0))
    dim = call.argument(1, "dim", -1) % len(axes)
    atoms = axes[dim]
    if atoms is None:
        return axes
    value, gate = np.split(atoms, 2)
    call.tie(value, gate, "")
    return (*axes[:dim], value, *axes[dim + 1 :])


def _item(call: Call) -> Axes:
    call.local()
    source, index = call.operand(0), call.argument(1)
    made = call.layout.axes.get(source, ())
    return made[index] if index < len(made) else (None,) * len(call.shape)


RULES: dict[str, Rule] = {
    **dict.fromkeys(("cat", "concat", "concatenate"), _joined),
    "stack": _stacked,
    **dict.fromkeys(
        "split chunk split_with_sizes unsafe_split unsafe_chunk unbind".split(), _split
    ),
    "glu": _halves,
    "getitem": _item,
}
"""Rules by the operator's name."""
