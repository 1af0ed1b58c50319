"""Units whose output is tiny beside that of their layer, where exact zeros do not exist.

**Measured.** The dormancy score of Sokar et al. 2023 (arXiv:2302.12902): the mean of abs(h) over
the data, divided by its mean over all units of the layer (the mean, not the sum). A unit is
tau-dormant at a score of at most tau. It is measured for activations without an interval of
exact zeros (GELU, SiLU, ELU, sigmoid, tanh); with one, dead_units and rarely_firing say more.

**Why it harms.** A dormant unit adds next to nothing to the layer's output, and usually gets
next to no gradient. It is not dead: it may come back. Many of them mean that the network has
lost capacity, as happens to networks that train on changing data for long. A few units that are
very large make all others look dormant, so this is a tip and never an illness.

**What to do.** Lower the learning rate, or give the layer a normalisation before its activation.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from relucid.diagnose.facts import function_of, has_exact_zeros
from relucid.diagnose.remedies import LOWER_LEARNING_RATE, NORMALISE
from relucid.diagnose.sites import judge_each
from relucid.diagnose.threshold import Threshold, Thresholds
from relucid.diagnose.verdict import Verdict
from relucid.diagnose.words import of_units
from relucid.records import Finding, Observation, SiteRecord

TITLE = "Dormant units"

TAU = Threshold(
    0.025,
    "score up to which a unit is dormant",
    "the score is that of Sokar et al. 2023, arXiv:2302.12902; the value is our choice",
)
SHARE = Threshold(
    0.25,
    "share of a layer's units from which dormant ones are worth a tip",
    "our choice: a quarter of the layer adds next to nothing",
)

_verdict = Verdict("dormant_units")


def examine(observation: Observation, thresholds: Thresholds) -> Iterator[Finding]:
    """Judge the units of each site."""
    return judge_each(
        observation,
        _verdict,
        _unjudged,
        lambda record: _judge(record, thresholds),
    )


def _unjudged(record: SiteRecord) -> str | None:
    function = function_of(record)
    if function is not None and has_exact_zeros(function):
        return f"{function.name} has exact zeros: dead_units and rarely_firing count them"
    if record.silent.all():
        return "the whole layer is dead, as rule dead_layer reports"
    if not record.magnitude.mean() > 0.0:
        return "every output is 0, so no unit is smaller than the others"
    return None


def _judge(record: SiteRecord, thresholds: Thresholds) -> Finding:
    dormant = record.magnitude <= thresholds[TAU] * record.magnitude.mean()
    share = float(dormant.mean())
    numbers = {
        "measured": share,
        "threshold": thresholds[SHARE],
        "quantity": "share of dormant units",
    }
    title = of_units(int(dormant.sum()), record, "dormant")
    if share < thresholds[SHARE] or not dormant.any():
        return _verdict.well(record, title, "Nearly all units take part.", **numbers)
    return _verdict.tip(
        record,
        title,
        f"The outputs of these units are below {thresholds[TAU]:g} of their layer's mean: they "
        "add next to nothing, though they are not dead.",
        units=tuple(np.flatnonzero(dormant).tolist()),
        prescriptions=(LOWER_LEARNING_RATE, NORMALISE),
        **numbers,
    )
