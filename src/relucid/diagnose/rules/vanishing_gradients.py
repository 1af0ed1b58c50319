"""The gradient fades on its way back through the depth.

**Measured.** The norm of the loss's gradient at each pre-activation: the best of the first third
of the sites over the median of the last third (without zeros). The best, since one open way (a
skip connection) is enough to learn by; a ratio, since all gradients become small when training
succeeds, and that is not vanishing. Needs a loss and at least three activations.

**Why it harms.** The early layers hardly move while the late ones learn, so a deep network
becomes a shallow one on top of random features (Hochreiter 1991; Bengio et al. 1994; Glorot and
Bengio 2010). Sigmoid's derivative is at most 1/4, so each layer of it costs at least a factor of
four at gain 1; a wrong gain does the same to any function. A layer that is dead, saturated
throughout or of zero weights stops the gradient entirely; then that layer is the illness, and
this rule only names it.

**What to do.** An activation whose slope is 1 where it fires, weights with the right gain, a
normalisation before each activation, or skip connections.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from relucid.diagnose.facts import flat_ends, function_of
from relucid.diagnose.flow import Flow, gradient_flow, what_blocks
from relucid.diagnose.remedies import NORMALISE, RIGHT_GAIN, swap_at
from relucid.diagnose.threshold import Threshold, Thresholds
from relucid.diagnose.verdict import Verdict
from relucid.diagnose.words import times
from relucid.records import Finding, Observation, Prescription

TITLE = "Vanishing gradients"

ILL_RATIO = Threshold(
    1e-3,
    "ratio of early to late gradients below which the network is ill",
    "our choice: five sigmoid layers at their best, 1/4 each, give 1/1024",
)
TIP_RATIO = Threshold(
    1e-2,
    "ratio of early to late gradients below which it is worth a tip",
    "our choice: three sigmoid layers at PyTorch's default start keep 1/50, and do learn",
)

_verdict = Verdict("vanishing_gradients")


def examine(observation: Observation, thresholds: Thresholds) -> Iterator[Finding]:
    """Judge the network as a whole."""
    flow = gradient_flow(observation)
    if isinstance(flow, str):
        yield _verdict.not_applicable(None, flow, n=observation.samples)
    else:
        yield _judge(observation, flow, thresholds)


def _judge(observation: Observation, flow: Flow, thresholds: Thresholds) -> Finding:
    ratio = _ratio(flow)
    ill = ratio < thresholds[ILL_RATIO]
    numbers: dict[str, Any] = {
        "measured": ratio,
        "threshold": thresholds[ILL_RATIO if ill else TIP_RATIO],
        "quantity": "early over late gradient",
        "n": observation.samples,
    }
    if ratio >= thresholds[TIP_RATIO]:
        title = f"the gradient keeps its size over {len(flow.records)} activations"
        return _verdict.well(None, title, "The early layers get their share of it.", **numbers)
    cause = what_blocks(observation)
    if cause is not None:
        return _verdict.not_applicable(None, f"{cause}; mend that first", **numbers)
    if not any(flow.norms):
        return _nothing(numbers)
    say = _verdict.ill if ill else _verdict.tip
    return say(flow.records[0], *_words(flow, ratio), prescriptions=_cures(flow), **numbers)


def _ratio(flow: Flow) -> float:
    if flow.late > 0.0:
        return flow.best_early / flow.late
    return math.inf if flow.best_early > 0.0 else 0.0


def _words(flow: Flow, ratio: float) -> tuple[str, str]:
    fold = f"to 1/{times(1.0 / ratio)}" if ratio > 0.0 else "to nothing"
    return (
        f"the gradient fades {fold} over {len(flow.records)} activations",
        f"On its way back each layer leaves {flow.per_layer:.2g} of the gradient, so the first "
        "third of the layers hardly learns while the last third does.",
    )


def _nothing(numbers: dict[str, Any]) -> Finding:
    return _verdict.tip(
        None,
        "no gradient reaches any activation",
        "The loss does not depend on the activations at present: the last layer may have "
        "started at zero on purpose, the loss may be exactly 0, or it may be computed from "
        "something else.",
        **numbers,
    )


def _cures(flow: Flow) -> tuple[Prescription, ...]:
    names = dict.fromkeys(
        record.site.activation
        for record in flow.records
        if (function := function_of(record)) is not None and all(flat_ends(function))
    )
    why = "its slope is 1 for every positive value, so the gradient passes undiminished"
    return (*(p for name in names for p in swap_at(name, "relu", why)), RIGHT_GAIN, NORMALISE)
