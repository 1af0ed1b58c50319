"""Inputs whose values are far from 1.

**Measured.** At the first activation, the deviation of z over the gain of the layer's weights:
the root mean square that the layer's input must have for weights without a preference. Trained
weights prefer patterns that occur, so the figure may be a few times too large; the limits leave
room for that. A layer followed by a normalisation is not judged.

**Why it harms.** The gradient of the first layer's weights is proportional to its input. With
pixels in 0 to 255 it is a hundred times larger than that of all other layers, so a usual
learning rate makes the first steps far too large: units die or saturate, or the loss overflows.
LeCun et al. 1998, *Efficient BackProp*, section 4.3: shift inputs to mean 0, scale to
variance 1.

**What to do.** Subtract the mean of the training data and divide by its standard deviation, or
put a normalisation behind each layer, which takes the inputs' scale away too.
"""

from __future__ import annotations

from collections.abc import Iterator

from relucid.diagnose.hurdles import Hurdles, in_order
from relucid.diagnose.remedies import NORMALISE
from relucid.diagnose.scale import signal, weight_gain, why_no_scale
from relucid.diagnose.threshold import Threshold, Thresholds
from relucid.diagnose.verdict import Verdict
from relucid.diagnose.words import times
from relucid.records import Finding, Observation, Prescription, SiteRecord

TITLE = "Inputs out of scale"

ILL_SIZE = Threshold(
    20.0,
    "root mean square of the inputs above which it is an illness",
    "our choice: 20 times what LeCun et al. 1998 ask for; pixels in 0 to 255 have 50 to 150",
)
TIP_SIZE = Threshold(
    10.0,
    "root mean square of the inputs above which it is worth a tip",
    "our choice: 10 times what LeCun et al. 1998 ask for; trained layers overstate it",
)

_verdict = Verdict("input_scale")

_STANDARDISE = Prescription(
    "Scale the inputs to mean 0 and deviation 1, with the numbers of the training data, in "
    "training and in use alike.",
    """\
def standardise(inputs, mean, deviation):
    return (inputs - mean) / deviation""",
)


def examine(observation: Observation, thresholds: Thresholds) -> Iterator[Finding]:
    """Judge the first site."""
    records = in_order(observation)
    if not records:
        yield _verdict.not_applicable(None, "no activation was observed")
        return
    first = records[0]
    reason = Hurdles(observation).why(first) or _unjudged(first)
    if reason is not None:
        yield _verdict.not_applicable(first, reason)
    elif first.layer is not None:
        yield _judge(first, signal(first) / weight_gain(first.layer), thresholds)


def _unjudged(record: SiteRecord) -> str | None:
    if record.layer is None:
        return "no single weighted layer stands between the input and the first activation"
    if record.layer.normalised_by is not None:
        return f"{record.layer.normalised_by} normalises what the first layer makes of the input"
    if record.layer.weight_rms == 0.0:
        return f"the weights of {record.layer.name} are all zero, so the input is not seen"
    return why_no_scale(record)


def _judge(record: SiteRecord, size: float, thresholds: Thresholds) -> Finding:
    ill = size > thresholds[ILL_SIZE]
    numbers = {
        "measured": size,
        "threshold": thresholds[ILL_SIZE if ill else TIP_SIZE],
        "quantity": "size of the inputs",
    }
    title = f"the first layer's inputs are of size {times(size)}"
    if size <= thresholds[TIP_SIZE]:
        meaning = "They are near enough to 1 for usual weights and step sizes."
        return _verdict.well(record, title, meaning, **numbers)
    say = _verdict.ill if ill else _verdict.tip
    return say(
        record,
        title,
        f"Usual weights and step sizes are made for inputs near 1; the gradient of the first "
        f"layer is {times(size)} times larger than they expect, so its first steps go too far.",
        prescriptions=(_STANDARDISE, NORMALISE),
        **numbers,
    )
