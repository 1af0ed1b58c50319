"""Which classes must stay, where the smaller model fails or differs."""

from __future__ import annotations

import os
from collections.abc import Iterable

import numpy as np
import torch
from torch import fx

from relucid.probes.graph import lines_of, where
from relucid.shrink.analysed import Analysed
from relucid.shrink.axes import operands, tracked
from relucid.shrink.check import Failure
from relucid.shrink.plan import Plan

_TORCH = os.path.dirname(os.path.abspath(torch.__file__)) + os.sep
_OWN = os.path.dirname(os.path.abspath(__file__)) + os.sep
_SIZED = frozenset("view reshape _unsafe_view expand split split_with_sizes chunk repeat".split())
"""Operators that take sizes, which may be written into the model's code."""
CURE = "derive sizes from the tensors: x.flatten(1), x.chunk(2), x.shape[1]"


def guilty(model: Analysed, plan: Plan, failure: Failure) -> dict[int, str]:
    """Return the classes that must stay, with the reason.

    Of an error, those that pass the line that failed; of other outputs, those that pass an
    operator that takes sizes. Where neither tells, all that went.
    """
    nodes = model.captured.nodes
    chain = _chain(failure.lines)
    failed = [n for n in nodes if chain and tuple(lines_of(n)) == chain]
    sized = [n for n in nodes if getattr(n.target, "_opname", "") in _SIZED]
    for some in (failed, sized):
        found = _passing(some, model, plan)
        if found:
            why = _reason(failure, some, [n for n in sized if _passes(n, model, found)])
            return dict.fromkeys(found, why)
    return dict.fromkeys(np.flatnonzero(plan.goes).tolist(), _reason(failure, [], []))


def _chain(lines: Iterable[tuple[str, int]]) -> tuple[tuple[str, int], ...]:
    """Return the lines of the model's own code, as they are noted of operators."""
    found: list[tuple[str, int]] = []
    for file, line in lines:
        if os.path.abspath(file).startswith(_OWN):
            found = []
        elif not file.startswith(_TORCH):
            found.append((file, line))
    return tuple(found)


def _passing(nodes: Iterable[fx.Node], model: Analysed, plan: Plan) -> list[int]:
    """Return the classes that went and of which these operators take or give an index."""
    found: set[int] = set()
    for node in nodes:
        for one in (node, *operands(node)):
            for atoms in tracked(model.layout, one):
                labels = model.classes.of(atoms)
                found.update(labels[plan.goes[labels]].tolist())
    return sorted(found)


def _passes(node: fx.Node, model: Analysed, found: Iterable[int]) -> bool:
    labels = list(found)
    return any(
        bool(np.isin(model.classes.of(atoms), labels).any())
        for one in operands(node)
        for atoms in tracked(model.layout, one)
    )


def _reason(failure: Failure, failed: list[fx.Node], sized: list[fx.Node]) -> str:
    at = f" at {where(failed[-1])}" if failed and failure.lines else ""
    named = f"; sizes may be written into the code at {where(sized[0])}: {CURE}" if sized else ""
    return f"without it {failure.told:.200}{at}{named}"
