"""Kinks and seams that nobody declared, found where the branches of a formula meet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sympy

from relucid.functions.symbolic.branches import Meeting, branches_of, meetings_of
from relucid.functions.symbolic.trace import trace


def meetings(formula: Any, arguments: Mapping[str, float]) -> tuple[Meeting, ...]:
    """Return the meetings of the formula's branches for these parameter values.

    Raises :class:`~relucid.errors.DeclarationError` where the formula is not symbolic.
    """
    numbers = {sympy.Symbol(name, real=True): value for name, value in arguments.items()}
    return tuple(meetings_of(branches_of(trace(formula), numbers), numbers))


def kink_points(formula: Any, arguments: Mapping[str, float]) -> tuple[float, ...]:
    """Return the points where the value or the derivative jumps."""
    return tuple(m.joint.at for m in meetings(formula, arguments) if m.jump in ("value", "slope"))


def fixed_seams(formula: Any, arguments: Mapping[str, float]) -> tuple[float, ...]:
    """Return the points where only the second derivative jumps, whatever the parameters are."""
    found = (m for m in meetings(formula, arguments) if m.jump == "curvature")
    return tuple(m.joint.at for m in found if not m.joint.symbol.free_symbols)
