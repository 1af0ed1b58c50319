"""Comparisons and truth values: 0 and 1 at the ends, [0, 1] where the input decides."""

from __future__ import annotations

import torch
from torch import Tensor

from relucid.probes.bounds.interval import Interval
from relucid.probes.bounds.rules.operation import Operation, Rule


def _truth(surely: Tensor, possibly: Tensor) -> Interval:
    return Interval(surely.double(), possibly.double())


def _compared(call: Operation) -> Interval:
    a, b = call.interval(0), call.interval(1)
    name = call.name.rstrip("_")
    if name in ("lt", "le"):
        a, b, name = b, a, {"lt": "gt", "le": "ge"}[name]
    if name == "gt":
        return _truth(a.low > b.high, a.high > b.low)
    if name == "ge":
        return _truth(a.low >= b.high, a.high >= b.low)
    same = (a.low == a.high) & (b.low == b.high) & (a.low == b.low)
    apart = (a.high < b.low) | (a.low > b.high)
    return _truth(same, ~apart) if name == "eq" else _truth(apart, ~same)


def _nonzero(values: Interval) -> tuple[Tensor, Tensor]:
    """Return where a value surely, and where it possibly, is not zero."""
    return (values.low > 0) | (values.high < 0), (values.low != 0) | (values.high != 0)


def _negated(call: Operation) -> Interval | None:
    if call.result.dtype is not torch.bool:
        return None
    surely, possibly = _nonzero(call.first())
    return _truth(~possibly, ~surely)


def _joined(call: Operation) -> Interval | None:
    if call.result.dtype is not torch.bool:
        return None
    (a, maybe_a), (b, maybe_b) = _nonzero(call.interval(0)), _nonzero(call.interval(1))
    if "and" in call.name:
        return _truth(a & b, maybe_a & maybe_b)
    return _truth(a | b, maybe_a | maybe_b)


def _reduced(call: Operation) -> Interval:
    surely, possibly = _nonzero(call.first())
    return _truth(*(call.function(x, *call.args[1:], **call.kwargs) for x in (surely, possibly)))


RULES: dict[str, Rule] = {
    **dict.fromkeys("gt ge lt le eq ne".split(), _compared),
    **dict.fromkeys(("logical_not", "bitwise_not"), _negated),
    **dict.fromkeys("logical_and bitwise_and logical_or bitwise_or __and__ __or__".split(),
                    _joined),
    **dict.fromkeys(("any", "all"), _reduced),
}  # fmt: skip
"""Rules by the operator's name."""
