"""Finding in the graph how a tensor was computed from one that is saved anyway."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional as F

from relucid.nn.fused import Fused
from relucid.sparse.packed.recompute import Recipe
from relucid.sparse.packed.stored import Share

if TYPE_CHECKING:
    from relucid.sparse.packed.book import Book

_OPERATORS = {
    "CeluBackward0": ("celu", "alpha"),
    "EluBackward0": ("elu", "alpha", "scale", "input_scale"),
    "GeluBackward0": ("gelu", "approximate"),
    "HardsigmoidBackward0": ("hardsigmoid",),
    "HardswishBackward0": ("hardswish",),
    "HardtanhBackward0": ("hardtanh", "min_val", "max_val"),
    "LeakyReluBackward0": ("leaky_relu", "negative_slope"),
    "LogSigmoidBackward0": ("log_sigmoid",),
    "MishBackward0": ("mish",),
    "PowBackward0": ("pow", "exponent"),
    "SiluBackward0": ("silu",),
    "SoftplusBackward0": ("softplus", "beta", "threshold"),
}
"""Nodes that save their input: the operator, and the node's numbers that it takes."""

_EPSILONS = (1e-5, 1e-6, 1e-12)
"""Those of layer norms: the node does not keep its own."""


def recipe(tensor: Tensor, book: Book) -> Recipe | None:
    """Return how a tensor comes from one that is on this book, if the graph tells.

    The source is no larger, so that keeping it longer than its own node takes no more than the
    tensor would; and no recipe's own result, so that none has to go through a chain of others.
    """
    owner = tensor if tensor._base is None else tensor._base
    node = owner.grad_fn
    name = "" if node is None else node.name()
    if name == "NativeLayerNormBackward0":
        source, make = _saved(node, "input"), _layer_norm
    elif name in _OPERATORS:
        source, make = _saved(node, "self"), _operator
    elif name == "FromInputBackward":
        source, make = _saved(node, "tensors"), _own
    else:
        return None
    stored = None if source is None else source.stored
    if source is None or stored is None or stored.book is not book or stored.has_recipe:
        return None
    if stored.before > tensor.untyped_storage().nbytes() or source.changed:
        return None
    return make(node, source)


def _saved(node: Any, name: str) -> Share | None:
    """What stands for a tensor in a node; None for others' hooks and a node that was freed.

    ``_saved_*`` would call the hooks, which may compute a whole checkpointed part anew.
    """
    try:
        raw = getattr(node, f"_raw_saved_{name}")
    except RuntimeError:  # how a freed autograd.Function says so
        return None
    if isinstance(raw, tuple):
        raw = raw[0] if raw else None
    data = getattr(raw, "data", None)
    return data if isinstance(data, Share) else None


def _operator(node: Any, source: Share) -> Recipe:
    name, *numbers = _OPERATORS[node.name()]
    given = {number: getattr(node, f"_saved_{number}") for number in numbers}
    return Recipe(source, partial(getattr(torch.ops.aten, name), **given))


def _own(node: Any, source: Share) -> Recipe | None:
    """A fused kernel of ``relucid.nn``."""
    fused = getattr(node, "fused", None)
    return Recipe(source, fused.value) if isinstance(fused, Fused) else None


def _layer_norm(node: Any, source: Share) -> Recipe | None:
    """Its weight and bias are copied, since an optimizer's step may come before backward."""
    shape, learned = node._saved_normalized_shape, []
    for name in ("weight", "bias"):
        share = _saved(node, name)
        if share is not None and share.changed:
            return None
        learned.append(None if share is None else share.tensor().clone())
    given = {"normalized_shape": shape, "weight": learned[0], "bias": learned[1]}
    ways = [
        partial(F.layer_norm, eps=eps, **given)
        for eps in _epsilons(source.tensor(), shape, _saved(node, "result2"))
    ]
    return Recipe(source, *ways, nbytes=sum(copy.nbytes for copy in learned if copy is not None))


def _epsilons(x: Tensor, shape: tuple[int, ...], scales: Share | None) -> list[float]:
    """Those that give the first row its scale, as rounded as it is."""
    if scales is None or scales.changed or not x.numel():
        return []
    row = x[(0,) * (x.ndim - len(shape))]
    tried = [torch.native_layer_norm(row, shape, None, None, eps)[2] for eps in _EPSILONS]
    same = torch.stack(tried).flatten() == scales.tensor().flatten()[0]
    return [eps for eps, fits in zip(_EPSILONS, same.tolist(), strict=True) if fits]
