"""Blocks in the graph of a model: who makes zeros, who reads them, and what may be left out."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from typing import Any

from torch import fx, nn

from relucid.probes.graph import Captured, path_of, where
from relucid.shrink.axes import Layout
from relucid.shrink.sites import find_sites
from relucid.sparse.blocks import Block, Blocks
from relucid.sparse.levels import level_of
from relucid.sparse.operators import METADATA, MOVES, STAY, keeps_zeros, name_of, shape_of
from relucid.sparse.trail import CHANGED, Moves, State, Trail, Trails, moved
from relucid.sparse.unfit import Fitness

_ANOTHER_INPUT = "it is not given what the gate is, which alone tells what can be left out"
_BEFORE_GATE = "it is called before the gate, which alone tells what can be left out"
_NO_LAYER = "its weight, {}, is not that of an nn.Linear that is called there"


class GraphBlocks:
    """A captured model, and what makes and keeps zeros in it."""

    def __init__(self, captured: Captured, model: nn.Module, fitness: Fitness) -> None:
        self._captured, self._fitness = captured, fitness
        self._modules = dict(model.named_modules(remove_duplicate=False))
        self._hooked = {path for path, one in self._modules.items()
                        if one._forward_hooks or one._forward_pre_hooks}  # fmt: skip
        nodes = captured.nodes
        self._running = {path for node in nodes for path in _stack(node)}
        """Modules in which an operator runs; an nn.Identity has none."""
        self._place = {node: i for i, node in enumerate(nodes)}
        self._linear = [node for node in nodes if name_of(node) == "linear"]
        self._calls = Counter(map(path_of, self._linear))
        self._sites = find_sites(captured, Layout(varying=_varying(captured)), model)
        constants = {
            name: tensor for name, tensor in captured.tensors.items()
            if name not in captured.names and name not in captured.inputs
        }  # fmt: skip
        trails = Trails(nodes, self._sites, constants)
        self._trails = {z: self._checked(z, trails.follow(z)) for z in self._linear}
        self._fit: dict[fx.Node, bool] = {}
        self._refused: dict[str, str] = {}

    def found(self) -> Blocks:
        """Return a block for each layer that reads zeros."""
        blocks = dict[str, Block]()
        for maker, (function, z) in self._makers().items():
            for down in self._readers(maker):
                block, path = self._block(function, z, down), path_of(down)
                if path not in blocks or len(block.layers) > len(blocks[path].layers):
                    blocks[path] = block
        notes = [] if blocks else [self._nothing()]
        whole = [block for block in blocks.values() if block.layers]
        return Blocks(whole, self._refused, notes, by_graph=True)

    def _makers(self) -> dict[fx.Node, tuple[str, fx.Node | None]]:
        """Return the nodes that make zeros: of what function, and of which layer's output."""
        found: dict[fx.Node, tuple[str, fx.Node | None]] = {}
        for node, site in self._sites.items():
            if site.activation.zero_region is not None and site.learned is None:
                from_minus_infinity = level_of(site.activation) > -math.inf
                z = self._origin(site.entry)[0] if from_minus_infinity else None
                found[node] = site.activation.name, z
        for z, trail in self._trails.items():
            for node, (state, _) in trail.states.items():
                if node not in found and state is State.ZERO and self._reads(node, trail):
                    found[node] = "relu" if trail.level == 0.0 else "thresholded_relu", z
        return dict(sorted(found.items(), key=lambda item: self._place[item[0]]))

    def _readers(self, maker: fx.Node) -> Iterator[fx.Node]:
        """Yield the linear layers that read zeros of a node, perhaps moved or multiplied."""
        zero = {maker}
        for node in self._captured.nodes[self._place[maker] + 1 :]:
            if not any(one in zero for one in node.all_input_nodes):
                continue
            if name_of(node) == "linear":
                if node.args[0] in zero:
                    yield node
            elif any(one in zero and keeps_zeros(node, one) for one in node.all_input_nodes):
                zero.add(node)

    def _block(self, function: str, z: fx.Node | None, down: fx.Node) -> Block:
        """Tell what can be replaced around one layer that reads zeros."""
        last = path_of(down) if self._fits(down) else ""
        if z is None or not self._fits(z):
            return Block(last, function)
        trail = self._trails[z]
        if trail.why_not:
            self._refused.setdefault(path_of(z), f"{trail.why_not}, and so has to be whole")
            return Block(last, function)
        return Block(last, function, path_of(z), trail.level, self._partner(z, trail))

    def _checked(self, z: fx.Node, trail: Trail) -> Trail:
        """Return a trail; without a level where hooks of other modules are given z, or may be."""
        around = set(_stack(z))
        given = {
            path for node, (state, _) in trail.states.items()
            if state is not State.VALUES and self._reads(node, trail)
            for path in _stack(node)
        }  # fmt: skip
        beside = path_of(z).rpartition(".")[0]
        for path in self._hooked - around:
            unseen = path not in self._running and path.startswith(beside and f"{beside}.")
            if path in given or unseen:
                why = f"its output is also read by hooks of {path!r}"
                return Trail(trail.states, -math.inf, why)
        return trail

    def _reads(self, node: fx.Node, trail: Trail) -> bool:
        """Whether a node reads z itself, or what differs with it."""
        site = self._sites.get(node)
        read = node.all_input_nodes if site is None else [*node.all_input_nodes, site.entry]
        states = (trail.states.get(one) for one in read)
        return any(state is not None and state[0] in CHANGED for state in states)

    def _origin(self, node: Any) -> tuple[fx.Node | None, Moves]:
        """Return the linear layer whose output a node holds, and how that was moved."""
        chain: list[fx.Node] = []
        while isinstance(node, fx.Node) and name_of(node) in MOVES:
            chain.append(node)
            node = node.args[0]
        if not isinstance(node, fx.Node) or name_of(node) != "linear":
            return None, ()
        moves: Moves = ()
        for one in reversed(chain):
            moves = moved(moves, one)
        return node, moves

    def _partner(self, gate: fx.Node, trail: Trail) -> str:
        """Return the layer whose output is only multiplied by what is 0 with the gate's."""
        for product, (state, _) in trail.states.items():
            if state is not State.ZERO or name_of(product) != "mul":
                continue
            for factor, other in (product.args, product.args[::-1]):
                layer, moves = self._origin(other)
                known = trail.states.get(factor) if isinstance(factor, fx.Node) else None
                if layer is None or layer is gate or known != (State.ZERO, moves):
                    continue
                if shape_of(layer) == shape_of(gate) and self._can_follow(layer, gate, product):
                    return path_of(layer)
        return ""

    def _can_follow(self, layer: fx.Node, gate: fx.Node, product: fx.Node) -> bool:
        """Whether a gate can tell a layer what to leave out; refuse it where not."""
        if not self._fits(layer):
            return False
        reader = _other_reader(layer, product)
        why = f"its output is also read by {where(reader)}" if reader is not None else ""
        if _source(layer) is not _source(gate):
            why = _ANOTHER_INPUT
        elif self._place[layer] < self._place[gate]:
            why = _BEFORE_GATE
        if why:
            self._refused.setdefault(path_of(layer), why)
        return not why

    def _fits(self, node: fx.Node) -> bool:
        """Whether a linear layer can be replaced; refuse it where not."""
        if node not in self._fit:
            path = path_of(node)
            why = self._why_not(node, path)
            if why is not None:
                self._refused.setdefault(path, why)
            self._fit[node] = why is None
        return self._fit[node]

    def _why_not(self, node: fx.Node, path: str) -> str | None:
        if not isinstance(self._modules.get(path), nn.Linear):
            return _NO_LAYER.format(self._weight_of(node) or "computed anew")
        if self._calls[path] > 1:
            return f"it is called {self._calls[path]} times in a pass"
        why = self._fitness.why_not(path)
        if why is None and self._weight_of(node) != f"{path}.weight":
            return _NO_LAYER.format(self._weight_of(node) or "computed anew")
        return why

    def _weight_of(self, node: fx.Node) -> str:
        return self._captured.names.get(getattr(node.args[1], "name", ""), "")

    def _nothing(self) -> str:
        names = Counter(site.activation.name for site in self._sites.values())
        told = ", ".join(f"{name} ({count})" for name, count in names.most_common())
        return f"no linear layer reads exact zeros of an activation; it has {told or 'none'}"


def _source(layer: fx.Node) -> Any:
    """Return what a layer is given, before any copy of it."""
    node: Any = layer.args[0]
    while isinstance(node, fx.Node) and name_of(node) in STAY:
        node = node.args[0]
    return node


def _varying(captured: Captured) -> set[fx.Node]:
    """Return the nodes in which an input has a part."""
    varying: set[fx.Node] = set()
    for node in captured.nodes:
        if node.name in captured.inputs or any(x in varying for x in node.all_input_nodes):
            varying.add(node)
    return varying


def _stack(node: fx.Node) -> list[str]:
    """Return the paths of the modules whose forward an operator runs in."""
    stack = (node.meta.get("nn_module_stack") or {}).values()
    return [path.removeprefix("model").removeprefix(".") for path, *_ in stack]


def _other_reader(layer: fx.Node, product: fx.Node) -> fx.Node | None:
    """Return what reads a layer's output besides one product, if anything."""
    waiting = list(layer.users)
    while waiting:
        node = waiting.pop()
        if name_of(node) in MOVES:
            waiting += node.users
        elif node is not product and name_of(node) not in METADATA:
            return node
    return None
