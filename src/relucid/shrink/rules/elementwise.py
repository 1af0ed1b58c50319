"""Operators on each element by itself: they tie the same index of all operands."""

from __future__ import annotations

from relucid.shrink.axes import Atoms, Axes
from relucid.shrink.rules.call import Call, Made, Rule

_OTHERS = """clone contiguous _to_copy to alias detach dropout lift_fresh_copy lift_fresh
feature_dropout alpha_dropout hardtanh relu6 relu gelu silu mish hardswish hardsigmoid rrelu celu
selu elu leaky_relu softplus log_sigmoid logsigmoid threshold hardshrink softshrink tanhshrink
clip clamp masked_fill where square nan_to_num"""
"""Such as PyTorch does not tag, besides those that it does."""
_FIXED = "combined with a tensor whose size is fixed"


def each(call: Call) -> Made:
    """Line the operands up from the right, as broadcasting does, and tie their dimensions."""
    call.local()
    rank = len(call.shape)
    return tuple(_one(call, rank - dim, size) for dim, size in enumerate(call.shape))


def _one(call: Call, from_right: int, size: int) -> Atoms | None:
    if size == 1:
        return None
    found: list[Atoms | None] = []
    for node in call.operands:
        shape, axes = call.shape_of(node), call.axes(node)
        if len(shape) >= from_right and shape[-from_right] == size:
            found.append(axes[-from_right])
    known = [atoms for atoms in found if atoms is not None]
    for other in known[1:]:
        call.tie(known[0], other, "")
    if known and len(known) < len(found):
        call.pin(known[0], _FIXED)
    return known[0] if known else None


def _sloped(call: Call) -> Axes:
    """PReLU: a slope for each channel, which is dimension 1."""
    call.local()
    values, slope = call.operand(0), call.operand(1)
    axes, (slopes,) = call.axes(values), call.axes(slope) or (None,)
    if slopes is None or len(axes) < 2:
        return axes
    return (axes[0], call.tie(axes[1], slopes, _FIXED), *axes[2:])


def _metadata(call: Call) -> Axes:
    """Assertions of the exporter's: of dtype and device, not of sizes."""
    return ()


RULES: dict[str, Rule] = {
    **dict.fromkeys(_OTHERS.split(), each),
    **dict.fromkeys(("prelu", "_prelu_kernel"), _sloped),
    "_assert_tensor_metadata": _metadata,
}
"""Rules by the operator's name."""
