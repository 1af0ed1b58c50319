"""How the gradient's size changes over the depth of a network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from relucid.diagnose.hurdles import Hurdles, in_order
from relucid.records import Observation, SiteRecord

MINIMUM_SITES = 3
"""A trend over depth needs three points."""


@dataclass(frozen=True)
class Flow:
    """The sites with units and gradients, in order of execution.

    Sizes are norms over one sample, root mean square times the root of the values in it: a
    network with the right gain keeps the norm where layers change their width, not the root
    mean square.
    """

    records: tuple[SiteRecord, ...]

    @cached_property
    def norms(self) -> tuple[float, ...]:
        """Norm of the gradient at each site."""
        return tuple(
            record.gradient.rms * math.sqrt(math.prod(record.site.shape))
            for record in self.records
            if record.gradient is not None
        )

    @property
    def third(self) -> int:
        """Sites in a third of the depth."""
        return max(len(self.records) // 3, 1)

    @property
    def late(self) -> float:
        """Typical norm in the last third, next to the loss."""
        return _typical(self.norms[-self.third :])

    @property
    def early(self) -> float:
        """Typical norm in the first third."""
        return _typical(self.norms[: self.third])

    @property
    def best_early(self) -> float:
        """Largest norm in the first third: one open way is enough to learn by."""
        return max(self.norms[: self.third])

    @property
    def per_layer(self) -> float:
        """Factor by which the norm changes from one site to the one before it, geometric mean."""
        above = [(i, math.log(norm)) for i, norm in enumerate(self.norms) if norm > 0.0]
        if len(above) < 2:
            return 0.0
        depth, logs = zip(*above, strict=True)
        return math.exp(-float(np.polyfit(depth, logs, 1)[0]))


def _typical(norms: Sequence[float]) -> float:
    """Median of those that are not 0: a branch may start at 0 on purpose."""
    above = [norm for norm in norms if norm > 0.0]
    return float(np.median(above)) if above else 0.0


def gradient_flow(observation: Observation) -> Flow | str:
    """Return the flow, or the reason why there is none to judge."""
    seen = tuple(r for r in in_order(observation) if r.site.units and r.gradient is not None)
    if not seen:
        return "no gradient was recorded; pass loss= to see how gradients change over the depth"
    if len(seen) < MINIMUM_SITES:
        return f"a trend over depth needs gradients at {MINIMUM_SITES} activations, not {len(seen)}"
    if any(r.gradient is not None and r.gradient.nonfinite for r in seen):
        return "some gradients are NaN or infinite, as rule nonfinite reports"
    return Flow(seen)


def what_blocks(observation: Observation) -> str | None:
    """Name what stops the gradient by itself, if anything does.

    That is a dead layer, weights that are all zero, or a layer that is saturated throughout.
    """
    hurdles = Hurdles(observation)
    if hurdles.dead:
        return f"the dead layer {hurdles.dead[0].site.name} lets no gradient through"
    for record in in_order(observation):
        if record.layer is not None and record.layer.weight_rms == 0.0:
            return f"the weights of {record.layer.name} are all zero"
        if hurdles.why(record) is None and (record.saturated == record.elements).all():
            return f"every value of the saturated layer {record.site.name} is where it is flat"
    return None
