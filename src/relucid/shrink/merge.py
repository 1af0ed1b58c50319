"""Two linear layers with nothing but straight units between them: one product of both."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from relucid.probes.graph import path_of
from relucid.shrink.analysed import Analysed
from relucid.shrink.combine import Chain
from relucid.shrink.fixed import Mask
from relucid.shrink.proof import Values
from relucid.shrink.sites import is_activation


@dataclass(frozen=True)
class Merge:
    """A linear layer, an activation module and a linear layer that become the first one."""

    chain: Chain
    first: str
    activation: str
    second: str
    """Paths of the modules."""
    slope: Values
    offset: Values
    """Of each unit of the first layer."""


def merge(
    model: Analysed,
    modules: Mapping[str, nn.Module],
    chain: Chain,
    along: tuple[Values, Values],
    stays: Mask,
) -> Merge | None:
    """Return the merge of what a chain joins, if it is possible and saves work.

    ``stays`` says which units of the first layer are left.
    """
    sites = [node for node in chain.nodes if node in model.sites]
    if len(sites) != 1 or len(chain.nodes) != 1 or not np.isfinite(along[0][stays]).all():
        return None
    paths = [path_of(node) for node in (chain.maker.node, sites[0], chain.reading.node)]
    first, activation, second = (modules.get(path) for path in paths)
    plain = type(first) is nn.Linear and type(second) is nn.Linear and is_activation(activation)
    if not plain or not all(_once(model, modules, path) for path in paths):
        return None
    assert isinstance(first, nn.Linear) and isinstance(second, nn.Linear)
    apart = int(stays.sum()) * (first.in_features + second.out_features)
    if first.in_features * second.out_features >= apart:
        return None
    return Merge(chain, paths[0], paths[1], paths[2], *along)


def _once(model: Analysed, modules: Mapping[str, nn.Module], path: str) -> bool:
    """Whether a module is called once, and is known by one path; its parameters too."""
    nodes = [n for n in model.captured.nodes if n.op == "call_function" and path_of(n) == path]
    users = Counter(user for n in nodes for one in n.all_input_nodes if one.op == "placeholder"
                    and one.name in model.captured.names for user in one.users)  # fmt: skip
    alone = all(user in nodes for user in users)
    held = modules[path]
    return len(nodes) == 1 and alone and sum(one is held for one in modules.values()) == 1


@torch.no_grad()
def apply_merge(model: nn.Module, merged: Merge, stays: Mask) -> None:
    """Put the product of both layers in the first one's place, in a model that is cut already."""
    first, second = model.get_submodule(merged.first), model.get_submodule(merged.second)
    assert isinstance(first, nn.Linear) and isinstance(second, nn.Linear)
    slope, offset = (torch.from_numpy(x[stays]).to(first.weight.device)
                     for x in (merged.slope, merged.offset))  # fmt: skip
    wide = second.weight.double()
    bias = wide @ (offset if first.bias is None else first.bias.double() * slope + offset)
    bias = bias if second.bias is None else bias + second.bias.double()
    product = (wide * slope) @ first.weight.double()
    dtype, grad = first.weight.dtype, first.weight.requires_grad
    first.weight = nn.Parameter(product.to(dtype), grad)
    has_bias = first.bias is not None or second.bias is not None or bool(bias.any())
    made = nn.Parameter(bias.to(dtype), grad) if has_bias else None
    first.register_parameter("bias", made)
    first.out_features = second.out_features
    model.set_submodule(merged.activation, nn.Identity())
    model.set_submodule(merged.second, nn.Identity())
