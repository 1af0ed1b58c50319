"""An activation that gives back its input.

**Measured.** For functions with an interval on which they are the identity (ReLU and its kin from
0 on, ReLU6 from 0 to 6, hard tanh between its bounds): the elements whose z lies there. The
activation does nothing on the data when that holds for every element of every unit. It is said
where z is the output of another activation, perhaps pooled or reshaped (a ReLU after a ReLU, or
after a sigmoid), and where z is never negative though often 0 (a sum of ReLUs, raw pixels). With
n independent samples that all came through unchanged, another one would be changed with a
probability of less than 1 - 0.05**(1/n), at 95% confidence. Where every z is above 0, and comes
from a weighted layer, always_on speaks.

**Why it harms.** It costs time and changes nothing: ReLU is idempotent, relu(relu(x)) = relu(x).
More often it is a slip, a module that ends in an activation followed by another one
(timkartar/DeepPBS, issue 24, is one of many), or a linear or normalising layer that was meant to
stand between. The network is then one bend less deep than it was meant to be. The units are
judged where they first appear, and not again.

**What to do.** Remove it, or put in what was forgotten between the two. A bound that is there as
a guard (hard tanh with wide limits) is meant to do nothing, and is not reported.
"""

from __future__ import annotations

from collections.abc import Iterator

from relucid.diagnose.evidence import never_seen
from relucid.diagnose.facts import function_of
from relucid.diagnose.hurdles import Hurdles, gives_back_its_input, in_order, repeats
from relucid.diagnose.threshold import Threshold, Thresholds
from relucid.diagnose.verdict import Verdict
from relucid.diagnose.words import counted, percent
from relucid.records import Finding, Observation, Prescription, SiteRecord

TITLE = "Activation without effect"

MINIMUM_SAMPLES = Threshold(
    30,
    "samples needed to say that an activation does nothing",
    "from here on it changes less than 10% of samples, with 95% confidence",
)

_verdict = Verdict("idle_activation")

_REMOVE = Prescription(
    "Remove the second of two activations that follow each other, or put the layer between them "
    "that was forgotten.",
    """\
from itertools import pairwise

from torch import nn

for chain in [module for module in model.modules() if isinstance(module, nn.Sequential)]:
    for (_, first), (name, second) in pairwise(list(chain.named_children())):
        if isinstance(first, nn.ReLU) and isinstance(second, nn.ReLU):
            chain.register_module(name, nn.Identity())""",
)


def examine(observation: Observation, thresholds: Thresholds) -> Iterator[Finding]:
    """Judge each site as a whole."""
    hurdles = Hurdles(observation)
    for record in in_order(observation):
        hurdle = None if repeats(record) else hurdles.why(record)
        reason = hurdle or _unjudged(record, thresholds[MINIMUM_SAMPLES])
        if reason is None:
            yield _judge(record)
        else:
            yield _verdict.not_applicable(record, reason)


def _unjudged(record: SiteRecord, minimum: float) -> str | None:
    function = function_of(record)
    if "unchanged" not in record.more or function is None:
        return f"{record.site.activation} changes every value"
    if function.piecewise_linear and not function.kinks:
        return f"{function.name} does nothing, on purpose"
    if record.samples < minimum:
        return f"{counted(record.samples, 'sample')} are too few to tell"
    return None


def _judge(record: SiteRecord) -> Finding:
    changed = 1.0 - float(record.more["unchanged"].mean() / max(record.elements, 1))
    numbers = {
        "measured": changed,
        "threshold": 0.0,
        "quantity": "share of values that it changes",
    }
    if repeats(record) or _never_negative(record):
        return _idle(record, numbers)
    meaning = "The activation takes part in what the network computes."
    if changed == 0.0:
        meaning = "It changes nothing on this data, as a guard would, or always_on says why."
    return _verdict.well(record, f"it changes {percent(changed)} of the values", meaning, **numbers)


def _never_negative(record: SiteRecord) -> bool:
    """Whether z was 0 or more on every element, and 0 on some: no layer's own output is so."""
    function = function_of(record)
    rectifies = function is not None and any(kink.at == 0.0 for kink in function.kinks)
    at_zero = record.fired.sum() < record.elements * record.site.units
    return rectifies and at_zero and gives_back_its_input(record)


def _idle(record: SiteRecord, numbers: dict[str, object]) -> Finding:
    name = record.site.activation
    given = "what it gets is never negative"
    if record.follows is not None:
        given = f"what it gets is the output of {record.follows}"
    return _verdict.tip(
        record,
        f"{name} changes nothing: {given}",
        "Each value comes out as it went in, so the network is one activation less deep than it "
        "looks; perhaps a layer that was meant to stand before it is missing.",
        confidence=f"it changes less than {percent(never_seen(record.samples))} of samples, at 95%",
        prescriptions=(_REMOVE,),
        **numbers,
    )
