"""Layers one after the other, each of many models at once, without :func:`torch.vmap`.

Through vmap half of a step of a small network is Python. An ``nn.Sequential`` of PyTorch's layers
needs it for no more than those layers that have no rule here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from relucid.compare.engines.convolutions import OneByOne
from relucid.compare.engines.masks import Masks
from relucid.compare.engines.slices import Slices, is_hooked

Step = Callable[[Tensor], Tensor]
"""Takes values of all models to those after a layer, both (models, ...)."""


def chain(model: nn.Module, stacked: Mapping[str, Tensor], masks: Masks) -> list[Step] | None:
    """Return the steps of a sequential model; None for a model of another kind.

    ``stacked`` holds parameters and buffers (models, ...), by their names in the model. It is read
    at each step.
    """
    names = {id(x): n for n, x in (*model.named_parameters(), *model.named_buffers())}
    if type(model) is not nn.Sequential or is_hooked(model):
        return None
    return [_step(layer, names, stacked, masks) for layer in _layers(model)]


def _layers(model: nn.Module) -> Iterator[nn.Module]:
    if type(model) is nn.Sequential and not is_hooked(model):
        for child in model:
            yield from _layers(child)
    else:
        yield model


@dataclass(frozen=True)
class _Layer:
    """A layer of all models."""

    module: Any
    names: Mapping[str, str]
    """Of its parameters and buffers in the whole model, by their names in the layer."""
    stacked: Mapping[str, Tensor]
    masks: Masks

    def value(self, name: str) -> Tensor | None:
        """Return a parameter of all models, (models, ...)."""
        return self.stacked[self.names[name]] if name in self.names else None


def _step(
    module: nn.Module, names: Mapping[int, str], stacked: Mapping[str, Tensor], masks: Masks
) -> Step:
    values = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    own = {name: names[id(value)] for name, value in values.items()}
    rule = _by_vmap if is_hooked(module) else RULES.get(type(module), _by_vmap)
    return partial(rule, _Layer(module, own, stacked, masks))


def _by_vmap(layer: _Layer, x: Tensor) -> Tensor:
    """Do whatever else a layer does."""

    def one(values: dict[str, Tensor], mine: Tensor) -> Tensor:
        result: Tensor = functional_call(layer.module, values, mine)
        return result

    values = {name: layer.stacked[full] for name, full in layer.names.items()}
    with OneByOne(layer.masks):
        found: Tensor = torch.vmap(one)(values, x)
    return found


def _flatten(layer: _Layer, x: Tensor) -> Tensor:
    dims = layer.module.start_dim, layer.module.end_dim
    first, last = (dim + 1 if dim >= 0 else dim for dim in dims)
    return x.flatten(first, last)


def _each_sample(layer: _Layer, x: Tensor) -> Tensor:
    """Run a layer that looks at each sample by itself on those of all models."""
    values: Tensor = layer.module(x.flatten(0, 1))
    return values.reshape(*x.shape[:2], *values.shape[1:])


def _slices(layer: _Layer, x: Tensor) -> Tensor:
    values: Tensor = layer.module.of_all(x)
    return values


def _one_by_one(layer: _Layer, x: Tensor) -> Tensor:
    """Run a convolution model by model."""
    weights, bias = layer.stacked[layer.names["weight"]], layer.value("bias")
    biases = [None] * len(weights) if bias is None else bias.unbind()
    call = layer.module._conv_forward
    return torch.stack([call(*own) for own in zip(x, weights, biases, strict=True)])


def _linear(layer: _Layer, x: Tensor) -> Tensor:
    """Multiply by the weights of all models in one call."""
    if torch.is_autocast_enabled(x.device.type):
        return _by_vmap(layer, x)
    rows, weight = x.reshape(len(x), -1, x.shape[-1]), layer.value("weight")
    values: Tensor = _Linear.apply(rows, weight, layer.value("bias"))  # type: ignore[no-untyped-call]  # PyTorch has no types for it
    return values.reshape(*x.shape[:-1], -1)


class _Linear(torch.autograd.Function):
    """Rows (models, rows, inputs) times weights (models, outputs, inputs), plus (models, outputs).

    The gradient of the weights comes in their own layout. What :func:`torch.baddbmm` has for it is
    transposed, and turning it takes longer than the product: 1.57 ms for both, and 0.38 ms for the
    product, for 60 models of 64 to 64 on 64 rows.
    """

    @staticmethod
    def forward(ctx: Any, rows: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(rows, weight)
        values = torch.bmm(rows, weight.mT)
        return values if bias is None else values.add_(bias.unsqueeze(1))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        rows, weight = ctx.saved_tensors
        by_rows, by_weight, by_bias = ctx.needs_input_grad
        return (
            torch.bmm(gradients[0], weight) if by_rows else None,
            torch.bmm(gradients[0].mT, rows) if by_weight else None,
            gradients[0].sum(1) if by_bias else None,
        )


RULES: dict[type[nn.Module], Callable[..., Tensor]] = {
    Slices: _slices,
    nn.Flatten: _flatten,
    nn.Linear: _linear,
    **dict.fromkeys((nn.Conv1d, nn.Conv2d, nn.Conv3d), _one_by_one),
    **dict.fromkeys((nn.MaxPool1d, nn.MaxPool2d, nn.AvgPool1d, nn.AvgPool2d), _each_sample),
}
