"""What nobody declared, found by SymPy from the formula: derivatives and kinks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from relucid.functions.evaluate import Formula
from relucid.functions.libraries import numpy_words


@lru_cache(maxsize=256)
def derive(formula: Formula, variable: str) -> Formula:
    """Return the formula of d(formula)/d(variable), in the same words."""
    from relucid.functions.symbolic.derived import derived_formula

    return derived_formula(formula, variable)


def derive_kinks(
    formula: Formula, slope: Formula
) -> Callable[..., tuple[tuple[float, float], ...]]:
    """Return a function of the parameters that gives each kink and the slope used there."""

    def kinks(**arguments: Any) -> tuple[tuple[float, float], ...]:
        numbers = {name: _number(value) for name, value in arguments.items()}
        if None in numbers.values():
            return ()  # a learned parameter a channel: no point is a kink of all
        points = _kink_points(formula, tuple(numbers.items()))
        return tuple((at, _at(slope, at, numbers)) for at in points)

    return kinks


def derive_seams(formula: Formula, defaults: Mapping[str, float]) -> tuple[float, ...]:
    """Return the points where only the second derivative jumps, whatever the parameters are."""
    from relucid.functions.symbolic.joints import fixed_seams

    return fixed_seams(formula, defaults)


@lru_cache(maxsize=256)
def _kink_points(formula: Formula, arguments: tuple[tuple[str, Any], ...]) -> tuple[float, ...]:
    from relucid.functions.symbolic.joints import kink_points

    return kink_points(formula, dict(arguments))


def _number(value: Any) -> float | None:
    """Return a parameter as a number; None for an array of several."""
    if isinstance(value, float | int):
        return float(value)
    try:
        return float(value.item())
    except (RuntimeError, ValueError):
        return None


def _at(slope: Formula, at: float, arguments: Mapping[str, Any]) -> float:
    with np.errstate(all="ignore"):
        return float(slope(numpy_words(), np.float64(at), **arguments))
