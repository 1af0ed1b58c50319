"""What is measured of a copy when its training is over."""

from __future__ import annotations

import math
from typing import Any

from relucid.compare.learner import Loss
from relucid.compare.samples import Samples
from relucid.probes import observe
from relucid.records import Observation, Run


def measured(model: Any, samples: Samples, loss: Loss, seed: int) -> Run:
    """Run the held-out samples through a model in evaluation mode: loss, dead units, gradient."""
    raw = [(batch.args or dict(batch.kwargs), batch.target) for batch in samples.held_out]
    seen = observe(model, raw, loss)
    return Run(seed, math.nan if seen.loss is None else seen.loss, _dead(seen), _gradient(seen))


def _dead(seen: Observation) -> float | None:
    counted = [record for record in seen.sites if record.site.units]
    units = sum(record.site.units for record in counted)
    return sum(len(record.dead) for record in counted) / units if units else None


def _gradient(seen: Observation) -> float | None:
    """Size of the gradient at the first site over that at the last one, which is 1 if alone."""
    sizes = [
        record.gradient.rms
        for record in sorted(seen.sites, key=lambda record: record.site.order)
        if record.gradient is not None
    ]
    return sizes[0] / sizes[-1] if sizes and sizes[-1] else None
