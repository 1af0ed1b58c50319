"""Operators that move numbers, or pick among them, without changing any: exact on both ends."""

from __future__ import annotations

import torch
from torch import Tensor

from relucid.probes.bounds.interval import Ball, Interval, exactly, rounded
from relucid.probes.bounds.rules.operation import Operation, Rule

_MOVES = """view _unsafe_view reshape _reshape_alias permute transpose t expand squeeze unsqueeze
slice select clone contiguous alias detach lift_fresh flip roll repeat unfold as_strided diagonal
view_as_real movedim narrow expand_as constant_pad_nd reflection_pad1d reflection_pad2d
reflection_pad3d replication_pad1d replication_pad2d replication_pad3d pixel_shuffle
pixel_unshuffle channel_shuffle im2col upsample_nearest1d upsample_nearest2d upsample_nearest3d
_upsample_nearest_exact1d _upsample_nearest_exact2d tril triu diag_embed"""
_SPLITS = "split split_with_sizes chunk unbind unsafe_split unsafe_chunk unsafe_split_with_sizes"
_JOINS = "cat stack"
_PICKS = "amax amin max_pool2d_with_indices max_pool3d_with_indices adaptive_max_pool2d"
_ORDERED = """relu hardtanh leaky_relu threshold maximum minimum clamp clamp_min clamp_max
round floor ceil trunc sign"""
_STEPS = frozenset({"leaky_relu"})


def _moved(call: Operation) -> Interval:
    operand = call.first()
    ball, last = operand.ball, operand.low.ndim - 1
    keeps = _keeps_rows(call, last)
    moved = Interval(call.at("low"), call.at("high"), operand.causes)
    ball = ball if isinstance(ball, Ball) and keeps else None
    return moved.but(ball=ball, weights=operand.weights and keeps)


def _keeps_rows(call: Operation, last: int) -> bool:
    """Whether every row (last axis) of the result is a row of the operand."""
    operand, result = call.first().low, call.result
    if not result.ndim or not operand.ndim or result.shape[-1] != operand.shape[-1]:
        return False
    name, shape = call.name, (last + 1,)
    if name in ("view", "_unsafe_view", "reshape", "clone", "contiguous", "alias", "detach"):
        return True
    if name == "permute":
        return bool(call.argument(1)[-1] % shape[0] == last)
    if name == "transpose":
        return last not in (call.argument(1) % shape[0], call.argument(2) % shape[0])
    if name in ("slice", "select"):
        return bool(call.argument(1, "dim", 0) % shape[0] != last)
    return name in ("expand", "unsqueeze", "squeeze") and operand.shape[-1] > 1 and _same_end(call)


def _same_end(call: Operation) -> bool:
    return call.name != "unsqueeze" or call.argument(1) % call.result.ndim != call.result.ndim - 1


def _split(call: Operation) -> tuple[Interval, ...]:
    operand = call.first()
    pairs = zip(call.at("low"), call.at("high"), strict=True)
    return tuple(operand.ends(low, high) for low, high in pairs)


def _joined(call: Operation) -> Interval:
    parts = [exactly(x, call.first()) for x in call.argument(0, "tensors")]
    dim = call.argument(1, "dim", 0)
    ends = ([getattr(part, end) for part in parts] for end in ("low", "high"))
    low, high = (call.function(end, dim) for end in ends)
    return Interval(low, high)


def _ordered(call: Operation) -> Interval | None:
    """Apply a function that never falls, and rounds at most once, to both ends."""
    extra = [x for x in call.args[1:] if isinstance(x, Interval)]
    if extra and call.name.rstrip("_") not in ("maximum", "minimum", "clamp"):
        return None
    if call.name.startswith("leaky_relu") and float(call.argument(1, "negative_slope", 0.01)) < 0:
        return None
    if call.name.startswith("threshold") and float(call.argument(2)) > float(call.argument(1)):
        return None
    low, high = call.at("low"), call.at("high")
    plain = call.first().ends(low, high)
    return rounded(plain, call.dtype) if call.name.rstrip("_") in _STEPS else plain


def _picked(call: Operation) -> Interval | tuple[Interval | None, ...]:
    """Take maxima, or minima, of both ends; where they lie is not followed."""
    low, high = call.at("low"), call.at("high")
    if isinstance(low, tuple):
        return (call.first().ends(low[0], high[0]), None)
    return call.first().ends(low, high)


def _most(call: Operation) -> Interval | tuple[Interval | None, ...] | None:
    """``max`` and ``min``, of all, along an axis, or of two tensors."""
    return _picked(call)


def _cast(call: Operation) -> Interval:
    """Change the dtype, which rounds once; to integers it cuts the fraction off."""
    operand, dtype = call.first(), call.dtype
    if dtype is torch.bool:
        zero = (operand.low == 0) & (operand.high == 0)
        never = (operand.low > 0) | (operand.high < 0)
        return operand.ends(never.double(), (~zero).double())
    if not dtype.is_floating_point:
        return operand.ends(operand.low.trunc(), operand.high.trunc())
    return rounded(operand, dtype).but(ball=operand.ball, weights=operand.weights, kin=operand.kin)


def _indexed(call: Operation) -> Interval | None:
    """Pick by constant indices; by unknown ones, anything along those axes may be picked."""
    if isinstance(call.argument(0), Interval) and not _any(call.args[1:]):
        return _moved(call).but(ball=None, weights=False)
    return None


def _looked_up(call: Operation) -> Interval | None:
    """Look rows up in a table: of ids that are not known, any row."""
    table, ids = call.argument(0, "weight"), call.argument(1, "indices")
    if isinstance(table, Interval):
        return None if isinstance(ids, Interval) else table.ends(call.at("low"), call.at("high"))
    assert isinstance(table, Tensor)
    least, most = table.detach().double().amin(0), table.detach().double().amax(0)
    shape = call.result.shape
    return call.first().ends(least.expand(shape).clone(), most.expand(shape).clone())


def _copied(call: Operation) -> Interval:
    source = call.interval(1, "src")
    shape = call.result.shape
    moved = Interval(source.low.expand(shape).clone(), source.high.expand(shape).clone())
    return rounded(moved, call.dtype)


def _filled(call: Operation) -> Interval:
    """Fill with a constant, or with what is known of a scalar."""
    name = call.name.rstrip("_").removeprefix("new_").removesuffix("_like")
    value = {"zeros": 0.0, "zero": 0.0, "ones": 1.0}.get(name)
    if value is None:
        given = exactly(call.args[-1 if name == "fill" else 1], dtype=call.dtype)
        shape, device = call.result.shape, call.result.device
        low, high = (end.to(device).expand(shape).clone() for end in (given.low, given.high))
        return rounded(Interval(low, high), call.dtype)
    ends = torch.full(tuple(call.result.shape), value, dtype=torch.float64)
    ends = ends.to(call.result.device)
    return Interval(ends, ends.clone())


def _any(values: object) -> bool:
    return any(isinstance(x, Interval) for x in torch.utils._pytree.tree_leaves(values))


RULES: dict[str, Rule] = {
    **dict.fromkeys(_MOVES.split(), _moved),
    **dict.fromkeys(_SPLITS.split(), _split),
    **dict.fromkeys(_JOINS.split(), _joined),
    **dict.fromkeys(_ORDERED.split(), _ordered),
    **dict.fromkeys(_PICKS.split(), _picked),
    **dict.fromkeys(("max", "min"), _most),
    **dict.fromkeys(("_to_copy", "to", "_autocast_to_reduced_precision"), _cast),
    **dict.fromkeys(("index", "index_select", "gather", "take_along_dim"), _indexed),
    "embedding": _looked_up,
    "copy": _copied,
    **dict.fromkeys("fill zero zeros_like ones_like full_like".split(), _filled),
    **dict.fromkeys("new_zeros new_ones new_full".split(), _filled),
}
"""Rules by the operator's name."""
