"""A normalisation between a linear layer and its activation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import nn

from relucid.compare.changes.case import Case, Refusal, seen_on
from relucid.compare.learner import Learner, Optimizer
from relucid.errors import ModelError
from relucid.nn.flow import WEIGHTED
from relucid.records import Observation

_CHANNELS = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}


def add_normalisation(model: nn.Module, data: Any, optimizer: Optimizer | None = None) -> list[str]:
    """Put LayerNorm behind linear layers and BatchNorm behind convolutions, in place.

    Only where an activation follows: layers that are normalised already are left alone, and so
    is the last one, whose outputs are the model's own. An ``nn.Sequential`` of the layer and its
    normalisation takes the layer's place.

    Args:
        model: the model, changed in place.
        data: a batch or batches, as :func:`relucid.checkup` takes them, to see which layer feeds
            an activation.
        optimizer: the optimizer that trains it, which is given the new parameters.

    Returns:
        The names of the layers that are normalised now.

    Raises:
        ModelError: if no layer feeds an activation without a normalisation.

    """
    try:
        layers = _normalise(model, seen_on(model, data).observation)
    except Refusal as refusal:
        raise ModelError(f"no normalisation was added: {refusal}") from refusal
    if optimizer is not None:
        Learner(model, optimizer).adopt()
    return layers


def normalise_layers(learner: Learner, case: Case) -> str:
    """Put a normalisation between layers and their activation, as the observation names them."""
    layers = _normalise(learner.model, case.observation)
    learner.adopt()
    return f"normalisation added between {len(layers)} layers and their activation"


def _normalise(model: nn.Module, observation: Observation) -> list[str]:
    places = dict.fromkeys(_unnormalised(observation))
    layers = {path: found for path in places if (found := _layer(model, path)) is not None}
    if not layers:
        raise Refusal("no linear layer or convolution feeds an activation without normalisation")
    for path, layer in layers.items():
        model.set_submodule(path, nn.Sequential(layer, _norm(layer)))
    return list(layers)


def _unnormalised(observation: Observation) -> Iterator[str]:
    for record in observation.sites:
        if record.layer is not None and record.layer.normalised_by is None:
            yield record.layer.name


def _layer(model: nn.Module, path: str) -> nn.Module | None:
    """The layer at a path that can be wrapped: a module of known class inside the model."""
    named = dict(model.named_modules())
    found = named.get(path)
    return found if path and isinstance(found, WEIGHTED) else None


def _norm(layer: nn.Module) -> nn.Module:
    weight = layer.get_parameter("weight")
    if isinstance(layer, nn.Linear):
        norm: nn.Module = nn.LayerNorm(layer.out_features)
    else:
        norm = _CHANNELS[weight.ndim - 2](int(getattr(layer, "out_channels", 0)))
    return norm.to(device=weight.device, dtype=weight.dtype)
