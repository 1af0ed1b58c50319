"""Units that give exactly 0 on all of the data.

**Measured.** For activations with an interval of exact zeros (the ReLU family, hard swish,
shrinkage): the units whose output is 0, where the function is flat, on every element of every
sample. With n independent samples a unit that never fired fires for less than 1 - 0.05**(1/n)
of all samples, about 3/n, with 95% confidence: dead is always *dead on this data*
(Voita et al. 2023, arXiv:2309.04827; Hu et al. 2016, arXiv:1607.03250, count the same zeros as
APoZ = 1). With a declared input domain, those units are told apart that are *provably dead*: an
upper bound of z over the whole domain shows that they cannot fire. A unit that still gets a
gradient is not dead. Functions without exact zeros (GELU, SiLU, ELU, tanh) are not judged here;
see dormant_units and saturation.

**Why it harms.** A dead unit adds nothing to the output, and since its derivative is 0 its
weights get no gradient: it cannot come back by training. A few are usual in a healthy ReLU
network, and harmless; many mean that the network has fewer units than it pays for.

**Two causes.** Units pushed below zero are dead and few others are always on. But deep in a
plain network the signals of different samples grow alike (Poole et al. 2016, arXiv:1606.05340),
and then each unit is the same for all of them: by the toss of a coin, dead or always on. So a
layer is ill only if more of its units are dead than a fair coin would make of all that are one
or the other (a sign test; each layer of a deep network is one more chance); else it is a tip,
with other advice where the two balance.

**What to do.** Units die by steps that are too large, by unscaled inputs, or by an unlucky
start. Lower the learning rate, start from the right gain, or use a function with a slope below
zero. Where signals have grown alike, a normalisation or skip connections keep them apart. Units
that stay dead can be removed without changing the output on this data.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from relucid.diagnose.evidence import heads_by_chance, never_seen
from relucid.diagnose.facts import function_of, has_exact_zeros
from relucid.diagnose.proofs import proved_dead
from relucid.diagnose.remedies import (
    LOWER_LEARNING_RATE,
    NORMALISE,
    REINITIALISE,
    RIGHT_GAIN,
    swap_at,
)
from relucid.diagnose.sites import judge_each
from relucid.diagnose.threshold import Threshold, Thresholds
from relucid.diagnose.verdict import Verdict, unless_few
from relucid.diagnose.words import counted, of_units, percent
from relucid.records import Finding, Observation, Prescription, SiteRecord

TITLE = "Dead units"

SHARE = Threshold(
    0.4,
    "share of a layer's units above which dead ones are an illness",
    "the share that Stanford's CS231n notes name for a learning rate that is too high; small "
    "ReLU networks that had learned digits well had up to 0.33",
)
CHANCE = Threshold(
    0.01,
    "probability that chance makes so many more units dead than always on in any of the layers, "
    "below which they are an illness",
    "our choice: in a network of one layer with no unit always on it takes seven dead ones",
)
TIP_SHARE = Threshold(
    0.05,
    "share of a layer's units above which dead ones are worth a tip",
    "our choice: single dead units are usual in healthy ReLU networks; 0 reports each",
)
MINIMUM_SAMPLES = Threshold(
    100,
    "samples needed to call units dead",
    "from here on a silent unit fires for less than 3% of samples, with 95% confidence",
)

_verdict = Verdict("dead_units")


def examine(observation: Observation, thresholds: Thresholds) -> Iterator[Finding]:
    """Judge the units of each site."""
    return judge_each(
        observation,
        _verdict,
        _no_dead,
        lambda record: _judge(record, thresholds, layers=len(observation.sites)),
    )


def _no_dead(record: SiteRecord) -> str | None:
    function = function_of(record)
    if function is None:
        return f"relucid has no declaration of {record.site.activation}"
    if not has_exact_zeros(function):
        return f"{function.name} has no interval of exact zeros, so its units always get a gradient"
    if record.silent.all():
        return "the whole layer is dead, as rule dead_layer reports"
    return None


def _judge(record: SiteRecord, thresholds: Thresholds, layers: int) -> Finding:
    dead = record.silent
    if record.gradient is not None:
        dead &= record.gradient.absolute == 0.0
    share, on = float(dead.mean()), record.fired == record.elements
    by_chance = layers * heads_by_chance(int(dead.sum()), int(on.sum()))
    ill = share > thresholds[SHARE] and by_chance < thresholds[CHANCE]
    bound = percent(never_seen(record.samples))
    numbers: dict[str, Any] = {
        "units": tuple(np.flatnonzero(dead).tolist()),
        "measured": share,
        "threshold": thresholds[SHARE if ill else TIP_SHARE],
        "quantity": "share of dead units",
        "confidence": f"a unit that never fired fires for less than {bound} of samples, at 95%",
    }
    title = of_units(int(dead.sum()), record, "dead")
    if share <= thresholds[TIP_SHARE]:
        meaning = "A few dead units are usual in a healthy network, and none is better still."
        meaning += proved_dead(record, dead)
        return _verdict.well(record, title, meaning, **numbers)
    if ill or share > 2.0 * on.mean():
        say = _verdict.ill if ill else _verdict.tip
        meaning = _pushed(record) + proved_dead(record, dead)
        finding = say(record, title, meaning, prescriptions=_cures(record), **numbers)
        return unless_few(finding, thresholds[MINIMUM_SAMPLES])
    meaning = (
        "Nearly as many units of this layer are always on: the samples look alike to it, so that "
        f"each unit says the same about all of them.{proved_dead(record, dead)}"
    )
    return _verdict.tip(record, title, meaning, prescriptions=(NORMALISE, RIGHT_GAIN), **numbers)


def _pushed(record: SiteRecord) -> str:
    return (
        f"These units give 0 for each of {counted(record.samples, 'sample')}: they add nothing "
        "to the output, and no gradient reaches their weights, so training cannot bring them back."
    )


def _cures(record: SiteRecord) -> tuple[Prescription, ...]:
    slope = "a small slope below zero lets a gradient through, so that units can come back"
    leaky = swap_at(record.site.activation, "leaky_relu", slope)
    return (LOWER_LEARNING_RATE, REINITIALISE, RIGHT_GAIN, *leaky)
