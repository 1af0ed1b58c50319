"""Zeros for speed and memory: layers that leave out the work that zeros would be multiplied by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

    from relucid.sparse.certified import CertifiedLinear
    from relucid.sparse.mlp import MLP
    from relucid.sparse.partner import PartnerLinear
    from relucid.sparse.result import Accelerated
    from relucid.sparse.skipping import SkippingLinear

__all__ = [
    "MLP",
    "Accelerated",
    "CertifiedLinear",
    "PartnerLinear",
    "SkippingLinear",
    "accelerate",
]

_MODULES = {
    "MLP": "mlp",
    "Accelerated": "result",
    "CertifiedLinear": "certified",
    "PartnerLinear": "partner",
    "SkippingLinear": "skipping",
}


def __getattr__(name: str) -> Any:
    """Load a class when it is asked for."""
    if name in _MODULES:
        from importlib import import_module

        return getattr(import_module(f"relucid.sparse.{_MODULES[name]}"), name)
    raise AttributeError(f"module 'relucid.sparse' has no attribute {name!r}")


def accelerate(model: nn.Module, example: Any = None, *, certify: bool = True) -> Accelerated:
    """Replace linear layers around activations that make zeros by ones that leave out work.

    In place, layer by layer: the model's own ``forward`` runs as before, and each new layer holds
    the parameters of the one that it replaces. In ``down(act(up(x)))`` and
    ``down(act(gate(x)) * up(x))``, with an activation that gives exact zeros (ReLU, its square,
    thresholded forms):

    - ``down`` reads only the weights of what is not zero;
    - ``up`` or ``gate`` computes only the units that an 8-bit copy of its weights does not prove
      to be zero;
    - the ``up`` of a gated block computes only the units that the gate left open.

    What they give differs from the layers in full by the order of sums. They work in evaluation
    mode without gradients, on CPUs, in float32 and bfloat16, for up to 64 tokens at a time, and
    where they are faster by the times that were taken on this machine; else they compute in full.

    Args:
        model: the model, changed in place; optimizers, state dicts and checkpoints are as before.
        example: a batch, as :func:`relucid.checkup` takes it, typical of those to be served. From
            it the graph of the model is read, which tells what else reads a layer's output. The
            model is run on it before and after, and timed. Without it only layers in
            ``nn.Sequential`` are replaced.
        certify: whether ``up`` and ``gate`` are replaced, too, which takes memory of a quarter of
            their weights in float32, a half in bfloat16.

    Returns:
        An :class:`~relucid.sparse.result.Accelerated`: ``report``, ``show()``, ``to_json()``,
        ``refresh()`` for weights that were changed since, ``undo()``. As a context manager it
        undoes at the end.

    Raises:
        ModelError: if this is no module, it is compiled or wraps another, or it does not compute
            the same with its layers replaced. Then nothing was changed.
        DataError: if the example is empty or the model refuses it.

    """
    from relucid.sparse.perform import perform

    return perform(model, example, certify=certify)
