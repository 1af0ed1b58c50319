"""Units that fire for less than one sample in a hundred.

**Measured.** For activations that pass positive signals on and damp negative ones (ReLU, leaky
ReLU, GELU, SiLU, ELU and their kin): the share p of samples in which a unit fires, z > 0,
anywhere. A unit is rarely firing when 0 < p < 0.01 (Dohare et al. 2024, Nature 632). The bound
given is that of Clopper and Pearson for the busiest of these units.

**Why it harms.** Such a unit learns from one sample in a hundred or fewer. It may be a
specialist, for a rare class for instance, and then it is worth its place; or it is on its way
to death. Two checkups, some training apart, tell the two from each other. Hence this rule never
calls a network ill.

**What to do.** Look whether the number grows during training. If so, lower the learning rate,
or give the units a normalisation that brings their pre-activations back to 0.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from relucid.diagnose.evidence import rate_below
from relucid.diagnose.facts import function_of, is_rectifier
from relucid.diagnose.remedies import LOWER_LEARNING_RATE, NORMALISE
from relucid.diagnose.sites import judge_each
from relucid.diagnose.threshold import Threshold, Thresholds
from relucid.diagnose.verdict import Verdict
from relucid.diagnose.words import of_units, percent
from relucid.records import Finding, Observation, SiteRecord

TITLE = "Rarely firing units"

RATE = Threshold(
    0.01, "share of samples below which a unit fires rarely", "Dohare et al. 2024, Nature 632"
)
SHARE = Threshold(
    0.25,
    "share of a layer's units from which rarely firing ones are worth a tip",
    "our choice: healthy 20-layer networks on digits have up to 0.16",
)

_verdict = Verdict("rarely_firing")


def examine(observation: Observation, thresholds: Thresholds) -> Iterator[Finding]:
    """Judge the units of each site."""
    return judge_each(
        observation,
        _verdict,
        lambda record: _unjudged(record, thresholds[RATE]),
        lambda record: _judge(record, thresholds),
    )


def _unjudged(record: SiteRecord, rate: float) -> str | None:
    function = function_of(record)
    if function is None:
        return f"relucid has no declaration of {record.site.activation}"
    if not is_rectifier(function):
        return f"the sign of z does not say whether a unit of {function.name} works"
    if record.samples * rate <= 1.0:
        return f"{record.samples} samples are too few to see a rate below {percent(rate)}"
    return None


def _judge(record: SiteRecord, thresholds: Thresholds) -> Finding:
    rates = record.fired_samples / record.samples
    rare = (rates > 0.0) & (rates < thresholds[RATE])
    share = float(rare.mean())
    numbers = {
        "measured": share,
        "threshold": thresholds[SHARE],
        "quantity": "share of rarely firing units",
    }
    if share < thresholds[SHARE] or not rare.any():
        meaning = "Few units or none are close to silence."
        title = of_units(int(rare.sum()), record, "rarely firing")
        return _verdict.well(record, title, meaning, **numbers)
    busiest = rate_below(int(record.fired_samples[rare].max()), record.samples)
    return _verdict.tip(
        record,
        of_units(int(rare.sum()), record, "rarely firing"),
        f"Each of these units works for fewer than {percent(thresholds[RATE])} of the samples. "
        "It may be a specialist, or about to die; a later checkup tells.",
        units=tuple(np.flatnonzero(rare).tolist()),
        confidence=f"each fires for less than {percent(busiest)} of samples, at 95%",
        prescriptions=(LOWER_LEARNING_RATE, NORMALISE),
        **numbers,
    )
