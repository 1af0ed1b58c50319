"""Pre-activations that fall exactly on a kink, in 16-bit numbers.

**Measured.** The share of a layer's values of z that are exactly at a kink of the activation (0
for ReLU), where its tensors are float16 or bfloat16. In float32 a hit is so seldom that it is
left alone, unless something other than the precision makes z exactly 0, which other rules find.

**Why it harms.** At a kink the derivative is a convention: frameworks take 0 for ReLU, and 1 or
1/2 would be as right. Bertoin et al. 2021 (arXiv:2106.12915) found the choice to change
the gradient systematically at 16 bits, half of the time at 32, and never at 64; on ImageNet it
moved the accuracy by ten points. A layer with many hits trains by that convention. And the hits
tell why: z is a difference of large numbers that 16 bits cannot tell apart (bfloat16 keeps 8
bits, float16 11), or so small that it was rounded to 0 (below 6e-8 in float16).

**What to do.** Compute the pre-activation in float32, or bring it to a size near 1 by a
normalisation; a function without a kink (GELU, SiLU) has no such convention.
"""

from __future__ import annotations

from collections.abc import Iterator

from relucid.diagnose.facts import function_of
from relucid.diagnose.remedies import NORMALISE, swap_at
from relucid.diagnose.sites import judge_each
from relucid.diagnose.threshold import Threshold, Thresholds
from relucid.diagnose.verdict import Verdict
from relucid.diagnose.words import percent
from relucid.records import Finding, Observation, Prescription, SiteRecord

TITLE = "Kinks hit in low precision"

SHARE = Threshold(
    0.01,
    "share of values exactly at a kink above which it is worth a tip",
    "our choice: the healthy networks in bfloat16 and float16 of our tests stay below it",
)

_LOW = ("float16", "bfloat16")

_verdict = Verdict("kink_hits")

_WIDER = Prescription(
    "Compute what leads to this activation in float32: leave the region of automatic mixed "
    "precision, or keep this part of the model in float32.",
    "model.float()",
)


def examine(observation: Observation, thresholds: Thresholds) -> Iterator[Finding]:
    """Judge each site as a whole."""
    return judge_each(
        observation, _verdict, _unjudged, lambda record: _judge(record, thresholds[SHARE])
    )


def _unjudged(record: SiteRecord) -> str | None:
    function = function_of(record)
    if function is None:
        return f"relucid has no declaration of {record.site.activation}"
    if not function.kinks:
        return f"{function.name} has no kink"
    if record.dtype not in _LOW:
        return f"in {record.dtype} a kink is seldom hit by rounding"
    return None


def _judge(record: SiteRecord, limit: float) -> Finding:
    share = record.kink_hits / (record.elements * record.site.units)
    numbers = {"measured": share, "threshold": limit, "quantity": "share of values at a kink"}
    title = f"{percent(share)} of the values are exactly at a kink, in {record.dtype}"
    if share <= limit:
        meaning = "So few that the derivative chosen at the kink hardly matters."
        return _verdict.well(record, title, meaning, **numbers)
    why = "it has no kink, so its gradient does not depend on a convention"
    return _verdict.tip(
        record,
        title,
        "There the derivative is a convention and not a fact, and that so many values are there "
        f"means that {record.dtype} has rounded away what told them apart.",
        prescriptions=(_WIDER, NORMALISE, *swap_at(record.site.activation, "gelu", why)),
        **numbers,
    )
