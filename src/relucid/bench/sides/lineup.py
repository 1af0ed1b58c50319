"""Who takes part in a row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch

import relucid
from relucid.bench.buffers import FROM_MEMORY, Inputs, has_out_form, make_inputs
from relucid.bench.choices import Peer
from relucid.bench.sides.compiled import compiled_in_place, compiled_value, forget_compiled
from relucid.bench.sides.eager import IN_PLACE, VALUES
from relucid.bench.sides.jax_side import JaxSide, start_jax
from relucid.bench.sides.numpy_side import NumpySide
from relucid.bench.sides.subject import Contender, Form, Result, Subject
from relucid.bench.sides.torch_side import InPlace, TorchSide

RELUCID, COPY, RELU = "relucid", "copy", "relu"
YARDSTICKS = (COPY, RELU)


@dataclass(frozen=True)
class Cell:
    """The part of a setting for which the contenders and their buffers are made once."""

    function: str
    dtype: str
    size: int
    threads: int


class Lineup:
    """The contenders of one cell. Making it sets PyTorch's number of threads to the cell's."""

    def __init__(self, cell: Cell, peers: Sequence[Peer], cache: int) -> None:
        torch.set_num_threads(cell.threads)
        forget_compiled()
        self.cell, self.peers = cell, tuple(peers)
        self.inputs = make_inputs(cell.function, getattr(torch, cell.dtype), cell.size, cache)

    def subjects(self, form: Form) -> dict[str, Subject]:
        """By name: relucid, the peers that have this form, and the yardsticks."""
        offers = {name: side.subject(form) for name, side in self._contenders.items()}
        found = {name: subject for name, subject in offers.items() if subject is not None}
        if form[0] != "both" or self.cell.size < FROM_MEMORY:
            found.pop(RELU, None)
        return {**found, COPY: self._copy}

    @cached_property
    def _contenders(self) -> dict[str, Contender]:
        function, inputs = self.cell.function, self.inputs
        make: dict[Peer, Callable[[], Contender]] = {
            Peer.EAGER: lambda: _eager(function, inputs),
            Peer.COMPILE: lambda: _compiled(function, inputs),
            Peer.JAX: lambda: JaxSide(start_jax(self.cell.threads), function, inputs),
            Peer.NUMPY: lambda: NumpySide(function, inputs),
        }
        first = [Inputs(one.arguments[:1], one.gradient) for one in inputs]
        sides = {RELUCID: _relucid(function, inputs), RELU: _eager("relu", first)}
        return sides | {peer.value: make[peer]() for peer in self.peers}

    @cached_property
    def _copy(self) -> Subject:
        sources = [one.arguments[0] for one in self.inputs]
        targets = [torch.full_like(x, torch.nan) for x in sources]

        def run(i: int) -> Result:
            return targets[i].copy_(sources[i]), None

        return Subject(run)


def _relucid(function: str, inputs: Sequence[Inputs]) -> TorchSide:
    activation: Any = relucid.get(function)  # called as its kind is
    in_place = InPlace(
        lambda c: activation(c.x, out=c.y), lambda c: activation.vjp(c.x, c.g, out=c.dx)
    )
    return TorchSide(inputs, activation, in_place if has_out_form(function) else None, True)


def _eager(function: str, inputs: Sequence[Inputs]) -> TorchSide:
    return TorchSide(inputs, VALUES[function], IN_PLACE.get(function), False)


def _compiled(function: str, inputs: Sequence[Inputs]) -> TorchSide:
    value = VALUES[function]
    in_place = compiled_in_place(value) if has_out_form(function) else None
    return TorchSide(inputs, compiled_value(value), in_place, True)
