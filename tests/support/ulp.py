"""Samples of inputs, and distances between results and the truth in units in the last place."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from relucid.verify import points
from relucid.verify.points import around
from relucid.verify.units import ulps as ulps
from support.cases import Case
from support.fast import fast

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)


@dataclass(frozen=True)
class Worst:
    """The largest error in units in the last place, and the input that has it."""

    ulp: float
    at: float


def joints(case: Case) -> list[float]:
    """Kinks, seams and zero: where formulas change."""
    return points.joints(case.activation)


@cache
def roots(case_name: str, parameters: tuple[tuple[str, float], ...]) -> tuple[float, ...]:
    """Where the derivative crosses zero continuously, by the tests' own truth."""
    case = Case(case_name, dict(parameters))

    def slope(x: float) -> float:
        return float(fast(case, "derivative", x))

    grid = np.linspace(-30.0, 30.0, 60_011)
    signs = np.sign(fast(case, "derivative", grid))
    crossings = np.flatnonzero(signs[1:] * signs[:-1] < 0)
    found = [brentq(slope, grid[i], grid[i + 1], xtol=1e-14) for i in crossings]
    return tuple(root for root in found if abs(slope(root)) < 1e-9)


def all16(dtype: Any) -> NDArray[Any]:
    """Every value of a 16-bit type."""
    return np.arange(1 << 16, dtype=np.uint16).view(dtype)


def finite16(dtype: Any) -> NDArray[Any]:
    """Every finite value of a 16-bit type."""
    bits = np.arange(1 << 16, dtype=np.uint16)
    exponent = 0x7F80 if np.dtype(dtype) == BFLOAT16 else 0x7C00
    return bits[bits & exponent != exponent].view(dtype)


def sample32(case: Case, size: int, seed: int = 0) -> NDArray[np.float32]:
    """Finite float32: random significands in every exponent of both signs, most where functions
    bend (2**-12 to 2**8), and the neighbours of every joint."""
    rng = np.random.default_rng(seed)
    even = rng.integers(0, 1 << 23, size // 2, dtype=np.uint32)
    exponents = np.arange(size // 2, dtype=np.uint32) % (2 * 255)
    even |= (exponents % 255 << 23) | (exponents // 255 << 31)
    bend = rng.integers((127 - 12) << 23, (127 + 8) << 23, size - size // 2, dtype=np.uint32)
    bend[::2] |= 1 << 31
    near = [around(j, np.float32, 40) for j in joints(case)]
    return np.concatenate([np.concatenate([even, bend]).view(np.float32), *near])


def sample64(case: Case, size: int) -> NDArray[np.float64]:
    """Finite float64, drawn likewise, and evenly on [-45, 45]."""
    return points.sample64(case.activation, size)


def root_distance(case: Case, which: str, x: Any) -> NDArray[np.float64]:
    """Distance to the nearest root of the derivative, infinite for values."""
    distance = np.full(np.shape(x), np.inf)
    if which == "derivative":
        for root in roots(case.name, tuple(case.parameters.items())):
            distance = np.minimum(distance, np.abs(np.asarray(x, np.float64) - root))
    return distance


def root_size(case: Case) -> float:
    """Distance of the farthest root of the derivative from 0."""
    return max(map(abs, roots(case.name, tuple(case.parameters.items()))), default=0.0)


def worst(errors: NDArray[np.float64], x: Any) -> Worst:
    """The largest error and where it is."""
    i = int(np.argmax(errors))
    return Worst(float(errors[i]), float(x[i]))
