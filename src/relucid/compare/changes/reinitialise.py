"""A new start for dead units: ReDo (Sokar et al. 2023, arXiv:2302.12902).

The weights that come into a dead unit are drawn anew, with the gain of what they read and zero
bias; those that go out are set to zero, so that the model's outputs stay what they are; the
optimizer's moments of both are reset. Where a whole layer is dead the outgoing weights are kept:
nothing has passed them, and behind zeros half of the next layer's units would stay dead too.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from relucid.compare.changes.case import Case, Refusal, seen_on
from relucid.compare.changes.readers import readers
from relucid.compare.learner import Learner, Optimizer
from relucid.errors import ModelError
from relucid.nn import LayerInit, init_
from relucid.nn.flow import WEIGHTED
from relucid.probes.batches import Batch
from relucid.records import Observation


def reinitialise_dead(
    model: nn.Module, data: Any, optimizer: Optimizer | None = None
) -> dict[str, list[int]]:
    """Give every unit that is dead on ``data`` a new start, in place.

    Args:
        model: the model, changed in place.
        data: a batch or batches, as :func:`relucid.checkup` takes them.
        optimizer: the optimizer that trains it, whose moments for these weights are reset.

    Returns:
        The units that were given a new start, by the name of their layer; empty if none is dead.

    Raises:
        ModelError: if units are dead and no layer of theirs can be drawn anew, with the reason.

    """
    case = seen_on(model, data)
    if not any(len(record.dead) for record in case.observation.sites):
        return {}
    try:
        return _reinitialise(model, optimizer, case.observation, case.example)
    except Refusal as refusal:
        raise ModelError(f"the dead units cannot be given a new start: {refusal}") from refusal


def reinitialise_units(learner: Learner, case: Case) -> str:
    """Give the dead units of an observation a new start."""
    done = _reinitialise(learner.model, learner.optimizer, case.observation, case.example)
    units = sum(map(len, done.values()))
    return f"a new start for {units} dead units of {len(done)} layers"


def _reinitialise(
    model: nn.Module, optimizer: Optimizer | None, observation: Observation, example: Batch
) -> dict[str, list[int]]:
    dead = [record for record in observation.sites if len(record.dead)]
    if not dead:
        raise Refusal("no unit is dead")
    places = {
        name: module for name, module in model.named_modules() if isinstance(module, WEIGHTED)
    }
    fresh = copy.deepcopy(model)
    drawn = {layer.layer: layer for layer in _drawn(fresh, example)}
    read_by = readers(model, example)
    done: dict[str, list[int]] = {}
    why = ""
    for record in dead:
        name = record.layer.name if record.layer is not None else ""
        hindrance = _hindrance(places.get(name), drawn.get(name), record.site.units)
        if hindrance:
            why = why or hindrance
            continue
        one = _Units(places[name], torch.from_numpy(record.dead), record.site.units, optimizer)
        one.draw(fresh.get_submodule(name))
        if record.layer is not None and record.layer.normalised_by is not None:
            one.level(model.get_submodule(record.layer.normalised_by))
        if not record.silent.all():
            one.silence(read_by.get(places[name], []))
        done[name] = record.dead.tolist()
    if not done:
        raise Refusal(why)
    return done


def _hindrance(layer: nn.Module | None, drawn: LayerInit | None, units: int) -> str:
    """Why the units of a site cannot be drawn anew, or nothing."""
    if layer is None or drawn is None:
        return "no linear layer or convolution that is known makes their input"
    if drawn.gain is None:
        return drawn.note
    transposed = bool(getattr(layer, "transposed", False))
    if layer.get_parameter("weight").shape[int(transposed)] != units:
        return f"the weights of {drawn.layer} are not one row a unit"
    return ""


def _drawn(model: nn.Module, example: Batch) -> list[LayerInit]:
    try:
        return list(init_(model, dict(example.kwargs) or example.args))
    except ModelError as error:
        raise Refusal(str(error)) from error


class _Units:
    """The dead units of one layer, and what belongs to them."""

    def __init__(
        self, layer: nn.Module, units: Tensor, width: int, optimizer: Optimizer | None
    ) -> None:
        self._layer, self._units, self._width = layer, units, width
        self._optimizer = optimizer

    def draw(self, fresh: nn.Module) -> None:
        """Take the weights and biases from a layer that was just drawn."""
        rows = self._rows(self._layer)
        for name, parameter in self._layer.named_parameters(recurse=False):
            at = rows if name == "weight" else (self._units,)
            self._set(parameter, at, fresh.get_parameter(name)[at])

    def level(self, norm: nn.Module) -> None:
        """Give a normalisation's own scale and shift of these units their first values."""
        for name, value in (("weight", 1.0), ("bias", 0.0)):
            parameter = norm._parameters.get(name)
            if parameter is not None and parameter.shape == (self._width,):
                self._set(parameter, (self._units,), value)

    def silence(self, layers: list[nn.Module]) -> None:
        """Set the weights to zero with which other layers read these units."""
        for layer in layers:
            weight = layer.get_parameter("weight")
            at = self._columns(layer, weight)
            if at is not None and weight.requires_grad:
                self._set(weight, at, 0.0)

    def _rows(self, layer: nn.Module) -> tuple[Any, ...]:
        transposed = bool(getattr(layer, "transposed", False))
        return (slice(None), self._units) if transposed else (self._units,)

    def _columns(self, layer: nn.Module, weight: Tensor) -> tuple[Any, ...] | None:
        """Where a layer holds the weights for these units; None where that is not plain."""
        if getattr(layer, "groups", 1) != 1:
            return None
        if getattr(layer, "transposed", False):
            return (self._units,) if weight.shape[0] == self._width else None
        times, rest = divmod(weight.shape[1], self._width)
        if rest:
            return None
        # A flattened image has all the positions of one channel side by side.
        inputs = self._units[:, None] * times + torch.arange(times)
        return slice(None), inputs.flatten()

    def _set(self, parameter: Tensor, at: tuple[Any, ...], value: Tensor | float) -> None:
        with torch.no_grad():
            parameter[at] = value
        for moment in self._moments(parameter):
            moment[at] = 0.0

    def _moments(self, parameter: Tensor) -> Iterator[Tensor]:
        state = {} if self._optimizer is None else self._optimizer.state.get(parameter, {})
        for value in state.values():
            if isinstance(value, Tensor) and value.shape == parameter.shape:
                yield value
