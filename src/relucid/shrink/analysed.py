"""A model's graph with all that is known of it before any value is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from torch import fx, nn

from relucid.probes.graph import Captured
from relucid.shrink.axes import Classes, Layout, Reading
from relucid.shrink.layout import lay_out
from relucid.shrink.sites import Site, find_sites


@dataclass(frozen=True)
class Analysed:
    """The graph, the classes of its atoms, and its activations."""

    captured: Captured
    layout: Layout
    classes: Classes
    sites: dict[fx.Node, Site]
    """By the node of the result."""


def analyse(captured: Captured, model: nn.Module) -> Analysed:
    """Lay a captured model out."""
    layout = lay_out(captured)
    return Analysed(captured, layout, layout.classes(), find_sites(captured, layout, model))


def worth_reading(layout: Layout) -> list[Reading]:
    """Return the readings whose channels are tracked, pinned ones too: they are told of."""
    return [r for r in layout.readings if layout.axes[r.values][0][r.dim] is not None]


def told_of(layout: Layout) -> list[Reading]:
    """Return the readings of which constants are sought, those in groups too."""
    return [*worth_reading(layout), *layout.grouped]


def ancestors(nodes: Iterable[fx.Node]) -> set[fx.Node]:
    """Return these nodes and all that they are computed from."""
    found: set[fx.Node] = set()
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        if node not in found:
            found.add(node)
            waiting += node.all_input_nodes
    return found
