"""The operators of a graph as linear bounds read them, and which of them are affine."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.fx import Node
from torch.fx.node import map_aggregate

_MOVES = """view _unsafe_view reshape permute transpose t expand squeeze unsqueeze slice select
clone contiguous alias flip roll repeat diagonal narrow movedim flatten unflatten lift_fresh
split split_with_sizes chunk unbind unsafe_split unsafe_chunk index_select index gather unfold
constant_pad_nd pad reflection_pad1d reflection_pad2d reflection_pad3d replication_pad1d
replication_pad2d replication_pad3d pixel_shuffle pixel_unshuffle channel_shuffle im2col tril triu
upsample_nearest1d upsample_nearest2d upsample_nearest3d to _to_copy neg sum mean cumsum avg_pool1d
avg_pool2d avg_pool3d adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d
_adaptive_avg_pool2d _adaptive_avg_pool3d upsample_linear1d upsample_bilinear2d
upsample_trilinear3d linear conv1d conv2d conv3d convolution conv_transpose1d conv_transpose2d
conv_transpose3d div"""
_UNLESS_TRAINING = {"dropout": 2, "feature_dropout": 2, "alpha_dropout": 2, "batch_norm": 5}
_JOINT = "add sub rsub cat stack"
_PRODUCTS = {"mul": 0, "mm": 0, "bmm": 0, "matmul": 0, "mv": 0, "addmm": 1, "baddbmm": 1}
_CHOICES = {"where": 0, "masked_fill": 1}


@dataclass(frozen=True)
class Slot:
    """The place of a bounded operand among an operator's arguments."""

    index: int


@dataclass(frozen=True)
class Call:
    """A node's operator with its constants in place, and the operands that are bounded."""

    function: Any
    name: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    operands: tuple[Node, ...]
    item: int | None = None

    def run(self, *operands: Tensor) -> Tensor:
        """Run the operator on these operands."""

        def filled(x: Any) -> Any:
            return operands[x.index] if isinstance(x, Slot) else x

        result = self.function(
            *map_aggregate(self.args, filled), **map_aggregate(self.kwargs, filled)
        )
        made: Tensor = result if self.item is None else result[self.item]
        return made

    def cast(self, dtype: torch.dtype, device: torch.device) -> Call:
        """Return the same operator in another floating point dtype."""

        def moved(x: Any) -> Any:
            if isinstance(x, Tensor):
                return x.detach().to(device, dtype if x.is_floating_point() else x.dtype)
            if isinstance(x, torch.dtype) and x.is_floating_point:
                return dtype
            return device if isinstance(x, torch.device) else x

        args, kwargs = map_aggregate(self.args, moved), map_aggregate(self.kwargs, moved)
        return Call(self.function, self.name, args, kwargs, self.operands, self.item)

    def argument(self, index: int, name: str = "", default: Any = None) -> Any:
        """Return an argument by position or name."""
        return self.args[index] if index < len(self.args) else self.kwargs.get(name, default)

    @property
    def tensors(self) -> list[Tensor]:
        """The constants."""
        found: list[Tensor] = []
        map_aggregate(
            (self.args, self.kwargs), lambda x: found.append(x) if isinstance(x, Tensor) else None
        )
        return found


def call_of(
    node: Node, constant: Callable[[Node], Any], bounded: Callable[[Node], bool]
) -> Call | None:
    """Read a node of the graph; None where it is no operator of ATen."""
    if node.target is operator.getitem:
        made, item = node.args
        inner = call_of(made, constant, bounded) if isinstance(made, Node) else None
        if inner is None or inner.item is not None or not isinstance(item, int):
            return None
        return Call(inner.function, inner.name, inner.args, inner.kwargs, inner.operands, item)
    if not isinstance(node.target, torch._ops.OpOverload) or node.target.namespace != "aten":
        return None
    operands: list[Node] = []

    def read(x: Any) -> Any:
        if not isinstance(x, Node):
            return x
        if not bounded(x):
            return constant(x)
        if x not in operands:
            operands.append(x)
        return Slot(operands.index(x))

    args, kwargs = map_aggregate(node.args, read), map_aggregate(dict(node.kwargs), read)
    name = node.target._schema.name.removeprefix("aten::")
    return Call(node.target, name, args, kwargs, tuple(operands))


def is_affine(call: Call) -> bool:
    """Whether the operator is affine in its bounded operands, taken together."""
    held = [_holds_slot(x) for x in (*call.args, *call.kwargs.values())]
    name, places = call.name, [i for i, one in enumerate(held) if one]
    if name in _MOVES.split():
        return places == [0] and call.kwargs.get("rounding_mode") is None
    if name in _UNLESS_TRAINING:
        index = _UNLESS_TRAINING[name]
        return places == [0] and call.argument(index, "training") is False
    if name in _PRODUCTS:
        return sum(i >= _PRODUCTS[name] for i in places) <= 1
    if name in _CHOICES:
        return _CHOICES[name] not in places
    return name in _JOINT.split()


def _holds_slot(value: Any) -> bool:
    found: list[Slot] = []
    map_aggregate((value,), lambda x: found.append(x) if isinstance(x, Slot) else None)
    return bool(found)
