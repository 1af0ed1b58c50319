"""Weights so small or large that the signal fades or grows from layer to layer.

**Measured.** A layer's gain is the root mean square of its weights times the root of its fan-in.
The right gain after an activation phi is 1/sqrt(E[phi(z)**2]) for z ~ N(0, 1): 1.414 for ReLU
(He et al. 2015, arXiv:1502.01852; for any phi, Poole et al. 2016, arXiv:1606.05340). Trained
weights rightly differ from it, so a layer is never judged by its gain alone: along at least three
layers with nothing to normalise between them, the deviation of z must have shrunk or grown by a
large factor, and the product of the gains must explain at least half of that (in logarithms).
Weights that are all zero are reported by themselves. For sigmoid and its kin no gain keeps both
signal and gradient, so they are left to vanishing_gradients.

**Why it harms.** A signal that fades reaches the output as a constant, and its gradient fades
alike; one that grows saturates, overflows, or gives steps that are too large.

**What to do.** Start from the right gain for each layer's activation, or normalise. Weights that
grew in training were thrown there by steps that were too large: lower the learning rate.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

from relucid.diagnose.facts import forward_gain, function_of
from relucid.diagnose.hurdles import Hurdles, in_order
from relucid.diagnose.remedies import LOWER_LEARNING_RATE, NORMALISE, RIGHT_GAIN
from relucid.diagnose.scale import signal, weight_gain, why_no_scale
from relucid.diagnose.threshold import Threshold, Thresholds
from relucid.diagnose.verdict import Verdict
from relucid.diagnose.words import times
from relucid.records import Finding, Observation, SiteRecord

TITLE = "Wrong gain"

ILL_FACTOR = Threshold(
    100.0,
    "factor of growth or loss of the signal along a run of layers that is an illness",
    "our choice: 16-bit formats keep three or four digits, so the rest is noise beside the biases",
)
TIP_FACTOR = Threshold(
    10.0,
    "factor of growth or loss of the signal along a run of layers that is worth a tip",
    "our choice: small networks of three layers have up to 11 at PyTorch's default start, and up "
    "to 4 when trained",
)
EXPLAINED = Threshold(
    0.5,
    "part of the change, in logarithms, that the weights must explain",
    "our choice: the greater part",
)
MINIMUM_LAYERS = 3

_verdict = Verdict("wrong_gain")


def examine(observation: Observation, thresholds: Thresholds) -> Iterator[Finding]:
    """Judge each run of layers without a normalisation, and each layer's weights for zeros."""
    hurdles = Hurdles(observation)
    run: list[SiteRecord] = []
    for record in in_order(observation):
        if record.layer is not None and record.layer.weight_rms == 0.0:
            yield _zero(record, record.layer.name)
            continue
        reason = hurdles.why(record) or _unjudged(record)
        if reason is None:
            run.append(record)
            continue
        yield _verdict.not_applicable(record, reason)
        yield from _judge(run, thresholds)
        run = []
    yield from _judge(run, thresholds)


def _unjudged(record: SiteRecord) -> str | None:
    if record.layer is None:
        return "no single weighted layer makes its pre-activation (a sum of branches, or an input)"
    if record.layer.normalised_by is not None:
        return f"{record.layer.normalised_by} normalises it, so the weights' size does not matter"
    function = function_of(record)
    if function is None:
        return f"relucid has no declaration of {record.site.activation}"
    if forward_gain(function) is None:
        return f"no gain keeps both signal and gradient through {function.name}"
    if not signal(record) > 0.0:
        return "its pre-activation never changes"
    return why_no_scale(record)


def _zero(record: SiteRecord, layer: str) -> Finding:
    return _verdict.ill(
        record,
        f"the weights of {layer} are all zero",
        "Whatever the input is, this layer gives its bias, and since all its units are alike "
        "they can hardly learn to differ.",
        measured=0.0,
        quantity="gain of the weights",
        prescriptions=(RIGHT_GAIN,),
    )


def _judge(run: Sequence[SiteRecord], thresholds: Thresholds) -> Iterator[Finding]:
    if len(run) < MINIMUM_LAYERS:
        for record in run:
            reason = f"a trend needs {MINIMUM_LAYERS} layers in a row that nothing normalises"
            yield _verdict.not_applicable(record, reason)
        return
    for record in run[:-1]:
        reason = f"judged with the run that ends at {run[-1].site.name}"
        yield _verdict.not_applicable(record, reason)
    yield _of_run(run, thresholds)


def _of_run(run: Sequence[SiteRecord], thresholds: Thresholds) -> Finding:
    change = signal(run[-1]) / signal(run[0])
    weights = sum(_excess(before, record) for before, record in pairwise(run))
    size = max(change, 1.0 / change)
    by_weights = weights / math.log(change) >= thresholds[EXPLAINED] if size > 1.0 else False
    ill = size > thresholds[ILL_FACTOR]
    numbers = {
        "measured": size,
        "threshold": thresholds[ILL_FACTOR if ill and by_weights else TIP_FACTOR],
        "quantity": "change of the signal along the layers",
    }
    verb = "grows" if change > 1.0 else "fades"
    title = f"the signal {verb} {times(size)}-fold over {len(run)} layers"
    if size <= thresholds[TIP_FACTOR] or not by_weights:
        return _verdict.well(run[-1], title, _harmless(size, thresholds), **numbers)
    each, right = math.exp(weights / (len(run) - 1)), size ** (1.0 / (len(run) - 1))
    say = _verdict.ill if ill else _verdict.tip
    return say(
        run[-1],
        title,
        f"From layer to layer it {verb} {times(right)}-fold, since the weights are {times(each)} "
        "times what their activation asks for.",
        prescriptions=(RIGHT_GAIN, NORMALISE, *((LOWER_LEARNING_RATE,) if change > 1.0 else ())),
        **numbers,
    )


def _harmless(size: float, thresholds: Thresholds) -> str:
    if size <= thresholds[TIP_FACTOR]:
        return "It keeps its size along these layers."
    return "The size of the weights is not what changes it."


def _excess(before: SiteRecord, record: SiteRecord) -> float:
    """Logarithm of a layer's gain over the right one after the activation before it."""
    function = function_of(before)
    right = forward_gain(function) if function is not None else None
    if record.layer is None or right is None:
        return 0.0
    return math.log(weight_gain(record.layer) / right)
