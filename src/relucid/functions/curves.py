"""Points of a function's graph, broken where it jumps, as a plot should draw them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from relucid.functions.elementwise import Elementwise
from relucid.functions.facts import Function

Points = NDArray[np.float64]


@dataclass(frozen=True)
class Graph:
    """Unbroken pieces of a graph, and the points at its jumps.

    ``filled`` holds what the function is exactly at a jump, ``open`` the one-sided limits that it
    does not take there, each as (x, y).
    """

    pieces: tuple[tuple[Points, Points], ...]
    filled: tuple[tuple[float, float], ...]
    open: tuple[tuple[float, float], ...]


def graph(
    activation: Elementwise,
    span: tuple[float, float],
    count: int = 401,
    *,
    derivative: bool = False,
) -> Graph:
    """Sample an activation, or its derivative, at about ``count`` points between two numbers."""
    function = activation.derivative if derivative else activation
    kinks = [kink.at for kink in activation.kinks if span[0] < kink.at < span[1]]
    edges = [span[0], *kinks, span[1]]
    pieces = tuple(_piece(function, low, high, count, edges) for low, high in pairwise(edges))
    return _joined(function, kinks, pieces)


def _piece(
    function: Function, low: float, high: float, count: int, edges: Sequence[float]
) -> tuple[Points, Points]:
    share = (high - low) / (edges[-1] - edges[0])
    x = np.linspace(low, high, max(round(count * share), 2))
    inside = x.copy()
    # One step inwards: the ends of a piece belong to it alone.
    inside[0] = np.nextafter(low, math.inf) if low != edges[0] else low
    inside[-1] = np.nextafter(high, -math.inf) if high != edges[-1] else high
    return x, np.asarray(function(inside), dtype=np.float64)


def _joined(
    function: Function, kinks: Sequence[float], pieces: tuple[tuple[Points, Points], ...]
) -> Graph:
    """Join neighbours that meet in one value; mark the others with dots."""
    joined, filled, nearby = [pieces[0]], [], []
    for at, (x, y) in zip(kinks, pieces[1:], strict=True):
        before, here = joined[-1], float(function(at))
        sides = float(before[1][-1]), float(y[0])
        if all(math.isclose(here, side, rel_tol=1e-9, abs_tol=1e-9) for side in sides):
            joined[-1] = np.concatenate([before[0], x[1:]]), np.concatenate([before[1], y[1:]])
            continue
        filled.append((at, here))
        nearby += [(at, s) for s in sides if not math.isclose(s, here, rel_tol=1e-9, abs_tol=1e-9)]
        joined.append((x, y))
    return Graph(tuple(joined), tuple(filled), tuple(nearby))
