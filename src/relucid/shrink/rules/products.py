"""Products with weights: what they add up may go where it is constant."""

from __future__ import annotations

import numpy as np
from torch import fx

from relucid.shrink.axes import Atoms, Axes, Reading
from relucid.shrink.rules.call import Call, Made, Rule

_FROM_INPUT = "read from a tensor whose size is fixed"
_BOTH = "multiplied with a tensor that is computed from the inputs too"
_NORMED = "part of a length that weight normalisation divides by"
_GROUP = "a group of channels that are made of one another"


def _linear(call: Call) -> Axes:
    weight = call.operand(1)
    if weight in call.layout.varying or len(call.shape_of(weight)) != 2:
        return call.pin_operands(_BOTH)
    return _product(call, call.operand(0), weight, _optional(call, 2, "bias"), 1)


def _matrix(call: Call) -> Made:
    """``matmul`` and ``mm``, and ``addmm`` with a bias before them: the weight is (in, out)."""
    added = call.name == "addmm"
    plain = all(call.node.kwargs.get(n, 1) == 1 for n in ("alpha", "beta"))
    bias = call.operand(0) if added else None
    values, weight = call.operand(int(added)), call.operand(int(added) + 1)
    a_vector = bias is None or len(call.shape_of(bias)) == 1
    constant = weight not in call.layout.varying and values in call.layout.varying
    if not (plain and a_vector and constant and len(call.shape_of(weight)) == 2):
        return call.pin_operands(_BOTH)
    return _product(call, values, weight, bias, 0)


def _product(
    call: Call, values: fx.Node, weight: fx.Node, bias: fx.Node | None, weight_in: int
) -> Axes:
    axes, sides = call.axes(values), call.axes(weight)
    call.tie(axes[-1], sides[weight_in], _FROM_INPUT)
    units = _biased(call, sides[1 - weight_in], bias)
    call.make(weight, units)
    dim = len(axes) - 1
    call.read(Reading(call.node, values, weight, bias, dim, weight_in, 1 - weight_in, dim))
    return (*axes[:-1], units)


def _biased(call: Call, units: Atoms | None, bias: fx.Node | None) -> Atoms | None:
    if bias is None:
        return units
    return call.tie(units, call.axes(bias)[0], _FROM_INPUT)


def _convolution(call: Call) -> Axes:
    """Any ``conv``, in groups too: channels of a group go together, and with what is made of them.

    Of one group, the channels are added up, as a linear layer does.
    """
    values, weight = call.operand(0), call.operand(1)
    if weight in call.layout.varying:
        return call.pin_operands(_BOTH)
    bias = _optional(call, 2, "bias")
    transposed, groups, padded = _geometry(call)
    batched = len(call.shape) == len(call.shape_of(weight))
    dim = 1 if batched else 0
    for at, atoms in enumerate(call.axes(values)):
        if at != dim and not (batched and at == 0):
            call.pin(atoms, "convolved")
    channels = call.axes(values)[dim]
    sides = call.axes(weight)
    if groups == 1:
        units = _whole(call, channels, sides, transposed)
    else:
        units = _grouped(call, channels, sides, transposed, groups)
    if groups == 1 or (channels is not None and units is not None):
        call.read(Reading(call.node, values, weight, bias, dim, int(not transposed),
                          int(transposed), dim, padded, transposed), groups > 1)  # fmt: skip
    units = _biased(call, units, bias)
    call.make(weight, units)
    lead = call.axes(values)[:1] if batched else ()
    return (*lead, units, *(None,) * (len(call.shape) - dim - 1))


def _geometry(call: Call) -> tuple[bool, int, bool]:
    """Return whether it is transposed, its groups, and whether it pads with zeros."""
    transposed = "transpose" in call.name
    padding, groups = call.argument(4, "padding", 0), call.argument(6, "groups", 1)
    if call.name == "convolution":
        transposed, groups = bool(call.argument(6)), call.argument(8)
    some = padding not in ("valid",) if isinstance(padding, str) else np.any(padding)
    return transposed, int(groups), bool(some) or transposed


def _whole(call: Call, channels: Atoms | None, sides: Axes, transposed: bool) -> Atoms | None:
    into, out = (sides[0], sides[1]) if transposed else (sides[1], sides[0])
    call.tie(channels, into, _FROM_INPUT)
    return out


def _grouped(
    call: Call, channels: Atoms | None, sides: Axes, transposed: bool, groups: int
) -> Atoms | None:
    """A group goes whole, so that each result is made of its own group's operands."""
    call.local()
    if channels is None or (sides[0] is None):
        call.tie(channels, sides[0], _FROM_INPUT)
        return None
    if transposed:
        call.tie(channels, sides[0], "")
        call.pin(sides[1], _GROUP)
        count = call.shape[1] // groups
        units = np.repeat(channels.reshape(groups, -1)[:, 0], count)
    else:
        call.pin(sides[1], _GROUP)
        units = sides[0]
    for members in (channels.reshape(groups, -1), units.reshape(groups, -1)):
        call.layout.tie(np.repeat(channels.reshape(groups, -1)[:, :1], members.shape[1], 1).ravel(),
                        members.ravel())  # fmt: skip
    return units


def _normed_weight(call: Call) -> Axes:
    """Weight normalisation: each row's length is its own, so that rows may go and columns not."""
    call.local()
    direction, length = call.operand(0), call.operand(1)
    dim = call.argument(2, "dim", 0)
    axes, lengths = call.axes(direction), call.axes(length)
    if not isinstance(dim, int) or not 0 <= dim < len(axes):
        return call.pin_operands(_NORMED)
    call.keep(direction, (dim,), _NORMED)
    kept = call.tie(axes[dim], lengths[dim], _FROM_INPUT)
    return tuple(kept if d == dim else None for d in range(len(axes)))


def _optional(call: Call, index: int, name: str) -> fx.Node | None:
    found = call.argument(index, name)
    return found if isinstance(found, fx.Node) else None


RULES: dict[str, Rule] = {
    "linear": _linear,
    "_weight_norm": _normed_weight,
    **dict.fromkeys(("matmul", "mm", "addmm"), _matrix),
    **dict.fromkeys("conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d "
                    "convolution".split(), _convolution),
}  # fmt: skip
"""Rules by the operator's name."""
