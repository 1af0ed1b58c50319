"""NaN and infinite values, and where they were born.

**Measured.** The first operation that made NaN or infinity out of finite inputs, where the probe
traced it; the non-finite values that each activation took in and gave out; those in gradients;
and the loss. A site that only receives them is named as such. Minus infinity that enters a
softmax is a mask and is not counted; infinity that reaches neither an activation, nor a
gradient, nor the loss is a tip.

**Why it harms.** NaN spreads: one value makes the loss NaN, one step on that loss makes all
weights NaN, and from then on nothing is left to mend. A parameter that holds NaN means that
training has diverged.

**What to do.** At the birth: keep the operation's input in its domain (a logarithm or square
root of 0, a division by 0, an exponential or a square that overflows its number format). When
the weights are NaN, go back to the last good checkpoint with a smaller learning rate.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from relucid.diagnose.hurdles import in_order
from relucid.diagnose.remedies import CLIP_GRADIENTS, LOWER_LEARNING_RATE
from relucid.diagnose.threshold import Thresholds
from relucid.diagnose.verdict import Verdict
from relucid.diagnose.words import counted
from relucid.records import Birth, Finding, Observation, Prescription, SiteRecord

TITLE = "NaN and infinity"

_verdict = Verdict("nonfinite")

_DOMAIN = Prescription(
    "Keep the input of that operation in its domain, or let PyTorch stop at the operation whose "
    "gradient is NaN.",
    "import torch\n\ntorch.autograd.set_detect_anomaly(True)",
)
_CHECK_DATA = Prescription(
    "Look for NaN in the data before the model sees it.",
    """\
def check_finite(inputs):
    assert inputs.isfinite().all(), "the data hold NaN or infinity\"""",
)


def examine(observation: Observation, thresholds: Thresholds) -> Iterator[Finding]:
    """Report births first, then what no birth explains, then each site."""
    records = in_order(observation)
    spread = _spread(observation)
    for birth in dict.fromkeys(observation.births):
        yield _born(observation, birth, harmful=spread)
    explained = bool(observation.births)
    for record in records:
        finding = _site(record, explained)
        explained |= bool(record.nonfinite_in or record.nonfinite_out)
        yield finding
    if not explained:
        yield from _backward(records, observation)


def _spread(observation: Observation) -> bool:
    loss = observation.loss is not None and not math.isfinite(observation.loss)
    return loss or any(
        r.nonfinite_in or r.nonfinite_out or (r.gradient is not None and r.gradient.nonfinite)
        for r in observation.sites
    )


def _born(observation: Observation, birth: Birth, harmful: bool) -> Finding:
    kind = "NaN" if birth.value == "nan" else "infinity"
    title, prescriptions = _origin(birth, kind)
    meaning = (
        f"In the {birth.phase} pass of batch {birth.batch} {kind} appeared where all inputs were "
        "finite. It spreads to everything that is computed from it, weights included."
        if harmful
        else f"In the {birth.phase} pass of batch {birth.batch} {kind} appeared, and it reached "
        "no activation, gradient or loss."
    )
    say = _verdict.ill if harmful else _verdict.tip
    numbers = {"n": observation.samples, "prescriptions": prescriptions}
    return say(birth.module or None, title, meaning, **numbers)


def _origin(birth: Birth, kind: str) -> tuple[str, tuple[Prescription, ...]]:
    what, _, name = birth.operation.partition(" ")
    if what in ("parameter", "buffer"):
        title = f"the {name} of {birth.module or 'the model'} holds {kind}"
        return title, (LOWER_LEARNING_RATE, CLIP_GRADIENTS)
    if birth.operation == "input data":
        return f"the data hold {kind}", (_CHECK_DATA,)
    inside = f" in {birth.module}" if birth.module else ""
    line = f" ({birth.source})" if birth.source else ""
    title = f"{kind} is born{inside}, in {birth.operation}{line}"
    return title, (_DOMAIN, LOWER_LEARNING_RATE)


def _site(record: SiteRecord, explained: bool) -> Finding:
    seen = record.nonfinite_in + record.nonfinite_out
    numbers: dict[str, Any] = {
        "measured": float(seen),
        "threshold": 0.0,
        "quantity": "NaN and infinite values",
    }
    if not seen:
        meaning = "Nothing overflowed here."
        return _verdict.well(record, "all values are finite", meaning, **numbers)
    if explained and record.nonfinite_in:
        reason = "NaN and infinite values arrive here from before"
        return _verdict.not_applicable(record, reason, **numbers)
    if not record.nonfinite_in:
        title = f"{record.site.activation} made {counted(seen, 'non-finite value')} itself"
        meaning = "The function overflowed: its finite inputs are too large for its number format."
        return _verdict.ill(record, title, meaning, prescriptions=(LOWER_LEARNING_RATE,), **numbers)
    return _arrived(record, numbers)


def _arrived(record: SiteRecord, numbers: dict[str, Any]) -> Finding:
    layer = record.layer
    if layer is not None and not math.isfinite(layer.weight_rms + layer.bias_mean):
        return _verdict.ill(
            record,
            f"the weights of {layer.name} are NaN or infinite",
            "Training has diverged: a step threw the weights out of the range of numbers, and "
            "nothing that is computed with them means anything.",
            prescriptions=(LOWER_LEARNING_RATE, CLIP_GRADIENTS),
            **numbers,
        )
    return _verdict.ill(
        record,
        "NaN or infinite values arrive at this activation",
        "It is the first activation that sees them: they come with the data, or from an "
        "operation before it.",
        prescriptions=(_CHECK_DATA, _DOMAIN, LOWER_LEARNING_RATE),
        **numbers,
    )


def _backward(records: list[SiteRecord], observation: Observation) -> Iterator[Finding]:
    """Non-finite gradients or loss although every site is finite in the forward pass."""
    hit = [r for r in records if r.gradient is not None and r.gradient.nonfinite]
    loss = observation.loss
    if hit and hit[-1].gradient is not None:
        yield _verdict.ill(
            hit[-1],
            "the gradient is NaN or infinite",
            "Every activation is finite, but the gradient that comes back to this one is not; a "
            "step on it makes the weights NaN.",
            measured=float(hit[-1].gradient.nonfinite),
            threshold=0.0,
            quantity="NaN and infinite gradients",
            prescriptions=(_DOMAIN, LOWER_LEARNING_RATE, CLIP_GRADIENTS),
        )
    elif loss is not None and not math.isfinite(loss):
        yield _verdict.ill(
            None,
            f"the loss is {loss}",
            "Every activation is finite, so the loss function or the layers after the last "
            "activation make it.",
            n=observation.samples,
            prescriptions=(_DOMAIN, LOWER_LEARNING_RATE),
        )
