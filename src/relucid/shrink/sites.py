"""Where a graph applies activations, and on which stretches these are straight."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, fx, nn

from relucid.functions import Elementwise
from relucid.functions.facts import inside as within
from relucid.probes.graph import Captured, path_of
from relucid.probes.recognise import (
    CLAMPS,
    PARAMETERS,
    PLAIN_NAMES,
    is_activation_module,
    of_module,
    recognise,
)
from relucid.shrink.axes import Layout, operands

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Site:
    """One application of an activation: one operator, or all those of a ``relucid.nn`` module."""

    entry: fx.Node
    exit: fx.Node
    activation: Elementwise
    learned: fx.Node | None = None
    """PReLU's slopes, of which each channel may have its own."""
    whole: bool = False
    """Whether it stands for several operators."""


def find_sites(captured: Captured, layout: Layout, model: nn.Module) -> dict[fx.Node, Site]:
    """Return the activations of a graph by the node of their result."""
    modules = dict(model.named_modules())
    found = {}
    for node in captured.nodes:
        site = _of_operator(node, layout) if node.op == "call_function" else None
        if site is not None:
            found[node] = site
    for path, module in modules.items():
        activation = of_module(module)
        if isinstance(activation, Elementwise):
            nodes = [n for n in captured.nodes if n in layout.varying and path_of(n) == path]
            for node in nodes:
                found.pop(node, None)
            site = _of_module(nodes, activation)
            if site is not None:
                found[site.exit] = site
    return found


def _of_operator(node: fx.Node, layout: Layout) -> Site | None:
    name = str(getattr(node.target, "_opname", ""))
    varying = [one for one in operands(node) if one in layout.varying]
    if len(varying) != 1 or not node.args or node.args[0] is not varying[0]:
        return None
    rest = node.args[1:]
    if name == "prelu":
        (slopes,) = rest
        found = recognise(torch.relu, (torch.empty(0),), {})
        assert found is not None and isinstance(slopes, fx.Node)
        return Site(varying[0], node, found.activation, slopes)  # type: ignore[arg-type]
    known = name in PLAIN_NAMES or name in PARAMETERS or name in CLAMPS
    scaled = name == "elu" and any(x not in (1, 1.0) for x in rest[1:])
    if not known or scaled or any(isinstance(x, fx.Node) for x in rest):
        return None
    call = recognise(node.target, (torch.empty(0), *rest), node.kwargs)
    if call is None or not isinstance(call.activation, Elementwise):
        return None
    return Site(varying[0], node, call.activation)


def _of_module(nodes: list[fx.Node], activation: Elementwise) -> Site | None:
    """Return the one site of a module that is used once: from what comes in to what goes out."""
    inside = set(nodes)
    entries = {x for n in nodes for x in operands(n) if x not in inside and x.op != "get_attr"}
    exits = [n for n in nodes if any(user not in inside for user in n.users)]
    if len(entries) != 1 or len(exits) != 1:
        return None
    if any(isinstance(v, Tensor) for v in activation.changed.values()):
        return None
    return Site(entries.pop(), exits[0], activation, whole=True)


def is_activation(module: nn.Module | None) -> bool:
    """Whether a module is an activation and nothing more, which an identity can stand for."""
    return module is not None and is_activation_module(module)


def _joints(activation: Elementwise) -> list[float]:
    return sorted({kink.at for kink in activation.kinks} | set(activation.seams))


def bends(site: Site) -> list[float]:
    """Return where the function goes from one straight or constant stretch to another."""
    return _joints(site.activation)


@dataclass(frozen=True)
class Piece:
    """A stretch on which a function is ``slope * z + offset``."""

    low: float
    high: float
    slope: float
    offset: float


def pieces(activation: Elementwise) -> list[Piece]:
    """Return the stretches between kinks on which a function is straight, and not constant."""
    edges = [-np.inf, *_joints(activation), np.inf]
    found = []
    for low, high in pairwise(edges):
        points = within(low, high)
        slopes = np.asarray(activation.derivative(points))
        if np.ptp(slopes) == 0.0 and slopes[0] != 0.0:
            at, slope = float(points[len(points) // 2]), float(slopes[0])
            offset = float(activation(at)) - slope * at
            rounding = 1e-12 * abs(slope * at)
            found.append(Piece(low, high, slope, offset if abs(offset) > rounding else 0.0))
    return found


def straight(site: Site, low: Values, high: Values, learned: Values) -> tuple[Values, Values]:
    """Return slope and offset over intervals of z; NaN where the function is not straight.

    ``learned`` are PReLU's slopes.
    """
    slope, offset = np.full(low.shape, np.nan), np.full(low.shape, np.nan)
    for piece in pieces(site.activation):
        inside = (low >= piece.low) & (high <= piece.high)
        slope[inside], offset[inside] = piece.slope, piece.offset
    if site.learned is not None:
        below = (high <= 0) & (low < 0)
        slope[below], offset[below] = learned[below], 0.0
    return slope, offset
