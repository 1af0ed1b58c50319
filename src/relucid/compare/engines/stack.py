"""Many models of one structure, run as one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils import _pytree

from relucid.compare.engines.chain import chain
from relucid.compare.engines.convolutions import OneByOne
from relucid.compare.engines.losses import Says
from relucid.compare.engines.masks import Masks
from relucid.compare.engines.refusal import refused
from relucid.compare.engines.slices import Slices, activation_paths
from relucid.probes.batches import Batch


class Stack(nn.Module):
    """Models that differ in weights and activations, as one batched network.

    ``stacked`` holds each parameter and buffer of all of them as one tensor (models, ...), by the
    name that it has in each. What an activation learns stays with the module of its model.

    Args:
        skeleton: a further model of the same structure, which is rebuilt; its values do not count.
        models: those whose values are stacked. They stay as they are.
        names: of their activations; those of one name lie side by side.
        seeds: of their random numbers; those of one seed draw the same.

    """

    def __init__(
        self,
        skeleton: nn.Module,
        models: Sequence[nn.Module],
        names: Sequence[str],
        seeds: Sequence[int],
    ) -> None:
        super().__init__()
        paths = activation_paths([skeleton, *models])
        own = {id(p) for m in models for path in paths for p in m.get_submodule(path).parameters()}
        self.stacked = _stacked([_shared(model, own) for model in models])
        for path in paths:
            slices = Slices([model.get_submodule(path) for model in models], names)
            skeleton.set_submodule(path, slices)
        self.skeleton = skeleton
        self.masks = Masks(seeds)
        self._chain = chain(skeleton, self.stacked, self.masks)

    def forward(self, judge: Says, batch: Batch) -> Tensor:
        """Run a batch (models, ...) through the models, and judge each by its output and target."""
        if self._chain is not None and not batch.kwargs and len(batch.args) == 1:
            values = batch.args[0]
            for step in self._chain:
                values = step(values)
            return judge.of_all(values, batch.target)
        leaves, form = _pytree.tree_flatten((batch.args, dict(batch.kwargs), batch.target))
        given = {i: leaf for i, leaf in enumerate(leaves) if isinstance(leaf, Tensor)}

        def one(values: dict[str, Tensor], tensors: dict[int, Tensor]) -> Tensor:
            mine = [tensors.get(i, leaf) for i, leaf in enumerate(leaves)]
            args, kwargs, target = _pytree.tree_unflatten(mine, form)
            return judge(functional_call(self.skeleton, values, args, kwargs), target)

        # The fused attention of CPUs has no rule for batching; its plain form has.
        with OneByOne(self.masks), sdpa_kernel(SDPBackend.MATH):
            results: Tensor = torch.vmap(one)(self.stacked, given)
        return results

    def keep(self, models: Sequence[int]) -> None:
        """Go on with some of the models."""
        self.masks.keep(models)
        for tensor in self.stacked.values():
            tensor.data = tensor.data[list(models)]
        for module in list(self.skeleton.modules()):
            if isinstance(module, Slices):
                module.keep(models)

    @torch.no_grad()
    def put_back(self, index: int, model: nn.Module) -> None:
        """Write the values of one model into it."""
        for name, tensor in _values(model).items():
            if name in self.stacked:
                tensor.copy_(self.stacked[name][index])


def _values(model: nn.Module) -> dict[str, Tensor]:
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


def _shared(model: nn.Module, own: set[int]) -> dict[str, Tensor]:
    return {name: value for name, value in _values(model).items() if id(value) not in own}


def _stacked(models: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Stack the tensors of each name; what requires a gradient becomes a parameter."""
    first = {name: _form(value) for name, value in models[0].items()}
    for model in models:
        for name in first.keys() | model.keys():
            if name not in model or _form(model[name]) != first.get(name):
                raise refused(f"{name!r} has not the same shape and type in all models")
    return {name: _joined([model[name] for model in models]) for name in first}


def _form(value: Tensor) -> tuple[Any, ...]:
    return type(value), value.shape, value.dtype, value.device, value.requires_grad


def _joined(values: Sequence[Tensor]) -> Tensor:
    together = torch.stack([value.detach() for value in values])
    return nn.Parameter(together) if values[0].requires_grad else together
