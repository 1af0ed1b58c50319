"""The signal grows or fades along the depth where no weights are to blame.

**Measured.** The standard deviation of z, each unit around its own mean, at the activations whose
input no single weighted layer makes: sums of branches in a residual network, scaled or
gated signals. A line through its logarithm over the order of execution gives the factor from
the first to the last; the line must explain at least half of what changes, so that one odd site
makes no trend. Chains of weighted layers are left to wrong_gain, which compares their weights
with what they should be.

**Why it harms.** Hanin and Rolnick 2018 (arXiv:1803.01719) show that a mean size that grows or
shrinks exponentially with depth keeps training from starting. Without a normalisation each
residual block adds its branch to the stream: at He et al.'s gain both have the same variance, so
it doubles with every block (De and Smith 2020, arXiv:2002.10444; Zhang et al. 2019,
arXiv:1901.09321). Late blocks then hardly change what passes through them, gradients grow alike,
and 16-bit numbers overflow.

**What to do.** Scale each branch down by the root of the number of blocks, or let branches start
at 0; or normalise each branch.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from relucid.diagnose.facts import forward_gain, function_of
from relucid.diagnose.hurdles import Hurdles, in_order
from relucid.diagnose.remedies import NORMALISE
from relucid.diagnose.scale import signal, why_no_scale
from relucid.diagnose.threshold import Threshold, Thresholds
from relucid.diagnose.verdict import Verdict
from relucid.diagnose.words import times
from relucid.records import Finding, Observation, Prescription, SiteRecord

TITLE = "Variance drift"

ILL_FACTOR = Threshold(
    100.0,
    "factor of growth or loss of the signal over the depth that is an illness",
    "that of wrong_gain; 14 residual blocks that double the variance reach it",
)
TIP_FACTOR = Threshold(
    10.0,
    "factor of growth or loss of the signal over the depth that is worth a tip",
    "that of wrong_gain; 7 residual blocks that double the variance reach it",
)
STEADY = Threshold(
    0.5,
    "part of the change, in logarithms, that a steady trend must explain",
    "our choice: the greater part",
)
MINIMUM_SITES = 4

_verdict = Verdict("variance_drift")

_SCALE_BRANCHES = Prescription(
    "Join each branch to the stream with a factor, so that the variance of all blocks together "
    "adds up to that of one; or start the last weights of each branch at 0.",
    """\
def join(stream, branch, blocks):
    return stream + branch / blocks**0.5""",
)


def examine(observation: Observation, thresholds: Thresholds) -> Iterator[Finding]:
    """Judge the sites that no single layer feeds together; the last one speaks for all."""
    hurdles = Hurdles(observation)
    trend = []
    for record in in_order(observation):
        reason = hurdles.why(record) or _unjudged(record)
        if reason is None:
            trend.append(record)
        else:
            yield _verdict.not_applicable(record, reason)
    for record in trend[:-1] if len(trend) >= MINIMUM_SITES else trend:
        yield _verdict.not_applicable(record, _left_to(trend))
    if len(trend) >= MINIMUM_SITES:
        yield _judge(trend, thresholds)


def _unjudged(record: SiteRecord) -> str | None:
    if record.layer is not None:
        return f"{record.layer.name} feeds it, so rule wrong_gain judges its scale"
    function = function_of(record)
    if function is None:
        return f"relucid has no declaration of {record.site.activation}"
    if forward_gain(function) is None:
        return f"no scale keeps both signal and gradient through {function.name}"
    if not signal(record) > 0.0:
        return "its pre-activation never changes"
    return why_no_scale(record)


def _left_to(trend: Sequence[SiteRecord]) -> str:
    if len(trend) < MINIMUM_SITES:
        return f"a trend over depth needs {MINIMUM_SITES} activations that no single layer feeds"
    return f"judged with those up to {trend[-1].site.name}"


def _judge(trend: Sequence[SiteRecord], thresholds: Thresholds) -> Finding:
    per_site, steady = _fit([math.log(signal(record)) for record in trend])
    change = math.exp(per_site * (len(trend) - 1))
    size = max(change, 1.0 / change)
    ill, drifts = size > thresholds[ILL_FACTOR], steady >= thresholds[STEADY]
    numbers: dict[str, Any] = {
        "measured": size,
        "threshold": thresholds[ILL_FACTOR if ill else TIP_FACTOR],
        "quantity": "change of the signal over the depth",
    }
    verb = "grows" if change > 1.0 else "fades"
    title = f"the signal {verb} {times(size)}-fold over {len(trend)} activations"
    if size <= thresholds[TIP_FACTOR] or not drifts:
        meaning = "It keeps its size over the depth, or changes without a trend."
        return _verdict.well(trend[-1], title, meaning, **numbers)
    say = _verdict.ill if ill else _verdict.tip
    return say(
        trend[-1],
        title,
        f"From one to the next its deviation changes by a factor of {math.exp(per_site):.3g}, "
        "so early and late layers work at different scales, and deeper networks would overflow or "
        "fall silent.",
        prescriptions=(_SCALE_BRANCHES, NORMALISE),
        **numbers,
    )


def _fit(logs: Sequence[float]) -> tuple[float, float]:
    """Return the slope of a line through the values, and the share of variance it explains."""
    depth = np.arange(len(logs))
    slope = float(np.polyfit(depth, logs, 1)[0])
    spread = float(np.var(logs))
    return slope, slope * slope * float(np.var(depth)) / spread if spread > 0.0 else 0.0
