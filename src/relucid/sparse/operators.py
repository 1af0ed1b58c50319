"""What operators of a graph do to zeros, and to the places of elements."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any

from torch import Tensor, fx

STAY = frozenset({"clone", "contiguous", "alias", "detach", "lift_fresh_copy"})
"""Operators that give back their operand."""
MOVES = STAY | frozenset(
    """view reshape _unsafe_view flatten unflatten transpose permute t movedim squeeze unsqueeze
slice select narrow split split_with_sizes chunk unbind expand getitem""".split()
)
"""Operators whose result holds elements of their operand as they are."""
METADATA = frozenset(
    """_assert_tensor_metadata sym_size zeros_like ones_like full_like empty_like new_zeros new_ones
new_full new_empty""".split()
)
"""Operators that read no elements."""
POOLS = frozenset(
    """max_pool1d max_pool2d max_pool3d avg_pool1d avg_pool2d avg_pool3d adaptive_avg_pool1d
adaptive_avg_pool2d adaptive_avg_pool3d""".split()
)
"""Operators that make 0 of windows of zeros."""
_KEEP_ZERO = frozenset(
    """relu relu6 abs neg square sqrt sign tanh sin gelu silu mish elu celu selu leaky_relu prelu
hardswish softsign softshrink hardshrink dropout feature_dropout _to_copy to""".split()
)
"""Operators on each element that make 0 of 0."""


def name_of(node: fx.Node) -> str:
    """Return an operator's name without its overload; ``output`` for the output."""
    if node.target is operator.getitem:
        return "getitem"
    return str(getattr(node.target, "_opname", node.target))


def shape_of(value: Any) -> tuple[int, ...]:
    """Return the shape of a node's result; empty where it is no tensor."""
    made = value.meta.get("val") if isinstance(value, fx.Node) else None
    return tuple(made.shape) if isinstance(made, Tensor) else ()


def keeps_zeros(node: fx.Node, operand: fx.Node) -> bool:
    """Whether a node is 0 where its operand is, its elements moved or pooled."""
    name = name_of(node)
    if name == "mul":
        return True
    if not node.args or node.args[0] is not operand:
        return False
    if name == "pow":
        power = node.args[1]
        return isinstance(power, int | float) and power > 0
    if name in ("clamp", "clamp_min", "clamp_max", "hardtanh"):
        return spares_zero(node)
    return name == "div" or name in MOVES | POOLS | _KEEP_ZERO


def low_end(node: fx.Node) -> Any:
    """Return the lower end of a clip; None where it has none."""
    name = name_of(node)
    default = None if name == "clamp_max" else _argument(node, 1)
    if name == "hardtanh" and default is None:
        default = -1.0
    return node.kwargs.get("min", default)


def spares_zero(node: fx.Node) -> bool:
    """Whether a clip leaves 0 as it is."""
    name = name_of(node)
    default = _argument(node, 1 if name == "clamp_max" else 2)
    if name == "hardtanh" and default is None:
        default = 1.0
    low, high = low_end(node), node.kwargs.get("max", default)
    known = all(end is None or isinstance(end, int | float) for end in (low, high))
    return known and (low is None or low <= 0) and (high is None or high >= 0)


def is_zero(value: Any, held: Mapping[str, Tensor]) -> bool:
    """Whether an operand is 0 throughout: a number, a constant of ``held``, ``zeros_like``."""
    if isinstance(value, int | float):
        return value == 0
    if not isinstance(value, fx.Node):
        return False
    if value.op == "placeholder":
        constant = held.get(value.name)
        return isinstance(constant, Tensor) and not bool(constant.any())
    if name_of(value) in STAY or name_of(value) in ("_to_copy", "expand"):
        return is_zero(value.args[0], held)
    if name_of(value) in ("full", "full_like", "scalar_tensor"):
        return value.args[-1] in (0, 0.0, False)
    return name_of(value) in ("zeros", "zeros_like", "new_zeros")


def _argument(node: fx.Node, index: int) -> Any:
    return node.args[index] if index < len(node.args) else None
