"""The gradient grows on its way back through the depth.

**Measured.** The norm of the loss's gradient at each pre-activation: the median of the first
third of the sites over that of the last third, without those that are exactly 0. A ratio, since
the loss's own scale says nothing about the network. Needs a loss and at least three activations.

**Why it harms.** A step that suits the late layers throws the early ones far away, so training
either diverges or must go at a rate at which the late layers stand still (Bengio et al. 1994;
Pascanu et al. 2013, arXiv:1211.5063). Weights whose gain is too large do this to any function.

**What to do.** Weights with the right gain and a normalisation before each activation remove
the cause; clipping the gradient limits the harm.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from relucid.diagnose.flow import Flow, gradient_flow
from relucid.diagnose.remedies import CLIP_GRADIENTS, LOWER_LEARNING_RATE, NORMALISE, RIGHT_GAIN
from relucid.diagnose.threshold import Threshold, Thresholds
from relucid.diagnose.verdict import Verdict
from relucid.diagnose.words import times
from relucid.records import Finding, Observation

TITLE = "Exploding gradients"

ILL_RATIO = Threshold(
    1e3,
    "ratio of early to late gradients above which the network is ill",
    "our choice: the inverse of the one for vanishing gradients",
)
TIP_RATIO = Threshold(
    1e2,
    "ratio of early to late gradients above which it is worth a tip",
    "our choice: the inverse of the one for vanishing gradients",
)

_verdict = Verdict("exploding_gradients")


def examine(observation: Observation, thresholds: Thresholds) -> Iterator[Finding]:
    """Judge the network as a whole."""
    flow = gradient_flow(observation)
    if isinstance(flow, str):
        yield _verdict.not_applicable(None, flow, n=observation.samples)
    elif flow.late == 0.0:
        reason = "no gradient reaches the last activations"
        yield _verdict.not_applicable(None, reason, n=observation.samples)
    else:
        yield _judge(observation, flow, thresholds)


def _judge(observation: Observation, flow: Flow, thresholds: Thresholds) -> Finding:
    ratio = flow.early / flow.late
    ill = ratio > thresholds[ILL_RATIO]
    numbers: dict[str, Any] = {
        "measured": ratio,
        "threshold": thresholds[ILL_RATIO if ill else TIP_RATIO],
        "quantity": "early over late gradient",
        "n": observation.samples,
    }
    if ratio <= thresholds[TIP_RATIO]:
        title = f"the gradient does not grow over {len(flow.records)} activations"
        return _verdict.well(None, title, "One step size suits all layers.", **numbers)
    say = _verdict.ill if ill else _verdict.tip
    return say(
        flow.records[0],
        f"the gradient grows {times(ratio)}-fold over {len(flow.records)} activations",
        f"On its way back each layer multiplies the gradient by {flow.per_layer:.3g}, so a step "
        "that suits the last layers is far too large for the first.",
        prescriptions=(RIGHT_GAIN, NORMALISE, CLIP_GRADIENTS, LOWER_LEARNING_RATE),
        **numbers,
    )
