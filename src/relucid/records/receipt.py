"""The receipt of a shrink: which units went, by which guarantee, and what was measured of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal


class Guarantee(StrEnum):
    """Why a unit could go, the strongest first."""

    EVERY = "proved for every input"
    DOMAIN = "proved over the domain"
    OBSERVED = "observed on the data"
    """It held on all of the data. An input unlike them may differ."""
    PRUNED = "pruned"
    """It did something, if little: outputs differ."""


class Kind(StrEnum):
    """What was so about a unit that went."""

    CONSTANT = "constant"
    """It had one value, which is in the next bias now: 0 of a dead rectifier."""
    ALWAYS_ON = "always on"
    """Its function was affine, so that others or the next layer compute it."""


@dataclass(frozen=True)
class Removal:
    """Units of one layer that went for the same reason."""

    kind: Kind
    guarantee: Guarantee
    units: tuple[int, ...]
    """Indices among the units that the layer had before, ascending."""


@dataclass(frozen=True)
class Refusal:
    """Units that could have gone by their values, and stayed."""

    path: str
    """Of the layer whose units they are; empty where it concerns the whole model."""
    units: int
    """How many; 0 where that is not known."""
    why: str
    """The reason and the cure, with operator, file and line where there are such."""


@dataclass(frozen=True)
class ShrunkLayer:
    """One layer that makes units: a linear layer, a convolution."""

    path: str
    """The module's path in the model."""
    layer: str
    """Name of the module's class: ``Linear``."""
    function: str
    """The activation that its units go through: ``relu``; empty where there is none."""
    before: int
    """Units, or channels, that it had."""
    after: int
    """Units that it has; 0 where it was merged into the next layer."""
    removed: tuple[Removal, ...] = ()
    note: str = ""
    """What else became of it, in words: ``merged with fc2``."""

    def count(self, guarantee: Guarantee, kind: Kind | None = None) -> int:
        """Return how many units went by this guarantee, of one kind or of both."""
        return sum(
            len(removal.units)
            for removal in self.removed
            if removal.guarantee is guarantee and kind in (None, removal.kind)
        )


@dataclass(frozen=True)
class Size:
    """What a model takes."""

    parameters: int
    """Numbers in its parameters; a shared one counts once."""
    bytes: int
    """Of its parameters and buffers; a shared one counts once."""
    macs: int | None
    """Multiplications with addition for one sample, in linear layers, convolutions, matrix
    products and attention; None where they could not be counted."""


@dataclass(frozen=True)
class Latency:
    """Times of both models on the example, measured in turns."""

    before: float
    """Median seconds of a call in evaluation mode without gradients."""
    after: float
    faster: float
    """Median over pairs of the time before over the time after."""
    low: float
    """Ends of the confidence interval of ``faster``."""
    high: float
    confidence: float
    pairs: int
    where: str
    """Device, threads and shapes of the example, in words."""


@dataclass(frozen=True)
class Agreement:
    """Outputs of both models beside each other on inputs of one kind."""

    inputs: Literal["random", "adversarial", "given"]
    """``adversarial``: corners of the domain, and gradient ascent on the difference."""
    samples: int
    largest: float
    """Largest difference of an output over the largest magnitude of that output; NaN where one
    model gives NaN and the other does not."""


@dataclass(frozen=True)
class Quality:
    """Loss or accuracy on the data, where units were pruned."""

    metric: Literal["loss", "accuracy"]
    samples: int
    before: float
    after: float
    """As pruned, before any further training."""
    tuned: float | None = None
    """After the further training; None where there was none."""
    steps: int = 0
    """Of further training."""


@dataclass(frozen=True)
class Receipt:
    """What became of a model that was shrunk."""

    title: str
    """The subject: a class's name, or what the caller says."""
    example: str
    """The inputs that it was captured with, in words: ``float32 (1, 3, 32, 32)``."""
    domain: str
    """The inputs for which proofs hold, in words; empty where none was declared."""
    data: str
    """What was observed on, in words; empty where there were none."""
    dtype: str
    """Of the parameters: ``float32``."""
    layers: tuple[ShrunkLayer, ...]
    """Every layer that makes units, in the order of the forward pass, changed or not."""
    refused: tuple[Refusal, ...]
    before: Size
    after: Size
    agreements: tuple[Agreement, ...]
    tolerance: float
    """What :attr:`Agreement.largest` had to stay below on exact removal."""
    latency: Latency | None = None
    quality: tuple[Quality, ...] = ()
    notes: tuple[str, ...] = ()
    """What else the reader should know, in sentences: ``without a domain, only ...``."""
    machine: str = ""
    """Processor, threads and versions that the times belong to."""
    seconds: float = 0.0
    """What all of it took."""

    @property
    def units_before(self) -> int:
        """Units of all layers together, before."""
        return sum(layer.before for layer in self.layers)

    @property
    def removed(self) -> int:
        """Units of all layers together that went."""
        return sum(self.count(guarantee) for guarantee in Guarantee)

    def count(self, guarantee: Guarantee, kind: Kind | None = None) -> int:
        """Return how many units went by this guarantee, of one kind or of both."""
        return sum(layer.count(guarantee, kind) for layer in self.layers)

    @property
    def weakest(self) -> Guarantee | None:
        """The guarantee that the whole has, that of its weakest removal; None if nothing went."""
        return weakest(g for layer in self.layers for g in _guarantees(layer))


def weakest(guarantees: Iterable[Guarantee]) -> Guarantee | None:
    """Return the last in the order of :class:`Guarantee`, None of none."""
    found = set(guarantees)
    return next((g for g in reversed(Guarantee) if g in found), None)


def _guarantees(layer: ShrunkLayer) -> Iterable[Guarantee]:
    return (removal.guarantee for removal in layer.removed)
