"""Plants units that can be proved to be constant or always on, by bounds of its own.

In a network over a box no number is larger in size than in its *majorant*: the same network with
all weights, biases and stored means made positive, run on the largest inputs. A bias beyond that
plants a unit that is off or on. After a norm without a domain the bound of a unit is
``|w * scale| * sqrt(d) + w . shift``.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

OFF, ON, FULL = -1.5, 1.5, 7.5
"""Planted biases; the rest of the unit reaches 1. The last is for functions that end at 6."""


@dataclass(frozen=True)
class Planted:
    """Units that were planted in one layer."""

    path: str
    """Of the layer that makes the units."""
    constant: tuple[int, ...] = ()
    """All of these can go."""
    on: tuple[int, ...] = ()
    """Always on, four units of rank 2: two of them can go."""
    norm: str | None = None
    """Of the batch normalisation after it."""

    @property
    def spare(self) -> int:
        """How many of the units that are always on can go."""
        return len(self.on) // 2


def scramble(model: nn.Module, seed: int = 0) -> nn.Module:
    """Draw what PyTorch begins with 0 and 1: norms' scales, shifts and statistics; in float64."""
    generator = torch.Generator().manual_seed(seed)

    def draw(tensor: Tensor, low: float, high: float) -> None:
        tensor.copy_(low + (high - low) * torch.rand(tensor.shape, generator=generator))

    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                draw(module.running_mean, -0.3, 0.3)
                draw(module.running_var, 0.5, 1.5)
            if isinstance(module, nn.BatchNorm2d | nn.LayerNorm):
                draw(module.weight, 0.5, 1.5)
                draw(module.bias, -0.3, 0.3)
    return model.double().eval()


@torch.no_grad()
def plant(
    model: nn.Module,
    largest: Tensor,
    path: str,
    constant: Sequence[int] = (),
    on: Sequence[int] = (),
    norm: str | None = None,
    bias: float = OFF,
) -> Planted:
    """Plant units in a layer, or in the batch normalisation after it.

    ``largest`` is the largest size of each input, one sample; ``bias`` that of the constant units.
    """
    _plant(model, largest, norm or path, constant, bias)
    _plant(model, largest, norm or path, on, ON)
    if on:
        _make_dependent([model.get_submodule(one) for one in (path, norm) if one], on)
    return Planted(path, tuple(constant), tuple(on), norm)


@torch.no_grad()
def plant_after_norm(
    model: nn.Module, path: str, norm: str, constant: Sequence[int], on: Sequence[int] = ()
) -> Planted:
    """Plant units in a linear layer with bias that reads a LayerNorm or RMSNorm."""
    layer, before = model.get_submodule(path), model.get_submodule(norm)
    shift = getattr(before, "bias", None)
    for units, bias in ((constant, OFF), (on, ON)):
        rows = layer.weight[list(units)] * before.weight
        reach = rows.norm(dim=1) * len(before.weight) ** 0.5
        if shift is not None:
            reach += (layer.weight[list(units)] @ shift).abs()
        layer.bias[list(units)] = bias * reach
    if on:
        _make_dependent([layer], on)
    return Planted(path, tuple(constant), tuple(on))


@torch.no_grad()
def empty(model: nn.Module, path: str, units: Sequence[int]) -> Planted:
    """Plant units of zero weights in a layer without a bias, which are 0 for every input."""
    model.get_submodule(path).weight[list(units)] = 0.0
    return Planted(path, tuple(units))


def _plant(model: nn.Module, largest: Tensor, path: str, units: Sequence[int], bias: float) -> None:
    if units:
        layer, chosen = model.get_submodule(path), list(units)
        layer.bias[chosen] = 0.0
        reach = _reach(model, largest, path)[chosen]
        layer.weight[chosen] /= reach.view(-1, *(1 for _ in layer.weight.shape[1:]))
        layer.bias[chosen] = bias


def _reach(model: nn.Module, largest: Tensor, path: str) -> Tensor:
    """Return the largest size of each unit of a layer, by the majorant."""
    majorant = copy.deepcopy(model).double().eval()
    for parameter in majorant.parameters():
        parameter.abs_()
    for module in majorant.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.copy_(-module.running_mean.abs())
    seen: list[Tensor] = []
    layer = majorant.get_submodule(path)
    layer.register_forward_hook(lambda module, inputs, output: seen.append(output.clone()))
    majorant(largest.double().unsqueeze(0))
    return seen[0][0].flatten(1).amax(1) if seen[0].ndim > 2 else seen[0][0]


def _make_dependent(modules: Sequence[nn.Module], units: Sequence[int]) -> None:
    """Of four units make the third twice the first, and the fourth the first and second added."""
    first, second, third, fourth = units
    for module in modules:
        held = [module.weight, getattr(module, "bias", None)]
        if isinstance(module, nn.BatchNorm2d):  # z is linear in what comes in with equal scales
            module.weight[list(units)] = module.weight[[first, second]].abs().min()
            module.running_var[list(units)] = module.running_var[[first, second]].max()
            held = [module.bias, module.running_mean]
        for tensor in held:
            if tensor is not None:
                tensor[third] = 2 * tensor[first]
                tensor[fourth] = tensor[first] + tensor[second]
