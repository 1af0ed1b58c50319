"""A layer whose units are all dead.

**Measured.** For each unit, the elements on which its output is exactly 0 while the activation
is flat (abs(derivative) < 0.01). The layer is dead on the data when that holds for every unit
and every element: nothing passes forward, and no gradient passes back. n counts independent
samples; had the layer passed anything for a share p of all samples, n silent ones would have
probability (1-p)**n, so with 95% confidence p is below 1 - 0.05**(1/n), about 3/n
(Voita et al. 2023, arXiv:2309.04827, define a dead unit so).

**Why it harms.** Everything behind the layer sees a constant, and everything before it gets no
gradient: in a network without a way around the layer (a skip connection), training has
stopped, except for the biases behind it. Later layers are then not judged: they are starved,
not ill. Lu et al. 2019 (arXiv:1903.06733) give the probability that a narrow, deep ReLU network
is born like this.

**Narrow layers.** Units that see nearly the same input in every sample are dead or always on by
the toss of a coin, so that a layer of U units is born dead with probability 2**-U. A layer of
few units is therefore a tip, unless no gradient gets past it at all.

**What to do.** A layer dies by a step that was too large, by weights that start at zero, or by a
bias far below zero. Lower the learning rate, start from the right gain, or use a function with
a slope on both sides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from relucid.diagnose.evidence import never_seen
from relucid.diagnose.hurdles import Hurdles, in_order
from relucid.diagnose.proofs import proved_dead
from relucid.diagnose.remedies import LOWER_LEARNING_RATE, REINITIALISE, RIGHT_GAIN, swap_at
from relucid.diagnose.threshold import Threshold, Thresholds
from relucid.diagnose.verdict import Verdict, unless_few
from relucid.diagnose.words import counted, percent
from relucid.records import Finding, Observation, Prescription, SiteRecord

TITLE = "Dead layer"

MINIMUM_SAMPLES = Threshold(
    30,
    "samples needed to call a layer dead",
    "from here on a layer that is silent passes less than 10% of samples, with 95% confidence",
)
MINIMUM_UNITS = Threshold(
    7,
    "units that a dead layer needs to be ill, where gradients find a way around it",
    "a layer of 7 units is born dead with probability 2**-7, below 1%",
)

_verdict = Verdict("dead_layer")


def examine(observation: Observation, thresholds: Thresholds) -> Iterator[Finding]:
    """Judge each site as a whole."""
    hurdles = Hurdles(observation)
    for record in in_order(observation):
        reason = hurdles.why(record)
        if reason is not None:
            yield _verdict.not_applicable(record, reason)
        elif record.silent.all():
            narrow = record.site.units < thresholds[MINIMUM_UNITS]
            say = _verdict.tip if narrow and not _fatal(observation, record) else _verdict.ill
            yield unless_few(_dead(record, say), thresholds[MINIMUM_SAMPLES])
        else:
            alive = int((~record.silent).sum())
            yield _verdict.well(
                record,
                f"{alive:,} of {counted(record.site.units, 'unit')} pass a signal",
                "The layer passes a signal forward.",
                measured=1.0 - alive / record.site.units,
                threshold=1.0,
                quantity="share of dead units",
            )


def _fatal(observation: Observation, record: SiteRecord) -> bool:
    """Whether gradients were counted before this site and all of them are 0."""
    before = [
        r.gradient.rms
        for r in observation.sites
        if r.gradient is not None and r.site.order <= record.site.order
    ]
    return bool(before) and not any(before)


def _dead(record: SiteRecord, say: Callable[..., Finding]) -> Finding:
    return say(
        record,
        f"all {counted(record.site.units, 'unit')} are dead",
        f"The layer gives 0 for each of {counted(record.samples, 'sample')}: nothing passes "
        "forward, and no gradient passes back to the layers before it, so it cannot recover by "
        f"training.{_cause(record)}{proved_dead(record, record.silent)}",
        units=tuple(range(record.site.units)),
        measured=1.0,
        threshold=1.0,
        quantity="share of dead units",
        confidence=f"the layer passes less than {percent(never_seen(record.samples))} of "
        "samples, at 95%",
        prescriptions=_prescriptions(record),
    )


def _cause(record: SiteRecord) -> str:
    layer = record.layer
    if layer is None:
        return ""
    if layer.weight_rms == 0.0:
        return f" The weights of {layer.name} are all zero."
    if layer.normalised_by is None and layer.bias_mean < 0.0:
        return f" The bias of {layer.name} is {layer.bias_mean:.3g} on average."
    return ""


def _prescriptions(record: SiteRecord) -> tuple[Prescription, ...]:
    if record.layer is not None and record.layer.weight_rms == 0.0:
        return (RIGHT_GAIN,)
    slope = "a small slope below zero lets a gradient through, so that units can come back"
    return (
        LOWER_LEARNING_RATE,
        REINITIALISE,
        *swap_at(record.site.activation, "leaky_relu", slope),
    )
