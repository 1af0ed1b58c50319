"""Values that sit where the activation is flat.

**Measured.** The share of a layer's values at which abs(derivative) < 0.01: for sigmoid, outputs
outside 0.01 to 0.99; for tanh, abs(h) > 0.995. It is measured for functions that are flat on at
least one side. Where a side gives exact zeros (ReLU6), those zeros are not counted: resting is
what such a unit does. ReLU is flat only there, so it does not apply.

**Why it harms.** At a saturated value less than 1% of the gradient passes. When more than half
of a layer's values are like that, the layers before it hardly learn (Glorot and Bengio 2010,
*Understanding the difficulty of training deep feedforward networks*, show it for sigmoid and
tanh). Functions that are flat on one side only (GELU, SiLU, ELU) select by being flat, so they
are ill only when nearly all of a layer is. A sigmoid that is the last activation may be an output
that is sure: for it this is a tip at most.

**What to do.** Bring the pre-activations back to a deviation near 1: by normalising the inputs,
a normalisation before the activation, the right gain, or smaller steps.
"""

from __future__ import annotations

from collections.abc import Iterator

from relucid.diagnose.facts import flat_ends, function_of, has_exact_zeros
from relucid.diagnose.hurdles import Hurdles, in_order
from relucid.diagnose.remedies import LOWER_LEARNING_RATE, NORMALISE, RIGHT_GAIN, swap_at
from relucid.diagnose.threshold import Threshold, Thresholds
from relucid.diagnose.verdict import Verdict, unless_few
from relucid.diagnose.words import percent
from relucid.records import Finding, Observation, SiteRecord

TITLE = "Saturation"

ILL_SHARE = Threshold(
    0.5,
    "share of saturated values above which a layer is ill",
    "our choice: the median gradient through the layer is below 1%; after Glorot and Bengio 2010",
)
ONE_SIDED_SHARE = Threshold(
    0.8,
    "the same for functions that are flat on one side only",
    "our choice: of standard normal z, 0.3% of GELU's values are on the flat side",
)
OUTPUT_SHARE = Threshold(
    1.0,
    "the same for a sigmoid that is the last activation",
    "our choice, never reached: an output that is sure is saturated",
)
TIP_SHARE = Threshold(
    0.3,
    "share of saturated values above which it is worth a tip",
    "our choice: of standard normal z, 0.3% saturate tanh and less than 0.001% sigmoid",
)
MINIMUM_SAMPLES = Threshold(
    10, "samples needed to call a layer saturated", "our choice: each gives a value of every unit"
)

_verdict = Verdict("saturation")


def examine(observation: Observation, thresholds: Thresholds) -> Iterator[Finding]:
    """Judge each site as a whole."""
    hurdles = Hurdles(observation)
    records = in_order(observation)
    for record in records:
        reason = hurdles.why(record) or _unjudged(record)
        if reason is not None:
            yield _verdict.not_applicable(record, reason)
        else:
            limit = thresholds[_ill_from(record, last=record is records[-1])]
            yield _judge(record, thresholds, limit)


def _unjudged(record: SiteRecord) -> str | None:
    function = function_of(record)
    if function is None:
        return f"relucid has no declaration of {record.site.activation}"
    left, right = flat_ends(function)
    if not left and not right:
        return f"{function.name} is not flat on either side"
    if not right and has_exact_zeros(function):
        return f"{function.name} is flat only where it gives 0, which dead_units counts"
    if record.silent.all():
        return "the whole layer is dead, as rule dead_layer reports"
    return None


def _ill_from(record: SiteRecord, last: bool) -> Threshold:
    """Which share of saturated values is ill here."""
    function = function_of(record)
    if function is not None and last and function.range == (0.0, 1.0):
        return OUTPUT_SHARE
    both = function is not None and all(flat_ends(function))
    return ILL_SHARE if both else ONE_SIDED_SHARE


def _judge(record: SiteRecord, thresholds: Thresholds, ill_from: float) -> Finding:
    function = function_of(record)
    resting = record.zeros if function is not None and has_exact_zeros(function) else 0
    flat = (record.saturated - resting).clip(min=0)
    share = float(flat.sum() / (record.elements * record.site.units))
    ill = share > ill_from
    limit = ill_from if ill else thresholds[TIP_SHARE]
    numbers = {"measured": share, "threshold": limit, "quantity": "share of saturated values"}
    title = f"{percent(share)} of the values are saturated"
    if share <= thresholds[TIP_SHARE]:
        return _verdict.well(record, title, "Most values are where the gradient passes.", **numbers)
    why = "its slope is 1 for every positive value"
    say = _verdict.ill if ill else _verdict.tip
    finding = say(
        record,
        title,
        "At these values the function is flat, so less than 1% of the gradient passes back to "
        "the layers before.",
        prescriptions=(
            NORMALISE,
            RIGHT_GAIN,
            LOWER_LEARNING_RATE,
            *swap_at(record.site.activation, "relu", why),
        ),
        **numbers,
    )
    return unless_few(finding, thresholds[MINIMUM_SAMPLES])
