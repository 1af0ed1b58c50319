"""How intervals pass PyTorch's operators: one rule for each kind, found by the operator's name."""

from __future__ import annotations

from relucid.probes.bounds.rules.activations import RULES as ACTIVATIONS
from relucid.probes.bounds.rules.arithmetic import RULES as ARITHMETIC
from relucid.probes.bounds.rules.attention import RULES as ATTENTION
from relucid.probes.bounds.rules.logic import RULES as LOGIC
from relucid.probes.bounds.rules.moves import RULES as MOVES
from relucid.probes.bounds.rules.normalisation import RULES as NORMALISATION
from relucid.probes.bounds.rules.operation import Operation, Rule
from relucid.probes.bounds.rules.products import RULES as PRODUCTS
from relucid.probes.bounds.rules.sums import RULES as SUMS

_RULES: dict[str, Rule] = {
    **MOVES,
    **ARITHMETIC,
    **SUMS,
    **LOGIC,
    **PRODUCTS,
    **ACTIVATIONS,
    **NORMALISATION,
    **ATTENTION,
}


def find_rule(name: str, out: bool = False) -> Rule | None:
    """Return the rule of an operator, in place or not; None where there is none."""
    return None if out else _RULES.get(name) or _RULES.get(name.removesuffix("_"))


__all__ = ["Operation", "Rule", "find_rule"]
