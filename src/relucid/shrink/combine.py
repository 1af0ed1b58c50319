"""Units that are always on: of more than their inputs span, each is a sum of others.

Where activations are straight over the domain, h_i = s_i (w_i x + b_i) + t_i for unit i of a layer.
Of such units whose weights w have rank r, r are kept, chosen by QR with pivoting, and the others
are exact sums of these: h_R = A h_K + c. The layers that read them take A and c in, and the others
go. Nothing is added, so that it always saves work.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import scipy.linalg
import torch
from numpy.typing import NDArray
from torch import Tensor, fx

from relucid.probes.graph import Captured
from relucid.shrink.analysed import Analysed
from relucid.shrink.axes import Maker, Reading, operands
from relucid.shrink.fixed import Labels, Mask
from relucid.shrink.proof import Straight, Values

_KEEPS = frozenset("""clone contiguous alias detach dropout view reshape flatten _unsafe_view
squeeze unsqueeze permute transpose t""".split())  # fmt: skip
"""Operators that pass each number on as it is."""
_MEANS = frozenset("""mean adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d
_adaptive_avg_pool2d _adaptive_avg_pool3d upsample_nearest1d upsample_nearest2d upsample_nearest3d
upsample_linear1d upsample_bilinear2d upsample_trilinear3d""".split())  # fmt: skip
"""Operators that give means of a channel's numbers, of all channels with the same shares."""
_ROUNDINGS = 16.0
"""Roundoffs, of a row's length, below which what is left of a row counts as rounding."""


@dataclass(frozen=True)
class Chain:
    """The way from a layer's units to one that reads them, all of it straight."""

    maker: Maker
    reading: Reading
    nodes: tuple[fx.Node, ...]
    """From the reading's operand back to the layer, which is left out."""


@dataclass(frozen=True)
class Combination:
    """Units of a layer that are sums of others."""

    maker: Maker
    goes: NDArray[np.int64]
    stays: NDArray[np.int64]
    """Positions among the layer's units."""
    into: tuple[tuple[Reading, Values, Values], ...]
    """For each reading A, of shape (goes, stays), and c."""


def chains(model: Analysed) -> dict[fx.Node, list[Chain]]:
    """Return the layers whose units reach all that read them straight, by the layer's node."""
    makers = {maker.node: maker for maker in model.layout.makers}
    found: dict[fx.Node, list[Chain]] = defaultdict(list)
    for reading in model.layout.readings:
        chain = _back(model, reading, makers)
        if chain is not None:
            found[chain.maker.node].append(chain)
    return found


def _back(model: Analysed, reading: Reading, makers: Mapping[fx.Node, Maker]) -> Chain | None:
    node, passed = reading.values, list[fx.Node]()
    while node not in makers:
        before = _before(model, node)
        if before is None:
            return None
        passed.append(node)
        node = before
    return Chain(makers[node], reading, tuple(passed))


def _before(model: Analysed, node: fx.Node) -> fx.Node | None:
    """Return the operand of an operator that is straight in it, channel by channel."""
    if node in model.sites:
        return model.sites[node].entry
    varying = [one for one in operands(node) if one in model.layout.varying]
    passes = _name(node) in _KEEPS | _MEANS or _stored(node) or _unpadded(node)
    return varying[0] if passes and len(varying) == 1 else None


def _name(node: fx.Node) -> str:
    return str(getattr(node.target, "_opname", ""))


def _unpadded(node: fx.Node) -> bool:
    """Whether this is average pooling without padding, which would count as zeros."""
    padding = node.args[3] if len(node.args) > 3 else 0
    return _name(node).startswith("avg_pool") and padding in (0, [0], [0, 0], [0, 0, 0])


def _stored(node: fx.Node) -> bool:
    """Whether this is batch normalisation with stored statistics."""
    return _name(node) == "batch_norm" and node.args[5] is False


def simple_units(model: Analysed, many: list[Chain]) -> Mask:
    """Return which units of a layer reach nothing but these readings, and nothing else makes."""
    maker = many[0].maker
    labels = model.classes.of(maker.units)
    found: Mask = model.classes.free()[labels]
    for other in model.layout.makers:
        if other is not maker:
            found &= ~np.isin(labels, model.classes.of(other.units))
    ours = {chain.reading for chain in many}
    for reading in model.layout.readings:
        atoms = model.layout.axes[reading.values][0][reading.dim]
        if reading not in ours and atoms is not None:
            found &= ~np.isin(labels, model.classes.of(atoms))
    names, counts = np.unique(labels, return_counts=True)
    return found & np.isin(labels, names[counts == 1])


def along(
    model: Analysed, chain: Chain, straight: Mapping[fx.Node, Straight]
) -> tuple[Values, Values]:
    """Return slope and offset of each unit from the layer to what reads it; NaN if not straight."""
    labels = model.classes.of(chain.maker.units)
    slope, offset = np.ones(len(labels)), np.zeros(len(labels))
    for node in reversed(chain.nodes):
        step = _step(model, node, labels, straight)
        if step is not None:
            slope, offset = step[0] * slope, step[0] * offset + step[1]
    return slope, offset


def _step(
    model: Analysed, node: fx.Node, labels: Labels, straight: Mapping[fx.Node, Straight]
) -> tuple[Values, Values] | None:
    if node in model.sites:
        known = straight.get(node)
        nothing = np.full(len(labels), np.nan)
        return (nothing, nothing) if known is None else known.at(labels)
    return _normed(model.captured, node, labels) if _stored(node) else None


def _normed(captured: Captured, norm: fx.Node, labels: Labels) -> tuple[Values, Values]:
    """Return slope and offset of batch normalisation with stored statistics."""
    weight, bias, mean, variance = (_numbers(captured, x, len(labels)) for x in norm.args[1:5])
    eps = norm.args[7]
    assert isinstance(eps, float)
    weight = np.ones(len(labels)) if weight is None else weight
    bias = np.zeros(len(labels)) if bias is None else bias
    if mean is None or variance is None:
        nothing = np.full(len(labels), np.nan)
        return nothing, nothing
    slope = weight / np.sqrt(variance + eps)
    return slope, bias - mean * slope


def _numbers(captured: Captured, node: object, count: int) -> Values | None:
    """Return a parameter or buffer with one number a channel."""
    held = captured.tensors.get(node.name) if isinstance(node, fx.Node) else None
    if not isinstance(held, Tensor) or len(held) != count:
        return None
    numbers: Values = held.detach().double().numpy(force=True)
    return numbers


def combine(
    model: Analysed,
    many: list[Chain],
    slopes: list[tuple[Values, Values]],
    may: Mask,
    holds: Mapping[fx.Node, bool],
) -> Combination | None:
    """Find units of one layer that are sums of others; None where there are none.

    ``slopes`` are those of each chain, ``may`` says which units may take part.
    """
    maker = many[0].maker
    rows, biases = _rows(model, maker)
    on = np.flatnonzero(may & np.logical_and.reduce([np.isfinite(s) & (s != 0) for s, _ in slopes]))
    if len(on) < 2 or rows is None or biases is None:
        return None
    columns = [rows[on]]
    for chain, (slope, offset) in zip(many, slopes, strict=True):
        if not holds[chain.reading.weight] or chain.reading.padded:
            columns.append((biases + offset / slope)[on, None])
    parts = _depend(np.concatenate(columns, 1), torch.finfo(_dtype(model, maker)).eps)
    if parts is None:
        return None
    stays, goes, shares = parts
    into = []
    for chain, (slope, offset) in zip(many, slopes, strict=True):
        s, value = slope[on], (slope * biases + offset)[on]
        share = s[goes, None] * shares / s[None, stays]
        rest = value[goes] - share @ value[stays]
        held = holds[chain.reading.weight] and not chain.reading.padded
        into.append((chain.reading, share, rest if held else np.zeros(len(rest))))
    return Combination(maker, on[goes], on[stays], tuple(into))


def _depend(rows: Values, eps: float) -> tuple[NDArray[np.int64], NDArray[np.int64], Values] | None:
    """Return rows to keep, the others, and the shares of the kept in each; None if all are needed.

    Rows are first made equally long, so that a short one does not pass for rounding.
    """
    length = np.linalg.norm(rows, axis=1)
    if not bool((length > 0).all()):
        return None
    triangle, order = scipy.linalg.qr((rows / length[:, None]).T, mode="r", pivoting=True)
    diagonal = np.abs(np.diag(triangle))
    rank = int((diagonal > _ROUNDINGS * eps).sum())
    if rank == len(rows):
        return None
    shares = scipy.linalg.solve_triangular(triangle[:rank, :rank], triangle[:rank, rank:]).T
    stays, goes = order[:rank], order[rank:]
    return stays, goes, shares * length[goes, None] / length[None, stays]


def _rows(model: Analysed, maker: Maker) -> tuple[Values | None, Values | None]:
    """Return each unit's weights in a row, and its bias; None where the graph computes them."""
    captured = model.captured
    reading = next((r for r in model.layout.readings if r.node is maker.node), None)
    if reading is None or reading.weight.name not in captured.names:
        return None, None
    weight = captured.tensors[reading.weight.name].detach()
    rows = weight.movedim(reading.weight_out, 0).flatten(1).double().numpy(force=True)
    if reading.bias is None:
        return rows, np.zeros(len(rows))
    return rows, _numbers(captured, reading.bias, len(rows))


def _dtype(model: Analysed, maker: Maker) -> torch.dtype:
    return model.captured.tensors[maker.weight.name].dtype
