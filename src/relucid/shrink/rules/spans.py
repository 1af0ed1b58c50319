"""Operators over whole dimensions, which they pin: sums, norms, pools. The others they keep."""

from __future__ import annotations

from relucid.shrink.axes import Axes
from relucid.shrink.rules.call import Call, Made, Rule

_NORMALISED = "normalised together"
_SUMMED = "taken together"
_POOLED = "pooled over"
_FIXED = "combined with a tensor whose size is fixed"
_EMBEDDED = "a table of embeddings, which is left as it is"


def _reduced(call: Call) -> Axes:
    """Sum, mean, amax and the like over some dimensions."""
    call.local()
    source = call.operand(0)
    axes, dims = call.axes(source), call.argument(1, "dim")
    if dims is None or isinstance(dims, bool) or dims == []:
        over = set(range(len(axes)))
    else:
        over = {d % len(axes) for d in ([dims] if isinstance(dims, int) else dims)}
    for dim in over:
        call.pin(axes[dim], _SUMMED)
    if len(call.shape) == len(axes):
        return tuple(None if d in over else atoms for d, atoms in enumerate(axes))
    return tuple(atoms for d, atoms in enumerate(axes) if d not in over)


def _along(call: Call) -> Made:
    """Softmax and running sums: the shape stays; the dimension that they go along is pinned."""
    call.local()
    axes = call.axes(call.operand(0))
    dim = call.argument(1, "dim") % max(len(axes), 1)
    call.pin(axes[dim] if axes else None, _NORMALISED if "softmax" in call.name else _SUMMED)
    return axes


def _rows(call: Call) -> Made:
    """Layer and RMS norms: over the last dimensions."""
    call.local()
    source = call.operand(0)
    count = len(call.argument(1, "normalized_shape"))
    axes = call.axes(source)
    call.keep(source, range(len(axes) - count), _NORMALISED)
    for node in call.operands[1:]:
        call.keep(node, (), _NORMALISED)
    kept = (*axes[: len(axes) - count], *(None,) * count)
    return (kept, *_others(call)) if isinstance(call.node.meta["val"], tuple | list) else kept


def _channels(call: Call) -> Made:
    """Batch and instance norms: each channel by itself, with parameters of its own."""
    call.local()
    source = call.operand(0)
    axes = call.axes(source)
    channels = axes[1]
    for index in range(1, 5):
        node = call.argument(index)
        if hasattr(node, "meta"):
            channels = call.tie(channels, call.axes(node)[0], _FIXED)
    kept = (axes[0], channels, *axes[2:])
    return (kept, *_others(call)) if isinstance(call.node.meta["val"], tuple | list) else kept


def _others(call: Call) -> tuple[Axes, ...]:
    """Statistics that a norm returns beside its result."""
    return tuple((None,) * len(one.shape) for one in call.node.meta["val"][1:] if one is not None)


def _group(call: Call) -> Made:
    """Group norm: the groups' statistics are those of all of their channels."""
    axes = call.axes(call.operand(0))
    call.pin_operands(_NORMALISED)
    return (axes[0], *(None,) * (len(axes) - 1))


def _pooled(call: Call) -> Made:
    """Pools and interpolation: batch and channels stay, the other dimensions are new."""
    call.local()
    source = call.operand(0)
    axes = call.axes(source)
    kept = len(axes) - _spatial(call.name)
    call.keep(source, range(kept), _POOLED)
    made = (*axes[:kept], *(None,) * (len(axes) - kept))
    return (made, made) if isinstance(call.node.meta["val"], tuple | list) else made


def _spatial(name: str) -> int:
    """How many dimensions a pool spans, as its name says."""
    return next(n for n in (1, 2, 3) if f"{n}d" in name)


def _table(call: Call) -> Axes:
    call.pin_operands(_EMBEDDED)
    return (None,) * len(call.shape)


def _attended(call: Call) -> Axes:
    return call.pin_operands("attended with")


RULES: dict[str, Rule] = {
    **dict.fromkeys("sum mean amax amin prod var std any all logsumexp argmax argmin".split(),
                    _reduced),
    **dict.fromkeys("softmax _softmax log_softmax _log_softmax _safe_softmax cumsum cumprod"
                    .split(), _along),
    **dict.fromkeys(("layer_norm", "native_layer_norm", "rms_norm", "_fused_rms_norm"), _rows),
    **dict.fromkeys("batch_norm _native_batch_norm_legit cudnn_batch_norm instance_norm".split(),
                    _channels),
    **dict.fromkeys(("group_norm", "native_group_norm"), _group),
    **dict.fromkeys("max_pool1d max_pool2d max_pool3d avg_pool1d avg_pool2d avg_pool3d "
                    "adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d "
                    "_adaptive_avg_pool2d _adaptive_avg_pool3d adaptive_max_pool1d "
                    "adaptive_max_pool2d adaptive_max_pool3d max_pool2d_with_indices "
                    "max_pool3d_with_indices max_pool1d_with_indices upsample_nearest1d "
                    "upsample_nearest2d upsample_nearest3d _upsample_nearest_exact1d "
                    "_upsample_nearest_exact2d _upsample_nearest_exact3d upsample_linear1d "
                    "upsample_bilinear2d upsample_bicubic2d upsample_trilinear3d "
                    "_upsample_bilinear2d_aa _upsample_bicubic2d_aa".split(), _pooled),
    "embedding": _table,
    "scaled_dot_product_attention": _attended,
}  # fmt: skip
"""Rules by the operator's name."""
