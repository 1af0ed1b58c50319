"""Operators that move numbers or give a tensor another shape."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

from relucid.shrink.axes import Atoms, Axes
from relucid.shrink.rules.call import Call, Rule

_SPLIT = "split over several dimensions"
_MIXED = "mixed with another dimension"
_PICKED = "picked out by position"


def _shaped(call: Call) -> Axes:
    """View, reshape, flatten, unflatten: runs of dimensions with equal products."""
    call.local()
    source = call.operand(0)
    before, after = call.shape_of(source), call.shape
    axes = call.axes(source)
    if 0 in before:
        return call.pin_operands("empty")
    made: list[Atoms | None] = []
    for old, new in _runs(before, after):
        flat = _flat(call, [(before[i], axes[i]) for i in old])
        made += _parted(call, flat, [after[i] for i in new])
    return tuple(made)


def _runs(before: tuple[int, ...], after: tuple[int, ...]) -> list[tuple[list[int], list[int]]]:
    """Group dimensions before and after so that each group holds equally many numbers."""
    ends = [_products(before), _products(after)]
    common = sorted(set(ends[0]) & set(ends[1]))
    runs = []
    for low, high in pairwise([1, *[c for c in common if c != 1]]):
        runs.append(tuple([i for i, e in enumerate(one) if low < e <= high] for one in ends))
    # Dimensions of one carry no atoms: each goes with the group that it stands in.
    return _with_ones(runs, ends)


def _products(shape: tuple[int, ...]) -> list[int]:
    return [math.prod(shape[: i + 1]) for i in range(len(shape))]


def _with_ones(
    runs: list[tuple[list[int], ...]], ends: list[list[int]]
) -> list[tuple[list[int], list[int]]]:
    leading = tuple([i for i, e in enumerate(one) if e == 1] for one in ends)
    return [(old, new) for old, new in ([leading, *runs] if any(leading) else runs)]


def _flat(call: Call, dims: list[tuple[int, Atoms | None]]) -> Atoms | None:
    """Return the atoms of several dimensions run together; at most one may have any."""
    held = [i for i, (_, atoms) in enumerate(dims) if atoms is not None]
    if len(held) > 1:
        for i in held:
            call.pin(dims[i][1], _MIXED)
    if len(held) != 1:
        return None
    (at,) = held
    atoms = dims[at][1]
    assert atoms is not None
    outer = math.prod(size for size, _ in dims[:at])
    inner = math.prod(size for size, _ in dims[at + 1 :])
    return np.tile(np.repeat(atoms, inner), outer)


def _parted(call: Call, flat: Atoms | None, sizes: list[int]) -> list[Atoms | None]:
    """Return the atoms of the dimensions that a run is split into: along one they differ."""
    if flat is None:
        return [None] * len(sizes)
    grid = flat.reshape(sizes)
    for dim in range(len(sizes)):
        first = np.moveaxis(grid, dim, 0).reshape(sizes[dim], -1)
        if bool((first == first[:, :1]).all()):
            return [first[:, 0] if i == dim else None for i in range(len(sizes))]
    call.pin(flat, _SPLIT)
    return [None] * len(sizes)


def _permuted(call: Call) -> Axes:
    call.local()
    axes = call.axes(call.operand(0))
    if call.name in ("t", "numpy_T", "mT", "adjoint"):
        return axes if len(axes) < 2 else (*axes[:-2], axes[-1], axes[-2])
    if call.name in ("permute", "permute_copy"):
        return tuple(axes[d] for d in call.argument(1, "dims"))
    first, second = (call.argument(i, f"dim{i - 1}") % len(axes) for i in (1, 2))
    order = list(range(len(axes)))
    order[first], order[second] = second, first
    return tuple(axes[d] for d in order)


def _expanded(call: Call) -> Axes:
    """Dimensions of one are repeated, and carry no atoms."""
    call.local()
    axes, shape = call.axes(call.operand(0)), call.shape
    return (None,) * (len(shape) - len(axes)) + axes


def _sliced(call: Call) -> Axes:
    """A slice of a dimension keeps all of it, or picks by position."""
    call.local()
    source = call.operand(0)
    axes, dim = call.axes(source), call.argument(1, "dim", 0) % len(call.shape)
    if call.shape_of(source)[dim] == call.shape[dim]:
        return axes
    call.pin(axes[dim], _PICKED)
    return tuple(None if d == dim else atoms for d, atoms in enumerate(axes))


def _selected(call: Call) -> Axes:
    call.local()
    axes = call.axes(call.operand(0))
    dim = call.argument(1, "dim") % len(axes)
    call.pin(axes[dim], _PICKED)
    return axes[:dim] + axes[dim + 1 :]


def _index_selected(call: Call) -> Axes:
    call.local()
    axes = call.axes(call.operand(0))
    dim = call.argument(1, "dim") % len(axes)
    call.pin(axes[dim], _PICKED)
    return (*axes[:dim], None, *axes[dim + 1 :])


def _turned(call: Call) -> Axes:
    """Flip and roll: along the dimensions that they turn, positions count."""
    call.local()
    axes = call.axes(call.operand(0))
    dims = call.argument(1 if call.name == "flip" else 2, "dims", ()) or range(len(axes))
    turned = {d % len(axes) for d in dims}
    for dim in turned:
        call.pin(axes[dim], _PICKED)
    return tuple(None if d in turned else atoms for d, atoms in enumerate(axes))


def _repeated(call: Call) -> Axes:
    call.local()
    axes, times = call.axes(call.operand(0)), call.argument(1, "repeats")
    axes = (None,) * (len(times) - len(axes)) + axes
    for atoms, count in zip(axes, times, strict=True):
        if count != 1:
            call.pin(atoms, "repeated")
    return tuple(a if count == 1 else None for a, count in zip(axes, times, strict=True))


def _padded(call: Call) -> Axes:
    """Padding of the last dimensions."""
    call.local()
    axes, pad = call.axes(call.operand(0)), call.argument(1, "pad")
    grown = {len(axes) - 1 - i // 2 for i, count in enumerate(pad) if count}
    for dim in grown:
        call.pin(axes[dim], "padded")
    return tuple(None if d in grown else atoms for d, atoms in enumerate(axes))


RULES: dict[str, Rule] = {
    **dict.fromkeys(
        "view reshape _unsafe_view flatten unflatten squeeze unsqueeze view_as reshape_as".split(),
        _shaped,
    ),
    **dict.fromkeys("t numpy_T mT adjoint permute transpose swapaxes swapdims".split(), _permuted),
    **dict.fromkeys(("expand", "expand_as", "broadcast_to"), _expanded),
    "slice": _sliced,
    "narrow": _sliced,
    "select": _selected,
    "index_select": _index_selected,
    **dict.fromkeys(("flip", "roll"), _turned),
    "repeat": _repeated,
    **dict.fromkeys(
        "constant_pad_nd pad reflection_pad1d reflection_pad2d reflection_pad3d replication_pad1d "
        "replication_pad2d replication_pad3d".split(),
        _padded,
    ),
}
"""Rules by the operator's name."""
