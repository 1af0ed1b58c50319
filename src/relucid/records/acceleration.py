"""What became of a model that was accelerated: which layers, what to expect, what was measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from relucid.records.receipt import Latency


@dataclass(frozen=True)
class Expected:
    """A layer for so many tokens at a time, from its times on this machine and a share of units."""

    tokens: int
    """Rows of its input in one call."""
    share: float
    """Of the units, how many were computed, or of the inputs, how many were read."""
    gain: float
    """How many times as fast as in full; 1 where it computes in full."""
    limit: float
    """The largest share at which leaving out work pays; below 0: none."""


@dataclass(frozen=True)
class FastLayer:
    """A linear layer that was replaced."""

    path: str
    """The module's path in the model."""
    way: Literal["certified", "selected", "skipping"]
    """``certified``: it computes the units that are not proved to be zero; ``selected``: those that
    the gate left open; ``skipping``: it reads what is not multiplied by zero."""
    inputs: int
    outputs: int
    extra_bytes: int
    """Memory that it takes beyond the layer that it replaced."""
    alone: Expected | None = None
    """For one token at a time, with the example's values; None where there was no example."""
    example: Expected | None = None
    """For as many tokens as the example has."""


@dataclass(frozen=True)
class FastBlock:
    """``down(act(up(x)))``, or ``down(act(gate(x)) * up(x))``: the layers that were replaced."""

    function: str
    """The activation, by its name in the catalogue."""
    level: float
    """Up to which the function is 0."""
    layers: tuple[FastLayer, ...]
    """In the order of the forward pass."""
    zeros: float | None = None
    """Share of zeros in what the last of them read, on the example."""

    @property
    def alone(self) -> float | None:
        """Expected gain of its layers together, for one token at a time."""
        return _together([(layer, layer.alone) for layer in self.layers])

    @property
    def example(self) -> float | None:
        """Expected gain of its layers together, for as many tokens as the example has."""
        return _together([(layer, layer.example) for layer in self.layers])


@dataclass(frozen=True)
class Kept:
    """A layer of a block that stayed as it was."""

    path: str
    why: str
    """The reason, and the cure where there is one."""


@dataclass(frozen=True)
class Acceleration:
    """The report of :func:`relucid.accelerate`."""

    title: str
    """Name of the model's class."""
    example: str
    """The inputs, in words: ``float32 (1, 1024)``; empty where there were none."""
    certify: bool
    """Whether first products were to be certified."""
    blocks: tuple[FastBlock, ...]
    kept: tuple[Kept, ...]
    expected: float | None = None
    """Gain of the whole model on the example, from those of its layers and their shares of time."""
    latency: Latency | None = None
    """Measured on the example; None where there was none, or nothing was replaced."""
    difference: float | None = None
    """Largest difference of an output on the example over the largest magnitude of that output."""
    notes: tuple[str, ...] = ()
    """What else the reader should know, in sentences."""
    machine: str = ""
    """Processor, threads and versions that the times belong to."""
    seconds: float = 0.0
    """What all of it took."""

    @property
    def layers(self) -> tuple[FastLayer, ...]:
        """All layers that were replaced."""
        return tuple(layer for block in self.blocks for layer in block.layers)

    @property
    def extra_bytes(self) -> int:
        """Memory that they take beyond the layers that they replaced."""
        return sum(layer.extra_bytes for layer in self.layers)


def _together(layers: list[tuple[FastLayer, Expected | None]]) -> float | None:
    """Time in full over time expected, where the time in full goes with the size of the weights."""
    sizes = [(layer.inputs * layer.outputs, one) for layer, one in layers]
    known = [(size, one.gain) for size, one in sizes if one is not None]
    if not known or len(known) < len(sizes):
        return None
    return sum(size for size, _ in known) / sum(size / gain for size, gain in known)
