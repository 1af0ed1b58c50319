"""Units that died while the network was being trained.

**Measured.** In a watch over training, which `relucid.Health.of(probe.records())` diagnoses: the
units that fired, z > 0, at some time, but for none of the samples of the last third of the watched
passes. With n samples in that third, a unit that never fired in it fires for less than
1 - 0.05**(1/n) of them, with 95% confidence. It is measured for activations with an interval of
exact zeros (the ReLU family), whose silent units get no gradient. Units that never fired at all are
dead_units'.

**Why it harms.** Units that die one after another are capacity that training takes away for good.
Dead units that grow in number go with a network that loses its ability to learn (Dohare et
al. 2024, Nature 632; Sokar et al. 2023, arXiv:2302.12902), and the trend shows it before the loss
does. A few are usual in the first steps, when the weights move most.

**What to do.** Lower the learning rate, or warm it up: units die by single steps that are too
large. A normalisation before the activation, or a slope below zero, lets units come back. Units
that are dead can be drawn afresh.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from relucid.diagnose.evidence import never_seen
from relucid.diagnose.facts import function_of, has_exact_zeros
from relucid.diagnose.remedies import LOWER_LEARNING_RATE, NORMALISE, REINITIALISE, swap_at
from relucid.diagnose.sites import judge_each
from relucid.diagnose.threshold import Threshold, Thresholds
from relucid.diagnose.verdict import Verdict, unless_few
from relucid.diagnose.words import of_units, percent
from relucid.records import Finding, Observation, SiteHistory, SiteRecord

TITLE = "Dying units"

ILL_SHARE = Threshold(
    0.4,
    "share of a layer's units that died during the watch from which it is an illness",
    "that of dead_units; at a learning rate 100 times too high it was 0.58 to 1",
)
TIP_SHARE = Threshold(
    0.25,
    "share of a layer's units that died during the watch from which it is worth a tip",
    "our choice: ReLU networks that learned digits well had up to 0.22",
)
MINIMUM_PASSES = Threshold(
    30, "watched passes from which a trend is judged", "our choice: ten passes in a third"
)
MINIMUM_SAMPLES = Threshold(
    300,
    "samples in the last third of the watch that an illness needs",
    "from here on a unit that is silent in it fires for less than 1%, with 95% confidence",
)

_verdict = Verdict("dying")


def examine(observation: Observation, thresholds: Thresholds) -> Iterator[Finding]:
    """Judge the units of each site over time."""
    return judge_each(
        observation,
        _verdict,
        lambda record: _unjudged(record, thresholds[MINIMUM_PASSES]),
        lambda record: _judge(record, thresholds),
    )


def _unjudged(record: SiteRecord, minimum: float) -> str | None:
    function = function_of(record)
    if function is None:
        return f"relucid has no declaration of {record.site.activation}"
    if not has_exact_zeros(function):
        return f"{function.name} has no interval of exact zeros, so its units always get a gradient"
    if record.history is None:
        return "it was not watched over time; relucid.watch during training shows a trend"
    passes = int(record.history.passes.sum())
    return f"{passes} watched passes show no trend yet" if passes < minimum else None


def _judge(record: SiteRecord, thresholds: Thresholds) -> Finding:
    history = record.history
    assert history is not None, "sites without a history are not judged"
    passes = int(history.passes.sum())
    died = (history.quiet >= passes / 3) & (history.quiet < passes)
    share, samples = float(died.mean()), _late_samples(history)
    ill = share >= thresholds[ILL_SHARE]
    numbers: dict[str, Any] = {
        "units": tuple(np.flatnonzero(died).tolist()),
        "measured": share,
        "threshold": thresholds[ILL_SHARE if ill else TIP_SHARE],
        "quantity": "share of units that died while watched",
        "n": samples,
        "confidence": f"each of them now fires for less than {percent(never_seen(samples))} of "
        "samples, at 95%",
    }
    title = of_units(int(died.sum()), record, "silent after having fired")
    if share < thresholds[TIP_SHARE] or not died.any():
        return _verdict.well(record, title, "Few units or none died in this time.", **numbers)
    say = _verdict.ill if ill else _verdict.tip
    finding = say(record, title, _story(history), prescriptions=_cures(record), **numbers)
    return unless_few(finding, thresholds[MINIMUM_SAMPLES])


def _late_samples(history: SiteHistory) -> int:
    """Samples of the last third of the passes, in whole points."""
    passes = history.passes.sum()
    left = passes - np.cumsum(history.passes)
    return int(history.samples[left < passes / 3].sum())


def _story(history: SiteHistory) -> str:
    first, last = history.dead[0], history.dead[-1]
    return (
        f"They fired earlier in the {int(history.passes.sum()):,} passes that were watched, and "
        f"for no sample in the last third. Silent in a single pass were {first:.0f} units at the "
        f"start and {last:.0f} at the end."
    )


def _cures(record: SiteRecord) -> tuple[Any, ...]:
    slope = "a small slope below zero lets a gradient through, so that units can come back"
    leaky = swap_at(record.site.activation, "leaky_relu", slope)
    return (LOWER_LEARNING_RATE, NORMALISE, REINITIALISE, *leaky)
