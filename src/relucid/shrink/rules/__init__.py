"""Which indices an operator ties, passes on or pins: one rule for each kind, found by name."""

from __future__ import annotations

from typing import Any

import torch

from relucid.shrink.rules.call import Call, Made, Rule
from relucid.shrink.rules.elementwise import RULES as ELEMENTWISE
from relucid.shrink.rules.elementwise import each
from relucid.shrink.rules.joints import RULES as JOINTS
from relucid.shrink.rules.moves import RULES as MOVES
from relucid.shrink.rules.products import RULES as PRODUCTS
from relucid.shrink.rules.spans import RULES as SPANS

_RULES: dict[str, Rule] = {**ELEMENTWISE, **MOVES, **JOINTS, **PRODUCTS, **SPANS}


def find_rule(name: str, target: Any) -> Rule:
    """Return the rule of an operator; of one without, that which pins all."""
    if name in _RULES:
        return _RULES[name]
    return each if torch.Tag.pointwise in getattr(target, "tags", ()) else _unknown


def _unknown(call: Call) -> Made:
    return call.pin_operands("taken in by an operator of which it is not known what it does")


__all__ = ["Call", "Rule", "find_rule"]
