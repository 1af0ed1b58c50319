"""Figures of accuracy as people read them."""

from __future__ import annotations

import math

from relucid.records.accuracy import FunctionAccuracy, Library, Quantity, Worst

TITLES = {"relucid": "relucid", "pytorch": "PyTorch", "jax": "JAX"}
"""Every library that can be measured, relucid first."""
MISSING = "-"


def error(size: float) -> str:
    """``0.50``, ``1.7e+07``, ``not finite``; 0 where there is no error at all."""
    if size == 0.0:
        return "0"
    if not math.isfinite(size):
        return "not finite"
    return f"{size:.2f}" if 0.005 <= size < 100.0 else f"{size:.1e}"


def worst(found: Worst) -> str:
    """``0.50 at -0.356``."""
    return error(found.error) if found.at is None else f"{error(found.error)} at {found.at:.3g}"


def quantity(function: FunctionAccuracy, library: str, which: str) -> Quantity | None:
    """What was measured of a library's function, or None where it has none."""
    found = (own for own in function.libraries if own.name == library)
    side: Library | None = next(found, None)
    if side is None:
        return None
    return side.value if which == "value" else side.derivative


def normal(function: FunctionAccuracy, library: str, which: str) -> str:
    """The worst float32 result of a library as a cell of a table."""
    found = quantity(function, library, which)
    return MISSING if found is None else worst(found.tally.normal)
