"""Where an activation is called, and what was counted there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from relucid.records.bounds import Bounds, Domain
from relucid.records.history import SiteHistory

Counts = NDArray[np.int64]
Reals = NDArray[np.float64]


@dataclass(frozen=True)
class Site:
    """One activation call in a model.

    ``name`` is the module path and, from the second call on, the call index
    (``layer1.0.relu#2``). A functional call is named after the module whose ``forward``
    makes it, followed by the function (``layer1.0.relu``, or ``relu`` in the outermost
    module).
    """

    name: str
    activation: str
    """Name in the catalogue (``relu``), or the operator's own name where it has none."""
    parameters: dict[str, float]
    """Parameters that differ from the declaration's defaults."""
    kind: Literal["module", "function", "method"]
    module: str
    """Path of the activation module, or of the module whose ``forward`` makes the call."""
    source: str | None
    """``file.py:line`` of a functional call."""
    order: int
    """Position in the order of execution, from 0."""
    units: int
    """Channels of a convolution, last-dimension indices of a linear layer."""
    unit_axis: int
    shape: tuple[int, ...]
    """Shape of one sample, without the batch axis."""
    learned: tuple[str, ...] = ()
    """Names of the model's parameters that the activation learns (PReLU's ``act.weight``)."""


@dataclass(frozen=True)
class Layer:
    """The weighted layer whose output, perhaps normalised, is this site's pre-activation."""

    name: str
    kind: str
    """Class name: ``Linear``, ``Conv2d``."""
    fan_in: int
    weight_rms: float
    """Root mean square of the weights."""
    bias_mean: float
    normalised_by: str | None
    """Path of a normalisation between the layer and the activation, if there is one."""


@dataclass(frozen=True)
class Reader:
    """The linear layer that multiplies a site's output, perhaps pooled, reshaped or squared."""

    name: str
    kind: str
    """Class name: ``Linear``."""
    outputs: int
    factor: str | None = None
    """The layer whose output the site's is multiplied by before, in a gated block."""


@dataclass(frozen=True)
class Histogram:
    """Distribution of all pre-activations of a site, all units together.

    Of a call with very many values, evenly spaced ones are counted. ``counts`` has one entry a
    bin, ``edges`` one more. Values outside the edges are counted in ``below`` and ``above``.
    ``curve`` holds the activation's value at each edge, empty where the function is not an
    elementwise one of the catalogue.
    """

    edges: Reals
    counts: Counts
    below: int
    above: int
    curve: Reals


@dataclass(frozen=True)
class GradientRecord:
    """Gradients of the loss with respect to a site's pre-activations z."""

    batches: int
    absolute: Reals
    """Sum over all elements of abs(dL/dz), one entry a unit."""
    rms: float
    """Root mean square over all elements and batches."""
    nonfinite: int
    """Elements that were NaN or infinite (left out of the sums)."""


@dataclass(frozen=True)
class SiteRecord:
    """What was counted at one site. z is the pre-activation, h the activation.

    Arrays have one entry a unit. A unit sees ``elements`` values of z: the samples times the
    positions (pixels, tokens) of each. Non-finite values are counted and left out of the
    moments. For a function of a vector (softmax) only the non-finite counts and the gradient
    are meaningful, and ``units`` is 0.
    """

    site: Site
    samples: int
    """Independent samples n seen, the basis of every confidence bound."""
    elements: int
    fired: Counts
    """Elements with z > 0."""
    fired_samples: Counts
    """Samples in which the unit fired at least once."""
    zeros: Counts
    """Elements with h == 0 exactly."""
    saturated: Counts
    """Elements with abs(derivative at z) < 0.01."""
    mean: Reals
    """Mean of z."""
    variance: Reals
    """Variance of z."""
    magnitude: Reals
    """Mean of abs(h)."""
    kink_hits: int
    """Elements with z exactly at a kink."""
    nonfinite_in: int
    nonfinite_out: int
    dtype: str
    histogram: Histogram | None = None
    layer: Layer | None = None
    gradient: GradientRecord | None = None
    follows: str | None = None
    """Name of the site whose output z is, perhaps pooled or reshaped: a ReLU after a ReLU."""
    history: SiteHistory | None = None
    """How it was over time, where it was watched."""
    more: dict[str, Reals] = field(default_factory=dict)
    """What further counters count, by name, one entry a unit."""
    bounds: Bounds | None = None
    """What holds for every input of the domain, where one was declared."""
    reader: Reader | None = None
    """The first linear layer that reads this site's zeros."""

    @property
    def fire_rate(self) -> Reals:
        """Share of elements with z > 0, one entry a unit."""
        return self.fired / max(self.elements, 1)

    @property
    def silent(self) -> NDArray[np.bool_]:
        """Which units gave exactly 0, where the function is flat, on every element.

        For ReLU these are the units that never fired; a GELU or tanh unit that never fired still
        gives output and gets a gradient.
        """
        found: NDArray[np.bool_] = (self.zeros == self.elements) & (self.saturated == self.elements)
        return found

    @property
    def dead(self) -> Counts:
        """Indices of the silent units: dead on this data."""
        return np.flatnonzero(self.silent)

    @property
    def always_on(self) -> Counts:
        """Indices of the units that fired on every element."""
        return np.flatnonzero(self.fired == self.elements)

    @property
    def sparsity(self) -> float:
        """Share of outputs that are exactly zero."""
        return float(self.zeros.sum() / max(self.elements * self.site.units, 1))


@dataclass(frozen=True)
class Unobserved:
    """An activation that is known to be there and could not be counted."""

    name: str
    reason: str


@dataclass(frozen=True)
class Birth:
    """The first operation that made NaN or infinity out of finite inputs."""

    module: str
    """Path of the module in whose ``forward`` it happened."""
    operation: str
    value: Literal["nan", "inf"]
    source: str | None
    """``file.py:line`` in the user's code."""
    batch: int
    phase: Literal["forward", "backward"] = "forward"


@dataclass(frozen=True)
class Observation:
    """All that one watch of a model measured."""

    model: str
    """Class name of the model."""
    parameters: int
    mode: Literal["eval", "train", "mixed"]
    batches: int
    samples: int
    loss: float | None
    """Mean loss over the batches, where a loss was given."""
    sites: tuple[SiteRecord, ...]
    unobserved: tuple[Unobserved, ...] = ()
    births: tuple[Birth, ...] = ()
    versions: dict[str, str] = field(default_factory=dict)
    """Versions of relucid, torch and Python."""
    domain: Domain | None = None
    """The inputs for which the sites' bounds hold, where a domain was declared."""
