"""What becomes of a layer's output z when all that is at most a level is 0 in it.

The nodes that depend on z are gone through in the order in which they run. A node *differs* where
its values may be others than before; it is *zero* where it is the same as before, and 0 (or False)
wherever z was at most the level. An activation that is 0 there makes zero of z; so does a product
of z with what is zero, and a choice by a comparison. Whatever else reads what differs forbids to
change z.

Elements keep their places: a product or a choice counts only where both operands went through the
same moves.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from torch import Tensor, fx

from relucid.probes.graph import where
from relucid.shrink.sites import Site
from relucid.sparse.levels import below, level_of
from relucid.sparse.operators import (
    METADATA,
    MOVES,
    STAY,
    is_zero,
    keeps_zeros,
    low_end,
    name_of,
    shape_of,
    spares_zero,
)

Moves = tuple[str, ...]
"""What moved the elements since z, in order."""


class State(Enum):
    """What a node is, where z was at most the level."""

    VALUES = "z itself, or 0 now"
    DIFFERS = "something else now"
    SAME = "as before"
    ZERO = "0 or False, as before"
    ONE = "True, as before"


CHANGED = (State.VALUES, State.DIFFERS)
Known = tuple[State, Moves]


@dataclass(frozen=True)
class Trail:
    """All that depends on z, and up to which level z may be 0 instead."""

    states: dict[fx.Node, Known]
    level: float
    """Minus infinity where z has to stay as it is."""
    why_not: str = ""
    """What reads z otherwise, where something does."""


class Trails:
    """Follows outputs of layers through one graph."""

    def __init__(
        self, nodes: list[fx.Node], sites: Mapping[fx.Node, Site], held: Mapping[str, Tensor]
    ) -> None:
        self._nodes, self._sites, self._held = nodes, sites, held
        self._place = {node: i for i, node in enumerate(nodes)}
        self._inside = {n: s for s in sites.values() if s.whole for n in _inside(s)}

    def follow(self, z: fx.Node) -> Trail:
        """Follow z to all that reads it."""
        walk = _Walk(z, self._sites, self._inside, self._held)
        for node in self._nodes[self._place[z] + 1 :]:
            why = walk.step(node)
            if why:
                return Trail(walk.states, -math.inf, why)
        return Trail(walk.states, walk.level)


class _Walk:
    """The states so far, and the level that they allow."""

    def __init__(
        self, z: fx.Node, sites: Mapping[fx.Node, Site], inside: Mapping[fx.Node, Site],
        held: Mapping[str, Tensor],
    ) -> None:  # fmt: skip
        self.states: dict[fx.Node, Known] = {z: (State.VALUES, ())}
        self.level = math.inf
        self._sites, self._inside, self._held = sites, inside, held

    def step(self, node: fx.Node) -> str:
        """Add a node; return why z has to stay as it is, or nothing."""
        site = self._sites.get(node)
        given = [*node.all_input_nodes, *([site.entry] if site else [])]
        read = [self.states[one] for one in given if one in self.states]
        if not read:
            return ""
        changed = any(state in CHANGED for state, _ in read)
        found = self._activated(site)
        if found is None and self._activated(self._inside.get(node)) is not None:
            return ""  # an operator of a module that is looked at as a whole, at its last one
        if found is None and node.op == "call_function":
            found = self._changed(node) if changed else self._unchanged(node)
        if found is not None:
            self.states[node] = found
        elif changed and name_of(node) not in METADATA:
            return _told(node)
        return ""

    def _of(self, operand: Any) -> Known | None:
        return self.states.get(operand) if isinstance(operand, fx.Node) else None

    def _activated(self, site: Site | None) -> Known | None:
        """The result of an activation of z, where it is 0 up to some level."""
        found = None if site is None else self._of(site.entry)
        if site is None or found is None or found[0] is not State.VALUES or site.learned:
            return None
        level = level_of(site.activation)
        return None if level == -math.inf else self._up_to(level, State.ZERO, found[1])

    def _up_to(self, level: float, state: State, moves: Moves) -> Known:
        self.level = min(self.level, level)
        return state, moves

    def _changed(self, node: fx.Node) -> Known | None:
        """The state of an operator that reads what differs; None where that is not known."""
        name, args = name_of(node), node.args
        first = self._of(args[0])
        if name == "where":
            return self._chosen(node)
        if len(node.all_input_nodes) == 1 and first is not None:
            if name in MOVES:
                return first[0], moved(first[1], node)
            if first[0] is State.VALUES and args.count(args[0]) == 1:
                return self._of_one(node, name, first[1])
        if name == "mul":
            return self._product(first, self._of(args[1]))
        if name in ("maximum", "max") and len(args) == 2:
            return self._maximum(node, args[0], args[1]) or self._maximum(node, args[1], args[0])
        return None

    def _of_one(self, node: fx.Node, name: str, moves: Moves) -> Known | None:
        """A function of z alone."""
        number = node.args[1] if len(node.args) > 1 else None
        if name in ("clamp", "clamp_min", "hardtanh"):
            rectifies = low_end(node) == 0 and spares_zero(node)
            return self._up_to(0.0, State.ZERO, moves) if rectifies else None
        if name in ("gt", "le") and isinstance(number, int | float) and number >= 0:
            return self._up_to(below(number), State.ZERO if name == "gt" else State.ONE, moves)
        return (State.DIFFERS, moves) if name in ("square", "pow") else None

    def _product(self, one: Known | None, other: Known | None) -> Known | None:
        """Z times what is zero is zero; z times z differs."""
        if one is None or other is None or one[1] != other[1]:
            return None
        states = {one[0], other[0]}
        if states == {State.VALUES, State.ZERO}:
            return State.ZERO, one[1]
        return (State.DIFFERS, one[1]) if states == {State.VALUES} else None

    def _maximum(self, node: fx.Node, values: Any, zero: Any) -> Known | None:
        """The larger of z and 0."""
        found = self._of(values)
        whole = shape_of(node) == shape_of(values)
        if found is None or found[0] is not State.VALUES or not whole:
            return None
        return self._up_to(0.0, State.ZERO, found[1]) if is_zero(zero, self._held) else None

    def _chosen(self, node: fx.Node) -> Known | None:
        """``where(z > 0, z, 0)`` and ``where(z <= 0, 0, z)``."""
        condition, first, second = node.args
        state = self._of(condition)
        if state is None or state[0] not in (State.ZERO, State.ONE):
            return None
        taken, other = (first, second) if state[0] is State.ZERO else (second, first)
        values, beside = self._of(taken), self._of(other)
        if values is None or values[1] != state[1] or shape_of(node) != shape_of(condition):
            return None
        if beside is not None and beside[0] in CHANGED:
            return None
        return (State.ZERO if is_zero(other, self._held) else State.SAME), state[1]

    def _unchanged(self, node: fx.Node) -> Known:
        """The state of an operator that reads only what is as before."""
        for one in node.all_input_nodes:
            state, moves = self.states.get(one, (State.SAME, ()))
            if name_of(node) in ("logical_not", "bitwise_not") and state is not State.SAME:
                return (State.ONE if state is State.ZERO else State.ZERO), moves
            if state is State.ZERO and keeps_zeros(node, one):
                stays = name_of(node) not in MOVES and shape_of(node) == shape_of(one)
                return State.ZERO, (moves if stays else moved(moves, node))
        return State.SAME, ()


def moved(moves: Moves, node: fx.Node) -> Moves:
    """Add what an operator does to places, so that two that do the same compare equal."""
    if name_of(node) in STAY:
        return moves
    rest = [x for x in node.args if not isinstance(x, fx.Node)]
    return (*moves, f"{name_of(node)}{rest}{shape_of(node)}")


def _inside(site: Site) -> set[fx.Node]:
    """Return the operators of a site but its last, from its entry on."""
    found: set[fx.Node] = set()
    waiting = [site.exit]
    while waiting:
        for one in waiting.pop().all_input_nodes:
            if one is not site.entry and one not in found and one.op == "call_function":
                found.add(one)
                waiting.append(one)
    return found


def _told(node: fx.Node) -> str:
    if node.op == "output":
        return "its output is an output of the model, too"
    return f"its output is also read by {where(node)}"
