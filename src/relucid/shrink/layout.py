"""The atoms of a whole graph, operator by operator."""

from __future__ import annotations

import torch
from torch import Tensor, fx

from relucid.probes.graph import Captured
from relucid.shrink.axes import Layout, operands, tracked
from relucid.shrink.rules import Call, find_rule


def lay_out(captured: Captured) -> Layout:
    """Follow the atoms of all parameters and buffers through a graph."""
    layout = Layout()
    for node in captured.nodes:
        if node.op == "placeholder":
            _begin(layout, captured, node)
        elif node.op == "output":
            for one in operands(node):
                _pin_all(layout, one, "an output of the model")
        elif node.op == "call_function":
            if _arbitrary(node) or any(one in layout.varying for one in operands(node)):
                layout.varying.add(node)
            call = Call(layout, node)
            made = find_rule(call.name, node.target)(call)
            layout.axes[node] = call.checked(made)
        else:
            raise AssertionError(f"an exported graph has no {node.op}")
    return layout


def _arbitrary(node: fx.Node) -> bool:
    """Whether an operator draws random numbers, or gives memory as it is."""
    tags = getattr(node.target, "tags", ())
    return torch.Tag.nondeterministic_seeded in tags or "empty" in node.name


def _begin(layout: Layout, captured: Captured, node: fx.Node) -> None:
    value = captured.tensors.get(node.name)
    if not isinstance(value, Tensor):
        return
    if node.name in captured.inputs:
        layout.varying.add(node)
    sliced = node.name in captured.names and value.dtype is not torch.bool
    layout.axes[node] = (
        tuple(layout.fresh(size) if sliced and size > 1 else None for size in value.shape),
    )


def _pin_all(layout: Layout, node: fx.Node, reason: str) -> None:
    for atoms in tracked(layout, node):
        layout.pin(atoms, reason)
