"""Activations that autograd saves, packed without loss when nothing else needs them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

    from relucid.sparse.packed.packing import Packing

__all__ = ["pack"]


def pack(model: nn.Module | None = None) -> Packing:
    """Keep what autograd saves in as few bytes as can be, without loss.

    ``with relucid.pack():`` around forward (backward may be inside or come later) packs what the
    thread saves in the block. ``relucid.pack(model)`` does so in every forward of that model, by
    two hooks, until ``undo()``; as a context manager until the end of the block.

    A tensor with zeros is kept as one bit an element and its other values; a mask, or another of
    which all nonzero elements are the same (dropout's factors), as bits; small integers (the
    places of max-pooling) in fewer bytes. The output of a cheap function (a square, GELU, SiLU, a
    layer norm), whose input autograd keeps anyway, is computed again in backward, if that was
    tried before and gave the same bits. All bits come back: -0.0, NaN, shapes and strides too.
    It is packed when nothing but the graph holds it any more, once however many operations saved
    it, and only if it then takes less than nine tenths. What stays as it is, and why, is in
    :meth:`~relucid.sparse.packed.packing.Packing.record`.

    Works on CPU and, in PyTorch's own operations, on CUDA, for every dtype; with gradient
    checkpointing, autocast, DistributedDataParallel, ``retain_graph`` and double backward. Where
    a tensor that backward needs was changed in place, backward raises, as without packing.

    Raises:
        ModelError: if this is no module, or one that takes no hooks (TorchScript).

    """
    from relucid.sparse.packed.packing import Packing

    return Packing(model)
