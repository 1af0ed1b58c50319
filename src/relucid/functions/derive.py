"""What nobody declared, found by SymPy from the formula: derivatives and kinks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache

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

    def kinks(**arguments: float) -> tuple[tuple[float, float], ...]:
        points = _kink_points(formula, tuple(arguments.items()))
        return tuple((at, _at(slope, at, arguments)) for at in points)

    return kinks


def derive_seams(formula: Formula, defaults: Mapping[str, float]) -> tuple[float, ...]:
    """Return the points where only the second derivative jumps, whatever the parameters are."""
    from relucid.functions.symbolic.joints import fixed_seams

    return fixed_seams(formula, defaults)


@lru_cache(maxsize=256)
def _kink_points(formula: Formula, arguments: tuple[tuple[str, float], ...]) -> tuple[float, ...]:
    from relucid.functions.symbolic.joints import kink_points

    return kink_points(formula, dict(arguments))


def _at(slope: Formula, at: float, arguments: Mapping[str, float]) -> float:
    with np.errstate(all="ignore"):
        return float(slope(numpy_words(), np.float64(at), **arguments))
