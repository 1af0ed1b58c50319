"""Derivatives that nobody declared, made by SymPy from the formula and put back into words."""

from __future__ import annotations

from functools import lru_cache

from relucid.functions.evaluate import Formula


@lru_cache(maxsize=256)
def derive(formula: Formula, variable: str) -> Formula:
    """Return the formula of d(formula)/d(variable), in the same words."""
    from relucid.functions.symbolic import derived_formula

    return derived_formula(formula, variable)
