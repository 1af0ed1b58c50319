"""Units that fire on every element, where the activation is a straight line.

**Measured.** For activations that are linear for z > 0 (ReLU, leaky ReLU, ELU): the units with
z > 0 on every element of every sample. On this data such a unit is a linear map. With n
independent samples that all fired, the unit fails to fire for less than 1 - 0.05**(1/n) of all
samples, with 95% confidence. Serra et al. 2020 (arXiv:2001.00218) call units that provably are
so *stably active*; with a declared input domain these are told apart.

**Why it harms.** An activation is there to bend the signal. A layer whose units are all always
on could be merged with the next one: the network is one layer less deep than it pays for. Single
such units are usual and harmless: they carry a signal through unchanged.

**What to do.** Look for biases far above zero, for inputs that are not centred, or for an
activation after one whose output is positive anyway. A normalisation before the activation
brings the pre-activations back to 0.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from relucid.diagnose.evidence import never_seen
from relucid.diagnose.facts import function_of, is_linear_where_it_fires
from relucid.diagnose.proofs import proved_on
from relucid.diagnose.remedies import LOWER_LEARNING_RATE, NORMALISE, RIGHT_GAIN
from relucid.diagnose.sites import judge_each
from relucid.diagnose.threshold import Threshold, Thresholds
from relucid.diagnose.verdict import Verdict, unless_few
from relucid.diagnose.words import of_units, percent
from relucid.records import Finding, Observation, SiteRecord

TITLE = "Always-on units"

SHARE = Threshold(
    0.5,
    "share of a layer's units from which always-on ones are worth a tip; all are an illness",
    "our choice: half of the layer does not bend the signal",
)
MINIMUM_SAMPLES = Threshold(
    100,
    "samples needed to call a layer always on",
    "from here on a unit that always fired rests for less than 3% of samples, with 95% confidence",
)
MINIMUM_UNITS = Threshold(
    8,
    "units that a layer needs to be judged",
    "our choice: narrower layers are often outputs that are meant to be positive",
)

_verdict = Verdict("always_on")


def examine(observation: Observation, thresholds: Thresholds) -> Iterator[Finding]:
    """Judge the units of each site."""
    return judge_each(
        observation,
        _verdict,
        lambda record: _unjudged(record, thresholds[MINIMUM_UNITS]),
        lambda record: _judge(record, thresholds),
    )


def _unjudged(record: SiteRecord, minimum: float) -> str | None:
    function = function_of(record)
    if function is None:
        return f"relucid has no declaration of {record.site.activation}"
    if function.piecewise_linear and not function.kinks:
        return f"{function.name} is linear everywhere, on purpose"
    if not is_linear_where_it_fires(function):
        return f"{function.name} is not linear for z > 0, so firing does not make it so"
    if record.site.units < minimum:
        return f"a layer of {record.site.units} is too narrow to tell an illness from a purpose"
    return None


def _judge(record: SiteRecord, thresholds: Thresholds) -> Finding:
    on = record.fired == record.elements
    share = float(on.mean())
    bound = percent(never_seen(record.samples))
    numbers = {
        "measured": share,
        "threshold": thresholds[SHARE],
        "quantity": "share of always-on units",
        "confidence": f"a unit that always fired rests for less than {bound} of samples, at 95%",
    }
    title = of_units(int(on.sum()), record, "always on")
    if share < thresholds[SHARE] or not on.any():
        meaning = f"The layer bends the signal.{proved_on(record, on)}"
        return _verdict.well(record, title, meaning, **numbers)
    say = _verdict.ill if share == 1.0 else _verdict.tip
    finding = say(
        record,
        title,
        "These units pass every sample on along a straight line, so the activation does nothing "
        "for them: with all units like that, this layer and the next could be one."
        f"{proved_on(record, on)}",
        units=tuple(np.flatnonzero(on).tolist()),
        prescriptions=(NORMALISE, RIGHT_GAIN, LOWER_LEARNING_RATE),
        **numbers,
    )
    return unless_few(finding, thresholds[MINIMUM_SAMPLES])
