"""The backward pass of a watched loss, which leaves every ``.grad`` as it was."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn


def run_backward(loss: Tensor, model: nn.Module, inputs: list[Tensor]) -> bool:
    """Differentiate the loss for the sake of the hooks; return whether all is finite.

    ``torch.autograd.grad`` accumulates nothing and runs no hook that waits for ``.grad`` (DDP's,
    or an optimizer's in the backward pass). Reentrant checkpointing refuses it; there,
    ``backward`` runs and the leaves' ``.grad`` are put back.
    """
    if not loss.requires_grad:
        return True
    leaves, reentrant = _graph(loss)
    if reentrant:
        return _accumulate_and_restore(loss, [*model.parameters(), *leaves])
    wanted: list[Tensor] = [p for p in model.parameters() if p.requires_grad]
    wanted += [x for x in inputs if x.requires_grad]
    return not wanted or _finite(torch.autograd.grad(loss, wanted, allow_unused=True))


def _finite(gradients: Iterable[Tensor | None]) -> bool:
    return all(bool(g.isfinite().all()) for g in gradients if g is not None)


def _accumulate_and_restore(loss: Tensor, leaves: list[Tensor]) -> bool:
    held = [(leaf, leaf.grad) for leaf in leaves]
    try:
        for leaf, _ in held:
            leaf.grad = None
        loss.backward()
        return _finite(leaf.grad for leaf in leaves)
    finally:
        for leaf, gradient in held:
            leaf.grad = gradient


def _graph(loss: Tensor) -> tuple[list[Tensor], bool]:
    """Return the leaves of the graph, and whether a reentrant checkpoint is in it."""
    nodes = list(_nodes(loss.grad_fn))
    leaves = [node.variable for node in nodes if hasattr(node, "variable")]
    return leaves, any("CheckpointFunctionBackward" in node.name() for node in nodes)


def _nodes(root: Any) -> Iterator[Any]:
    seen, waiting = {root}, [root]
    while waiting:
        node = waiting.pop()
        yield node
        for parent, _ in node.next_functions:
            if parent is not None and parent not in seen:
                seen.add(parent)
                waiting.append(parent)
