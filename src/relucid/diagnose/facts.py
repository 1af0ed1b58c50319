"""What a site's declared function implies for its units."""

from __future__ import annotations

import math
from functools import cache

import numpy as np

from relucid.errors import ParameterError, UnknownActivationError
from relucid.functions import Elementwise, get
from relucid.records import SiteRecord

_FLAT = 1e-6
"""A derivative limit below this is 0: arctan's, computed, is 1e-60."""


def function_of(record: SiteRecord) -> Elementwise | None:
    """Return the declared function of a site, or None where it is not an elementwise one."""
    return _function(record.site.activation, tuple(sorted(record.site.parameters.items())))


@cache
def _function(name: str, parameters: tuple[tuple[str, float], ...]) -> Elementwise | None:
    try:
        found = get(name, **dict(parameters))
    except (UnknownActivationError, ParameterError):
        return None
    return found if isinstance(found, Elementwise) else None


def has_exact_zeros(function: Elementwise) -> bool:
    """Whether a whole interval gives exactly 0 with derivative 0: what lets a unit be dead."""
    return function.zero_region is not None


def flat_ends(function: Elementwise) -> tuple[bool, bool]:
    """Whether the function is flat at minus and at plus infinity."""
    left, right = (abs(limit) < _FLAT for limit in function.derivative_limits)
    return left, right


def is_rectifier(function: Elementwise) -> bool:
    """Whether the sign of z says whether a unit passes its signal on: open right, damped left."""
    left, right = (abs(limit) for limit in function.derivative_limits)
    return right > 0.5 and left < 0.5


@cache
def is_linear_where_it_fires(function: Elementwise) -> bool:
    """Whether the derivative is one constant for all z > 0 (ReLU, leaky ReLU, ELU)."""
    slopes = np.asarray(function.derivative(np.linspace(1e-3, 40.0, 4001)))
    return bool(np.ptp(slopes) == 0.0)


@cache
def forward_gain(function: Elementwise) -> float | None:
    """Weight gain that keeps the signal, or None where none keeps both signal and gradient.

    The two agree within a factor of 2 for all functions that a deep network can be built of;
    for sigmoid they are 2.6 times apart, since most of its second moment is a constant.
    """
    gain = function.gain()
    fit = gain.forward / gain.backward if gain.backward > 0 else 0.0
    return gain.forward if 0.5 <= fit <= 2.0 and math.isfinite(gain.forward) else None
